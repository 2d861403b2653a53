//! Keeps running what is assigned: one loop that waits for one thing at a time and then acts on the difference between
//! what is declared and what runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::board::{Board, OnBoard};
use super::catch_up::catch_up;
use super::deployment::Deployment;
use super::discovery::{Discovery, Found};
use super::feeds::{Builder, Elsewhere, resume};
use super::idle::Idle;
use super::keyring::Keyring;
use super::lanes::lanes;
use super::ledger::CommitLedger;
use super::life::Life;
use super::proposing::{DISPLACED, PASS_ON_AGAIN, in_words, pass_on, propose};
use super::reconcile::{Declared, Running, Step, is_firmer, steps};
use super::sinks::Sinks;
use super::tasks::resume_panic;
use super::unable::Unable;
use super::upkeep::Upkeep;
use super::watched::{Reading, Shown, Watched};
use crate::clock::{Clock, pace};
use crate::cluster::{Command, ControlPlane, NodeCommand};
use crate::identity::Tokens;
use crate::ids::{Epoch, FeedId, Generation, NodeId, SinkId};
use crate::pipeline::backlog::Memory;
use crate::pipeline::feed::{Feed, FeedEnd, Halt, Reads};
use crate::pipeline::limits::{DRAIN_GRACE, RETRY_LONGEST};
use crate::pipeline::prepare::Preparer;
use crate::pipeline::quarantine::Quarantine;
use crate::pipeline::spool::Spool;
use crate::pipeline::status::{FeedState, FeedStatus, Problem};
use crate::pipeline::tap::Tap;
use crate::pipeline::turns::Turns;
use crate::sources::SourceError;
use crate::sources::rest::Graph;

/// How often everything is compared although nothing seems to have changed.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(5);
/// How long a node that leaves goes on trying to hand over what its sinks have drained.
const HAND_OVER: Duration = Duration::from_secs(5);
/// The first wait before a feed that was taken by another reader is asked for again; it doubles each time.
const DISPLACED_WAIT: Duration = Duration::from_secs(5);

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
    pub memory: Memory,
    pub spool: Option<Spool>,
    pub sinks: Arc<Mutex<Sinks>>,
    pub keyring: Arc<Keyring>,
    /// For sinks that get what they lack.
    pub turns: Turns,
    /// What can't be run here; the leader is told with every heartbeat.
    pub unable: Arc<Mutex<Unable>>,
}

enum Action {
    Compare,
    Ended(Result<(FeedId, FeedEnd), JoinError>),
    Discovered(Result<Found, JoinError>),
    Life,
    Stop,
}

struct Loop {
    with: Supervisor,
    life: Life,
    lives: watch::Receiver<Life>,
    /// Whether everything is to be given up, because the node stops.
    leaving: bool,
    /// Whether it stops without being able to tell the others, so that nothing can be given up.
    cut_off: bool,
    deployment: Arc<Deployment>,
    /// The revision of the resources that the deployment was read from.
    revision: Option<u64>,
    running: BTreeMap<FeedId, Running>,
    /// Subscriptions that nobody reads and that hold nothing back.
    idle: Idle,
    /// Epochs whose task has ended; see [`steps`].
    spent: BTreeMap<FeedId, Epoch>,
    displaced: BTreeMap<FeedId, (Instant, Duration)>,
    /// When feeds are to be given up that could not be.
    again: Option<Instant>,
    tasks: JoinSet<(FeedId, FeedEnd)>,
    discovery: Discovery,
    upkeep: Upkeep,
    changes: watch::Receiver<u64>,
    stop: watch::Receiver<bool>,
}

impl Supervisor {
    /// Runs until `stop` turns true; then every feed drains, commits, passes on and ends.
    pub async fn run(self, mut lives: watch::Receiver<Life>, stop: watch::Receiver<bool>) {
        let changes = self.control.changes();
        let life = lives.borrow_and_update().clone();
        let mut work = Loop {
            with: self,
            life,
            lives,
            leaving: false,
            cut_off: false,
            deployment: Arc::default(),
            revision: None,
            running: BTreeMap::new(),
            idle: Idle::default(),
            spent: BTreeMap::new(),
            displaced: BTreeMap::new(),
            again: None,
            tasks: JoinSet::new(),
            discovery: Discovery::default(),
            upkeep: Upkeep::default(),
            changes,
            stop,
        };
        work.compare().await;
        loop {
            let action = work.select().await;
            if matches!(action, Action::Stop) {
                return work.leave().await;
            }
            work.apply(action).await;
        }
    }
}

impl Loop {
    async fn select(&mut self) -> Action {
        let look = Instant::now() + RECONCILE_INTERVAL;
        let look = self.discovery.next_due().unwrap_or(look).min(look);
        let look = self.again.take().unwrap_or(look).min(look);
        let leaving = self.leaving;
        tokio::select! {
            biased;
            _ = self.stop.wait_for(|stopped| *stopped), if !leaving => Action::Stop,
            changed = self.lives.changed() => if changed.is_ok() { Action::Life } else { Action::Stop },
            Some(ended) = self.tasks.join_next() => Action::Ended(ended),
            () = Sinks::next_ended(&self.with.sinks) => Action::Compare,
            Some(found) = self.discovery.next() => Action::Discovered(found),
            changed = self.changes.changed() => if changed.is_ok() { Action::Compare } else { Action::Stop },
            () = sleep_until(look) => Action::Compare,
        }
    }

