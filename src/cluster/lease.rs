//! The leases that a leader grants the lives of nodes by answering their heartbeats, and when it may take a life for
//! ended. Pure.
//!
//! Who holds a lease counts it from the moment it asked; the leader counts from the moment it answered, and a new leader
//! from the moment its leadership was committed, because it doesn't know what the one before it granted. So a life that
//! a leader ends has found its lease ended before. An expiry names the leadership it was judged in, and is refused in
//! any other: a leader that was asleep can't end what its successor keeps alive.

use std::collections::BTreeMap;
use std::time::Duration;

use super::limits::{LEASE_MARGIN, LEASE_TTL};
use super::member::Member;
use super::peers::Verdict;
use crate::clock::Uptime;
use crate::ids::{Leadership, NodeEpoch, NodeId};

/// How long a lease holds at the one who asked for it, from the moment it asked.
pub fn held_until(asked: Uptime) -> Uptime {
    asked.plus(LEASE_TTL.saturating_sub(LEASE_MARGIN))
}

/// What a leader granted in this leadership; nothing before it began and after it ended.
#[derive(Debug, Default, Clone)]
pub struct Leases {
    reign: Option<Reign>,
}

#[derive(Debug, Clone)]
struct Reign {
    leadership: Leadership,
    /// Raft's term, in which no other node led. In a later one this node may not yet know what others ended meanwhile.
    term: u64,
    /// When this leader was awake last: it looked through the lives, or heard one of them.
    awake: Uptime,
    lives: BTreeMap<NodeId, Life>,
}

#[derive(Debug, Clone, Copy)]
struct Life {
    node_epoch: NodeEpoch,
    heard: Uptime,
    /// Its expiry was proposed: it must not be renewed any more, whatever becomes of that.
    condemned: bool,
}

impl Life {
    fn begun(node_epoch: NodeEpoch, now: Uptime) -> Self {
        Self { node_epoch, heard: now, condemned: false }
    }
}

impl Leases {
    /// This node leads, and the leadership is committed: whatever was granted before may hold from now on as long as
    /// any lease.
    pub fn begin<'m>(
        &mut self,
        leadership: Leadership,
        term: u64,
        members: impl Iterator<Item = (NodeId, &'m Member)>,
        now: Uptime,
    ) {
        let lives = members.filter(|(_, member)| member.alive);
        let lives = lives.map(|(node, member)| (node, Life::begun(member.node_epoch, now))).collect();
        self.reign = Some(Reign { leadership, term, awake: now, lives });
    }

    /// This node leads no more, so that it judges nobody.
    pub fn end(&mut self) {
        self.reign = None;
    }

    /// The leadership in which this node judges, and Raft's term of it.
    pub fn leadership(&self) -> Option<(Leadership, u64)> {
        self.reign.as_ref().map(|reign| (reign.leadership, reign.term))
    }

    /// A node says that it lives; `member` is what the leader's own state says of it, and `term` Raft's term now.
    pub fn heard(
        &mut self,
        node: NodeId,
        node_epoch: NodeEpoch,
        member: Option<&Member>,
        term: u64,
        now: Uptime,
    ) -> Verdict {
        let Some(reign) = self.reign.as_mut().filter(|reign| reign.term == term) else { return Verdict::NotReady };
        reign.wake(now);
        let Some(member) = member else { return Verdict::Expired };
        if node_epoch < member.node_epoch || (node_epoch == member.node_epoch && !member.alive) {
            return Verdict::Expired;
        }
        if node_epoch > member.node_epoch {
            return Verdict::NotReady; // Its start is committed and not applied here yet.
        }
        let life = reign.life(node, node_epoch, now);
        if life.condemned {
            return Verdict::NotReady;
        }
        life.heard = life.heard.max(now);
        Verdict::Renewed
    }

    /// The lives whose leases have ended. They are condemned by this: none of them is renewed again.
    pub fn lapsed<'m>(
        &mut self,
        members: impl Iterator<Item = (NodeId, &'m Member)>,
        now: Uptime,
    ) -> Vec<(NodeId, NodeEpoch)> {
        let Some(reign) = &mut self.reign else { return Vec::new() };
        reign.wake(now);
        let mut lapsed = Vec::new();
        for (node, member) in members.filter(|(_, member)| member.alive) {
            let node_epoch = member.node_epoch;
            let life = reign.life(node, node_epoch, now);
            if life.condemned || now.since(life.heard) >= LEASE_TTL {
                life.condemned = true;
                lapsed.push((node, node_epoch));
            }
        }
        lapsed
    }

