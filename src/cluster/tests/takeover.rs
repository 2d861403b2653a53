//! Takeovers without time: whatever a lease may say, cursors stay true. An exhaustive model of three nodes, one feed and
//! two sinks around the real control state. A life may be ended at any moment, so that any number of nodes may believe
//! that they own the feed; proposals arrive late, twice or never; nodes crash and come back. A pause is one of these
//! orders: everybody else goes on, and then the sleeper.

use std::rc::Rc;

use super::commands::{
    assign_feeds, commit, expire, feed, log_position, members, recall, release, sink_id, start, world,
};
use super::explorer::Model;
use super::faults::{Faults, Without};
use crate::cluster::command::{Command, Outcome};
use crate::cluster::state::ControlState;
use crate::event::batch::Position;
use crate::ids::NodeId;

const NODES: usize = 3;
const SINKS: usize = 2;
/// Proposals on their way at once.
const PROPOSALS_MAX: usize = 2;

/// What one sink acknowledged to one owner, or what is committed: the last event in order.
type Cursors = [u8; SINKS];

#[derive(Clone)]
pub(super) struct Takeover {
    state: Rc<ControlState>,
    nodes: [Option<Process>; NODES],
    proposals: Vec<Proposal>,
    /// The events each sink has, and those it has more than once, as bits.
    accepted: [u8; SINKS],
    doubled: [u8; SINKS],
    /// Nodes that were ever chosen. All others are alike, so that one of them stands for all.
    chosen: [bool; NODES],
    /// How many events there are, from 1 on.
    events: u8,
    faults: Faults,
    /// Nothing but planned moves happens.
    planned: bool,
    without: Without,
}

/// A process in one life, and the state as it last saw it.
#[derive(Clone)]
struct Process {
    life: u64,
    seen: View,
    run: Option<Run>,
}

/// What a node knows of the feed.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct View {
    mine: bool,
    epoch: u64,
    recalled: bool,
    cursors: Cursors,
}

impl View {
    fn owning(&self) -> (bool, u64, bool) {
        (self.mine, if self.mine { self.epoch } else { 0 }, self.recalled)
    }
}

