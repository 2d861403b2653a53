//! Runs this node's parts of the replays: one loop that acts on the difference between what the cluster wants and what
//! runs, and says once a second how far each part has come. Live feeds know nothing of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::catch_up::Unwatched;
use super::deployment::Deployment;
use super::feeds::Builder;
use super::keyring::Keyring;
use super::life::Life;
use super::part_ledger::PartLedger;
use super::proposing::{propose, told};
use super::reconcile::is_firmer;
use super::replaying::{PartKey, Unread, Wanted, second, wanted};
use super::sinks::Sinks;
use super::supervise::Supervisor;
use super::tasks::resume_panic;
use crate::clock::Clock;
use crate::cluster::limits::REPLAY_ITEMS_MAX;
use crate::cluster::{Command, ControlPlane, FeedState, ItemOutcome, Outcome, ReplayCommand, ReplayItem};
use crate::identity::Tokens;
use crate::ids::{Epoch, FeedId, NodeId};
use crate::pipeline::aside::Aside;
use crate::pipeline::backlog::Memory;
use crate::pipeline::catch_up::CatchUp;
use crate::pipeline::feed::{Feed, FeedEnd, Halt, Reads};
use crate::pipeline::limits::{BACKLOG_BYTES_MAX, COMMIT_INTERVAL, DRAIN_GRACE};
use crate::pipeline::paced::Paced;
use crate::pipeline::prepare::{Lane, Preparer};
use crate::pipeline::quarantine::Quarantine;
use crate::pipeline::status::FeedStatus;
use crate::pipeline::turns::Turns;
use crate::sources::Resume;
use crate::sources::range::Range;
use crate::sources::ranged::Ranged;
use crate::sources::rest::Graph;

/// How long a part that ended by itself waits before it is begun again from where it stands.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// What replays are run with.
pub struct Replays {
    node: NodeId,
    clock: Clock,
    control: ControlPlane,
    tokens: Tokens,
    graph: Graph,
    quarantine: Quarantine,
    sinks: Arc<Mutex<Sinks>>,
    keyring: Arc<Keyring>,
}

/// A part that runs.
struct Running {
    epoch: Epoch,
    fingerprint: u64,
    stop: watch::Sender<Halt>,
    rate: Arc<AtomicU32>,
    ledger: Arc<PartLedger>,
}

impl Running {
    /// Tells the task to end, unless it was told as much before.
    fn halt(&self, halt: Halt) {
        self.stop.send_if_modified(|told| {
            let firmer = is_firmer(halt, *told);
            *told = if firmer { halt } else { *told };
            firmer
        });
    }
}

enum Action {
    Compare,
    Commit,
    Ended(Result<(PartKey, FeedEnd), JoinError>),
    Life,
    Stop,
}

struct Loop {
    with: Replays,
    life: Life,
    lives: watch::Receiver<Life>,
    deployment: Arc<Deployment>,
    /// The revision of the resources that the deployment was read from.
    revision: Option<u64>,
    running: BTreeMap<PartKey, Running>,
    /// What is still to be said of parts that run no more.
    parting: Vec<ReplayItem>,
    /// Parts that can't run, or ended by themselves.
    unable: BTreeMap<PartKey, Unable>,
    unread: Unread,
    tasks: JoinSet<(PartKey, FeedEnd)>,
    changes: watch::Receiver<u64>,
    stop: watch::Receiver<bool>,
}

/// A part that is not to be begun yet.
struct Unable {
    until: Instant,
    fingerprint: u64,
}

impl Replays {
    /// Runs beside the supervisor of the live feeds, with the same means.
    pub fn beside(supervisor: &Supervisor) -> Self {
        let Supervisor { node, clock, control, tokens, graph, quarantine, sinks, keyring, .. } = supervisor;
        Self {
            node: *node,
            clock: clock.clone(),
            control: control.clone(),
            tokens: tokens.clone(),
            graph: graph.clone(),
            quarantine: quarantine.clone(),
            sinks: sinks.clone(),
            keyring: keyring.clone(),
        }
    }