    /// When the next lease ends unless it is renewed.
    pub fn next_end(&self) -> Option<Uptime> {
        let reign = self.reign.as_ref()?;
        reign.lives.values().map(|life| life.heard.plus(LEASE_TTL)).min()
    }

    /// How long ago each life was heard.
    pub fn silences(&self, now: Uptime) -> BTreeMap<NodeId, Duration> {
        let lives = self.reign.iter().flat_map(|reign| &reign.lives);
        lives.map(|(node, life)| (*node, now.since(life.heard))).collect()
    }
}

impl Reign {
    /// A leader that did nothing for half a lease, and did not even hear itself, was asleep: that time speaks against no
    /// life. Waiting longer harms nothing, and a cluster of one that was frozen goes on with the life it has. Looking late
    /// is no sleep, or a leader whose proposals take long would wait for a dead node for ever.
    fn wake(&mut self, now: Uptime) {
        let asleep = now.since(self.awake);
        if asleep > LEASE_TTL / 2 {
            self.lives.values_mut().for_each(|life| life.heard = life.heard.plus(asleep).min(now));
        }
        self.awake = self.awake.max(now);
    }

    /// The present life of a node. One that is not known yet began in this leadership, and has a whole lease from now on.
    fn life(&mut self, node: NodeId, node_epoch: NodeEpoch, now: Uptime) -> &mut Life {
        let life = self.lives.entry(node).or_insert_with(|| Life::begun(node_epoch, now));
        if life.node_epoch != node_epoch {
            *life = Life::begun(node_epoch, now);
        }
        life
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::cluster::member::{NodeSpec, Role};

    const FIRST: NodeId = NodeId(1);
    const TERM: u64 = 4;

    fn at(millis: u64) -> Uptime {
        Uptime::from_nanos(millis * 1_000_000)
    }

    fn member(node_epoch: u64, alive: bool) -> Member {
        let spec = NodeSpec { name: "a".into(), peer: String::new(), api: String::new(), weight: 1, role: Role::Data };
        Member {
            spec,
            node_epoch: NodeEpoch(node_epoch),
            knows: 1,
            alive,
            draining: false,
            leaving: false,
            since: Timestamp::ZERO,
            lapsed_at: None,
            lapsed_before: Vec::new(),
        }
    }

    fn leading(now: Uptime) -> Leases {
        let mut leases = Leases::default();
        leases.begin(Leadership(7), TERM, [(FIRST, &member(1, true))].into_iter(), now);
        leases
    }

    /// Looks as often as a leader that is awake, up to `now`.
    fn lapsed(leases: &mut Leases, member: &Member, now: Uptime) -> bool {
        let next = |leases: &Leases| Some(leases.reign.as_ref()?.awake.plus(Duration::from_millis(50)));
        while let Some(look) = next(leases).filter(|look| *look < now) {
            leases.lapsed([(FIRST, member)].into_iter(), look);
        }
        !leases.lapsed([(FIRST, member)].into_iter(), now).is_empty()
    }

    #[test]
    fn what_a_leader_did_not_hear_while_it_slept_speaks_against_nobody() {
        let (mut leases, life) = (leading(at(0)), member(1, true));
        assert!(!lapsed(&mut leases, &life, at(100)));
        assert_eq!(leases.lapsed([(FIRST, &life)].into_iter(), at(10_000)), []);
        assert!(!lapsed(&mut leases, &life, at(9_900).plus(LEASE_TTL).plus_millis(-1)), "it goes on counting");
        assert!(lapsed(&mut leases, &life, at(9_900).plus(LEASE_TTL)));
    }

    #[test]
    fn a_leader_that_hears_others_is_awake_whatever_keeps_it_from_looking() {
        let (mut leases, silent, speaks) = (leading(at(0)), member(1, true), member(1, true));
        for millis in (500..=6_000).step_by(500) {
            let verdict = leases.heard(NodeId(2), NodeEpoch(1), Some(&speaks), TERM, at(millis));
            assert_eq!(verdict, Verdict::Renewed);
        }
        assert_eq!(leases.lapsed([(FIRST, &silent)].into_iter(), at(6_000)), [(FIRST, NodeEpoch(1))]);
    }

    #[test]
    fn a_life_ends_only_after_its_holder_found_its_lease_ended() {
        let (mut leases, life) = (leading(at(0)), member(1, true));
        let (asked, heard) = (at(1_000), at(1_400));
        assert_eq!(leases.heard(FIRST, NodeEpoch(1), Some(&life), TERM, heard), Verdict::Renewed);
        let mut now = heard;
        while !lapsed(&mut leases, &life, now) {
            now = now.plus(Duration::from_millis(10));
        }
        assert!(held_until(asked).plus(LEASE_MARGIN) <= now, "{:?} is not before {now:?}", held_until(asked));
        assert_eq!(now, heard.plus(LEASE_TTL));
    }

    #[test]
    fn a_new_leader_waits_a_whole_lease_because_it_knows_of_none() {
        let (mut leases, life) = (leading(at(5_000)), member(1, true));
        assert!(!lapsed(&mut leases, &life, at(5_000).plus(LEASE_TTL).plus_millis(-1)));
        assert!(lapsed(&mut leases, &life, at(5_000).plus(LEASE_TTL)));
        leases.begin(Leadership(8), TERM, [(FIRST, &life)].into_iter(), at(9_000));
        assert!(!lapsed(&mut leases, &life, at(9_000).plus(LEASE_TTL).plus_millis(-1)), "each leadership counts anew");
    }

    #[test]
    fn who_does_not_lead_judges_nobody() {
        let (mut leases, life) = (Leases::default(), member(1, true));
        assert_eq!(leases.heard(FIRST, NodeEpoch(1), Some(&life), TERM, at(0)), Verdict::NotReady);
        assert!(!lapsed(&mut leases, &life, at(1_000_000)));
        leases.begin(Leadership(1), TERM, std::iter::empty(), at(0));
        leases.end();
        assert_eq!(leases.heard(FIRST, NodeEpoch(1), Some(&life), TERM, at(1)), Verdict::NotReady);
        assert!(!lapsed(&mut leases, &life, at(1_000_000)));
    }

    #[test]
    fn a_life_whose_expiry_was_proposed_is_not_renewed_any_more() {
        let (mut leases, life) = (leading(at(0)), member(1, true));
        assert!(lapsed(&mut leases, &life, at(3_000)));
        assert_eq!(leases.heard(FIRST, NodeEpoch(1), Some(&life), TERM, at(3_001)), Verdict::NotReady);
        assert!(lapsed(&mut leases, &life, at(3_002)), "it is proposed until it is so");
        assert_eq!(leases.heard(FIRST, NodeEpoch(1), Some(&member(1, false)), TERM, at(3_003)), Verdict::Expired);
        let next = member(2, true);
        assert_eq!(leases.heard(FIRST, NodeEpoch(2), Some(&next), TERM, at(3_004)), Verdict::Renewed);
        assert!(!lapsed(&mut leases, &next, at(3_005)));
    }

    #[test]
    fn a_leader_of_a_later_term_judges_only_after_it_began_anew() {
        let (mut leases, life) = (leading(at(0)), member(1, true));
        assert_eq!(leases.heard(FIRST, NodeEpoch(1), Some(&life), TERM + 1, at(1)), Verdict::NotReady);
        assert_eq!(leases.heard(FIRST, NodeEpoch(1), Some(&life), TERM, at(1)), Verdict::Renewed);
    }

    #[test]
    fn only_the_present_life_is_renewed() {
        let mut leases = leading(at(0));
        assert_eq!(leases.heard(FIRST, NodeEpoch(1), Some(&member(2, true)), TERM, at(1)), Verdict::Expired);
        assert_eq!(leases.heard(FIRST, NodeEpoch(3), Some(&member(2, true)), TERM, at(1)), Verdict::NotReady);
        assert_eq!(leases.heard(FIRST, NodeEpoch(2), None, TERM, at(1)), Verdict::Expired, "it was removed");
    }

    #[test]
    fn a_life_that_began_during_the_leadership_has_a_whole_lease() {
        let mut leases = leading(at(0));
        assert!(!lapsed(&mut leases, &member(1, true), at(100)));
        let begun = member(2, true);
        assert!(!lapsed(&mut leases, &member(1, true), at(2_899)));
        assert!(!lapsed(&mut leases, &begun, at(2_900)));
        assert!(!lapsed(&mut leases, &begun, at(2_900).plus(LEASE_TTL).plus_millis(-1)));
        assert!(lapsed(&mut leases, &begun, at(2_900).plus(LEASE_TTL)));
        let mut leases = Leases::default();
        leases.begin(Leadership(7), TERM, std::iter::empty(), at(0));
        assert!(leases.lapsed(std::iter::empty(), at(1_000)).is_empty());
        assert_eq!(leases.lapsed([(FIRST, &member(1, true))].into_iter(), at(2_000)), [], "a node that joined after");
        assert!(!lapsed(&mut leases, &member(1, true), at(2_000).plus(LEASE_TTL).plus_millis(-1)));
    }

    impl Uptime {
        fn plus_millis(self, millis: i64) -> Self {
            Self::from_nanos(self.nanos().saturating_add_signed(millis * 1_000_000))
        }
    }
}
