//! Syslog over everything else: lines, TLS, RELP, datagrams, several connections, several receivers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use siemgate::secret::Secret;
use siemgate::simulator::receiver::{Behaviour, Options, Protocol, Receiver};
use siemgate::sinks::SyslogConfig;
use siemgate::sinks::syslog::journey::travel;
use siemgate::tls::{self, Identity};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::syslog::{BOUND, Sink};

/// A certificate for `localhost` and 127.0.0.1 that is its own authority.
struct Certificate {
    folder: tempfile::TempDir,
}

impl Certificate {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    fn options(&self, protocol: Protocol) -> Options {
        let key = Secret::new(std::fs::read_to_string(self.folder.path().join("key.pem")).unwrap());
        let server = tls::server(Identity::new(&self.file(), &key).unwrap()).unwrap();
        Options { protocol, tls: Some(Arc::new(server)), ..Options::default() }
    }

    fn settings(&self, receiver: &Receiver, transport: &str) -> Value {
        json!({"address": receiver.address().to_string(), "transport": transport, "tls": {"ca": self.file()}})
    }
}

/// Ten parcels before the receiver goes away, ten after it is back: nothing is lost, and the level is as named.
async fn survives_a_restart(receiver: Receiver, settings: Value, level: &str) {
    let mut sink = Sink::with(settings);
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
    assert_eq!((tally.total.distinct, tally.malformed), (330, 0), "{:?}", tally.malformed_sample);
    assert_eq!(sink.status.assurance(), level);
    sink.end().await;
}

#[tokio::test]
async fn lines_over_tcp() {
    let receiver = Receiver::start(Options::default()).await.unwrap();
    let settings = json!({"address": receiver.address().to_string(), "framing": "lf"});
    survives_a_restart(receiver, settings, "A2").await;
}

#[tokio::test]
async fn tls_confirms_through_its_own_end_of_stream() {
    let certificate = Certificate::make();
    let receiver = Receiver::start(certificate.options(Protocol::Stream)).await.unwrap();
    let settings = certificate.settings(&receiver, "tls");
    survives_a_restart(receiver, settings, "A2").await;
}

