//! A sender that gives nobody long, against receivers that change.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::*;
use crate::lease::Lease;
use crate::sinks::status::SinkStatus;
use crate::sinks::{Ack, Receipt, Stretch, SyslogConfig};

const BOUND: Duration = Duration::from_secs(30);

/// Reads whatever it is sent, and closes at the end of that as long as it answers.
async fn receiver(listener: TcpListener, answers: Arc<AtomicBool>) {
    let mut connections = JoinSet::new();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let answers = answers.clone();
        connections.spawn(async move {
            let mut bytes = vec![0; 1 << 16];
            while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
            if !answers.load(Relaxed) {
                std::future::pending::<()>().await;
            }
        });
    }
}

fn link(address: SocketAddr, assurance: Option<&str>) -> Arc<Link> {
    let settings = serde_json::json!({"address": address.to_string(), "assurance": assurance});
    let config: SyslogConfig = serde_json::from_value(settings).unwrap();
    Arc::new(Link::new(config.settings(), Arc::new(SinkStatus::default())))
}

fn parcel(batch: u64, bytes: usize, acks: &mpsc::Sender<Ack>) -> Parcel {
    let receipt = Some(Receipt::new(Stretch::sample(), 0, batch, 1, acks.clone()));
    let (frames, lease) = (Bytes::from(vec![b'x'; bytes]), Lease::unlimited());
    Parcel { frames, ends: vec![], events: 1, permit: None, receipt, lease }
}

#[tokio::test]
async fn a_receiver_that_answers_no_more_is_asked_anew_and_served_at_the_weaker_level() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let link = link(listener.local_addr().unwrap(), None);
    let (answers, status) = (Arc::new(AtomicBool::new(true)), link.status.clone());
    let (parcels, queue) = mpsc::channel(16);
    let (acks, mut acknowledged) = mpsc::channel(16);
    let (_stop, stopped) = watch::channel(false);
    let mut sender = Sender::new(link, 0);
    sender.stretching = Stretching::impatient(Duration::from_millis(200));
    let mut tasks = JoinSet::new();
    tasks.spawn(receiver(listener, answers.clone()));
    tasks.spawn(send_all(sender, queue, stopped));

    parcels.send(parcel(0, 100, &acks)).await.unwrap();
    let ack = timeout(BOUND, acknowledged.recv()).await.expect("it confirms").unwrap();
    assert_eq!((ack.batch, status.assurance()), (0, "A2"));

    answers.store(false, Relaxed);
    for batch in 1..=6 {
        // The first has the window of bytes behind it then.
        parcels.send(parcel(batch, 1 << 20, &acks)).await.unwrap();
    }
    let ack = timeout(BOUND, acknowledged.recv()).await.expect("what nobody confirms counts after its window").unwrap();
    assert_eq!((ack.batch, status.assurance()), (1, "A1"));
    let (_, why) = status.weakness().expect("it is said");
    assert!(why.contains("does not close when we half-close"), "{why}");
}

#[tokio::test]
async fn what_was_asked_for_is_never_doubted() {
    for (asked, level) in [("a1", Assurance::A1), ("a2", Assurance::A2)] {
        // Nobody listens there, so that asking it would fail.
        let link = link(([127, 0, 0, 1], 1).into(), Some(asked));
        link.doubt(0);
        link.forget_weakness(0);
        assert_eq!(link.settle(0).await.unwrap(), level);
    }
}
