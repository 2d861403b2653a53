//! Collectors that answer badly, late or not at all, and a token that must not be seen.

use std::io;
use std::sync::Mutex;

use super::*;
use siemgate::simulator::splunk::{Behaviour, Fault, Said};

#[tokio::test]
async fn every_answer_that_passes_is_waited_out_without_loss() {
    let passing = [8, 9, 18, 19, 20, 23, 24, 25, 26, 27, 0].map(Said::code);
    let pages = [408, 429, 500, 502, 503, 504].map(|status| Said::page(status, "an error of something between"));
    for acknowledges in [false, true] {
        let splunk = splunk(|it| it.acknowledges = acknowledges).await;
        splunk.make(passing.clone().into_iter().chain(pages.clone()).map(Fault::Say));
        let mut sink = Sink::to(&[&splunk], json!({}));
        for parcel in 0..20 {
            sink.send_of(parcel % 2, |_| None).await;
        }
        // A pressed collector gets one request at a time, which is enough here.
        assert_eq!(sink.all_acknowledged(20).await, (0..20).collect::<Vec<_>>());
        let tally = splunk.tally();
        assert_eq!((tally.distinct, tally.duplicates), (200, 0), "{tally:?}");
        sink.end().await;
    }
}

#[tokio::test]
async fn answers_that_need_a_person_stop_the_sink_and_say_what_to_do() {
    let cases = [
        (Said::code(1), "enable the token"),
        (Said::code(2), "check what `token` refers to"),
        (Said::code(3), "check what `token` refers to"),
        (Said::code(4), "check what `token` refers to"),
        (Said::code(5), "does a proxy take the body away?"),
        (Said::code(7), "allow the index"),
        (Said::code(10), "X-Splunk-Request-Channel"),
        (Said::code(11), "X-Splunk-Request-Channel"),
        (Said::code(16), "header Authorization"),
        (Said::page(200, "please sign in"), "check that `url` leads to"),
        (Said::page(302, "moved"), "give that address as `url`"),
        (Said::page(403, "blocked"), "does a proxy want something too?"),
        (Said::page(404, "not found"), "enabled globally"),
    ];
    for (said, words) in cases {
        let splunk = splunk(|_| {}).await;
        splunk.make([Fault::Say(said.clone())]);
        let mut sink = Sink::to(&[&splunk], json!({}));
        sink.send().await;
        let told = sink.trouble(words).await;
        assert!(told.starts_with(&splunk.url()), "{told}");
        assert!(sink.acks.try_recv().is_err() && splunk.tally().received == 0, "{said:?}");
        sink.end().await;
    }
}

#[tokio::test]
async fn a_collector_that_does_not_inflate_is_served_plainly() {
    let splunk = splunk(|it| it.inflates = false).await;
    let mut sink = Sink::to(&[&splunk], json!({}));
    sink.send().await;
    sink.all_acknowledged(1).await;
    assert_eq!((splunk.tally().requests, splunk.tally().distinct), (2, 10));
    sink.end().await;
}

#[tokio::test]
async fn a_collector_that_fails_is_asked_for_its_health_before_it_is_used_again() {
    let splunk = splunk(|_| {}).await;
    splunk.make([Fault::Say(Said::code(9))]);
    splunk.say_of_health(Some(Said::code(18)));
    let mut sink = Sink::to(&[&splunk], json!({}));
    sink.send().await;
    sink.trouble("code 18").await;
    splunk.wait_until(BOUND, |tally| tally.probes >= 3).await.unwrap();
    assert_eq!(splunk.tally().requests, 1);
    splunk.say_of_health(None);
    sink.all_acknowledged(1).await;
    assert_eq!(sink.status.state(), State::Healthy);
    sink.end().await;
}

