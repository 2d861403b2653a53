//! Splunk's HTTP Event Collector: a parcel is acknowledged only after its events were accepted, and where the token can
//! do that, indexed; what can never be taken is named and holds up nobody.

#[path = "hec/acknowledgement.rs"]
mod acknowledgement;
#[path = "hec/refusal.rs"]
mod refusal;
#[path = "hec/trouble.rs"]
mod trouble;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use siemgate::clock::Timestamp;
use siemgate::event::Label;
use siemgate::event::batch::{ObjectsPosition, Position};
use siemgate::ids::{Epoch, FeedId, Generation};
use siemgate::lease::Lease;
use siemgate::simulator::splunk::{Options, Splunk, TOKEN};
use siemgate::sinks::status::{SinkStatus, State};
use siemgate::sinks::{self, Ack, Config, Framed, Parcel, Receipt, Stamp, Stretch};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

const BOUND: Duration = Duration::from_secs(30);
/// Events of a parcel.
const EVENTS: u32 = 10;

/// A running sink and the ends a feed would hold.
struct Sink {
    parcels: mpsc::Sender<Parcel>,
    acks: mpsc::Receiver<Ack>,
    ack_sender: mpsc::Sender<Ack>,
    status: Arc<SinkStatus>,
    stop: watch::Sender<bool>,
    config: Config,
    tasks: JoinSet<()>,
    sent: u64,
    lease: Lease,
    /// Where the token is.
    token: tempfile::NamedTempFile,
}

async fn splunk(change: impl FnOnce(&mut Options)) -> Splunk {
    let mut options = Options::default();
    change(&mut options);
    Splunk::start(options).await.unwrap()
}

fn feed(number: u64) -> FeedId {
    format!("contoso/hub/{number}").parse().unwrap()
}

/// The id of an event.
fn id(parcel: u64, record: u32) -> String {
    format!("{:032x}", parcel * u64::from(EVENTS) + u64::from(record))
}

impl Sink {
    fn to(targets: &[&Splunk], more: Value) -> Self {
        Self::with_token(targets, more, TOKEN)
    }

