//! Where the sinks stand in each feed, and how an operator moves them: plan purely, propose, and plan anew where the
//! cursor was committed meanwhile.

use std::collections::BTreeMap;

use tokio::time::timeout;
use tonic::Status as Answer;

use super::Backend;
use super::convert::{span_from_wire, span_to_wire, time_from_wire, time_to_wire};
use super::cursor_plan::{self, Direction, Effect, Extent, Planned, Target, Wish};
use super::limits::{LOOK_TIMEOUT, MOVE_ATTEMPTS_MAX};
use super::operations::Caller;
use super::proposing::{failed, refused};
use super::view::{FeedState, FeedStatus};
use crate::clock::Timestamp;
use crate::cluster::{Command, ControlState, CursorMove, Outcome, Refusal, ResourceKey};
use crate::config::replaying;
use crate::event::batch::Position;
use crate::ids::{FeedId, Generation, SinkId};
use crate::wire::v1;
use v1::move_cursors_request::To;

pub(super) async fn list(backend: &impl Backend, request: v1::CursorsRequest) -> Result<v1::CursorsResponse, Answer> {
    let status = backend.status().await;
    if !request.feed.is_empty() {
        known_feed(backend, &request.feed)?;
    }
    if !request.sink.is_empty() {
        known_sink(backend, &request.sink)?;
    }
    let passes = |feed: &FeedStatus| {
        let same = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
        same(&request.tenant, feed.feed.tenant.as_str())
            && same(&request.source, feed.feed.source.as_str())
            && same(&request.feed, &feed.feed.to_string())
    };
    let wanted: Vec<&FeedStatus> = status.feeds.iter().filter(|feed| passes(feed)).collect();
    let mut extents = match request.look {
        true => extents(backend, wanted.iter().map(|feed| feed.feed.clone()).collect()).await,
        false => BTreeMap::new(),
    };
    let feeds = backend.control().read(|state| {
        let feeds = wanted.iter().filter_map(|feed| {
            let upstream = extents.remove(&feed.feed).map(extent_to_wire);
            feed_to_wire(state, feed, &request.sink, upstream)
        });
        feeds.collect()
    });
    Ok(v1::CursorsResponse { feeds })
}

async fn extents(backend: &impl Backend, feeds: Vec<FeedId>) -> super::Extents {
    let slow =
        || feeds.iter().map(|feed| (feed.clone(), Err("upstream takes too long to answer".to_owned()))).collect();
    timeout(LOOK_TIMEOUT, backend.extents(feeds.clone())).await.unwrap_or_else(|_| slow())
}

fn feed_to_wire(
    state: &ControlState,
    feed: &FeedStatus,
    sink: &str,
    upstream: Option<v1::UpstreamExtent>,
) -> Option<v1::FeedCursors> {
    let held = state.feed(&feed.feed)?;
    let here = !matches!(feed.state, FeedState::Elsewhere | FeedState::Unowned);
    let mut names: Vec<&SinkId> = held.cursors.keys().chain(feed.lanes.iter().map(|lane| &lane.sink)).collect();
    names.sort();
    names.dedup();
    let sinks = names.into_iter().filter(|name| sink.is_empty() || name.as_str() == sink).map(|name| {
        let lane = feed.lanes.iter().find(|lane| lane.sink == *name);
        v1::SinkCursor {
            sink: name.to_string(),
            position: held.cursors.get(name).map(position_to_wire),
            in_flight: lane.filter(|_| here).map(|lane| lane.in_flight),
            committed: feed.cursor_age.filter(|_| here).map(span_to_wire),
        }
    });
    Some(v1::FeedCursors {
        feed: feed.feed.to_string(),
        kind: feed.kind.clone(),
        owner: held.owner.map(|owner| owner.0),
        epoch: held.epoch.0,
        generation: held.generation.0,
        sinks: sinks.collect(),
        upstream,
        gaps: held.gaps_total,
        lost: held.lost_total,
        here,
    })
}

fn position_to_wire(position: &Position) -> v1::CursorPosition {
    let known = |time: Timestamp| (time != Timestamp::ZERO).then(|| time_to_wire(time));
    match position {
        Position::Log(log) => {
            let sequence = log.from_time().is_none().then_some(log.sequence);
            v1::CursorPosition { sequence, time: known(log.enqueued) }
        }
        Position::Objects(objects) => v1::CursorPosition { sequence: None, time: known(objects.from) },
    }
}

