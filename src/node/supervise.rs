//! Keeps running what is assigned: one loop that waits for one thing at a time and then acts on the difference between
//! what is declared and what runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::board::{Board, OnBoard};
use super::deployment::{Deployment, SourceKey};
use super::feeds::{Builder, resume};
use super::ledger::CommitLedger;
use super::reconcile::{Running, Step, steps};
use super::sinks::Sinks;
use crate::clock::Clock;
use crate::cluster::limits::ASSIGN_MOVES_MAX;
use crate::cluster::{Command, ControlPlane, MoveOutcome, Outcome};
use crate::identity::Tokens;
use crate::ids::{Epoch, FeedId, FeedPart, Generation, NodeId};
use crate::pipeline::feed::{Feed, FeedEnd};
use crate::pipeline::limits::{OPERATOR_PROBE, RETRY_LONGEST};
use crate::pipeline::prepare::Preparer;
use crate::pipeline::quarantine::Quarantine;
use crate::pipeline::status::{FeedState, FeedStatus, Problem};
use crate::pipeline::tap::Tap;
use crate::sources::event_hubs::DISCOVERY_INTERVAL;
use crate::sources::rest::Graph;
use crate::sources::{Remedy, SourceError};

/// How often everything is compared although nothing seems to have changed.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(5);
/// The first wait before a feed that was taken by another reader is asked for again; it doubles each time.
const DISPLACED_WAIT: Duration = Duration::from_secs(5);

const DISPLACED: &str = "look for another reader of the same consumer group, and give this cluster one of its own";

/// What the supervisor works with.
pub struct Supervisor {
    pub node: NodeId,
    pub clock: Clock,
    pub control: ControlPlane,
    pub ledger: Arc<CommitLedger<Board>>,
    pub board: Arc<Board>,
    pub tokens: Tokens,
    pub graph: Graph,
    pub tap: Tap,
    pub quarantine: Quarantine,
    pub sinks: Arc<Mutex<Sinks>>,
}

enum Action {
    Compare,
    Ended(Result<(FeedId, FeedEnd), JoinError>),
    Discovered(Result<(SourceKey, Result<Vec<FeedPart>, SourceError>), JoinError>),
    Stop,
}

struct Loop {
    with: Supervisor,
    deployment: Arc<Deployment>,
    /// The revision of the resources that the deployment was read from.
    revision: Option<u64>,
    running: BTreeMap<FeedId, Running>,
    granted: BTreeMap<FeedId, Epoch>,
    displaced: BTreeMap<FeedId, (Instant, Duration)>,
    /// Feeds that could not be built of what had this fingerprint, and when to try again.
    unbuilt: BTreeMap<FeedId, (Instant, u64)>,
    tasks: JoinSet<(FeedId, FeedEnd)>,
    discoveries: JoinSet<(SourceKey, Result<Vec<FeedPart>, SourceError>)>,
    discover_at: BTreeMap<SourceKey, (Instant, u64)>,
    changes: watch::Receiver<u64>,
    stop: watch::Receiver<bool>,
}

impl Supervisor {
    /// Runs until `stop` turns true; then every feed drains, commits and ends.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let changes = self.control.changes();
        let mut work = Loop {
            with: self,
            deployment: Arc::default(),
            revision: None,
            running: BTreeMap::new(),
            granted: BTreeMap::new(),
            displaced: BTreeMap::new(),
            unbuilt: BTreeMap::new(),
            tasks: JoinSet::new(),
            discoveries: JoinSet::new(),
            discover_at: BTreeMap::new(),
            changes,
            stop,
        };
        work.compare().await;
        loop {
            match work.select().await {
                Action::Compare => work.compare().await,
                Action::Ended(ended) => work.ended(ended),
                Action::Discovered(found) => work.discovered(found).await,
                Action::Stop => return work.drain().await,
            }
        }
    }
}

impl Loop {
    async fn select(&mut self) -> Action {
        let next = self.discover_at.values().map(|(at, _)| *at).min();
        let look = next.unwrap_or_else(|| Instant::now() + RECONCILE_INTERVAL).min(Instant::now() + RECONCILE_INTERVAL);
        tokio::select! {
            biased;
            _ = self.stop.wait_for(|stopped| *stopped) => Action::Stop,
            Some(ended) = self.tasks.join_next() => Action::Ended(ended),
            Some(found) = self.discoveries.join_next() => Action::Discovered(found),
            changed = self.changes.changed() => match changed {
                Ok(()) => Action::Compare,
                Err(_) => Action::Stop,
            },
            () = sleep_until(look) => Action::Compare,
        }
    }