    fn with_token(targets: &[&Splunk], more: Value, token: &str) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), token).unwrap();
        let urls: Vec<String> = targets.iter().map(|splunk| splunk.url()).collect();
        let reference = format!("${{file:{}}}", file.path().display());
        let mut config = json!({"kind": "hec", "urls": urls, "token": reference});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let config: Config = serde_json::from_value(config).unwrap();
        assert_eq!(config.fault(), None);
        let (parcels, queue) = mpsc::channel(64);
        let (ack_sender, acks) = mpsc::channel(10_000);
        let (stop, stopped) = watch::channel(false);
        let status = Arc::new(SinkStatus::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(sinks::run(config.clone(), queue, status.clone(), stopped));
        let (sent, lease) = (0, Lease::unlimited());
        Self { parcels, acks, ack_sender, status, stop, config, tasks, sent, lease, token: file }
    }

    async fn send(&mut self) {
        self.send_of(0, |_| None).await;
    }

    /// Sends one parcel of a feed. `instead` may say what an event holds rather than something harmless.
    async fn send_of(&mut self, of: u64, instead: impl Fn(u32) -> Option<&'static str>) {
        let (feed, mut framing) = (feed(of), self.config.framing().of_format("cef"));
        let mut frames = Framed::default();
        for record in 0..EVENTS {
            let stamp = Stamp {
                tenant: "contoso",
                source: "hub",
                feed: &feed,
                epoch: Epoch(1),
                id: &id(self.sent, record),
                record,
                time: Timestamp::from_millis(1_893_456_000_123),
                label: Label::of("DeviceProcessEvents"),
                finding: false,
                severity: 6,
            };
            let text = instead(record).unwrap_or("CEF:0|Microsoft|Defender XDR|1.0|a|b|1|msg=\"x\\ny\"");
            framing.frame(&stamp, text.as_bytes(), &mut frames);
        }
        let after = Position::Objects(ObjectsPosition { from: Timestamp::ZERO });
        let stretch = Stretch { feed, epoch: Epoch(1), generation: Generation(1), after, live: true };
        let receipt = Some(Receipt::new(stretch, 0, self.sent, EVENTS, self.ack_sender.clone()));
        self.sent += 1;
        let (bytes, lease) = (Bytes::from(frames.bytes), self.lease.clone());
        let parcel = Parcel { frames: bytes, ends: frames.ends, events: EVENTS, permit: None, receipt, lease };
        timeout(BOUND, self.parcels.send(parcel)).await.expect("the sink takes parcels").unwrap();
    }

    async fn acknowledged(&mut self) -> Ack {
        timeout(BOUND, self.acks.recv()).await.expect("an acknowledgement comes in time").unwrap()
    }

    /// Waits for so many acknowledgements; the numbers of the parcels, in order.
    async fn all_acknowledged(&mut self, count: u64) -> Vec<u64> {
        let mut batches = Vec::new();
        for _ in 0..count {
            let ack = self.acknowledged().await;
            assert_eq!(ack.refused, []);
            batches.push(ack.batch);
        }
        batches.sort_unstable();
        batches
    }

    /// Waits until it says that it fails, and how.
    async fn trouble(&self, words: &str) -> String {
        let trouble = async {
            loop {
                let told = self.status.last_error().map(|(_, error)| error).unwrap_or_default();
                if self.status.state() == State::Retrying && told.contains(words) {
                    return told;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(BOUND, trouble).await.unwrap_or_else(|_| panic!("`{words}`, not {:?}", self.status.last_error()))
    }

    async fn end(mut self) {
        self.stop.send_replace(true);
        timeout(BOUND, async { while self.tasks.join_next().await.is_some() {} }).await.expect("the sink ends");
    }
}

#[tokio::test]
async fn every_event_arrives_once_in_the_order_of_its_feed() {
    let splunk = splunk(|_| {}).await;
    let mut sink = Sink::to(&[&splunk], json!({}));
    for parcel in 0..200 {
        sink.send_of(parcel % 5, |_| None).await;
    }
    assert_eq!(sink.all_acknowledged(200).await, (0..200).collect::<Vec<_>>());
    let tally = splunk.tally();
    assert_eq!((tally.distinct, tally.duplicates, tally.refused), (2_000, 0, 0));
    assert!(tally.requests < 200, "parcels share requests: {tally:?}");
    for of in 0..5 {
        let expected: Vec<_> = (0..200)
            .filter(|parcel| parcel % 5 == of)
            .flat_map(|parcel| (0..EVENTS).map(move |it| id(parcel, it)))
            .collect();
        assert_eq!(splunk.order(&feed(of).to_string()), expected, "S15");
    }
    assert_eq!((sink.status.assurance(), sink.status.in_flight.load(Relaxed)), ("accepted", 0));
    assert!(sink.status.confirms_when_asked());
    sink.end().await;
}

#[tokio::test]
async fn requests_keep_to_their_bounds_and_are_compressed_unless_told_otherwise() {
    for (gzip, least, most) in [(true, 0, 20_000), (false, 20_000, 80_000)] {
        let splunk = splunk(|_| {}).await;
        let mut sink = Sink::to(&[&splunk], json!({"gzip": gzip, "batch_events": 7}));
        for _ in 0..10 {
            sink.send().await;
        }
        sink.all_acknowledged(10).await;
        let tally = splunk.tally();
        assert_eq!((tally.distinct, tally.largest_request_events), (100, 7));
        assert!((least..most).contains(&tally.bytes), "{gzip}: {tally:?}");
        sink.end().await;
    }
}

#[tokio::test]
async fn nothing_is_sent_under_a_lease_that_is_over_or_of_a_feed_that_ended() {
    let splunk = splunk(|_| {}).await;
    let mut sink = Sink::to(&[&splunk], json!({}));
    let over = Lease::unlimited();
    over.end();
    sink.lease = over;
    sink.send_of(0, |_| None).await;
    sink.lease = Lease::unlimited();
    let (living, ended) = (sink.ack_sender.clone(), mpsc::channel(1).0);
    sink.ack_sender = ended;
    sink.send_of(1, |_| None).await;
    sink.ack_sender = living;
    sink.send_of(2, |_| None).await;
    assert_eq!(sink.acknowledged().await.batch, 2);
    assert_eq!(splunk.tally().received, u64::from(EVENTS));
    sink.end().await;
}

#[tokio::test]
async fn a_sink_that_is_told_to_end_ends_soon_whatever_its_collector_does() {
    let splunk = splunk(|_| {}).await;
    splunk.behave(siemgate::simulator::splunk::Behaviour::Freeze);
    let mut sink = Sink::to(&[&splunk], json!({}));
    sink.send().await;
    splunk.wait_until(BOUND, |tally| tally.requests == 1).await.unwrap();
    sink.end().await;
}
