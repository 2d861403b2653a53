//! Takeovers in time: at no moment do two nodes believe that they may write. An exhaustive model of three nodes around
//! the real leases and the real control state. One node owns the feed and says that it lives; its words and the answers
//! are late or lost, the owner sleeps before a write, leaders change, clocks differ in pace by up to three percent
//! either way. Another node reads the moment it may, and its own lease never ends: so it is as eager as can be.
//!
//! Time goes on in ticks, without end: what matters of it is how long ago things were, and beyond a lease that is all
//! the same.

use std::rc::Rc;
use std::time::Duration;

use super::commands::{assign_feeds, expire_in, feed, lead, members, world};
use super::explorer::Model;
use crate::clock::Uptime;
use crate::cluster::command::{Command, Outcome};
use crate::cluster::lease::{Leases, held_until};
use crate::cluster::limits::{BEAT_TIMEOUT, ELECTION_MAX, LEASE_TTL};
use crate::cluster::peers::Verdict;
use crate::cluster::state::ControlState;
use crate::ids::{Leadership, NodeEpoch, NodeId};

const NODES: usize = 3;
const TICK: Duration = Duration::from_millis(500);
/// Of a thousand seconds that pass, how many a clock counts.
const PACES: [u64; 2] = [970, 1_030];
/// Ages beyond these are alike: of a word or an election, of a lease at its holder, and at its judge.
const OLD: u64 = 3;
const OLD_LEASE: u64 = 6;
const OLD_SILENCE: u64 = 7;
const BEGINNING: u64 = 100;

/// A rule of the protocol left out on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Without {
    Nothing,
    /// A new leader waits for no lease that it did not grant.
    Waiting,
    /// A holder counts its lease from the answer.
    CountingFromAsking,
    /// A lease ends at its holder when it ends at the leader.
    Margin,
    /// A leader answers whoever asks, also when it hears no majority.
    Majority,
    /// An expiry counts whenever it arrives.
    Leadership,
    /// An owner looks at its lease once for all its writes.
    Looking,
}

/// How often something may still happen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub beats: u8,
    pub elections: u8,
    pub pauses: u8,
}

#[derive(Clone)]
pub(super) struct Leasing {
    tick: u64,
    paces: [u64; NODES],
    state: Rc<ControlState>,
    nodes: [Node; NODES],
    owner: usize,
    beat: Option<Beat>,
    expiry: Option<Leadership>,
    /// The owner sleeps, having looked at its lease and not yet written.
    sleeps: bool,
    /// Writes that left after the lease.
    late: u8,
    pauses_before: u8,
    budget: Budget,
    without: Without,
}

#[derive(Clone)]
struct Node {
    term: u64,
    leader: Option<usize>,
    /// When it last heard a leader, or as a leader a majority.
    heard: u64,
    leases: Leases,
    judged: bool,
    view: Rc<ControlState>,
    reads: bool,
    /// When it asked for the lease it has.
    asked: u64,
    /// It looked at its lease and is about to write.
    writes: bool,
}

#[derive(Clone, Copy)]
struct Beat {
    to: usize,
    asked: u64,
    answer: Option<Verdict>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    Tick,
    Pause,
    Wake,
    /// The leader reaches a follower and hears it.
    Round(usize),
    /// The first is elected by itself and the second.
    Elect(usize, usize),
    Reign(usize),
    Beat,
    BeatArrives,
    AnswerArrives,
    Judge(usize),
    ExpiryArrives,
    Look,
    Write,
}

fn id(node: usize) -> u64 {
    node as u64 + 1
}

