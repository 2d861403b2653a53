//! What the faces see of a sink and of each of its targets.

use std::sync::atomic::Ordering::Relaxed;

use super::sinks::RunningSink;
use crate::admin::view::{Problem, SinkState, SinkStatus, SinkTarget};
use crate::clock::Timestamp;
use crate::ids::SinkId;
use crate::sinks::status::{self, State};
use crate::sinks::target_status::TargetStatus;
use crate::units::Span;

pub(super) fn sink_status(name: &SinkId, sink: &RunningSink, now: Timestamp) -> SinkStatus {
    let status = &sink.status;
    SinkStatus {
        sink: name.clone(),
        kind: sink.spec.sink.kind().to_owned(),
        format: sink.spec.format.name().to_owned(),
        state: match status.state() {
            State::Starting => SinkState::Starting,
            State::Healthy => SinkState::Healthy,
            State::Retrying => SinkState::Retrying,
            State::Suspended => SinkState::Suspended,
            State::Paused => SinkState::Paused,
            State::Waiting => SinkState::Waiting,
        },
        assurance: status.assurance().to_owned(),
        sent: status.sent.load(Relaxed),
        acknowledged: status.acknowledged.load(Relaxed),
        in_flight: status.in_flight.load(Relaxed),
        retries: status.retries.load(Relaxed),
        perhaps_lost: status.perhaps_lost.load(Relaxed),
        expire_after: sink.spec.expire_after.map(Span::get),
        problem: sink_problem(status, now),
        targets: status.targets.all().into_iter().map(|target| sink_target(target, now)).collect(),
    }
}

const OTHER_TARGETS: &str = "the sink goes on with its other targets, and tries this one again by itself; see \
                             `siemgate sink show`";

fn sink_target(target: TargetStatus, now: Timestamp) -> SinkTarget {
    let remedy = "it is tried again by itself".to_owned();
    SinkTarget {
        address: target.address,
        assurance: target.assurance.to_owned(),
        delivered: target.delivered.map(|ago| now.minus(ago)),
        problem: target.error.map(|(ago, error)| Problem { at: now.minus(ago), error, remedy }),
    }
}

fn sink_problem(status: &status::SinkStatus, now: Timestamp) -> Option<Problem> {
    let failing = "delivery is tried again by itself; nothing is lost meanwhile";
    let weak = "use relp or HEC where it matters, or a receiver that closes in answer; `assurance = \"a1\"` accepts it";
    let unread = "let somebody read it, who then gets what upstream still has, and gap records for the rest";
    let weak = if status.assurance() == "A4" { unread } else { weak };
    let told = |(ago, error), remedy: &str| Problem { at: now.minus(ago), error, remedy: remedy.to_owned() };
    let silent = "see what keeps its program, or end it; its feeds come back once it takes or acknowledges something";
    let failure = status.last_error().map(|it| told(it, failing));
    let failure = failure.or_else(|| status.passed_over().map(|it| told(it, silent)));
    failure.or_else(|| one_target(status, now)).or_else(|| status.weakness().map(|it| told(it, weak)))
}

/// The sink delivers, and yet one of its targets doesn't take anything.
fn one_target(status: &status::SinkStatus, now: Timestamp) -> Option<Problem> {
    let targets = status.targets.all();
    if targets.len() < 2 {
        return None; // What a sole target fails of, the sink does.
    }
    let failing = targets.into_iter().find(|target| target.error.is_some())?;
    sink_target(failing, now).problem.map(|problem| Problem { remedy: OTHER_TARGETS.to_owned(), ..problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_targets(count: usize) -> status::SinkStatus {
        let status = status::SinkStatus::default();
        status.targets.are((0..count).map(|number| format!("siem-{number}:514")));
        status.healthy();
        status
    }
    fn told(status: &status::SinkStatus) -> Option<(String, String)> {
        sink_problem(status, Timestamp::from_millis(1_000_000)).map(|it| (it.error, it.remedy))
    }

    #[test]
    fn one_target_that_fails_is_a_problem_of_a_sink_that_delivers_to_others() {
        let status = with_targets(2);
        assert_eq!(told(&status), None);
        status.targets.failed(1, "nobody listens");
        assert_eq!(told(&status), Some(("nobody listens".to_owned(), OTHER_TARGETS.to_owned())));
        status.targets.delivered(1);
        assert_eq!(told(&status), None);
    }

    #[test]
    fn what_a_sole_target_fails_of_is_said_once_and_as_the_sinks() {
        let status = with_targets(1);
        status.targets.failed(0, "nobody listens");
        assert_eq!(told(&status), None, "the sink itself says so while it fails");
        status.retrying("nobody listens".to_owned());
        let (error, remedy) = told(&status).unwrap();
        assert!(error == "nobody listens" && remedy.contains("tried again by itself"), "{error}; {remedy}");
    }

    #[test]
    fn the_sinks_own_failure_comes_before_its_targets_and_those_before_a_weak_promise() {
        let status = with_targets(2);
        status.fell_back("it does not close".to_owned());
        assert_eq!(told(&status).unwrap().0, "it does not close");
        status.targets.failed(0, "nobody listens");
        assert_eq!(told(&status).unwrap().0, "nobody listens");
        status.retrying("all of them fail".to_owned());
        assert_eq!(told(&status).unwrap().0, "all of them fail");
    }
}
