//! What the faces see of a sink and of each of its targets.

use std::sync::atomic::Ordering::Relaxed;

use super::sinks::RunningSink;
use crate::admin::view::{Problem, SinkState, SinkStatus, SinkTarget};
use crate::clock::Timestamp;
use crate::ids::SinkId;
use crate::sinks::status::{self, State};
use crate::sinks::target_status::TargetStatus;

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
    let failure = status.last_error().map(|it| told(it, failing));
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
