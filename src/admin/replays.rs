//! Replays over gRPC: begun, shown, and let rest, go on or end. Every change says in the log who asked for it.

use std::sync::Arc;

use tonic::{Request, Response, Status as Answer};

use super::Backend;
use super::access::Role;
use super::convert::{time_from_wire, time_to_wire};
use super::limits::{KNOWN_NAMED_MAX, REPLAY_RATE, REPLAYS_TRIED_MAX};
use super::operations::by;
use super::proposing::{failed, propose, refused, settle};
use super::sealing::as_written;
use super::service::{Service, counted};
use crate::clock::Timestamp;
use crate::cluster::{
    Command, ControlState, Outcome, Refusal, Replay, ReplayCommand, ReplayId, ReplayOrder, ReplayPart, ReplayStanding,
    Resource, ResourceKey,
};
use crate::config::replaying;
use crate::event::batch::Position;
use crate::ids::FeedId;
use crate::wire::v1;

/// The service beside `Admin`, with the same tokens and the same node.
pub(super) struct Replaying<B>(pub Arc<Service<B>>);

impl<B: Backend> Replaying<B> {
    async fn start(&self, request: v1::StartReplayRequest, role: Role) -> Result<v1::StartReplayResponse, Answer> {
        let (service, dry_run) = (&*self.0, request.dry_run);
        let at = service.clock.now();
        let order = order(request, role, at)?;
        let control = service.control();
        control.read(|state| check(state, &order))?;
        let mut replay = control.read(ControlState::next_replay);
        if dry_run {
            return control.read(|state| would_be(state, replay, order, at));
        }
        for _ in 0..REPLAYS_TRIED_MAX {
            let begin = Command::Replay(ReplayCommand::Begin { replay, order: order.clone(), at });
            match control.propose(begin).await.map_err(failed)? {
                // Somebody else began one in the same moment.
                Outcome::Refused(Refusal::ReplayTaken { next }) => replay = next,
                Outcome::Refused(refusal) => return Err(refused(&refusal)),
                _ => {
                    settle(control).await?;
                    tracing::info!(%replay, by = order.by, tenant = %order.tenant, source = %order.source, sink = %order.sink,
                        from = %order.from, to = %order.to, reason = order.reason, "a replay was begun");
                    return Ok(v1::StartReplayResponse { replay: Some(self.show(replay)?) });
                }
            }
        }
        Err(Answer::aborted("others begin replays all the time: try again"))
    }

    fn list(&self, request: &v1::ListReplaysRequest) -> Result<v1::ListReplaysResponse, Answer> {
        if let Some(id) = request.id {
            return Ok(v1::ListReplaysResponse { replays: vec![self.show(ReplayId(id))?] });
        }
        let all = |state: &ControlState| state.replays().map(|(replay, job)| to_wire(state, replay, job)).collect();
        Ok(v1::ListReplaysResponse { replays: self.0.control().read(all) })
    }

    async fn change(&self, request: v1::ChangeReplayRequest, role: Role) -> Result<v1::ChangeReplayResponse, Answer> {
        let (replay, at, by) = (ReplayId(request.id), self.0.clock.now(), by(role, &request.operator));
        let reason = request.reason.clone();
        let command = match request.change() {
            v1::ReplayChange::Pause => ReplayCommand::Pause { replay, by: by.clone(), reason, at },
            v1::ReplayChange::Resume => ReplayCommand::Resume { replay, by: by.clone(), reason, at },
            v1::ReplayChange::Cancel => ReplayCommand::Cancel { replay, by: by.clone(), reason, at },
            v1::ReplayChange::Unspecified => return Err(Answer::invalid_argument("say what to change")),
        };
        propose(self.0.control(), Command::Replay(command)).await?;
        settle(self.0.control()).await?;
        tracing::info!(%replay, by, change = ?request.change(), reason = request.reason, "a replay was changed");
        Ok(v1::ChangeReplayResponse { replay: Some(self.show(replay)?) })
    }

    fn show(&self, replay: ReplayId) -> Result<v1::Replay, Answer> {
        self.0.control().read(|state| shown(state, replay))
    }
}