    /// Level-triggered: everything is derived anew from the control state.
    async fn compare(&mut self) {
        let (fresh, declared) = self.with.control.read(|state| {
            let revision = state.counters().revision;
            // Cursors change every second, resources hardly ever: they are read anew only when they did.
            let fresh = (self.revision != Some(revision)).then(|| (revision, Arc::new(Deployment::of(state))));
            let current = fresh.as_ref().map_or(&self.deployment, |(_, deployment)| deployment);
            let declared = current.declared(state);
            (fresh, declared)
        });
        if let Some((revision, deployment)) = fresh {
            self.with.board.deployed(&deployment);
            self.with.sinks.lock().reconcile(&deployment);
            self.revision = Some(revision);
            self.deployment = deployment;
        }
        self.with.board.credentials.look(&self.deployment);
        self.start_discoveries();
        let mut unowned = Vec::new();
        for step in steps(self.with.node, &declared, &self.running, &self.granted) {
            match step {
                Step::Stop(feed) => self.stop_feed(&feed),
                Step::Assign(feed) => unowned.push(feed),
                Step::Start(feed, epoch) => {
                    let fingerprint = declared.get(&feed).map_or(0, |now| now.fingerprint);
                    self.start(feed, epoch, fingerprint);
                }
            }
        }
        self.assign(unowned).await;
    }

    fn start_discoveries(&mut self) {
        let now = Instant::now();
        let deployment = self.deployment.clone();
        self.discover_at.retain(|key, _| deployment.sources.contains_key(key));
        for (key, source) in &deployment.sources {
            let due = self.discover_at.get(key).is_none_or(|(at, seen)| *at <= now || *seen != source.fingerprint);
            if !due {
                continue;
            }
            self.discover_at.insert(key.clone(), (now + DISCOVERY_INTERVAL, source.fingerprint));
            let (deployment, key) = (deployment.clone(), key.clone());
            let (tokens, graph, clock) = (self.with.tokens.clone(), self.with.graph.clone(), self.with.clock.clone());
            self.discoveries.spawn(async move {
                let builder = Builder { deployment: &deployment, tokens: &tokens, graph: &graph, clock: &clock };
                let found = builder.discover(&key).await;
                (key, found)
            });
        }
    }

    async fn discovered(&mut self, found: Result<(SourceKey, Result<Vec<FeedPart>, SourceError>), JoinError>) {
        let (key, found) = found.unwrap_or_else(resume_panic);
        match found {
            Ok(parts) => {
                self.with.board.discovery.lock().remove(&key);
                self.declare(key, parts).await;
            }
            Err(error) => {
                let (error, remedy) = (error.to_string(), error.remedy());
                let remedy = in_words(&remedy);
                if self.with.board.not_listed(&key, &error, remedy) {
                    tracing::warn!(tenant = %key.0, source = %key.1, error, remedy, "can't list what to read, trying on");
                }
                if let Some((at, _)) = self.discover_at.get_mut(&key) {
                    *at = (*at).min(Instant::now() + Duration::from_secs(3));
                }
            }
        }
    }

    async fn declare(&self, (tenant, source): SourceKey, parts: Vec<FeedPart>) {
        let known = self.with.control.read(|state| {
            let known: Vec<_> = state.feeds_of(&tenant, &source).map(|(feed, _)| feed.part.clone()).collect();
            parts.iter().all(|part| known.contains(part))
        });
        if known {
            return;
        }
        tracing::info!(%tenant, %source, parts = parts.len(), "feeds found");
        self.propose(Command::DeclareFeeds { tenant, source, parts }).await;
    }

    /// Takes feeds under an epoch of their own each. What an ended task of ours still owns it gives back first.
    async fn assign(&mut self, mut feeds: Vec<FeedId>) {
        feeds.retain(|feed| self.displaced.get(feed).is_none_or(|(until, _)| *until <= Instant::now()));
        let ours = self.with.control.read(|state| {
            let ours = feeds.iter().filter_map(|feed| Some((feed.clone(), state.feed(feed)?)));
            let ours = ours.filter(|(_, held)| held.owner == Some(self.with.node));
            ours.map(|(feed, held)| Command::Release { feed, epoch: held.epoch }).collect::<Vec<_>>()
        });
        if !ours.is_empty() {
            // What the ended tasks got acknowledged still counts under the epochs they had.
            self.with.ledger.commit().await;
        }
        for release in ours {
            self.propose(release).await;
        }
        for feeds in feeds.chunks(ASSIGN_MOVES_MAX) {
            let moves = feeds.iter().map(|feed| (feed.clone(), self.with.node)).collect();
            let command = Command::AssignFeeds { moves, at: self.with.clock.now() };
            let Some(Outcome::Assigned(outcomes)) = self.propose(command).await else { return };
            for (feed, outcome) in feeds.iter().zip(outcomes) {
                if let MoveOutcome::Epoch(epoch) = outcome {
                    self.granted.insert(feed.clone(), epoch);
                } else {
                    tracing::warn!(%feed, ?outcome, "the feed was not assigned, trying again soon");
                }
            }
        }
    }

    async fn propose(&self, command: Command) -> Option<Outcome> {
        match self.with.control.propose(command).await {
            Ok(Outcome::Refused(refusal)) => {
                tracing::warn!(%refusal, "the control plane refused");
                None
            }
            Ok(outcome) => Some(outcome),
            Err(error) => {
                tracing::warn!(%error, "the control plane did not answer, trying again soon");
                None
            }
        }
    }