impl Leasing {
    /// Node 0 leads, and `owner` reads the feed under a lease of this moment.
    fn new(owner: usize, paces: [u64; NODES], without: Without, budget: Budget) -> Self {
        let mut state = ControlState::default();
        for command in world().into_iter().chain(members()).chain([assign_feeds(&[(0, id(owner))])]) {
            state.apply(command);
        }
        let state = Rc::new(state);
        let node = |n: usize| Node {
            term: 1,
            leader: Some(0),
            heard: BEGINNING,
            leases: Leases::default(),
            judged: false,
            view: Rc::clone(&state),
            reads: n == owner,
            asked: BEGINNING,
            writes: false,
        };
        let nodes = [node(0), node(1), node(2)];
        let mut model = Self {
            tick: BEGINNING,
            paces,
            state,
            nodes,
            owner,
            beat: None,
            expiry: None,
            sleeps: false,
            late: 0,
            pauses_before: budget.pauses,
            budget,
            without,
        };
        model.reign(0);
        model
    }

    fn local(&self, node: usize, tick: u64) -> Uptime {
        Uptime::from_nanos(tick * self.nanos_of_tick(node))
    }
    fn nanos_of_tick(&self, node: usize) -> u64 {
        TICK.as_nanos() as u64 * self.paces[node] / 1_000
    }
    /// How long ago a tick was, by a node's clock.
    fn ago(&self, node: usize, tick: u64) -> Duration {
        self.local(node, self.tick).since(self.local(node, tick))
    }
    /// The node whose proposals are committed.
    fn leader(&self) -> usize {
        let leads = |node: &usize| self.nodes[*node].leader == Some(*node);
        (0..NODES).filter(leads).max_by_key(|node| self.nodes[*node].term).unwrap_or(0)
    }
    fn believes(&self, node: usize) -> bool {
        let asked = self.local(node, self.nodes[node].asked);
        let until = if self.without == Without::Margin { asked.plus(LEASE_TTL) } else { held_until(asked) };
        self.nodes[node].reads && (node != self.owner || self.local(node, self.tick) < until)
    }
    fn feed_owner(&self) -> Option<usize> {
        self.state.feed(&feed(0)).unwrap().owner.map(|node| node.0 as usize - 1)
    }
    fn apply(&mut self, command: Command) -> Outcome {
        let mut state = (*self.state).clone();
        let outcome = state.apply(command);
        self.state = Rc::new(state);
        let leader = self.leader();
        self.nodes[leader].view = Rc::clone(&self.state);
        outcome
    }

    fn reign(&mut self, node: usize) {
        let Outcome::Leadership(leadership) = self.apply(lead(id(node))) else { return };
        let now = self.local(node, self.tick);
        let Node { leases, view, term, judged, .. } = &mut self.nodes[node];
        *judged = false;
        leases.begin(leadership, *term, view.members(), now);
    }

    fn meet(&mut self, leader: usize, follower: usize, term: u64) {
        for node in [leader, follower] {
            let (tick, view) = (self.tick, Rc::clone(&self.state));
            let node = &mut self.nodes[node];
            (node.term, node.leader, node.heard, node.view) = (term, Some(leader), tick, view);
        }
    }

    fn beat_arrives(&mut self) {
        let Some(Beat { to, .. }) = self.beat else { return };
        let now = self.local(to, self.tick);
        let majority = self.ago(to, self.nodes[to].heard) < ELECTION_MAX || self.without == Without::Majority;
        let (owner, node) = (NodeId(id(self.owner)), &mut self.nodes[to]);
        let verdict = if node.leader == Some(to) && majority {
            node.leases.heard(owner, NodeEpoch(1), node.view.member(owner), node.term, now)
        } else {
            Verdict::NotReady
        };
        self.beat = self.beat.map(|beat| Beat { answer: Some(verdict), ..beat });
    }

    fn answer_arrives(&mut self) {
        let Some(Beat { asked, answer, .. }) = self.beat.take() else { return };
        let in_time = self.ago(self.owner, asked) <= BEAT_TIMEOUT;
        let from = if self.without == Without::CountingFromAsking { self.tick } else { asked };
        let owner = &mut self.nodes[self.owner];
        match answer.filter(|_| in_time) {
            Some(Verdict::Renewed) => owner.asked = owner.asked.max(from),
            Some(Verdict::Expired) => owner.reads = false,
            Some(Verdict::NotReady) | None => {}
        }
    }