/// A feed that a node believes it owns.
#[derive(Clone, Copy)]
struct Run {
    epoch: u64,
    acked: Cursors,
    proposed: Cursors,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Proposal {
    /// `acked` is what had been acknowledged when it was proposed.
    Commit {
        node: usize,
        life: u64,
        epoch: u64,
        cursors: Cursors,
        acked: Cursors,
    },
    Release {
        epoch: u64,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    Assign(usize),
    Recall(usize),
    Expire(usize),
    Crash(usize),
    Start(usize),
    /// A node catches up with the committed state.
    Look(usize),
    Begin(usize),
    /// A sink takes the next event, and its acknowledgement arrives.
    Send(usize, usize),
    SendUnheard(usize, usize),
    Commit(usize),
    Release(usize),
    Arrive(usize),
    ArriveAndStay(usize),
    Lose(usize),
}

fn id(node: usize) -> u64 {
    node as u64 + 1
}
fn cursors(state: &ControlState) -> Cursors {
    let held = state.feed(&feed(0)).unwrap();
    let of = |sink: usize| match held.cursors.get(&sink_id(sink as u8)) {
        Some(Position::Log(position)) => position.sequence as u8,
        _ => 0,
    };
    [of(0), of(1)]
}

impl Takeover {
    pub(super) fn new(without: Without, events: u8, faults: Faults) -> Self {
        let mut state = ControlState::default();
        for command in world().into_iter().chain(members()) {
            state.apply(command);
        }
        let process = || Some(Process { life: 1, seen: View::default(), run: None });
        Self {
            state: Rc::new(state),
            nodes: [process(), process(), process()],
            proposals: Vec::new(),
            accepted: [0; SINKS],
            doubled: [0; SINKS],
            chosen: [false; NODES],
            events,
            faults,
            planned: faults == Faults { recalls: faults.recalls, ..Faults::default() },
            without,
        }
    }

    fn held(&self) -> (Option<usize>, u64, Option<usize>) {
        let held = self.state.feed(&feed(0)).unwrap();
        let index = |node: NodeId| node.0 as usize - 1;
        (held.owner.map(index), held.epoch.0, held.recall.map(|recall| index(recall.to)))
    }
    fn alive(&self, node: usize) -> Option<u64> {
        let member = self.state.member(NodeId(id(node))).unwrap();
        member.alive.then_some(member.node_epoch.0)
    }
    fn view(&self, node: usize, life: u64) -> View {
        let (owner, epoch, recalled) = self.held();
        let mine = owner == Some(node) && self.alive(node) == Some(life);
        View { mine, epoch, recalled: mine && recalled.is_some(), cursors: cursors(&self.state) }
    }
    fn apply(&mut self, command: Command) -> Outcome {
        let mut state = (*self.state).clone();
        let outcome = state.apply(command);
        self.state = Rc::new(state);
        outcome
    }

    fn of_leader(&self) -> Vec<Action> {
        let (owner, _, recalled) = self.held();
        let first_of_equals = self.chosen.iter().position(|chosen| !chosen);
        let eligible = |node: &usize| self.chosen[*node] || first_of_equals == Some(*node);
        let takers = || (0..NODES).filter(eligible).filter(|node| self.alive(*node).is_some());
        let mut actions = Vec::new();
        match owner {
            None => actions.extend(takers().map(Action::Assign)),
            Some(owner) => {
                if self.faults.expiries > 0 {
                    actions.push(Action::Expire(owner));
                }
                if self.faults.recalls > 0 && recalled.is_none() {
                    actions.extend(takers().filter(|to| *to != owner).map(Action::Recall));
                }
            }
        }
        actions
    }

    fn of_node(&self, node: usize) -> Vec<Action> {
        let Some(process) = &self.nodes[node] else { return vec![Action::Start(node)] };
        let mut actions = Vec::new();
        let view = self.view(node, process.life);
        let concerned = view.mine || process.seen.mine;
        let of_note = process.seen.owning() != view.owning() || (view.recalled && process.seen != view);
        actions.extend((concerned && of_note).then_some(Action::Look(node)));
        if self.alive(node) != Some(process.life) {
            actions.push(Action::Start(node)); // Its lease ended: it lives on under another node epoch.
        }
        let Some(run) = process.run else {
            actions.extend((process.seen.mine && !process.seen.recalled).then_some(Action::Begin(node)));
            return actions;
        };
        if self.faults.crashes > 0 {
            actions.push(Action::Crash(node));
        }
        let read = if process.seen.recalled { run.acked[0].max(run.acked[1]) } else { self.events };
        for sink in (0..SINKS).filter(|sink| run.acked[*sink] < read) {
            actions.push(Action::Send(node, sink));
            actions.extend((self.faults.unheard > 0).then_some(Action::SendUnheard(node, sink)));
        }
        if self.proposals.len() < PROPOSALS_MAX {
            let committed = process.seen.cursors == run.acked || self.without == Without::CommitBeforeRelease;
            let drained = process.seen.recalled && run.acked[0] == run.acked[1];
            actions.extend((drained && committed).then_some(Action::Release(node)));
            actions.extend((run.proposed != run.acked).then_some(Action::Commit(node)));
        }
        actions
    }

    fn look(&mut self, node: usize) {
        let Some(life) = self.nodes[node].as_ref().map(|process| process.life) else { return };
        let view = self.view(node, life);
        if let Some(process) = &mut self.nodes[node] {
            process.seen = view;
            process.run = process.run.filter(|run| view.mine && view.epoch == run.epoch);
        }
    }

    fn begin(&mut self, node: usize) {
        let (newest, events) = (self.without == Without::Cursors, self.events);
        if let Some(process) = &mut self.nodes[node] {
            let acked = if newest { [events; SINKS] } else { process.seen.cursors };
            let proposed = process.seen.cursors;
            process.run = Some(Run { epoch: process.seen.epoch, acked, proposed });
        }
    }

    fn send(&mut self, node: usize, sink: usize, heard: bool) {
        let Some(Process { run: Some(run), .. }) = &mut self.nodes[node] else { return };
        let event = 1 << run.acked[sink];
        run.acked[sink] += u8::from(heard);
        if self.planned {
            self.doubled[sink] |= self.accepted[sink] & event;
        }
        self.accepted[sink] |= event;
    }

    fn propose(&mut self, node: usize, release: bool) {
        let without = self.without;
        let Some(Process { life, run: Some(run), .. }) = self.nodes[node].as_ref() else { return };
        let (life, epoch, acked) = (*life, run.epoch, run.acked);
        let ahead = u8::from(without == Without::Acknowledgement);
        let cursors = acked.map(|acked| (acked + ahead).min(self.events));
        let proposal =
            if release { Proposal::Release { epoch } } else { Proposal::Commit { node, life, epoch, cursors, acked } };
        if let Some(process) = &mut self.nodes[node] {
            process.run = process.run.filter(|_| !release).map(|run| Run { proposed: acked, ..run });
            process.seen = if release { View::default() } else { process.seen };
        }
        if let Err(place) = self.proposals.binary_search(&proposal) {
            self.proposals.insert(place, proposal);
        }
    }

    fn arrive(&mut self, proposal: Proposal) -> Result<(), String> {
        let (owner, now, _) = self.held();
        match proposal {
            Proposal::Release { epoch } => drop(self.apply(release(0, epoch))),
            Proposal::Commit { node, life, epoch, cursors: proposed, acked } => {
                let before = cursors(&self.state);
                let positions = || (0..SINKS).map(|n| (n as u8, log_position(i64::from(proposed[n])))).collect();
                let command = match (self.without, owner) {
                    (Without::EpochCheck, Some(owner)) => commit(id(owner), now, 0, positions()).in_life(0),
                    _ => commit(id(node), epoch, 0, positions()).in_life(life),
                };
                self.apply(command.command());
                let after = cursors(&self.state);
                for sink in 0..SINKS {
                    rule(after[sink] >= before[sink], "S2: a cursor went back")?;
                    let changed = after[sink] != before[sink];
                    let permitted = epoch == now && owner == Some(node) && self.alive(node) == Some(life);
                    rule(!changed || permitted, "S2: a cursor moved under another than the current epoch")?;
                    rule(!changed || after[sink] <= acked[sink], "S3: a cursor is ahead of its owner")?;
                }
            }
        }
        Ok(())
    }

    fn check(&self, before: &ControlState) -> Result<(), String> {
        for (sink, committed) in cursors(&self.state).into_iter().enumerate() {
            let all = (1_u8 << committed) - 1;
            rule(self.accepted[sink] & all == all, "S1: a committed event was never acknowledged")?;
        }
        let (was, is) = (before.feed(&feed(0)).unwrap(), self.state.feed(&feed(0)).unwrap());
        let passed_on = is.owner.is_some() && (is.owner, is.epoch) != (was.owner, was.epoch);
        rule(is.epoch >= was.epoch && (!passed_on || is.epoch > was.epoch), "S4: an epoch was granted twice")?;
        rule(!self.planned || self.doubled == [0; SINKS], "B1: a planned move doubled an event")
    }
}

impl Model for Takeover {
    type Action = Action;

    fn actions(&self) -> Vec<Action> {
        let mut actions = self.of_leader();
        actions.extend((0..NODES).flat_map(|node| self.of_node(node)));
        for n in 0..self.proposals.len() {
            actions.push(Action::Arrive(n));
            actions.extend((self.faults.repeated > 0).then_some(Action::ArriveAndStay(n)));
            actions.extend((self.faults.lost > 0).then_some(Action::Lose(n)));
        }
        actions
    }

    fn carry_out(&mut self, action: &Action) -> Result<(), String> {
        let before = Rc::clone(&self.state);
        let (owner, epoch, _) = self.held();
        match *action {
            Action::Assign(to) => {
                self.chosen[to] = true;
                self.apply(assign_feeds(&[(0, id(to))]));
            }
            Action::Recall(to) => {
                self.chosen[to] = true;
                self.faults.recalls -= 1;
                self.apply(recall(0, epoch, id(to)));
            }
            Action::Expire(node) => {
                self.faults.expiries -= 1;
                let life = owner.and_then(|owner| self.alive(owner)).unwrap_or(0);
                self.apply(expire(id(node), life));
            }
            Action::Crash(node) => {
                self.faults.crashes -= 1;
                self.nodes[node] = None;
            }
            Action::Start(node) => {
                let Outcome::Life(life) = self.apply(start(id(node))) else { return Err("no life began".into()) };
                self.nodes[node] = Some(Process { life: life.0, seen: View::default(), run: None });
            }
            Action::Look(node) => self.look(node),
            Action::Begin(node) => self.begin(node),
            Action::Send(node, sink) => self.send(node, sink, true),
            Action::SendUnheard(node, sink) => {
                self.faults.unheard -= 1;
                self.send(node, sink, false);
            }
            Action::Commit(node) => self.propose(node, false),
            Action::Release(node) => self.propose(node, true),
            Action::Arrive(n) => {
                let proposal = self.proposals.remove(n);
                self.arrive(proposal)?;
            }
            Action::ArriveAndStay(n) => {
                self.faults.repeated -= 1;
                self.arrive(self.proposals[n].clone())?;
            }
            Action::Lose(n) => {
                self.faults.lost -= 1;
                self.proposals.remove(n);
            }
        }
        self.check(&before)
    }

    fn key(&self) -> Vec<u8> {
        let (owner, epoch, recalled) = self.held();
        let place = |node: Option<usize>| node.map_or(9, |node| node as u8);
        let mut key = vec![place(owner), epoch as u8, place(recalled)];
        key.extend(cursors(&self.state));
        for (_, member) in self.state.members() {
            key.extend([member.node_epoch.0 as u8, u8::from(member.alive)]);
        }
        for process in &self.nodes {
            let Some(Process { life, seen, run }) = process else {
                key.push(0);
                continue;
            };
            key.extend([1, *life as u8, u8::from(seen.mine), seen.epoch as u8, u8::from(seen.recalled)]);
            key.extend(seen.cursors);
            key.extend(
                run.iter()
                    .flat_map(|run| [run.epoch as u8, run.acked[0], run.acked[1], run.proposed[0], run.proposed[1]]),
            );
            key.push(u8::from(run.is_some()));
        }
        for proposal in &self.proposals {
            key.extend(match *proposal {
                Proposal::Commit { node, life, epoch, cursors: [a, b], acked: [c, d] } => {
                    [node as u8, life as u8, epoch as u8, a, b, c, d]
                }
                Proposal::Release { epoch } => [9, epoch as u8, 0, 0, 0, 0, 0],
            });
        }
        let Faults { recalls, crashes, expiries, unheard, lost, repeated } = self.faults;
        key.extend(self.accepted.iter().chain(&self.doubled).chain(&self.chosen.map(u8::from)));
        key.extend([recalls, crashes, expiries, unheard, lost, repeated]);
        key
    }
}

fn rule(holds: bool, name: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(name.to_owned()) }
}
