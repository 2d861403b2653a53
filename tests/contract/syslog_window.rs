//! Syslog by the window (A1) and by datagrams (A0): what is lost is counted, and at A1 it lies before the window.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde_json::json;
use siemgate::simulator::receiver::{Behaviour, Options, Receiver};
use siemgate::sinks::limits::RESEND_AGE;
use siemgate::sinks::status::State;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::syslog::{BOUND, Sink};

const OFTEN: Duration = Duration::from_millis(10);

async fn written(sink: &Sink, events: u64) {
    let all = async {
        while sink.status.sent.load(Relaxed) < events {
            tokio::time::sleep(OFTEN).await;
        }
    };
    timeout(BOUND, all).await.expect("the kernel takes them");
}

/// It waits for the window of the level, which is half a minute.
#[tokio::test]
async fn a1_what_is_lost_is_counted_and_lies_before_the_window() {
    let receiver = Receiver::start(Options::default()).await.unwrap();
    let mut sink = Sink::with(json!({"address": receiver.address().to_string(), "assurance": "a1"}));
    for _ in 0..3 {
        sink.send().await;
    }
    receiver.wait_until(BOUND, |tally| tally.total.distinct == 30).await.unwrap();
    receiver.behave(Behaviour::Freeze);
    for _ in 0..2 {
        sink.send().await;
    }
    for batch in 0..5 {
        let ack = timeout(RESEND_AGE + BOUND, sink.acks.recv()).await.expect("the window passes").unwrap();
        assert_eq!(ack.batch, batch, "it counts as delivered, read or not");
    }
    for _ in 0..4 {
        sink.send().await;
    }
    written(&sink, 90).await;
    assert_eq!(sink.status.perhaps_lost.load(Relaxed), 0);

    receiver.behave(Behaviour::Refuse);
    sink.in_trouble().await;
    receiver.behave(Behaviour::Read);
    let tally = receiver.wait_until(BOUND, |tally| tally.total.distinct >= 70).await.unwrap();
    assert_eq!(tally.total.duplicates, 0, "nobody had read what comes again");
    assert_eq!(tally.total.distinct, 70, "two parcels were older than the window; the four within came again");
    assert_eq!(sink.status.perhaps_lost.load(Relaxed), 50, "the two, and the three that nobody knows to be read");
    sink.end().await;
}

#[tokio::test]
async fn a1_a_receiver_that_ends_in_order_has_read_everything() {
    let receiver = Receiver::start(Options::default()).await.unwrap();
    let mut sink = Sink::with(json!({"address": receiver.address().to_string(), "assurance": "a1"}));
    sink.payload = vec![b'x'; 60_000];
    // Five MiB and more, so that some have a window behind them.
    for _ in 0..10 {
        sink.send().await;
    }
    sink.acknowledged().await;
    receiver.wait_until(BOUND, |tally| tally.total.distinct == 100).await.unwrap();
    receiver.behave(Behaviour::Refuse);
    sink.in_trouble().await;
    assert_eq!(sink.status.perhaps_lost.load(Relaxed), 0);
    sink.end().await;
}

#[tokio::test]
async fn a0_what_a_host_refuses_is_counted() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    drop(socket);
    let mut sink = Sink::with(json!({"address": address, "transport": "udp"}));
    sink.send().await;
    sink.in_trouble().await;
    let counted = sink.status.perhaps_lost.load(Relaxed);
    assert!((1..=10).contains(&counted), "{counted} of ten datagrams had left when the first was refused");
    sink.end().await;
}

/// Each target has its turn with every parcel, so that a refusal shows only when the same target is next.
#[tokio::test]
async fn a0_what_a_host_refuses_is_counted_where_targets_take_turns() {
    let (closed, open) = (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let addresses = [closed.local_addr().unwrap().to_string(), open.local_addr().unwrap().to_string()];
    drop(closed);
    let mut sink = Sink::with(json!({"addresses": addresses, "targets": "round-robin", "transport": "udp"}));
    for batch in 0..6 {
        sink.send_of(1).await;
        assert_eq!(sink.acknowledged().await.batch, batch);
    }
    let mut datagram = vec![0; 65_536];
    let mut arrived = 0;
    while open.try_recv(&mut datagram).is_ok() {
        arrived += 1;
    }
    let counted = sink.status.perhaps_lost.load(Relaxed);
    assert_eq!((arrived, counted), (4, 2), "two were refused, which showed two parcels later");
    let [failing, working] = <[_; 2]>::try_from(sink.status.targets.all()).unwrap();
    assert!(failing.error.is_some() && working.error.is_none(), "{failing:?} {working:?}");
    assert_eq!(sink.status.state(), State::Healthy, "the other one takes everything");
    sink.end().await;
}
