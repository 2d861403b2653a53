//! Between the plain data we work with and the protobuf that travels. Reading trusts nothing: what a newer server says
//! and we don't know is an error, not a guess.

use std::time::Duration;

use prost_types::{Duration as WireDuration, Timestamp as WireTime};

use super::plan::{Action, Change};
use super::view::{
    CredentialStatus, Fault, FeedState, FeedStatus, Health, LaneState, LaneStatus, NodeStatus, Problem, Role,
    SinkState, SinkStatus, SinkTarget, SourceStatus, Status, TapEvent,
};
use crate::clock::Timestamp;
use crate::cluster::{ResourceKey, ResourceKind};
use crate::ids::{BadName, Epoch, Generation, NodeId};
use crate::wire::v1;

/// Something on the wire that we can't read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadWire {
    #[error("`{what}` is missing")]
    Missing { what: &'static str },
    #[error("`{given}` is not a {what} this version knows")]
    Unknown { what: &'static str, given: String },
    #[error(transparent)]
    Name(#[from] BadName),
}

/// Longest part of something unknown that is repeated.
const GIVEN_CHARS_MAX: usize = 80;

fn unknown(what: &'static str, given: &str) -> BadWire {
    BadWire::Unknown { what, given: given.chars().take(GIVEN_CHARS_MAX).collect() }
}

fn needed<T>(value: Option<T>, what: &'static str) -> Result<T, BadWire> {
    value.ok_or(BadWire::Missing { what })
}

pub fn kind_to_wire(kind: ResourceKind) -> v1::ResourceKind {
    match kind {
        ResourceKind::Tenant => v1::ResourceKind::Tenant,
        ResourceKind::Credential => v1::ResourceKind::Credential,
        ResourceKind::Source => v1::ResourceKind::Source,
        ResourceKind::Sink => v1::ResourceKind::Sink,
    }
}

/// Nothing where the kind is left open.
pub fn kind_from_wire(kind: i32) -> Result<Option<ResourceKind>, BadWire> {
    match v1::ResourceKind::try_from(kind) {
        Ok(v1::ResourceKind::Unspecified) => Ok(None),
        Ok(v1::ResourceKind::Tenant) => Ok(Some(ResourceKind::Tenant)),
        Ok(v1::ResourceKind::Credential) => Ok(Some(ResourceKind::Credential)),
        Ok(v1::ResourceKind::Source) => Ok(Some(ResourceKind::Source)),
        Ok(v1::ResourceKind::Sink) => Ok(Some(ResourceKind::Sink)),
        Err(_) => Err(unknown("kind of resource", &kind.to_string())),
    }
}

pub fn key_to_wire(key: &ResourceKey) -> v1::ResourceKey {
    v1::ResourceKey {
        kind: kind_to_wire(key.kind).into(),
        tenant: key.tenant.as_ref().map(ToString::to_string).unwrap_or_default(),
        name: key.name.clone(),
    }
}

pub fn key_from_wire(key: Option<v1::ResourceKey>) -> Result<ResourceKey, BadWire> {
    let key = needed(key, "key")?;
    let kind = needed(kind_from_wire(key.kind)?, "kind")?;
    let tenant = match key.tenant.as_str() {
        "" if kind.belongs_to_tenant() => return Err(BadWire::Missing { what: "tenant" }),
        "" => None,
        name => Some(name.parse()?),
    };
    // Names of every kind obey the same rule.
    key.name.parse::<crate::ids::SinkId>()?;
    Ok(ResourceKey { kind, tenant, name: key.name })
}

pub fn change_to_wire(change: &Change) -> v1::Change {
    let action = match change.action {
        Action::Created => v1::ChangeAction::Created,
        Action::Updated => v1::ChangeAction::Updated,
        Action::Unchanged => v1::ChangeAction::Unchanged,
        Action::Deleted => v1::ChangeAction::Deleted,
    };
    v1::Change { key: Some(key_to_wire(&change.key)), action: action.into() }
}

/// What became of a resource, as the other side sees it.
pub fn change_from_wire(change: v1::Change) -> Result<(ResourceKey, Action), BadWire> {
    let action = match v1::ChangeAction::try_from(change.action) {
        Ok(v1::ChangeAction::Created) => Action::Created,
        Ok(v1::ChangeAction::Updated) => Action::Updated,
        Ok(v1::ChangeAction::Unchanged) => Action::Unchanged,
        Ok(v1::ChangeAction::Deleted) => Action::Deleted,
        Ok(v1::ChangeAction::Unspecified) | Err(_) => return Err(unknown("action", &change.action.to_string())),
    };
    Ok((key_from_wire(change.key)?, action))
}

pub fn time_to_wire(time: Timestamp) -> WireTime {
    let nanos = time.nanos().rem_euclid(1_000_000_000);
    WireTime { seconds: time.seconds(), nanos: i32::try_from(nanos).unwrap_or_default() }
}
pub fn time_from_wire(time: &WireTime) -> Timestamp {
    Timestamp::from_nanos(time.seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(time.nanos)))
}
pub fn span_to_wire(span: Duration) -> WireDuration {
    WireDuration {
        seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(span.subsec_nanos()).unwrap_or_default(),
    }
}
pub fn span_from_wire(span: &WireDuration) -> Duration {
    Duration::new(u64::try_from(span.seconds).unwrap_or(0), u32::try_from(span.nanos).unwrap_or(0))
}

pub fn status_to_wire(status: Status) -> v1::StatusResponse {
    let Status { at, node, sources, feeds, sinks, credentials, faults } = status;
    v1::StatusResponse {
        at: Some(time_to_wire(at)),
        node: Some(v1::NodeStatus {
            name: node.name,
            id: node.id.0,
            version: node.version,
            started: Some(time_to_wire(node.started)),
            ready: node.health.ready,
            reasons: node.health.reasons,
            role: node.role.word().into(),
            leader: node.leader.map(|id| id.0),
            term: node.term,
            applied: node.applied,
            voters: node.voters.iter().map(|id| id.0).collect(),
        }),
        feeds: feeds.into_iter().map(feed_to_wire).collect(),
        sinks: sinks.into_iter().map(sink_to_wire).collect(),
        credentials: credentials.into_iter().map(credential_to_wire).collect(),
        sources: sources.into_iter().map(source_to_wire).collect(),
        faults: faults.into_iter().map(fault_to_wire).collect(),
    }
}

fn problem_to_wire(problem: Problem) -> v1::Problem {
    v1::Problem { at: Some(time_to_wire(problem.at)), error: problem.error, remedy: problem.remedy }
}

fn source_to_wire(source: SourceStatus) -> v1::SourceStatus {
    v1::SourceStatus {
        tenant: source.tenant.to_string(),
        name: source.source.to_string(),
        kind: source.kind,
        feeds: source.feeds,
        problem: source.problem.map(problem_to_wire),
    }
}

fn fault_to_wire(fault: Fault) -> v1::Fault {
    let tenant = fault.tenant.map(|tenant| tenant.to_string()).unwrap_or_default();
    v1::Fault { resource: fault.resource, tenant, problem: Some(problem_to_wire(fault.problem)) }
}

fn feed_to_wire(feed: FeedStatus) -> v1::FeedStatus {
    let lane = |lane: LaneStatus| v1::LaneStatus {
        sink: lane.sink.to_string(),
        position: lane.position,
        delivered: lane.delivered,
        filtered: lane.filtered,
        in_flight: lane.in_flight,
        shortened: lane.shortened,
        refused: lane.refused,
        expired: lane.expired,
        lags: lane.lags,
        state: lane.state.word().into(),
        oldest: lane.oldest.map(span_to_wire),
        time_to_loss: lane.time_to_loss.map(span_to_wire),
    };
    v1::FeedStatus {
        feed: feed.feed.to_string(),
        kind: feed.kind,
        owner: feed.owner.map(|id| id.0),
        epoch: feed.epoch.0,
        generation: feed.generation.0,
        state: feed.state.word().into(),
        freshness: feed.freshness.map(span_to_wire),
        lag_messages: feed.lag_messages,
        lag: feed.lag.map(span_to_wire),
        cursor_age: feed.cursor_age.map(span_to_wire),
        read: feed.read,
        quarantined: feed.quarantined,
        lost: feed.lost,
        unaccounted: feed.unaccounted,
        lanes: feed.lanes.into_iter().map(lane).collect(),
        problem: feed.problem.map(problem_to_wire),
    }
}

fn sink_to_wire(sink: SinkStatus) -> v1::SinkStatus {
    v1::SinkStatus {
        name: sink.sink.to_string(),
        kind: sink.kind,
        format: sink.format,
        state: sink.state.word().into(),
        assurance: sink.assurance,
        sent: sink.sent,
        acknowledged: sink.acknowledged,
        in_flight: sink.in_flight,
        retries: sink.retries,
        perhaps_lost: sink.perhaps_lost,
        expire_after: sink.expire_after.map(span_to_wire),
        problem: sink.problem.map(problem_to_wire),
        targets: sink.targets.into_iter().map(target_to_wire).collect(),
    }
}

fn target_to_wire(target: SinkTarget) -> v1::SinkTarget {
    let SinkTarget { address, assurance, delivered, problem } = target;
    v1::SinkTarget { address, assurance, delivered: delivered.map(time_to_wire), problem: problem.map(problem_to_wire) }
}

fn credential_to_wire(credential: CredentialStatus) -> v1::CredentialStatus {
    v1::CredentialStatus {
        tenant: credential.tenant.to_string(),
        name: credential.credential.to_string(),
        grant: credential.grant,
        expires: credential.expires.map(time_to_wire),
        last_success: credential.last_success.map(time_to_wire),
        token_requests: credential.token_requests,
        token_failures: credential.token_failures.into_iter().collect(),
        problem: credential.problem.map(problem_to_wire),
    }
}

pub fn status_from_wire(status: v1::StatusResponse) -> Result<Status, BadWire> {
    let node = needed(status.node, "node")?;
    Ok(Status {
        at: time_from_wire(&needed(status.at, "at")?),
        node: NodeStatus {
            name: node.name,
            id: NodeId(node.id),
            version: node.version,
            started: time_from_wire(&needed(node.started, "started")?),
            health: Health { ready: node.ready, reasons: node.reasons },
            role: Role::parse(&node.role).ok_or_else(|| unknown("role", &node.role))?,
            leader: node.leader.map(NodeId),
            term: node.term,
            applied: node.applied,
            voters: node.voters.into_iter().map(NodeId).collect(),
        },
        sources: status.sources.into_iter().map(source_from_wire).collect::<Result<_, _>>()?,
        feeds: status.feeds.into_iter().map(feed_from_wire).collect::<Result<_, _>>()?,
        sinks: status.sinks.into_iter().map(sink_from_wire).collect::<Result<_, _>>()?,
        credentials: status.credentials.into_iter().map(credential_from_wire).collect::<Result<_, _>>()?,
        faults: status.faults.into_iter().map(fault_from_wire).collect::<Result<_, _>>()?,
    })
}

fn problem_from_wire(problem: Option<v1::Problem>) -> Result<Option<Problem>, BadWire> {
    let Some(problem) = problem else { return Ok(None) };
    let at = time_from_wire(&needed(problem.at, "at")?);
    Ok(Some(Problem { at, error: problem.error, remedy: problem.remedy }))
}

fn source_from_wire(source: v1::SourceStatus) -> Result<SourceStatus, BadWire> {
    Ok(SourceStatus {
        tenant: source.tenant.parse()?,
        source: source.name.parse()?,
        kind: source.kind,
        feeds: source.feeds,
        problem: problem_from_wire(source.problem)?,
    })
}

fn fault_from_wire(fault: v1::Fault) -> Result<Fault, BadWire> {
    let tenant = if fault.tenant.is_empty() { None } else { Some(fault.tenant.parse()?) };
    let problem = needed(problem_from_wire(fault.problem)?, "problem")?;
    Ok(Fault { resource: fault.resource, tenant, problem })
}

/// A node of an earlier version says only whether it lags.
fn lane_state_from_wire(word: &str, lags: bool) -> Result<LaneState, BadWire> {
    match (word, lags) {
        ("", true) => Ok(LaneState::Lagging),
        ("", false) => Ok(LaneState::Live),
        (word, _) => LaneState::parse(word).ok_or_else(|| unknown("lane state", word)),
    }
}

fn feed_from_wire(feed: v1::FeedStatus) -> Result<FeedStatus, BadWire> {
    let lane = |lane: v1::LaneStatus| -> Result<LaneStatus, BadWire> {
        Ok(LaneStatus {
            sink: lane.sink.parse()?,
            position: lane.position,
            delivered: lane.delivered,
            filtered: lane.filtered,
            in_flight: lane.in_flight,
            shortened: lane.shortened,
            refused: lane.refused,
            expired: lane.expired,
            lags: lane.lags,
            state: lane_state_from_wire(&lane.state, lane.lags)?,
            oldest: lane.oldest.as_ref().map(span_from_wire),
            time_to_loss: lane.time_to_loss.as_ref().map(span_from_wire),
        })
    };
    Ok(FeedStatus {
        feed: feed.feed.parse().map_err(|_| unknown("feed", &feed.feed))?,
        kind: feed.kind,
        owner: feed.owner.map(NodeId),
        epoch: Epoch(feed.epoch),
        generation: Generation(feed.generation),
        state: FeedState::parse(&feed.state).ok_or_else(|| unknown("feed state", &feed.state))?,
        freshness: feed.freshness.as_ref().map(span_from_wire),
        lag_messages: feed.lag_messages,
        lag: feed.lag.as_ref().map(span_from_wire),
        cursor_age: feed.cursor_age.as_ref().map(span_from_wire),
        read: feed.read,
        quarantined: feed.quarantined,
        lost: feed.lost,
        unaccounted: feed.unaccounted,
        lanes: feed.lanes.into_iter().map(lane).collect::<Result<_, _>>()?,
        problem: problem_from_wire(feed.problem)?,
    })
}

fn sink_from_wire(sink: v1::SinkStatus) -> Result<SinkStatus, BadWire> {
    Ok(SinkStatus {
        sink: sink.name.parse()?,
        kind: sink.kind,
        format: sink.format,
        state: SinkState::parse(&sink.state).ok_or_else(|| unknown("sink state", &sink.state))?,
        assurance: sink.assurance,
        sent: sink.sent,
        acknowledged: sink.acknowledged,
        in_flight: sink.in_flight,
        retries: sink.retries,
        perhaps_lost: sink.perhaps_lost,
        expire_after: sink.expire_after.as_ref().map(span_from_wire),
        problem: problem_from_wire(sink.problem)?,
        targets: sink.targets.into_iter().map(target_from_wire).collect::<Result<_, _>>()?,
    })
}

fn target_from_wire(target: v1::SinkTarget) -> Result<SinkTarget, BadWire> {
    let v1::SinkTarget { address, assurance, delivered, problem } = target;
    let (delivered, problem) = (delivered.as_ref().map(time_from_wire), problem_from_wire(problem)?);
    Ok(SinkTarget { address, assurance, delivered, problem })
}

fn credential_from_wire(credential: v1::CredentialStatus) -> Result<CredentialStatus, BadWire> {
    Ok(CredentialStatus {
        tenant: credential.tenant.parse()?,
        credential: credential.name.parse()?,
        grant: credential.grant,
        expires: credential.expires.as_ref().map(time_from_wire),
        last_success: credential.last_success.as_ref().map(time_from_wire),
        token_requests: credential.token_requests,
        token_failures: credential.token_failures.into_iter().collect(),
        problem: problem_from_wire(credential.problem)?,
    })
}

/// Cuts the record at `record_bytes_max`, so that one answer stays within what a client accepts.
pub fn event_to_wire(event: &TapEvent, record_bytes_max: usize) -> v1::TapEvent {
    let kept = event.record.len().min(record_bytes_max);
    v1::TapEvent {
        id: event.id.clone(),
        feed: event.feed.to_string(),
        kind: event.kind.clone(),
        class: event.class.clone(),
        time: event.time.map(time_to_wire),
        severity: event.severity.clone(),
        record: event.record.slice(..kept),
        record_cut: kept < event.record.len(),
    }
}

pub fn event_from_wire(event: v1::TapEvent) -> Result<TapEvent, BadWire> {
    Ok(TapEvent {
        id: event.id,
        feed: event.feed.parse().map_err(|_| unknown("feed", &event.feed))?,
        kind: event.kind,
        class: event.class,
        time: event.time.as_ref().map(time_from_wire),
        severity: event.severity,
        record: event.record,
    })
}