    /// Runs until `stop` turns true; then every part drains and is noted where it stands.
    pub async fn run(self, mut lives: watch::Receiver<Life>, stop: watch::Receiver<bool>) {
        let changes = self.control.changes();
        let life = lives.borrow_and_update().clone();
        let (running, unable, tasks) = (BTreeMap::new(), BTreeMap::new(), JoinSet::new());
        let (parting, deployment, revision, unread) = (Vec::new(), Arc::default(), None, Unread::default());
        let work = Loop {
            with: self,
            life,
            lives,
            deployment,
            revision,
            running,
            parting,
            unable,
            unread,
            tasks,
            changes,
            stop,
        };
        work.until_the_end().await;
    }
}

impl Loop {
    async fn until_the_end(mut self) {
        let mut tick = interval(COMMIT_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let action = tokio::select! {
                biased;
                _ = self.stop.wait_for(|stopped| *stopped) => Action::Stop,
                changed = self.lives.changed() => if changed.is_ok() { Action::Life } else { Action::Stop },
                Some(ended) = self.tasks.join_next() => Action::Ended(ended),
                _ = tick.tick() => Action::Commit,
                changed = self.changes.changed() => if changed.is_ok() { Action::Compare } else { Action::Stop },
            };
            match action {
                Action::Stop => return self.leave().await,
                Action::Compare => {}
                Action::Commit => {
                    self.rest_unread().await;
                    self.commit().await;
                }
                Action::Ended(ended) => self.ended(ended),
                Action::Life => self.live_anew(),
            }
            self.compare();
        }
    }

    /// Level-triggered: everything is derived anew from the control state.
    fn compare(&mut self) {
        let none = self.with.control.read(|state| state.replays().all(|(_, job)| !job.standing.is_open()));
        if none && self.running.is_empty() {
            self.unable.clear();
            return;
        }
        let wanted = self.wanted();
        for (key, run) in &self.running {
            match wanted.get(key) {
                Some(it) if (it.epoch, it.fingerprint) == (run.epoch, run.fingerprint) => {
                    run.rate.store(it.rate, Relaxed);
                }
                // It rests or is over, it is to be built of something else, or the feed is somebody else's.
                Some(_) | None => run.halt(if self.owns(&key.1, run.epoch) { Halt::Drain } else { Halt::Now }),
            }
        }
        self.unable.retain(|key, _| wanted.contains_key(key));
        for (key, it) in wanted {
            let waits = |unable: &Unable| unable.until > Instant::now() && unable.fingerprint == it.fingerprint;
            if !self.running.contains_key(&key) && !self.unable.get(&key).is_some_and(waits) {
                self.start(key, it);
            }
        }
    }

    fn owns(&self, feed: &FeedId, epoch: Epoch) -> bool {
        let held = |feed: &FeedState| feed.owner == Some(self.with.node) && feed.epoch == epoch;
        self.with.control.read(|state| state.feed(feed).is_some_and(held))
    }

    fn wanted(&mut self) -> BTreeMap<PartKey, Wanted> {
        let Replays { control, keyring, node, .. } = &self.with;
        if self.life.lease.is_over() {
            return BTreeMap::new();
        }
        let (wanted, fresh) = control.read(|state| {
            let revision = state.counters().revision;
            let fresh = (self.revision != Some(revision)).then(|| (revision, Arc::new(Deployment::of(state, keyring))));
            let deployment = fresh.as_ref().map_or(&self.deployment, |(_, deployment)| deployment);
            (wanted(state, deployment, *node, self.life.node_epoch), fresh)
        });
        if let Some((revision, deployment)) = fresh {
            (self.revision, self.deployment) = (Some(revision), deployment);
        }
        wanted
    }

