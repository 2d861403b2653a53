//! Syslog over TCP: a parcel is acknowledged only after the receiver's application has read it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use siemgate::clock::{Clock, Timestamp};
use siemgate::event::batch::{ObjectsPosition, Position};
use siemgate::ids::{Epoch, FeedId, Generation};
use siemgate::lease::Lease;
use siemgate::simulator::receiver::{Behaviour, Options, Receiver};
use siemgate::sinks::limits::BARRIER_IDLE;
use siemgate::sinks::status::{SinkStatus, State};
use siemgate::sinks::{self, Ack, Config, Framed, Parcel, Receipt, Stamp, Stretch};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

pub const BOUND: Duration = Duration::from_secs(30);
const PAYLOAD: &[u8] = b"CEF:0|Microsoft|Defender XDR|1.0|a|b|1|msg=x\\ny";

/// A running sink and the ends a feed would hold.
pub struct Sink {
    pub parcels: mpsc::Sender<Parcel>,
    pub acks: mpsc::Receiver<Ack>,
    ack_sender: mpsc::Sender<Ack>,
    pub status: Arc<SinkStatus>,
    stop: watch::Sender<bool>,
    config: Config,
    tasks: JoinSet<()>,
    sent: u64,
    lease: Lease,
    /// Feed and payload of what is sent next.
    pub feed: FeedId,
    pub payload: Vec<u8>,
}

impl Sink {
    fn to(address: std::net::SocketAddr) -> Self {
        Self::with(serde_json::json!({"address": address.to_string()}))
    }