#[tokio::test]
async fn a_target_that_is_killed_is_replaced_by_the_others_and_comes_back() {
    let (one, two) = (splunk(|_| {}).await, splunk(|_| {}).await);
    let mut sink = Sink::to(&[&one, &two], json!({}));
    for round in 0..3 {
        for parcel in 0..20 {
            if parcel == 5 {
                one.behave(Behaviour::Refuse);
            }
            sink.send_of(parcel, |_| None).await;
        }
        assert_eq!(sink.all_acknowledged(20).await, (round * 20..round * 20 + 20).collect::<Vec<_>>());
        one.behave(Behaviour::Answer);
        let before = one.tally().received;
        let back = async {
            while one.tally().received == before {
                sink.send().await;
                sink.acknowledged().await;
                sink.sent -= 1;
            }
        };
        timeout(BOUND, back).await.expect("it takes its turns again");
    }
    let all = (0..60).all(|parcel| (0..EVENTS).all(|it| one.holds(&id(parcel, it)) || two.holds(&id(parcel, it))));
    assert!(all, "nothing is lost");
    assert!(one.tally().distinct > 0 && two.tally().distinct > 0, "they take turns");
    sink.end().await;
}

#[tokio::test]
async fn a_frozen_target_holds_up_only_what_it_has_already() {
    let (one, two) = (splunk(|_| {}).await, splunk(|_| {}).await);
    one.behave(Behaviour::Freeze);
    let mut sink = Sink::to(&[&one, &two], json!({}));
    for parcel in 0..40 {
        sink.send_of(parcel, |_| None).await;
        tokio::task::yield_now().await;
    }
    // Each of its requests may carry several parcels; the rest goes on.
    two.wait_until(BOUND, |tally| tally.distinct > 0).await.unwrap();
    one.behave(Behaviour::Answer);
    assert_eq!(sink.all_acknowledged(40).await, (0..40).collect::<Vec<_>>());
    assert_eq!(one.tally().distinct + two.tally().distinct, 400);
    sink.end().await;
}

#[tokio::test]
async fn a_slow_collector_gets_everything_once() {
    let splunk = splunk(|_| {}).await;
    splunk.behave(Behaviour::Slow(Duration::from_millis(50)));
    let mut sink = Sink::to(&[&splunk], json!({}));
    for parcel in 0..50 {
        sink.send_of(parcel % 3, |_| None).await;
    }
    sink.all_acknowledged(50).await;
    assert_eq!((splunk.tally().distinct, splunk.tally().duplicates), (500, 0));
    sink.end().await;
}

#[tokio::test]
async fn a_collector_with_a_certificate_of_its_own_is_trusted_by_its_authority_alone() {
    siemgate::tls::install();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), made.cert.pem()).unwrap();
    let key = siemgate::secret::Secret::new(made.signing_key.serialize_pem());
    let server = siemgate::tls::server(siemgate::tls::Identity::new(ca.path(), &key).unwrap()).unwrap();
    let splunk = splunk(|it| it.tls = Some(Arc::new(server))).await;
    let mut trusting = Sink::to(&[&splunk], json!({"ca": ca.path()}));
    trusting.send().await;
    assert_eq!(trusting.acknowledged().await.batch, 0);
    trusting.end().await;

    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(ca.path(), other.cert.pem()).unwrap();
    let mut distrusting = Sink::to(&[&splunk], json!({"ca": ca.path()}));
    distrusting.send().await;
    distrusting.trouble("certificate").await;
    assert_eq!(splunk.tally().received, u64::from(EVENTS));
    std::fs::remove_file(ca.path()).unwrap();
    let missing = Sink::to(&[&splunk], json!({"ca": ca.path()}));
    missing.trouble("can't read certificates").await;
    for sink in [distrusting, missing] {
        sink.end().await;
    }
}