    async fn apply(&mut self, action: Action) {
        match action {
            Action::Compare | Action::Stop => {}
            Action::Ended(ended) => self.ended(ended),
            Action::Discovered(found) => self.discovery.take(found.unwrap_or_else(resume_panic), &self.with).await,
            Action::Life => self.live_anew(),
        }
        self.compare().await;
    }

    /// Level-triggered: everything is derived anew from the control state.
    async fn compare(&mut self) {
        let mut idle = std::mem::take(&mut self.idle);
        let (fresh, declared, current, changed) = self.with.control.read(|state| {
            let revision = state.counters().revision;
            // Cursors change every second, resources hardly ever: they are read anew only when they did.
            let fresh = (self.revision != Some(revision))
                .then(|| (revision, Arc::new(Deployment::of(state, &self.with.keyring))));
            let deployment = fresh.as_ref().map_or(&self.deployment, |(_, deployment)| deployment);
            let present = state.member(self.with.node).is_some_and(|member| member.node_epoch == self.life.node_epoch);
            let changed = idle.look(pace(), deployment.with_idle_ttl(state));
            let declared = deployment.declared(state, &idle);
            (fresh, declared, present && !self.life.lease.is_over(), changed)
        });
        self.idle = idle;
        if let Some((revision, deployment)) = fresh {
            self.with.board.deployed(&deployment);
            self.with.sinks.lock().reconcile(&deployment);
            self.revision = Some(revision);
            self.deployment = deployment;
        }
        self.with.sinks.lock().suspended(&changed, |name| self.idle.has(name));
        self.with.board.credentials.look(&self.deployment);
        self.note_unable(&declared);
        self.discovery.begin(&self.deployment, &self.with);
        let mut releases = Vec::new();
        for step in steps(self.with.node, self.leaving, &declared, &self.running, &self.spent) {
            match step {
                Step::Stop(feed, halt) => self.stop_feed(&feed, halt),
                // Between two lives, the state speaks of one of them and the lease at hand is the other's.
                Step::Start(..) | Step::Release(..) if !current => {}
                Step::Release(feed, epoch) => releases.push((feed, epoch)),
                Step::Start(feed, epoch) => {
                    let fingerprint = declared.get(&feed).map_or(0, |now| now.fingerprint);
                    self.start(feed, epoch, fingerprint);
                }
            }
        }
        let ours = |feed: &FeedId| declared.get(feed).is_some_and(|now| now.owner == Some(self.with.node));
        self.with.board.keep(|feed| ours(feed) || self.running.contains_key(feed));
        self.upkeep.look(&self.with.board, &self.deployment, self.with.clock.now());
        if current {
            // A feed that nobody has at the moment may come back.
            let others = |now: &Declared| now.owner.is_some_and(|owner| owner != self.with.node);
            let kept = declared.iter().filter(|(_, now)| !others(now)).map(|(feed, _)| feed);
            self.upkeep.keep_quarantine(&self.with.quarantine, &self.with.control);
            self.upkeep.keep_spools(self.with.spool.as_ref(), kept.chain(self.running.keys()).cloned().collect());
        }
        self.release(releases).await;
    }

    /// Takes note of what became of the readings since the last time, and forgets what says nothing any more.
    fn note_unable(&self, declared: &BTreeMap<FeedId, Declared>) {
        let (now, board) = (pace(), self.with.board.feeds.lock());
        let mut unable = self.with.unable.lock();
        for (feed, run) in &self.running {
            match board.get(feed).and_then(|on_board| on_board.shown.take()) {
                Some(Reading::Reads) => unable.runs(feed),
                Some(Reading::Unusable) => unable.failed(feed, run.fingerprint, now),
                None => {}
            }
        }
        unable.keep(now, |feed| declared.get(feed).map(|now| now.fingerprint));
    }

    /// Gives feeds up. What their tasks got acknowledged is committed first, so that whoever is next goes on from there.
    async fn release(&mut self, mut feeds: Vec<(FeedId, Epoch)>) {
        let waits = |feed: &FeedId| self.displaced.get(feed).is_some_and(|(until, _)| *until > Instant::now());
        feeds.retain(|(feed, _)| self.leaving || !waits(feed));
        if feeds.is_empty() || self.cut_off {
            return;
        }
        let releases = feeds.into_iter().map(|(feed, epoch)| Command::Release { feed, epoch });
        let released = releases.map(|release| propose(&self.with.control, release));
        if !pass_on(self.with.ledger.commit(), released).await {
            self.again = Some(Instant::now() + PASS_ON_AGAIN);
        }
    }