    /// With settings as an operator writes them.
    pub fn with(mut settings: serde_json::Value) -> Self {
        settings["kind"] = "syslog".into();
        settings["structured_data"] = true.into();
        let config: Config = serde_json::from_value(settings).unwrap();
        assert_eq!(config.fault(), None);
        let (parcels, queue) = mpsc::channel(64);
        let (ack_sender, acks) = mpsc::channel(10_000);
        let (stop, stopped) = watch::channel(false);
        let status = Arc::new(SinkStatus::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(sinks::run(config.clone(), queue, status.clone(), stopped));
        let (feed, payload) = ("contoso/hub/0".parse().unwrap(), PAYLOAD.to_vec());
        let lease = Lease::unlimited();
        Self { parcels, acks, ack_sender, status, stop, config, tasks, sent: 0, lease, feed, payload }
    }

    /// Sends one parcel of ten frames.
    pub async fn send(&mut self) {
        self.send_of(10).await;
    }

    /// Sends one parcel of so many frames, ten at most.
    pub async fn send_of(&mut self, events: u32) {
        let feed = self.feed.clone();
        let mut frames = Framed::default();
        for record in 0..events {
            let id = format!("{:032x}", self.sent * 10 + u64::from(record));
            let stamp = Stamp {
                tenant: "contoso",
                source: "hub",
                feed: &feed,
                epoch: Epoch(1),
                id: &id,
                record,
                time: Timestamp::from_millis(1_893_456_000_000),
                label: siemgate::event::Label::of("DeviceProcessEvents"),
                finding: false,
                severity: 6,
            };
            self.config.framing().frame(&stamp, &self.payload, &mut frames);
        }
        let after = Position::Objects(ObjectsPosition { from: Timestamp::ZERO });
        let stretch = Stretch { feed, epoch: Epoch(1), generation: Generation(1), after, live: true };
        let receipt = Some(Receipt::new(stretch, 0, self.sent, events, self.ack_sender.clone()));
        self.sent += 1;
        let lease = self.lease.clone();
        let parcel =
            Parcel { frames: Bytes::from(frames.bytes), ends: frames.ends, events, permit: None, receipt, lease };
        timeout(BOUND, self.parcels.send(parcel)).await.expect("the sink takes parcels").unwrap();
    }

    pub async fn acknowledged(&mut self) -> Ack {
        timeout(BOUND, self.acks.recv()).await.expect("an acknowledgement comes in time").unwrap()
    }

    pub async fn in_trouble(&self) {
        let trouble = async {
            while self.status.state() != State::Retrying {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(BOUND, trouble).await.expect("the sink notices");
    }

    pub async fn end(mut self) {
        self.stop.send_replace(true);
        timeout(BOUND, async { while self.tasks.join_next().await.is_some() {} }).await.expect("the sink ends");
    }
}

#[tokio::test]
async fn every_event_is_one_record_and_is_acknowledged_in_order() {
    let receiver = Receiver::start(Options::default()).await.unwrap();
    let mut sink = Sink::to(receiver.address());
    for _ in 0..50 {
        sink.send().await;
    }
    for batch in 0..50 {
        assert_eq!(sink.acknowledged().await, Ack { lane: 0, batch, events: 10, refused: vec![] });
    }
    let tally = receiver.tally();
    assert_eq!((tally.total.distinct, tally.total.duplicates, tally.malformed), (500, 0, 0));
    assert_eq!(sink.status.assurance(), "A2");
    assert_eq!(sink.status.in_flight.load(Relaxed), 0);
    sink.end().await;
}

#[tokio::test]
async fn whoever_asks_is_acknowledged_without_waiting_for_a_barrier_to_come_due() {
    let receiver = Receiver::start(Options::default()).await.unwrap();
    let mut sink = Sink::to(receiver.address());
    sink.send().await;
    assert_eq!(sink.acknowledged().await.batch, 0, "the sink has settled its level");
    let asked = Instant::now();
    for batch in 1..4 {
        sink.send().await;
        sink.parcels.send(Parcel::asking(sink.lease.clone())).await.unwrap();
        assert_eq!(sink.acknowledged().await.batch, batch);
    }
    assert!(asked.elapsed() < BARRIER_IDLE, "an idle connection is confirmed only after {BARRIER_IDLE:?}");
    sink.end().await;
}

#[tokio::test]
async fn nothing_is_written_under_a_lease_that_does_not_hold_and_never_under_one_that_is_over() {
    let clock = Clock::manual(Timestamp::from_millis(1_000));
    let receiver = Receiver::start(Options::default()).await.unwrap();
    let mut sink = Sink::to(receiver.address());
    let (ended, paused) = (Lease::new(clock.clone()), Lease::new(clock.clone()));
    ended.end();
    sink.lease = ended;
    sink.send().await;
    sink.lease = paused.clone();
    sink.send().await;
    let (pausing, mut acks) = (paused.clone(), std::mem::replace(&mut sink.acks, mpsc::channel(1).1));
    let renewed = async {
        while sink.parcels.capacity() < sink.parcels.max_capacity() {
            tokio::task::yield_now().await;
        }
        let before = receiver.tally().total.received;
        pausing.renew(clock.uptime().plus(Duration::from_secs(60)));
        before
    };
    let (before, ack) = tokio::join!(timeout(BOUND, renewed), timeout(BOUND, acks.recv()));
    assert_eq!(before.unwrap(), 0, "it was paused");
    assert_eq!(ack.unwrap().unwrap().batch, 1, "what was handed over under the ended lease is dropped");
    assert_eq!(receiver.tally().total.distinct, 10);
    sink.end().await;
}

#[tokio::test]
async fn a_frozen_receiver_acknowledges_nothing() {
    let receiver = Receiver::start(Options::default()).await.unwrap();
    let mut sink = Sink::to(receiver.address());
    sink.send().await;
    sink.acknowledged().await;
    receiver.behave(Behaviour::Freeze);
    for _ in 0..20 {
        sink.send().await;
    }
    sink.in_trouble().await;
    assert!(sink.acks.try_recv().is_err(), "the kernel took the bytes, but nobody read them");
    receiver.behave(Behaviour::Read);
    for batch in 1..21 {
        assert_eq!(sink.acknowledged().await.batch, batch);
    }
    assert_eq!(receiver.tally().total.distinct, 210);
    sink.end().await;
}

#[tokio::test]
async fn a_receiver_that_goes_away_costs_duplicates_but_no_event() {
    let receiver = Receiver::start(Options::default()).await.unwrap();
    let mut sink = Sink::to(receiver.address());
    for round in 0..3 {
        for _ in 0..10 {
            sink.send().await;
        }
        receiver.behave(Behaviour::Refuse);
        sink.send().await;
        sink.in_trouble().await;
        receiver.behave(Behaviour::Read);
        for batch in 0..11 {
            assert_eq!(sink.acknowledged().await.batch, round * 11 + batch);
        }
    }
    let tally = receiver.tally();
    assert_eq!((tally.total.distinct, tally.malformed), (330, 0));
    sink.end().await;
}

/// A receiver that never closes its side can't confirm anything, so the weaker level is used and shown.
#[tokio::test]
async fn a_receiver_that_ignores_a_half_close_is_served_at_the_weaker_level() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut peers = JoinSet::new();
    peers.spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = vec![0; 1 << 16];
            while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
            open.push(stream);
        }
    });
    let mut sink = Sink::to(address);
    sink.send().await;
    let settled = async {
        while sink.status.assurance().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(BOUND, settled).await.expect("the probe ends");
    assert_eq!(sink.status.assurance(), "A1");
    sink.end().await;
}

/// The close of a receiver that dies crosses our half-close: its end-of-stream must not count as a confirmation.
#[tokio::test]
async fn a_close_before_the_last_bytes_were_read_is_no_confirmation() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut peers = JoinSet::new();
    peers.spawn(async move {
        // The probe is answered properly.
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
        drop(stream);
        loop {
            // Closing at once, with nothing read, makes an end-of-stream that comes before our bytes.
            let (stream, _) = listener.accept().await.unwrap();
            drop(stream);
        }
    });
    let mut sink = Sink::to(address);
    sink.send().await;
    sink.in_trouble().await;
    assert!(sink.acks.try_recv().is_err());
    sink.end().await;
}
