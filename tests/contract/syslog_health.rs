//! When a syslog sink counts as failing and when it does not: only what is confirmed, or nothing left to confirm, ends a
//! failure, and the end of an idle connection is none.

use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde_json::{Value, json};
use siemgate::simulator::receiver::{Behaviour, Options, Protocol, Receiver};
use siemgate::sinks::limits::RESEND_AGE;
use siemgate::sinks::status::State;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::syslog::{BOUND, Sink};

const OFTEN: Duration = Duration::from_millis(2);
/// Long enough to be seen by whoever looks often.
const A_MOMENT: Duration = Duration::from_millis(200);

/// A receiver that treats each connection as it is told, until the tasks are dropped.
async fn listens<F: Future<Output = ()> + Send + 'static>(
    tasks: &mut JoinSet<()>,
    treat: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            connections.spawn(treat(stream));
        }
    });
    address
}

fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// Opens a RELP session and reads so many messages. Answers them as well, if it is told to.
async fn relp(stream: &mut TcpStream, messages: usize, answers: bool) {
    let said = "200 OK\nrelp_version=0\ncommands=syslog";
    let mut read = Vec::new();
    stream.read_buf(&mut read).await.unwrap();
    stream.write_all(format!("1 rsp {} {said}\n", said.len()).as_bytes()).await.unwrap();
    read.clear();
    while memchr::memmem::find_iter(&read, b" syslog ").count() < messages {
        if stream.read_buf(&mut read).await.unwrap() == 0 {
            return;
        }
    }
    if answers {
        let all: String = (2..messages + 2).map(|number| format!("{number} rsp 6 200 OK\n")).collect();
        stream.write_all(all.as_bytes()).await.unwrap();
    }
}

/// From its first failure on it is never called healthy.
async fn goes_on_failing(settings: Value) {
    let mut sink = Sink::with(settings);
    sink.send().await;
    sink.in_trouble().await;
    let again = async {
        while sink.status.retries.load(Relaxed) < 3 {
            assert_eq!(sink.status.state(), State::Retrying, "it only takes connections");
            assert!(sink.status.last_error().is_some());
            tokio::time::sleep(OFTEN).await;
        }
    };
    timeout(BOUND, again).await.expect("it is tried on");
    sink.end().await;
}

#[tokio::test]
async fn a_receiver_that_only_takes_connections_does_not_work() {
    let mut tasks = JoinSet::new();
    let stream = listens(&mut tasks, |mut stream| async move {
        let read = stream.read(&mut [0; 1_024]).await.unwrap();
        if read > 0 {
            tokio::time::sleep(A_MOMENT).await;
            reset(stream);
        }
    });
    goes_on_failing(json!({"address": stream.await.to_string(), "assurance": "a2"})).await;
    let session = listens(&mut tasks, |mut stream| async move {
        relp(&mut stream, 1, false).await;
        tokio::time::sleep(A_MOMENT).await;
        reset(stream);
    });
    goes_on_failing(json!({"address": session.await.to_string(), "transport": "relp"})).await;
}

/// The receiver has reset a connection over which everything is acknowledged; the next parcel goes over another.
async fn is_still_well(mut sink: Sink, mut resets: mpsc::Receiver<()>) {
    sink.send().await;
    timeout(RESEND_AGE + BOUND, sink.acks.recv()).await.expect("it is acknowledged").unwrap();
    assert_eq!(sink.status.state(), State::Healthy);
    timeout(RESEND_AGE + BOUND, resets.recv()).await.expect("it is reset").unwrap();
    tokio::time::sleep(A_MOMENT).await;
    assert_eq!((sink.status.state(), sink.status.retries.load(Relaxed)), (State::Healthy, 0));
    sink.send().await;
    let sent = async {
        while sink.status.sent.load(Relaxed) < 20 {
            tokio::time::sleep(OFTEN).await;
        }
    };
    timeout(BOUND, sent).await.expect("over another connection");
    assert_eq!((sink.status.state(), sink.status.retries.load(Relaxed)), (State::Healthy, 0));
    sink.end().await;
}

/// It waits for the window of the level, which is half a minute.
#[tokio::test]
async fn a1_an_idle_connection_that_is_reset_is_no_failure() {
    let mut tasks = JoinSet::new();
    let (told, resets) = mpsc::channel(4);
    let address = listens(&mut tasks, move |mut stream| {
        let told = told.clone();
        async move {
            let mut bytes = vec![0; 1 << 16];
            let idle = RESEND_AGE + Duration::from_secs(3);
            while timeout(idle, stream.read(&mut bytes)).await.is_ok_and(|read| read.is_ok_and(|read| read > 0)) {}
            reset(stream);
            let _ = told.send(()).await;
        }
    });
    is_still_well(Sink::with(json!({"address": address.await.to_string(), "assurance": "a1"})), resets).await;
}

#[tokio::test]
async fn an_idle_relp_session_that_is_reset_is_no_failure() {
    let mut tasks = JoinSet::new();
    let (told, resets) = mpsc::channel(4);
    let address = listens(&mut tasks, move |mut stream| {
        let told = told.clone();
        async move {
            relp(&mut stream, 10, true).await;
            tokio::time::sleep(A_MOMENT).await;
            reset(stream);
            let _ = told.send(()).await;
        }
    });
    is_still_well(Sink::with(json!({"address": address.await.to_string(), "transport": "relp"})), resets).await;
}

#[tokio::test]
async fn a_failure_ends_when_what_failed_is_another_owners() {
    for (protocol, transport) in [(Protocol::Stream, "tcp"), (Protocol::Relp, "relp")] {
        let receiver = Receiver::start(Options { protocol, ..Options::default() }).await.unwrap();
        let mut sink = Sink::with(json!({"address": receiver.address().to_string(), "transport": transport}));
        sink.send().await;
        sink.acknowledged().await;
        receiver.behave(Behaviour::Refuse);
        sink.send().await;
        sink.in_trouble().await;
        // The feed's task has ended here.
        sink.acks = mpsc::channel(1).1;
        receiver.behave(Behaviour::Read);
        let well = async {
            while sink.status.state() != State::Healthy {
                tokio::time::sleep(OFTEN).await;
            }
        };
        timeout(BOUND, well).await.expect("nothing is left to fail with");
        assert_eq!((sink.status.in_flight.load(Relaxed), receiver.tally().total.distinct), (0, 10), "{transport}");
        sink.end().await;
    }
}