fn extent_to_wire(extent: Result<Extent, String>) -> v1::UpstreamExtent {
    use v1::upstream_extent::Kind;
    let kind = match extent {
        Ok(Extent::Log(log)) => Kind::Log(v1::LogExtent {
            oldest: log.oldest,
            newest: log.newest.sequence,
            newest_time: (log.newest.enqueued != Timestamp::ZERO).then(|| time_to_wire(log.newest.enqueued)),
            same_generation: log.same_generation,
        }),
        Ok(Extent::Collection) => Kind::Collection(true),
        Err(why) => Kind::Unknown(why),
    };
    v1::UpstreamExtent { kind: Some(kind) }
}

/// Moves one feed's cursor, or those of a whole source. Nothing is moved unless every feed can be.
pub(super) async fn change<B: Backend>(
    caller: &Caller<'_, B>,
    request: v1::MoveCursorsRequest,
) -> Result<v1::MoveCursorsResponse, Answer> {
    let moving = Moving::of(caller, &request)?;
    let mut extents = extents(caller.backend, moving.feeds.clone()).await;
    let mut changes = Vec::new();
    for feed in &moving.feeds {
        let extent = extents.remove(feed).unwrap_or_else(|| Err("nothing is known of it".to_owned()));
        let planned = extent.and_then(|extent| moving.plan(feed, &extent).map(|planned| (extent, planned)));
        changes.push((feed, planned));
    }
    if request.dry_run {
        let told = changes.into_iter().map(|(feed, planned)| match planned {
            Ok((_, (from, planned, _))) => moving.told(feed, from.as_ref(), &planned),
            Err(why) => v1::CursorChange { refused: why, ..moving.blank(feed) },
        });
        return Ok(v1::MoveCursorsResponse { changes: told.collect() });
    }
    if let Some((feed, Err(why))) = changes.iter().find(|(_, planned)| planned.is_err()) {
        return Err(Answer::failed_precondition(format!("{feed}: {why} (nothing was moved)")));
    }
    let (mut made, mut stopped) = (Vec::new(), false);
    for (feed, planned) in changes {
        let Ok((extent, first)) = planned else { continue };
        let change = match stopped {
            false => moving.make(feed, &extent, first, &request.reason).await,
            true => Err(Answer::aborted("it was not tried after that")),
        };
        match change {
            Ok(change) => made.push(change),
            Err(alone) if made.is_empty() => return Err(alone),
            // What was moved before stays moved, and has to be told with what was not.
            Err(why) => {
                stopped = true;
                made.push(v1::CursorChange { refused: why.message().to_owned(), ..moving.blank(feed) });
            }
        }
    }
    Ok(v1::MoveCursorsResponse { changes: made })
}

type From = Option<Position>;

struct Moving<'a, B> {
    caller: &'a Caller<'a, B>,
    feeds: Vec<FeedId>,
    sink: SinkId,
    wish: Wish,
}

impl<'a, B: Backend> Moving<'a, B> {
    fn of(caller: &'a Caller<'a, B>, request: &v1::MoveCursorsRequest) -> Result<Self, Answer> {
        let (sink, body) = known_sink(caller.backend, &request.sink)?;
        let feeds = match (request.feed.as_str(), request.source.as_str()) {
            ("", source) => feeds_of(caller, source)?,
            (feed, _) => vec![known_feed(caller.backend, feed)?],
        };
        if let Some(why) = feeds.iter().find_map(|feed| replaying::unserved(&feed.tenant, &feed.source, &body)) {
            return Err(Answer::failed_precondition(why));
        }
        if request.reason.trim().is_empty() && !request.dry_run {
            return Err(Answer::invalid_argument("say why, with `--reason`: the audit keeps it"));
        }
        let target = match &request.to {
            Some(To::Sequence(sequence)) => Target::Sequence(*sequence),
            Some(To::Time(time)) => Target::Time(time_from_wire(time)),
            Some(To::Back(span)) => Target::Back(span_from_wire(span)),
            Some(To::Earliest(_)) => Target::Earliest,
            Some(To::Latest(_)) => Target::Latest,
            None => return Err(bad("say where to")),
        };
        let direction = match (request.only_back, request.allow_skip) {
            (true, _) => Direction::OnlyBack,
            (false, false) => Direction::WithoutSkips,
            (false, true) => Direction::Any,
        };
        Ok(Self { caller, feeds, sink, wish: Wish { target, direction, now: caller.clock.now() } })
    }

    /// Where the cursor stands, and where it would go.
    fn plan(&self, feed: &FeedId, extent: &Extent) -> Result<(From, Planned, Generation), String> {
        let held = self
            .caller
            .control
            .read(|state| state.feed(feed).map(|held| (held.cursors.get(&self.sink).cloned(), held.generation)));
        let Some((from, generation)) = held else { return Err("it ended meanwhile".to_owned()) };
        if matches!(extent, Extent::Log(_)) && generation == Generation::default() {
            return Err("nobody has read it yet, so that there is no cursor to move: see `siemgate status`".to_owned());
        }
        let planned = cursor_plan::plan(from.as_ref(), extent, self.wish).map_err(|why| why.to_string())?;
        Ok((from, planned, generation))
    }