/// Whoever renews a collector's certificate under another authority puts that beside it, at the same path on every node.
#[tokio::test]
async fn authorities_that_are_exchanged_at_their_path_are_taken_without_a_restart() {
    siemgate::tls::install();
    let ca = tempfile::NamedTempFile::new().unwrap();
    let made = || {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(ca.path(), made.cert.pem()).unwrap();
        let key = siemgate::secret::Secret::new(made.signing_key.serialize_pem());
        let identity = siemgate::tls::Identity::new(ca.path(), &key).unwrap();
        Some(Arc::new(siemgate::tls::server(identity).unwrap()))
    };
    let splunk = splunk(|it| it.tls = made()).await;
    let mut sink = Sink::to(&[&splunk], json!({"ca": ca.path()}));
    sink.send().await;
    assert_eq!(sink.acknowledged().await.batch, 0);
    splunk.behave(Behaviour::Refuse);
    sink.send().await;
    sink.trouble("").await;
    std::fs::write(ca.path(), "half of a").unwrap();
    splunk.behave(Behaviour::Answer);
    assert_eq!(sink.acknowledged().await.batch, 1, "what can't be read leaves the old authorities in use");
    splunk.behave(Behaviour::Refuse);
    splunk.change(|it| it.tls = made());
    sink.send().await;
    sink.trouble("").await;
    splunk.behave(Behaviour::Answer);
    assert_eq!(sink.acknowledged().await.batch, 2);
    sink.end().await;
}

async fn becomes_well(sink: &Sink) {
    let well = async {
        while sink.status.state() != State::Healthy {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(BOUND, well).await.expect("nothing fails any more");
}

#[tokio::test]
async fn a_failure_ends_with_what_is_acknowledged_and_not_only_with_what_is_accepted() {
    let splunk = splunk(|it| (it.acknowledges, it.indexing) = (true, Duration::from_secs(1))).await;
    let mut sink = Sink::to(&[&splunk], json!({}));
    sink.send().await;
    let accepted = async {
        while sink.status.assurance() != "indexed" {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(BOUND, accepted).await.expect("it gets an id");
    // Only a question for the acknowledgement fails; nothing more is sent.
    splunk.behave(Behaviour::Refuse);
    sink.trouble("").await;
    splunk.behave(Behaviour::Answer);
    assert_eq!(sink.acknowledged().await.batch, 0);
    becomes_well(&sink).await;
    assert_eq!(splunk.tally().requests, 1);
    sink.end().await;
}

#[tokio::test]
async fn a_failure_ends_when_what_failed_is_another_owners() {
    let splunk = splunk(|_| {}).await;
    splunk.behave(Behaviour::Refuse);
    let mut sink = Sink::to(&[&splunk], json!({}));
    sink.send().await;
    sink.trouble("").await;
    // The feed's task has ended here.
    sink.acks = mpsc::channel(1).1;
    splunk.behave(Behaviour::Answer);
    becomes_well(&sink).await;
    assert_eq!(splunk.tally().requests, 0);
    sink.end().await;
}

/// Everything that is logged while a test runs, on whichever thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn s10_the_token_is_in_no_log_error_or_debug() {
    const CANARY: &str = "canary-5e7d1f0a-3c2b-4a69-8877-665544332211";
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    // One thread, so that the subscriber hears all of the sink, of hyper and of rustls.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shown = tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            let splunk = splunk(|it| it.token = CANARY.to_owned()).await;
            splunk.make([Fault::Echo]);
            let mut sink = Sink::with_token(&[&splunk], json!({}), CANARY);
            sink.send().await;
            let mut shown = sink.trouble("it answers 403").await;
            splunk.make([Fault::Say(Said { body: format!(r#"{{"code":9,"text":"{CANARY}"}}"#), ..Said::code(9) })]);
            shown += &format!("{:?} {}", sink.config, serde_json::to_string(&sink.config).unwrap());
            sink.end().await;
            let mut second = Sink::with_token(&[&splunk], json!({}), CANARY);
            second.send().await;
            shown += &second.trouble("code 9").await;
            second.acknowledged().await;
            second.end().await;
            shown
        })
    });
    let logged = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(logged.contains("sink is failing"), "the log is heard: {logged}");
    assert!(shown.contains("code 9, ***"), "what repeats the token is told without it: {shown}");
    assert!(!shown.contains("canary") && !logged.contains("canary"), "S10");
}

#[tokio::test]
async fn a_token_that_is_exchanged_is_taken_without_a_restart() {
    let splunk = splunk(|_| {}).await;
    let mut sink = Sink::with_token(&[&splunk], json!({}), "");
    sink.trouble("is empty").await;
    std::fs::write(sink.token.path(), TOKEN).unwrap();
    sink.send().await;
    assert_eq!(sink.acknowledged().await.batch, 0);
    sink.end().await;
}