    fn start(&mut self, feed: FeedId, epoch: Epoch, fingerprint: u64) {
        if self.with.unable.lock().waits(&feed, fingerprint, pace()) {
            return;
        }
        let key = (feed.tenant.clone(), feed.source.clone());
        let Some(held) = self.with.control.read(|state| state.feed(&feed).cloned()) else { return };
        let Some(source) = self.deployment.sources.get(&key) else { return };
        let (lanes, aside) = lanes(&self.deployment, &self.idle, &self.with.sinks.lock(), &source.spec, (&feed, &held));
        let from_earliest = |sink: &SinkId| self.deployment.starts_at_earliest(sink, &source.spec);
        let resume = resume(epoch, &held, (&lanes, &aside), from_earliest);
        let Supervisor { tokens, graph, clock, .. } = &self.with;
        let builder = Builder { deployment: &self.deployment, tokens, graph, clock };
        let begun = held.generation != Generation::default();
        let source = match builder.source(&feed, resume.clone(), begun) {
            Ok(source) => source,
            Err(error) => return self.not_built(feed, epoch, fingerprint, &error),
        };
        let status = Arc::new(FeedStatus::default());
        let (stop, stopped) = watch::channel(Halt::No);
        let shown = Shown::default();
        let source = Watched { source, shown: shown.clone() };
        let catch_up = catch_up(&self.with, &self.deployment, (&feed, epoch), &self.life.lease);
        let elsewhere = Elsewhere::of(&builder, self.deployment.clone(), &feed, begun, &shown);
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
            lease: self.life.lease.clone(),
            memory: self.with.memory.clone(),
            turns: self.with.turns.clone(),
            spool: self.with.spool.clone(),
            resume,
            reads: Reads::All,
            catch_up,
            aside,
        };
        tracing::info!(%feed, %epoch, "feed started");
        self.with.board.feeds.lock().insert(feed.clone(), OnBoard { epoch, status, stop, shown });
        self.running.insert(feed.clone(), Running { epoch, fingerprint, halt: Halt::No });
        self.tasks.spawn(async move {
            let end = task.run(source, |resume| elsewhere.source(resume), stopped).await;
            (feed, end)
        });
    }

    fn not_built(&mut self, feed: FeedId, epoch: Epoch, fingerprint: u64, error: &SourceError) {
        let (error, remedy) = (error.to_string(), error.remedy());
        let remedy = in_words(&remedy);
        tracing::error!(%feed, error, remedy, "feed can't be built");
        let (status, stop, shown) = (Arc::default(), watch::Sender::new(Halt::Now), Shown::default());
        let on_board = OnBoard { epoch, status, stop, shown };
        on_board.status.troubled(FeedState::Held, self.problem(&error, remedy));
        self.with.unable.lock().failed(&feed, fingerprint, pace());
        self.with.board.feeds.lock().insert(feed, on_board);
    }

    fn problem(&self, error: &str, remedy: &str) -> Problem {
        Problem { at: self.with.clock.now(), error: error.to_owned(), remedy: remedy.to_owned() }
    }

    fn stop_feed(&mut self, feed: &FeedId, halt: Halt) {
        if let Some(run) = self.running.get_mut(feed) {
            run.halt = if is_firmer(halt, run.halt) { halt } else { run.halt };
        }
        if let Some(running) = self.with.board.feeds.lock().get(feed) {
            running.halt(halt);
        }
    }

    fn ended(&mut self, ended: Result<(FeedId, FeedEnd), JoinError>) {
        let (feed, end) = ended.unwrap_or_else(resume_panic);
        if let Some(run) = self.running.remove(&feed) {
            self.spent.insert(feed.clone(), run.epoch);
        }
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

    /// Another life has begun: whatever ran in the one before belongs to others.
    fn live_anew(&mut self) {
        self.life = self.lives.borrow_and_update().clone();
        let feeds: Vec<_> = self.running.keys().cloned().collect();
        feeds.iter().for_each(|feed| self.stop_feed(feed, Halt::Now));
        self.displaced.clear();
    }

    /// Hands everything over: tells the cluster that this life ends soon, drains every feed and gives it up. Ends when
    /// nothing is left, or time is up.
    async fn leave(mut self) {
        let deadline = Instant::now() + DRAIN_GRACE + HAND_OVER;
        self.leaving = true;
        let (node, node_epoch, at) = (self.with.node, self.life.node_epoch, self.with.clock.now());
        let leave = Command::Node(NodeCommand::Leave { node, node_epoch, at });
        let left = timeout_at(Instant::now() + HAND_OVER, propose(&self.with.control, leave)).await;
        if left.ok().flatten().is_none() {
            tracing::warn!("the cluster could not be told that this node stops: others wait for its lease to end");
            self.cut_off = true;
        }
        let handed_over = async {
            self.compare().await;
            while !self.running.is_empty() || (self.owns_any() && !self.cut_off) {
                match self.select().await {
                    Action::Stop => break, // The control plane has ended.
                    action => self.apply(action).await,
                }
            }
        };
        if timeout_at(deadline, handed_over).await.is_err() {
            tracing::warn!("not everything could be handed over in time: others wait for this node's lease to end");
        }
        if !self.cut_off {
            self.with.ledger.commit().await;
        }
    }

    fn owns_any(&self) -> bool {
        self.with.control.read(|state| state.feeds().any(|(_, feed)| feed.owner == Some(self.with.node)))
    }
}