    /// A feed that is read commits every second: a plan that comes too late is made anew.
    async fn make(
        &self,
        feed: &FeedId,
        extent: &Extent,
        first: (From, Planned, Generation),
        reason: &str,
    ) -> Result<v1::CursorChange, Answer> {
        let (mut plan, at) = (first, self.caller.clock.now());
        for _ in 0..MOVE_ATTEMPTS_MAX {
            let (from, planned, generation) = plan;
            if planned.effect == Effect::Nothing {
                return Ok(self.told(feed, from.as_ref(), &planned));
            }
            let command = Command::MoveCursor(CursorMove {
                feed: feed.clone(),
                sink: self.sink.clone(),
                generation,
                expected: from.clone(),
                to: planned.to.clone(),
                by: self.caller.by(),
                reason: reason.to_owned(),
                at,
            });
            match self.caller.control.propose(command).await {
                Ok(Outcome::Refused(Refusal::CursorMoved { .. })) => {}
                Ok(Outcome::Refused(refusal)) => return Err(refused(&refusal)),
                Ok(_) => {
                    let (by, to) = (self.caller.by(), &planned.to);
                    tracing::warn!(by, %feed, sink = %self.sink, %to, reason, "an operator moved a cursor");
                    return Ok(self.told(feed, from.as_ref(), &planned));
                }
                Err(error) => return Err(failed(error)),
            }
            // The word of another node's commit may still be on its way here.
            let _ = self.caller.control.current().await;
            plan = self.plan(feed, extent).map_err(|why| Answer::failed_precondition(format!("{feed}: {why}")))?;
        }
        Err(Answer::aborted(format!("{feed}: its cursor moved each time before ours: try again")))
    }

    fn blank(&self, feed: &FeedId) -> v1::CursorChange {
        v1::CursorChange { feed: feed.to_string(), sink: self.sink.to_string(), ..v1::CursorChange::default() }
    }

    fn told(&self, feed: &FeedId, from: Option<&Position>, planned: &Planned) -> v1::CursorChange {
        use v1::CursorEffect as Wire;
        let (effect, again, at_most, skipped) = match planned.effect {
            Effect::Nothing => (Wire::None, Some(0), false, Some(0)),
            Effect::Again { messages, at_most } => (Wire::Again, messages, at_most, Some(0)),
            Effect::Skips { messages } => (Wire::Skips, Some(0), false, messages),
            Effect::Begins => (Wire::Begins, None, false, None),
        };
        v1::CursorChange {
            before: from.map(position_to_wire),
            after: Some(position_to_wire(&planned.to)),
            effect: effect.into(),
            again,
            at_most,
            skipped,
            ..self.blank(feed)
        }
    }
}

fn known_feed(backend: &impl Backend, text: &str) -> Result<FeedId, Answer> {
    let feed: FeedId = text.parse().map_err(bad)?;
    let known = backend.control().read(|state| state.feed(&feed).is_some());
    let unknown = || format!("feed `{feed}` does not exist: `siemgate cursor list` shows those that do");
    if known { Ok(feed) } else { Err(Answer::not_found(unknown())) }
}

/// A sink, and how it was applied.
fn known_sink(backend: &impl Backend, text: &str) -> Result<(SinkId, String), Answer> {
    let sink: SinkId = text.parse().map_err(bad)?;
    let body = backend.control().read(|state| state.resource(&ResourceKey::sink(&sink)).map(|it| it.body.clone()));
    let unknown = || Answer::not_found(format!("sink `{sink}` does not exist: `siemgate get sinks` lists them"));
    body.ok_or_else(unknown).map(|body| (sink.clone(), body))
}

fn feeds_of<B: Backend>(caller: &Caller<'_, B>, source: &str) -> Result<Vec<FeedId>, Answer> {
    let (tenant, name) = source.split_once('/').ok_or_else(|| bad("name the source as `tenant/source`"))?;
    let (tenant, name) = (tenant.parse().map_err(bad)?, name.parse().map_err(bad)?);
    let feeds = caller.control.read(|state| state.feeds_of(&tenant, &name).map(|(feed, _)| feed.clone()).collect());
    let feeds: Vec<FeedId> = feeds;
    let unknown = || format!("no feed of source `{source}` exists: `siemgate cursor list` shows those that do");
    if feeds.is_empty() { Err(Answer::not_found(unknown())) } else { Ok(feeds) }
}

fn bad(why: impl ToString) -> Answer {
    Answer::invalid_argument(why.to_string())
}
