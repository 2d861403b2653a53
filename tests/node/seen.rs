//! What an operator sees of a node: its figures, and what to do about what can't work.

use std::time::{Duration, Instant};

use serde_json::json;
use siemgate::admin::Backend;
use siemgate::admin::access::Tokens;
use siemgate::admin::view::{FeedState, FeedStatus, Problem, Status};
use siemgate::cluster::{ResourceKey, ResourceKind};
use siemgate::ids::TenantId;
use siemgate::node::Node;
use siemgate::secret::Secret;
use siemgate::simulator::receiver::Behaviour;
use siemgate::simulator::workload;
use siemgate::web;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::flow::{BOUND, Stage, put, reference};

/// Waits until the node's status is as wanted.
async fn until(node: &Node, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
    let deadline = Instant::now() + BOUND;
    loop {
        let status = node.backend().status().await;
        if wanted(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "not seen: {what}\n{status:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn says(problem: Option<&Problem>, error: &str, remedy: &str) -> bool {
    problem.is_some_and(|problem| problem.error.contains(error) && problem.remedy.contains(remedy))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_work_is_shown_with_what_to_do_until_it_works() {
    let stage = Stage::set(workload::Options::default()).await;
    let node = stage.node().await;
    let access = &stage.cloud.access.tenants[0];
    let tenant: TenantId = access.name.parse().unwrap();
    let (home, hub) = (ResourceKey::tenant(&tenant), ResourceKey::credential(&tenant, "hub"));
    put(&node, ResourceKind::Tenant, None, &access.name, json!({"directory": access.directory}), vec![]).await;
    let secret = stage.folder.path().join("not-there-yet");
    let credential = json!({"grant": "connection-string", "connection_string": reference(&secret)});
    put(&node, ResourceKind::Credential, Some(&tenant), "hub", credential, vec![home.clone()]).await;
    let source = json!({"kind": "event-hub", "credential": "hub"});
    put(&node, ResourceKind::Source, Some(&tenant), "streaming", source, vec![home.clone(), hub.clone()]).await;
    let newer = json!({"kind": "telepathy", "credential": "hub"});
    put(&node, ResourceKind::Source, Some(&tenant), "newer", newer, vec![home, hub]).await;

    let status = until(&node, "the source can't be listed", |status| {
        status
            .sources
            .iter()
            .any(|it| says(it.problem.as_ref(), "not-there-yet", "correct the source or its credential"))
            && !status.faults.is_empty()
    })
    .await;
    assert_eq!(status.sources[0].feeds, 0);
    assert!(says(status.credentials[0].problem.as_ref(), "not-there-yet", "correct the reference"), "{status:#?}");
    let [fault] = &status.faults[..] else { panic!("one resource can't be used: {status:#?}") };
    assert_eq!(fault.resource, format!("source `{tenant}/newer`"));
    assert!(says(Some(&fault.problem), "telepathy", "apply it again"), "{fault:#?}");

    std::fs::write(&secret, &access.connection_string).unwrap();
    until(&node, "its feeds are found, and nothing takes its events", |status| {
        let source = &status.sources[0];
        source.feeds == u64::from(access.partitions)
            && says(source.problem.as_ref(), "no sink takes its events", "apply a sink")
    })
    .await;

    let sink = json!({"kind": "syslog", "address": stage.receiver.address().to_string(), "format": "cef"});
    put(&node, ResourceKind::Sink, None, "siem", sink, vec![]).await;
    until(&node, "all is well", |status| {
        status.sources[0].problem.is_none()
            && status.feeds.iter().all(|feed| feed.state == FeedState::Reading && feed.problem.is_none())
    })
    .await;

    std::fs::remove_file(&secret).unwrap();
    let changed = json!({"kind": "event-hub", "credential": "hub", "consumer_group": "$Default"});
    let uses = vec![ResourceKey::tenant(&tenant), ResourceKey::credential(&tenant, "hub")];
    put(&node, ResourceKind::Source, Some(&tenant), "streaming", changed, uses).await;
    until(&node, "the feeds can't be built", |status| {
        let held = |problem: Option<&Problem>| says(problem, "not-there-yet", "apply it again");
        status.feeds.iter().all(|feed| feed.state == FeedState::Held && held(feed.problem.as_ref()))
    })
    .await;
    node.drain().await.unwrap();
}

/// What a scraper with the monitor's token gets.
async fn scraped(node: &Node) -> String {
    let server = web::Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = server.address();
    let tokens = Tokens::new(Secret::new("a".repeat(64)), Secret::new("m".repeat(64)));
    let (_stop, stopping) = watch::channel(false);
    let mut tasks = JoinSet::new();
    tasks.spawn(server.run(node.backend(), tokens, stopping));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let token = "m".repeat(64);
    let request =
        format!("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(BOUND, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

/// The value of the first series that begins so.
fn value(text: &str, start: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(start));
    let line = line.unwrap_or_else(|| panic!("no {start} in\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn sum(status: &Status, of: impl Fn(&FeedStatus) -> u64) -> u64 {
    status.feeds.iter().map(of).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lag_grows_while_a_sink_is_stuck_and_is_none_when_all_is_delivered() {
    let mut stage = Stage::set(workload::Options::default()).await;
    let node = stage.node().await;
    stage.receiver.behave(Behaviour::Freeze);
    stage.stream_to_receiver(&node).await;
    let records = stage.produce(100);
    let second = Duration::from_secs(1);
    let stuck = until(&node, "all feeds lag", |status| {
        !status.feeds.is_empty()
            && status.feeds.iter().all(|feed| feed.lag.is_some_and(|lag| lag > second) && feed.lag_messages == Some(0))
    })
    .await;
    assert_eq!(sum(&stuck, |feed| feed.read), records);

    stage.receiver.behave(Behaviour::default());
    let done = until(&node, "nothing lags", |status| {
        status.feeds.iter().all(|feed| feed.lag == Some(Duration::ZERO) && feed.cursor_age.is_some())
    })
    .await;
    assert_eq!(sum(&done, FeedStatus::delivered), records);

    let text = scraped(&node).await;
    let tenant = &stage.cloud.access.tenants[0].name;
    let of =
        |metric: &str| value(&text, &format!("siemgate_{metric}{{tenant=\"{tenant}\",source=\"streaming\",part=\"0\""));
    assert!(of("feed_freshness_seconds") > 0.0 && of("feed_cursor_age_seconds") >= 0.0, "{text}");
    assert_eq!((of("feed_lag_seconds"), of("feed_lag_messages"), of("feed_state")), (0.0, 0.0, 0.0), "{text}");
    assert!(of("feed_records_read_total") > 0.0, "{text}");
    assert_eq!(of("feed_records_read_total"), of("lane_records_delivered_total"), "{text}");
    assert_eq!(of("feed_records_quarantined_total"), 0.0, "{text}");
    assert!(text.contains("siemgate_credential_expiry_seconds{tenant="), "{text}");
    node.drain().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_reads_again_says_so_although_nothing_is_new() {
    let mut stage = Stage::set(workload::Options::default()).await;
    let node = stage.node().await;
    stage.stream_to_receiver(&node).await;
    let records = stage.produce(20);
    stage.receives(records).await;
    stage.committed(&node).await;
    stage.cloud.namespace().refuse_attaches(true);
    stage.cloud.namespace().disconnect_all();
    until(&node, "no feed can read", |status| {
        status
            .feeds
            .iter()
            .all(|feed| feed.state == FeedState::Retrying && feed.problem.is_some() && feed.lag.is_none())
    })
    .await;
    stage.cloud.namespace().refuse_attaches(false);
    until(&node, "all feeds read", |status| {
        let well = |feed: &FeedStatus| feed.state == FeedState::Reading && feed.problem.is_none();
        status.feeds.iter().all(|feed| well(feed) && feed.lag == Some(Duration::ZERO))
    })
    .await;
    node.drain().await.unwrap();
}