#[tokio::test]
async fn a_frozen_receiver_acknowledges_nothing_over_tls_and_relp_either() {
    let certificate = Certificate::make();
    for (transport, protocol) in [("tls", Protocol::Stream), ("relp-tls", Protocol::Relp)] {
        let receiver = Receiver::start(certificate.options(protocol)).await.unwrap();
        let mut sink = Sink::with(certificate.settings(&receiver, transport));
        sink.send().await;
        sink.acknowledged().await;
        receiver.behave(Behaviour::Freeze);
        for _ in 0..20 {
            sink.send().await;
        }
        let nothing = timeout(Duration::from_secs(2), sink.acks.recv()).await;
        assert!(nothing.is_err(), "{transport}: the kernel took the bytes, but nobody read them");
        receiver.behave(Behaviour::Read);
        for batch in 1..21 {
            assert_eq!(sink.acknowledged().await.batch, batch, "{transport}");
        }
        assert_eq!(receiver.tally().total.distinct, 210);
        sink.end().await;
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_told_with_its_remedy() {
    let (certificate, strange) = (Certificate::make(), Certificate::make());
    let receiver = Receiver::start(certificate.options(Protocol::Stream)).await.unwrap();
    let sink = Sink::with(strange.settings(&receiver, "tls"));
    sink.in_trouble().await;
    let (_, told) = sink.status.last_error().unwrap();
    assert!(told.contains("`tls.ca`"), "{told}");
    sink.end().await;
    let mut settings = certificate.settings(&receiver, "tls");
    settings["tls"]["server_name"] = "siem.example.net".into();
    let sink = Sink::with(settings);
    sink.in_trouble().await;
    let (_, told) = sink.status.last_error().unwrap();
    assert!(told.contains("`tls.server_name`"), "{told}");
    sink.end().await;
}

#[tokio::test]
async fn relp_is_acknowledged_message_by_message_and_survives_restarts() {
    let receiver = Receiver::start(Options { protocol: Protocol::Relp, ..Options::default() }).await.unwrap();
    let settings = json!({"address": receiver.address().to_string(), "transport": "relp"});
    survives_a_restart(receiver, settings, "A3").await;
}

#[tokio::test]
async fn relp_under_tls() {
    let certificate = Certificate::make();
    let receiver = Receiver::start(certificate.options(Protocol::Relp)).await.unwrap();
    let settings = certificate.settings(&receiver, "relp-tls");
    survives_a_restart(receiver, settings, "A3").await;
}

#[tokio::test]
async fn a_message_that_relp_refuses_three_times_is_named_and_delays_nobody() {
    let receiver = Receiver::start(Options { protocol: Protocol::Relp, ..Options::default() }).await.unwrap();
    let mut sink = Sink::with(json!({"address": receiver.address().to_string(), "transport": "relp"}));
    sink.send().await;
    let usual = std::mem::replace(&mut sink.payload, b"CEF:0|simulator-refuses-this".to_vec());
    sink.send().await;
    sink.payload = usual;
    sink.send().await;
    assert_eq!(sink.acknowledged().await.refused, vec![]);
    let refused = sink.acknowledged().await.refused;
    assert_eq!(refused.iter().map(|it| it.frame).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    assert!(refused[0].reason.contains("500 the message is not wanted"), "{refused:?}");
    assert_eq!(sink.acknowledged().await.refused, vec![]);
    assert_eq!(receiver.tally().total.distinct, 20);
    sink.end().await;
}

/// Eighty refusals without a message taken between them are the receiver's doing. Once it takes others again, the bad ones
/// are found out as usual.
#[tokio::test]
async fn a_relp_receiver_that_refuses_everything_fails_and_fills_no_quarantine() {
    let receiver = Receiver::start(Options { protocol: Protocol::Relp, ..Options::default() }).await.unwrap();
    let mut sink = Sink::with(json!({"address": receiver.address().to_string(), "transport": "relp"}));
    let usual = std::mem::replace(&mut sink.payload, b"CEF:0|simulator-refuses-this".to_vec());
    for _ in 0..8 {
        sink.send().await;
    }
    sink.in_trouble().await;
    let (_, error) = sink.status.last_error().unwrap();
    assert!(error.contains("refuses every message, the last with `500 the message is not wanted`"), "{error}");
    let failing = sink.status.targets.all().remove(0);
    assert_eq!((failing.assurance, failing.error.unwrap().1, failing.delivered), ("A3", error, None));
    assert_eq!(sink.status.acknowledged.load(std::sync::atomic::Ordering::Relaxed), 0, "nothing was given up");

    sink.payload = usual;
    for round in 1..=6 {
        sink.send().await;
        let taken = async {
            while receiver.tally().total.distinct < 10 * round {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(BOUND, taken).await.unwrap();
    }
    for _ in 0..8 {
        assert_eq!(sink.acknowledged().await.refused.len(), 10);
    }
    assert!(sink.status.targets.all()[0].delivered.is_some());
    sink.end().await;
}

/// A receiver that resets whatever is half-closed takes events and confirms nothing; one that never closes does the same.
#[tokio::test]
async fn a_test_names_the_level_that_the_sink_would_reach() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut resets = JoinSet::new();
    resets.spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read_to_end(&mut Vec::new()).await;
            socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
        }
    });
    let closes = Receiver::start(Options::default()).await.unwrap();
    for (address, asked, level) in [
        (closes.address().to_string(), None, Some("A2")),
        (address.clone(), None, Some("A1")),
        (address.clone(), Some("a1"), Some("A1")),
        (address, Some("a2"), None),
    ] {
        let mut settings = json!({"address": address});
        if let Some(asked) = asked {
            settings["assurance"] = json!(asked);
        }
        let config: SyslogConfig = serde_json::from_value(settings).unwrap();
        let journey = travel(&config, b"9 <110>test\n").await.remove(0);
        assert_eq!((journey.assurance(), journey.arrived()), (level, level.is_some()), "{}", journey.words());
    }
}

#[tokio::test]
async fn every_message_is_one_datagram() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let mut sink = Sink::with(json!({"address": address, "transport": "udp"}));
    sink.send().await;
    sink.payload = vec![b'x'; 70_000];
    sink.send().await;
    assert_eq!(sink.acknowledged().await.refused, vec![]);
    let mut datagram = vec![0; 65_536];
    for record in 0..10 {
        let length = timeout(BOUND, socket.recv(&mut datagram)).await.unwrap().unwrap();
        let text = std::str::from_utf8(&datagram[..length]).unwrap();
        assert!(text.starts_with("<110>1 ") && text.contains(&format!(" record=\"{record}\"")), "{text}");
    }
    let refused = sink.acknowledged().await.refused;
    assert_eq!(refused.len(), 10, "what no datagram holds is refused");
    assert_eq!(sink.status.assurance(), "A0");
    sink.end().await;
}