    fn start(&mut self, feed: FeedId, epoch: Epoch, fingerprint: u64) {
        if self.unbuilt.get(&feed).is_some_and(|(until, of)| *until > Instant::now() && *of == fingerprint) {
            return;
        }
        let key = (feed.tenant.clone(), feed.source.clone());
        let Some(held) = self.with.control.read(|state| state.feed(&feed).cloned()) else { return };
        let Some(source) = self.deployment.sources.get(&key) else { return };
        let lanes: Vec<_> = {
            let sinks = self.with.sinks.lock();
            let wanted = self.deployment.sinks_of(&key);
            wanted.filter_map(|(name, _)| sinks.lane(name, held.cursors.get(name).cloned())).collect()
        };
        let resume = resume(epoch, &held, &lanes, source.spec.starts_at_earliest());
        let Supervisor { tokens, graph, clock, .. } = &self.with;
        let builder = Builder { deployment: &self.deployment, tokens, graph, clock };
        let source = match builder.source(&feed, resume, held.generation != Generation::default()) {
            Ok(source) => source,
            Err(error) => return self.not_built(feed, epoch, fingerprint, &error),
        };
        self.unbuilt.remove(&feed);
        let status = Arc::new(FeedStatus::default());
        let (stop, stopped) = watch::channel(false);
        let task = Feed {
            feed: feed.clone(),
            epoch,
            generation: held.generation,
            lanes,
            ledger: self.with.ledger.clone(),
            quarantine: self.with.quarantine.clone(),
            preparer: Preparer::new(feed.clone(), self.with.clock.clone(), self.with.tap.clone()),
            status: status.clone(),
            clock: self.with.clock.clone(),
        };
        tracing::info!(%feed, %epoch, "feed started");
        self.with.board.feeds.lock().insert(feed.clone(), OnBoard { epoch, status, stop });
        self.running.insert(feed.clone(), Running { epoch, fingerprint, stopping: false });
        self.tasks.spawn(async move { (feed, task.run(source, stopped).await) });
    }

    fn not_built(&mut self, feed: FeedId, epoch: Epoch, fingerprint: u64, error: &SourceError) {
        let (error, remedy) = (error.to_string(), error.remedy());
        let remedy = in_words(&remedy);
        tracing::error!(%feed, error, remedy, "feed can't be built");
        let on_board = OnBoard { epoch, status: Arc::default(), stop: watch::Sender::new(true) };
        on_board.status.troubled(FeedState::Held, self.problem(&error, remedy));
        self.with.board.feeds.lock().insert(feed.clone(), on_board);
        self.unbuilt.insert(feed, (Instant::now() + OPERATOR_PROBE, fingerprint));
    }

    fn problem(&self, error: &str, remedy: &str) -> Problem {
        Problem { at: self.with.clock.now(), error: error.to_owned(), remedy: remedy.to_owned() }
    }

    fn stop_feed(&mut self, feed: &FeedId) {
        if let Some(run) = self.running.get_mut(feed) {
            run.stopping = true;
        }
        if let Some(running) = self.with.board.feeds.lock().get(feed) {
            running.stop.send_replace(true);
        }
    }

    fn ended(&mut self, ended: Result<(FeedId, FeedEnd), JoinError>) {
        let (feed, end) = ended.unwrap_or_else(resume_panic);
        self.running.remove(&feed);
        // Whoever starts it again does so under a new epoch: this one may have left something in flight.
        self.granted.remove(&feed);
        match end {
            FeedEnd::Stopped { drained } => {
                tracing::info!(%feed, drained, "feed stopped");
                self.displaced.remove(&feed);
            }
            FeedEnd::Displaced { cause } => {
                let wait = self.displaced.get(&feed).map_or(DISPLACED_WAIT, |(_, wait)| (*wait * 2).min(RETRY_LONGEST));
                tracing::error!(%feed, cause, wait_seconds = wait.as_secs(), remedy = DISPLACED, "another took the feed");
                if let Some(on_board) = self.with.board.feeds.lock().get(&feed) {
                    on_board.status.troubled(FeedState::Stopped, self.problem(&cause, DISPLACED));
                }
                self.displaced.insert(feed, (Instant::now() + wait, wait));
            }
        }
    }

    async fn drain(&mut self) {
        let feeds: Vec<_> = self.running.keys().cloned().collect();
        feeds.iter().for_each(|feed| self.stop_feed(feed));
        while let Some(ended) = self.tasks.join_next().await {
            self.ended(ended);
        }
        self.with.ledger.commit().await;
    }
}

/// A panic in a task is a fault of ours: the process ends, because a clean death beats a limping node.
fn resume_panic<T>(error: JoinError) -> T {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(cancelled) => unreachable!("nobody cancels these tasks: {cancelled}"),
    }
}

/// What a person should do about an error, if anything.
fn in_words(remedy: &Remedy) -> &str {
    match remedy {
        Remedy::RetryAfter(_) | Remedy::Reconnect => "none yet: trying again by itself",
        Remedy::StopAndReassess => DISPLACED,
        Remedy::HoldForOperator(remedy) => remedy,
    }
}