fn would_be(
    state: &ControlState,
    replay: ReplayId,
    order: ReplayOrder,
    at: Timestamp,
) -> Result<v1::StartReplayResponse, Answer> {
    let feeds = state.may_begin(replay, &order, at).map_err(|refusal| refused(&refusal))?;
    let (job, part) =
        (Replay { order, standing: ReplayStanding::Running, begun_at: at, changed_at: at }, ReplayPart::default());
    let parts = feeds.iter().map(|feed| (feed, &part)).collect();
    Ok(v1::StartReplayResponse { replay: Some(parts_to_wire(state, replay, &job, parts)) })
}

fn order(request: v1::StartReplayRequest, role: Role, at: Timestamp) -> Result<ReplayOrder, Answer> {
    fn named<T: std::str::FromStr<Err: ToString>>(what: &str, text: &str) -> Result<T, Answer> {
        text.parse().map_err(|bad: T::Err| Answer::invalid_argument(format!("{what}: {}", bad.to_string())))
    }
    let from = request.from.ok_or_else(|| Answer::invalid_argument("`from` is missing: say when it is to begin"))?;
    Ok(ReplayOrder {
        tenant: named("tenant", &request.tenant)?,
        source: named("source", &request.source)?,
        sink: named("sink", &request.sink)?,
        from: time_from_wire(&from),
        to: request.to.as_ref().map_or(at, time_from_wire),
        rate: if request.rate == 0 { REPLAY_RATE } else { request.rate },
        by: by(role, &request.operator),
        reason: request.reason,
    })
}

/// What a person can be told before anything is proposed.
fn check(state: &ControlState, order: &ReplayOrder) -> Result<(), Answer> {
    let (source, sink) = (ResourceKey::source(&order.tenant, &order.source), ResourceKey::sink(&order.sink));
    present(state, &ResourceKey::tenant(&order.tenant))?;
    let body = |key: &ResourceKey| present(state, key).map(|resource| as_written(&resource.body).0);
    let obstacle = replaying::obstacle(&order.tenant, &order.source, &body(&source)?, &body(&sink)?);
    obstacle.map_or(Ok(()), |obstacle| Err(Answer::failed_precondition(obstacle)))
}

/// A resource by the name that somebody typed.
fn present<'a>(state: &'a ControlState, key: &ResourceKey) -> Result<&'a Resource, Answer> {
    state.resource(key).ok_or_else(|| {
        let like = state.resources(key.kind).filter(|(it, _)| it.tenant == key.tenant);
        let known: Vec<_> = like.map(|(it, _)| it.name.as_str()).take(KNOWN_NAMED_MAX).collect();
        let known = if known.is_empty() { "none is there".to_owned() } else { format!("known: {}", known.join(", ")) };
        Answer::not_found(format!("{key} does not exist; {known}"))
    })
}

fn shown(state: &ControlState, replay: ReplayId) -> Result<v1::Replay, Answer> {
    let job = state.replay(replay).map(|job| to_wire(state, replay, job));
    job.ok_or_else(|| Answer::not_found(format!("replay {replay} does not exist: see `siemgate replay list`")))
}

fn to_wire(state: &ControlState, replay: ReplayId, job: &Replay) -> v1::Replay {
    parts_to_wire(state, replay, job, state.replay_parts(replay).collect())
}

fn parts_to_wire(
    state: &ControlState,
    replay: ReplayId,
    job: &Replay,
    parts: Vec<(&FeedId, &ReplayPart)>,
) -> v1::Replay {
    let Replay { order, standing, begun_at, changed_at } = job;
    let (name, why) = match standing {
        ReplayStanding::Running => ("running", ""),
        // By the gateway itself, it rests because of something that its parts say.
        ReplayStanding::Paused => ("paused", parts.iter().find_map(|(_, part)| what_keeps(part)).unwrap_or_default()),
        ReplayStanding::Finished => ("finished", ""),
        ReplayStanding::Ended { why } => ("ended", why.as_str()),
    };
    let shares: f64 = parts.iter().map(|(_, part)| share(order, part)).sum();
    v1::Replay {
        id: replay.0,
        tenant: order.tenant.to_string(),
        source: order.source.to_string(),
        sink: order.sink.to_string(),
        from: Some(time_to_wire(order.from)),
        to: Some(time_to_wire(order.to)),
        rate: order.rate,
        by: order.by.clone(),
        reason: order.reason.clone(),
        state: name.to_owned(),
        why: why.to_owned(),
        begun: Some(time_to_wire(*begun_at)),
        changed: Some(time_to_wire(*changed_at)),
        share: shares / f64::from(u32::try_from(parts.len().max(1)).unwrap_or(u32::MAX)),
        parts: parts.into_iter().map(|(feed, part)| part_to_wire(state, standing, feed, part)).collect(),
    }
}