/// Feeds keep their order over four connections, whatever breaks meanwhile.
#[tokio::test]
async fn s15_every_feed_keeps_its_order_over_several_connections() {
    let receiver = Receiver::start(Options::default()).await.unwrap();
    let mut lines = receiver.tail();
    let mut sink = Sink::with(json!({"address": receiver.address().to_string(), "connections": 4}));
    for parcel in 0..60 {
        sink.feed = format!("contoso/hub/{}", parcel % 12).parse().unwrap();
        sink.send().await;
        if parcel == 30 {
            receiver.behave(Behaviour::Refuse);
            sink.in_trouble().await;
            receiver.behave(Behaviour::Read);
        }
    }
    for _ in 0..60 {
        sink.acknowledged().await;
    }
    assert_eq!(receiver.tally().total.distinct, 600);
    assert!(receiver.tally().connections > 4);
    let mut first_seen: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    while let Ok(line) = lines.try_recv() {
        let text = String::from_utf8(line.message.to_vec()).unwrap();
        let value =
            |name: &str| text.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().to_owned();
        let id = u64::from_str_radix(&value("id")[16..], 16).unwrap();
        let seen = first_seen.entry(value("feed")).or_default();
        if !seen.contains(&id) {
            seen.push(id);
        }
    }
    assert_eq!(first_seen.len(), 12);
    for (feed, ids) in first_seen {
        assert!(ids.is_sorted(), "{feed}: {ids:?}");
    }
    sink.end().await;
}

#[tokio::test]
async fn the_second_receiver_takes_over_when_the_first_is_gone() {
    let (first, second) =
        (Receiver::start(Options::default()).await.unwrap(), Receiver::start(Options::default()).await.unwrap());
    let addresses = [first.address().to_string(), second.address().to_string()];
    let mut sink = Sink::with(json!({"addresses": addresses}));
    sink.send().await;
    sink.acknowledged().await;
    assert_eq!((first.tally().total.distinct, second.tally().total.distinct), (10, 0));
    first.behave(Behaviour::Refuse);
    sink.send().await;
    assert_eq!(sink.acknowledged().await.batch, 1);
    assert_eq!(second.tally().total.distinct, 10);
    let [failing, working] = <[_; 2]>::try_from(sink.status.targets.all()).unwrap();
    assert!(failing.error.is_some() && failing.delivered.is_some(), "{failing:?}");
    assert!(working.error.is_none() && working.delivered.is_some(), "{working:?}");
    assert_eq!((failing.assurance, working.assurance), ("A2", "A2"));
    sink.end().await;
}

#[tokio::test]
async fn receivers_take_turns_with_every_connection() {
    let (first, second) =
        (Receiver::start(Options::default()).await.unwrap(), Receiver::start(Options::default()).await.unwrap());
    let addresses = [first.address().to_string(), second.address().to_string()];
    let mut sink = Sink::with(json!({"addresses": addresses, "targets": "round-robin"}));
    for batch in 0..4 {
        sink.send().await;
        assert_eq!(sink.acknowledged().await.batch, batch);
    }
    let counts = [first.tally().total.distinct, second.tally().total.distinct];
    assert_eq!(counts.iter().sum::<u64>(), 40);
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    sink.end().await;
}

/// A receiver that reads slower than anybody waits for still gets everything, and confirms it piece by piece.
#[tokio::test]
async fn a_slow_receiver_is_given_time() {
    let receiver = Receiver::start(Options::default()).await.unwrap();
    let mut sink = Sink::with(json!({"address": receiver.address().to_string()}));
    receiver.behave(Behaviour::Slow { bytes_per_second: 40_000 });
    for _ in 0..30 {
        sink.send().await;
    }
    for batch in 0..30 {
        assert_eq!(sink.acknowledged().await.batch, batch);
    }
    assert_eq!(receiver.tally().total.distinct, 300);
    sink.end().await;
}