    fn judge(&mut self, judge: usize) {
        let now = self.local(judge, self.tick);
        let owner = NodeId(id(self.owner));
        let Node { leases, view, judged, .. } = &mut self.nodes[judge];
        let mut look = |now: Uptime| leases.lapsed(view.members().filter(|(node, _)| *node == owner), now);
        // One that does not wait takes a lease for ended as if it had passed already.
        let early = (1..=6).filter(|_| self.without == Without::Waiting).map(|looks| now.plus(LEASE_TTL * looks / 6));
        let lapsed = early.map(&mut look).last().unwrap_or_else(|| look(now));
        *judged |= !lapsed.is_empty();
        let leadership = leases.leadership().map(|(leadership, _)| leadership);
        self.expiry = leadership.filter(|_| !lapsed.is_empty());
    }

    fn actions_of(&self, n: usize) -> Vec<Action> {
        let node = &self.nodes[n];
        let mut actions = Vec::new();
        let leader = self.leader();
        let mut may = |holds: bool, action: Action| actions.extend(holds.then_some(action));
        may(n != leader, Action::Round(n));
        let tired = |n: usize| self.ago(n, self.nodes[n].heard) >= ELECTION_MAX;
        for voter in (0..NODES).filter(|voter| *voter != n && tired(*voter)) {
            may(self.budget.elections > 0 && n != leader && tired(n), Action::Elect(n, voter));
        }
        let reigns = node.leases.leadership().is_some_and(|(_, term)| term == node.term);
        may(n == leader && !reigns, Action::Reign(n));
        may(node.leader == Some(n) && reigns && self.expiry.is_none(), Action::Judge(n));
        may(self.beat.is_some_and(|beat| beat.to == n && beat.answer.is_none()), Action::BeatArrives);
        actions
    }

    fn actions_of_owner(&self) -> Vec<Action> {
        if self.sleeps {
            return vec![Action::Wake];
        }
        let owner = &self.nodes[self.owner];
        let mut actions = Vec::new();
        let mut may = |holds: bool, action: Action| actions.extend(holds.then_some(action));
        may(self.budget.beats > 0 && owner.reads && owner.leader.is_some(), Action::Beat);
        may(self.beat.is_some_and(|beat| beat.answer.is_some()), Action::AnswerArrives);
        may(self.budget.pauses > 0 && !owner.writes && self.believes(self.owner), Action::Look);
        may(owner.writes, Action::Write);
        may(owner.writes && self.budget.pauses > 0, Action::Pause);
        actions
    }

    /// Nothing can make the owner believe again that it may write.
    fn over(&self) -> bool {
        let waits = self.budget.beats > 0 || self.beat.is_some() || self.nodes[self.owner].writes;
        !waits && !self.believes(self.owner)
    }
}

impl Model for Leasing {
    type Action = Action;

    fn actions(&self) -> Vec<Action> {
        if self.over() {
            return vec![];
        }
        let mut actions: Vec<_> = (0..NODES).flat_map(|node| self.actions_of(node)).collect();
        actions.extend(self.actions_of_owner());
        // A write that nothing holds up leaves at once.
        let at_once = self.nodes[self.owner].writes && !self.sleeps && self.without != Without::Looking;
        actions.extend((!at_once).then_some(Action::Tick));
        actions.extend(self.expiry.map(|_| Action::ExpiryArrives));
        actions
    }