fn what_keeps(part: &ReplayPart) -> Option<&str> {
    Some(part.problem.as_str()).filter(|problem| !part.done && !problem.is_empty())
}

fn part_to_wire(state: &ControlState, standing: &ReplayStanding, feed: &FeedId, part: &ReplayPart) -> v1::ReplayedPart {
    let runs = *standing == ReplayStanding::Running && !part.done;
    v1::ReplayedPart {
        part: feed.part.to_string(),
        events: part.events,
        done: part.done,
        position: part.position.as_ref().map(ToString::to_string).unwrap_or_default(),
        first: part.first.map(time_to_wire),
        last: part.last.map(time_to_wire),
        problem: part.problem.clone(),
        node: state.feed(feed).and_then(|held| held.owner).filter(|_| runs).map(|node| node.0),
    }
}

/// How much of its stretch of time a part has behind it.
fn share(order: &ReplayOrder, part: &ReplayPart) -> f64 {
    let at = match &part.position {
        _ if part.done => return 1.0,
        Some(Position::Log(log)) => log.enqueued,
        Some(Position::Objects(objects)) => objects.from,
        None => return 0.0,
    };
    (at.since(order.from).as_secs_f64() / order.to.since(order.from).as_secs_f64()).min(1.0)
}

#[tonic::async_trait]
impl<B: Backend> v1::replays_server::Replays for Replaying<B> {
    async fn start_replay(
        &self,
        request: Request<v1::StartReplayRequest>,
    ) -> Result<Response<v1::StartReplayResponse>, Answer> {
        let answer = match self.0.allow(&request, "StartReplay") {
            Ok(role) => self.start(request.into_inner(), role).await,
            Err(denied) => Err(denied),
        };
        counted("StartReplay", answer)
    }

    async fn list_replays(
        &self,
        request: Request<v1::ListReplaysRequest>,
    ) -> Result<Response<v1::ListReplaysResponse>, Answer> {
        let answer = self.0.allow(&request, "ListReplays").and_then(|_| self.list(request.get_ref()));
        counted("ListReplays", answer)
    }

    async fn change_replay(
        &self,
        request: Request<v1::ChangeReplayRequest>,
    ) -> Result<Response<v1::ChangeReplayResponse>, Answer> {
        let answer = match self.0.allow(&request, "ChangeReplay") {
            Ok(role) => self.change(request.into_inner(), role).await,
            Err(denied) => Err(denied),
        };
        counted("ChangeReplay", answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::batch::LogPosition;

    #[test]
    fn progress_is_the_share_of_time_that_lies_behind() {
        let at = |second: i64| Timestamp::from_millis(second * 1_000);
        let order = ReplayOrder {
            tenant: "contoso".parse().unwrap(),
            source: "hub".parse().unwrap(),
            sink: "siem".parse().unwrap(),
            from: at(100),
            to: at(200),
            rate: 1,
            by: String::new(),
            reason: String::new(),
        };
        let part = |second: Option<i64>, done| {
            let log = |second| Position::Log(LogPosition { offset: String::new(), sequence: 0, enqueued: at(second) });
            share(&order, &ReplayPart { position: second.map(log), done, ..ReplayPart::default() })
        };
        let shares = [part(None, false), part(Some(50), false), part(Some(150), false), part(Some(900), false)];
        assert_eq!((shares, part(Some(150), true)), ([0.0, 0.0, 0.5, 1.0], 1.0));
        assert_eq!(by(Role::Administrator, "ann\n"), "administrator (ann)");
    }
}
