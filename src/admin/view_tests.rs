//! A status with something of everything, for tests of whatever shows one.

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

fn lane(sink: &str, delivered: u64) -> LaneStatus {
    LaneStatus {
        sink: sink.parse().unwrap(),
        position: "4711".into(),
        delivered,
        filtered: 2,
        in_flight: 3,
        shortened: 1,
        refused: 4,
        expired: 5,
        lags: false,
        state: LaneState::CatchingUp,
        oldest: Some(Duration::from_secs(9)),
        time_to_loss: Some(DAY),
    }
}

const AT: Timestamp = Timestamp::from_millis(1_900_000_000_000);

fn problem() -> Problem {
    Problem {
        at: AT.minus(DAY),
        error: "login.microsoftonline.com refused our credential: AADSTS7000222".into(),
        remedy: "make a new client secret".into(),
    }
}

fn node() -> NodeStatus {
    NodeStatus {
        name: "gw1".into(),
        id: NodeId(1),
        version: "0.1.0".into(),
        started: AT.minus(90 * DAY / 24),
        health: Health { ready: true, reasons: Vec::new() },
        role: Role::Leader,
        leader: Some(NodeId(1)),
        term: 3,
        applied: 1_042,
        voters: vec![NodeId(1)],
    }
}

fn feed(feed: &str, state: FeedState, lag_messages: Option<u64>, problem: Option<Problem>) -> FeedStatus {
    FeedStatus {
        feed: feed.parse().unwrap(),
        kind: "event-hub".into(),
        owner: Some(NodeId(1)),
        epoch: Epoch(7),
        generation: Generation(1_700_000_000_000),
        state,
        freshness: Some(Duration::from_millis(1_234)),
        lag_messages,
        lag: Some(Duration::from_secs(300)),
        cursor_age: Some(Duration::from_millis(900)),
        read: 1_234_567,
        quarantined: 1,
        lost: 0,
        unaccounted: 0,
        lanes: vec![lane("siem", 1_234_560), lane("archive", 1_234_000)],
        problem,
    }
}

/// A status with something of everything.
pub(crate) fn status() -> Status {
    Status {
        at: AT,
        node: node(),
        sources: vec![SourceStatus {
            tenant: "contoso".parse().unwrap(),
            source: "archive".parse().unwrap(),
            kind: "event-hub".into(),
            feeds: 0,
            problem: Some(problem()),
        }],
        feeds: vec![
            feed("contoso/defender/0", FeedState::Reading, Some(12), None),
            feed("contoso/incidents/incidents", FeedState::Held, None, Some(problem())),
        ],
        sinks: vec![SinkStatus {
            sink: "siem".parse().unwrap(),
            kind: "syslog".into(),
            format: "cef".into(),
            state: SinkState::Healthy,
            assurance: "A2".into(),
            sent: 10,
            acknowledged: 9,
            in_flight: 1,
            retries: 0,
            perhaps_lost: 0,
            expire_after: Some(7 * DAY),
            problem: None,
            targets: vec![SinkTarget {
                address: "siem:514".into(),
                assurance: "A2".into(),
                delivered: Some(AT),
                problem: Some(problem()),
            }],
        }],
        credentials: vec![CredentialStatus {
            tenant: "contoso".parse().unwrap(),
            credential: "app".parse().unwrap(),
            grant: "client-secret".into(),
            expires: Some(AT.plus(10 * DAY)),
            last_success: Some(AT.minus(Duration::from_secs(90))),
            token_requests: 12,
            token_failures: BTreeMap::from([("fix".to_owned(), 2)]),
            problem: Some(problem()),
        }],
        faults: vec![Fault {
            resource: "source `contoso/newer`".into(),
            tenant: "contoso".parse().ok(),
            problem: problem(),
        }],
    }
}

#[test]
fn a_node_is_ready_when_it_is_led_and_up_to_date() {
    let leader = Some(NodeId(1));
    assert!(Health::of(leader, 10, 10, false).ready);
    assert_eq!(Health::of(None, 10, 10, false).reasons, ["no node leads the cluster"]);
    let reasons = ["4990 agreed changes are not applied here yet", "the node is stopping"];
    assert_eq!(Health::of(leader, 10, 5000, true).reasons, reasons);
}