    fn carry_out(&mut self, action: &Action) -> Result<(), String> {
        match *action {
            Action::Tick => {
                self.tick += 1;
                // Leaders are awake, whether they look at the owner or not: what they sleep only delays them.
                for node in 0..NODES {
                    let now = self.local(node, self.tick);
                    self.nodes[node].leases.lapsed(std::iter::empty(), now);
                }
            }
            Action::Pause => {
                self.budget.pauses -= 1;
                self.sleeps = true;
            }
            Action::Wake => self.sleeps = false,
            Action::Round(follower) => {
                let leader = self.leader();
                self.meet(leader, follower, self.nodes[leader].term);
            }
            Action::Elect(node, voter) => {
                self.budget.elections -= 1;
                let term = 1 + self.nodes.iter().map(|node| node.term).max().unwrap_or(0);
                self.meet(node, voter, term);
            }
            Action::Reign(node) => self.reign(node),
            Action::Beat => {
                self.budget.beats -= 1;
                let asked = self.tick;
                self.beat = self.nodes[self.owner].leader.map(|to| Beat { to, asked, answer: None });
            }
            Action::BeatArrives => self.beat_arrives(),
            Action::AnswerArrives => self.answer_arrives(),
            Action::Judge(node) => self.judge(node),
            Action::ExpiryArrives => {
                let now = self.state.counters().leadership;
                let judged_in = self.expiry.take().unwrap_or_default();
                let leadership = if self.without == Without::Leadership { now } else { judged_in };
                self.apply(expire_in(leadership.0, id(self.owner), 1));
                let next = (self.owner + 1) % NODES;
                self.apply(assign_feeds(&[(0, id(next))]));
                self.nodes[next].reads |= self.feed_owner() == Some(next);
            }
            Action::Look => self.nodes[self.owner].writes = true,
            Action::Write => {
                self.late += u8::from(!self.believes(self.owner));
                self.nodes[self.owner].writes = self.without == Without::Looking;
            }
        }
        let believers = (0..NODES).filter(|node| self.believes(*node)).count();
        let pauses = self.pauses_before - self.budget.pauses;
        match (believers > 1, self.late > pauses) {
            (true, _) => Err(format!("two believe that they may write, with clocks at {:?}", self.paces)),
            (false, true) => Err(format!("{} writes left late after {pauses} pauses", self.late)),
            (false, false) => Ok(()),
        }
    }

    fn key(&self) -> Vec<u8> {
        let age = |tick: u64, old: u64| (self.tick - tick).min(old) as u8;
        let place = |node: Option<usize>| node.map_or(9, |node| node as u8);
        let number = |leadership: Leadership| leadership.0 as u8;
        let Budget { beats, elections, pauses } = self.budget;
        let mut key = vec![self.owner as u8, place(self.feed_owner()), number(self.state.counters().leadership)];
        key.extend(self.paces.map(|pace| u8::from(pace > 1_000)));
        key.extend([self.expiry.map_or(99, number), beats, elections, pauses, self.late, u8::from(self.sleeps)]);
        let verdict = |beat: &Beat| beat.answer.map_or(9, |verdict| verdict as u8);
        key.extend(self.beat.iter().flat_map(|beat| [age(beat.asked, OLD), beat.to as u8, verdict(beat)]));
        let asks = beats > 0 || self.beat.is_some_and(|beat| beat.answer.is_none());
        for (n, node) in self.nodes.iter().enumerate() {
            let lives = node.view.member(NodeId(id(self.owner))).is_some_and(|member| member.alive);
            key.extend([node.judged, node.reads, node.writes, lives].map(u8::from));
            let silences = node.leases.silences(self.local(n, self.tick));
            let silence = silences
                .get(&NodeId(id(self.owner)))
                .map_or(99, |silence| (silence.as_nanos() as u64 / self.nanos_of_tick(n)).min(OLD_SILENCE) as u8);
            let reign = node.leases.leadership().map_or([99, 0], |(reign, term)| [number(reign), term as u8]);
            key.extend([node.term as u8, place(node.leader), silence, reign[0], reign[1]]);
            let heard_matters = elections > 0 || (asks && node.leader == Some(n));
            key.push(if heard_matters { age(node.heard, OLD) } else { OLD as u8 });
            key.push(if n == self.owner { age(node.asked, OLD_LEASE) } else { 0 });
        }
        key
    }
}

/// The owner leads or follows. Its clock is slow, which makes its lease long; that of the node that may come to lead is
/// fast, which makes it impatient; the first leader's is slow or fast.
pub(super) fn starts(without: Without, budget: Budget) -> Vec<Leasing> {
    let [slow, fast] = PACES;
    let owned = [(0, [slow, fast, fast]), (1, [slow, slow, fast]), (1, [fast, slow, fast])];
    owned.into_iter().map(|(owner, paces)| Leasing::new(owner, paces, without, budget)).collect()
}