    fn start(&mut self, key: PartKey, it: Wanted) {
        let (replay, feed) = key.clone();
        let ledger = Arc::new(PartLedger::new(replay, feed.clone(), it.epoch, it.part.clone()));
        let lane = self.with.sinks.lock().lane(&it.order.sink, &feed, None);
        let Some(lane) = lane else { return self.not_built(key, &it, &ledger, "the sink can't be used here yet") };
        let Replays { tokens, graph, clock, .. } = &self.with;
        let builder = Builder { deployment: &self.deployment, tokens, graph, clock };
        let source = match builder.second(&feed, second(&it)) {
            Ok(source) => source,
            Err(error) => return self.not_built(key, &it, &ledger, &told(&error)),
        };
        let range = Range::new(it.order.from, it.order.to);
        let source = Ranged::new(source, range, ledger.reach(), clock.clone());
        let (status, rate) = (Arc::<FeedStatus>::default(), Arc::new(AtomicU32::new(it.rate)));
        let source = Paced::new(source, status.clone(), rate.clone(), lane.window.clone());
        ledger.counts(status.clone(), it.order.sink.clone());
        let (stop, stopped) = watch::channel(Halt::No);
        let task = self.task(&key, &it, lane, ledger.clone(), status);
        tracing::info!(replay = %key.0, feed = %key.1, epoch = %it.epoch, "a part of a replay goes on");
        self.running.insert(key.clone(), Running { epoch: it.epoch, fingerprint: it.fingerprint, stop, rate, ledger });
        self.tasks.spawn(async move { (key, task.run(source, |_| None, stopped).await) });
    }

    fn task(
        &self,
        (_, feed): &PartKey,
        it: &Wanted,
        lane: Lane,
        ledger: Arc<PartLedger>,
        status: Arc<FeedStatus>,
    ) -> Feed<PartLedger> {
        Feed {
            feed: feed.clone(),
            epoch: it.epoch,
            generation: it.generation,
            // What is asked for again is to come, however old.
            lanes: vec![Lane { expire_after: None, ..lane }],
            ledger,
            quarantine: self.with.quarantine.clone(),
            preparer: Preparer::new(feed.clone(), self.with.clock.clone(), Arc::new(Unwatched)),
            status,
            clock: self.with.clock.clone(),
            lease: self.life.lease.clone(),
            // With one sink, no more than a batch ever waits for it, and nobody else.
            memory: Memory::new(BACKLOG_BYTES_MAX),
            turns: Turns::new(1),
            spool: None,
            resume: Resume::default(),
            reads: Reads::Stretch,
            catch_up: CatchUp::Not { remedy: "a replay has one sink" },
            aside: Aside::default(),
        }
    }

    /// Notes why a part can't begin, and tries again in a while or when something of it changes.
    fn not_built(&mut self, key: PartKey, it: &Wanted, ledger: &PartLedger, why: &str) {
        if ledger.troubled(why) {
            tracing::warn!(replay = %key.0, feed = %key.1, why, "a part of a replay can't begin");
        }
        self.parting.extend(ledger.take());
        self.unable.insert(key, Unable { until: Instant::now() + AGAIN_AFTER, fingerprint: it.fingerprint });
    }

    fn ended(&mut self, ended: Result<(PartKey, FeedEnd), JoinError>) {
        let (key, end) = ended.unwrap_or_else(resume_panic);
        let Some(run) = self.running.remove(&key) else { return };
        match end {
            FeedEnd::Stopped { drained } => {
                tracing::debug!(replay = %key.0, feed = %key.1, drained, "a part of a replay stopped");
            }
            FeedEnd::Displaced { cause } => {
                tracing::warn!(replay = %key.0, feed = %key.1, cause, remedy = DISPLACED, "another took the second reader's place");
            }
        }
        self.parting.extend(run.ledger.take());
        if *run.stop.borrow() == Halt::No {
            let unable = Unable { until: Instant::now() + AGAIN_AFTER, fingerprint: run.fingerprint };
            self.unable.insert(key, unable);
        }
    }

    /// Lets those rest that nobody has come to read for too long. Each part says why, where people look for it.
    async fn rest_unread(&mut self) {
        let goes_on = |(_, run): &(&PartKey, &Running)| *run.stop.borrow() == Halt::No;
        let running = self.running.iter().filter(goes_on).map(|((replay, _), _)| *replay).collect();
        let now = self.with.clock.uptime();
        let rests = self.with.control.read(|state| self.unread.look(state, &self.deployment, &running, now));
        for (replay, why) in rests {
            self.running.iter().filter(|((of, _), _)| *of == replay).for_each(|(_, run)| run.ledger.rests(&why));
            let (by, reason, at) = ("siemgate".to_owned(), why.clone(), self.with.clock.now());
            let pause = ReplayCommand::Pause { replay, by, reason, at };
            if propose(&self.with.control, Command::Replay(pause)).await.is_some() {
                tracing::warn!(%replay, why, "a replay rests");
            }
        }
    }

    /// Another life has begun: whatever ran in the one before belongs to others.
    fn live_anew(&mut self) {
        self.life = self.lives.borrow_and_update().clone();
        self.running.values().for_each(|run| run.halt(Halt::Now));
        self.parting.clear();
    }

    /// Says how far the parts have come that came any further.
    async fn commit(&mut self) {
        let mut items = std::mem::take(&mut self.parting);
        items.extend(self.running.values().filter_map(|run| run.ledger.take()));
        while !items.is_empty() {
            let rest = items.split_off(items.len().min(REPLAY_ITEMS_MAX));
            let (node, node_epoch, at) = (self.with.node, self.life.node_epoch, self.with.clock.now());
            let advance = ReplayCommand::Advance { node, node_epoch, items: items.clone(), at };
            match self.with.control.propose(Command::Replay(advance)).await {
                Ok(Outcome::Items(outcomes)) => {
                    items.iter().zip(&outcomes).for_each(|(item, it)| self.settle(item, it));
                }
                answer => {
                    let error = answer.map_or_else(|error| error.to_string(), |other| format!("{other:?}"));
                    tracing::warn!(error, "replays are not noted yet; a crash now would repeat more of them");
                    items.extend(rest);
                    // What runs says it anew, with what comes meanwhile.
                    items.retain(|item| match self.running.get(&(item.replay, item.feed.clone())) {
                        Some(run) => {
                            run.ledger.put_back();
                            false
                        }
                        None => true,
                    });
                    self.parting = items;
                    return;
                }
            }
            items = rest;
        }
    }

    /// A part whose progress nobody wants any more ends.
    fn settle(&self, item: &ReplayItem, outcome: &ItemOutcome) {
        let Some(run) = self.running.get(&(item.replay, item.feed.clone())) else { return };
        match outcome {
            ItemOutcome::Done if !item.part.done => {}
            ItemOutcome::Done => {
                tracing::info!(replay = %item.replay, feed = %item.feed, events = item.part.events, "a part of a replay is done");
                run.halt(Halt::Now);
            }
            ItemOutcome::Stale { .. }
            | ItemOutcome::StaleGeneration { .. }
            | ItemOutcome::Behind { .. }
            | ItemOutcome::NoSuchFeed => {
                tracing::debug!(replay = %item.replay, feed = %item.feed, ?outcome, "a part of a replay has passed on");
                run.halt(Halt::Now);
            }
        }
    }

    async fn leave(mut self) {
        let deadline = Instant::now() + DRAIN_GRACE;
        // What is acknowledged by now is noted while this node still owns the feeds.
        let noted = async {
            self.running.values().for_each(|run| run.halt(Halt::Drain));
            self.commit().await;
            while let Some(ended) = self.tasks.join_next().await {
                drop(ended.unwrap_or_else(resume_panic));
            }
            self.commit().await;
        };
        if timeout_at(deadline, noted).await.is_err() {
            tracing::warn!("not all of the replays could be noted in time: some of them is repeated");
        }
    }
}

const DISPLACED: &str = "look for another reader of `catch_up_consumer_group`, and give this cluster one of its own";
