//! Members that take nothing, or acknowledge nothing, though something lies there for them. Pure.
//!
//! Whoever is silent for too long is passed over: its feeds go to the others until it gives a sign. It is no verdict of the
//! cluster: each owner of feeds judges by what it sees itself, so that a member that one owner can't reach still has the
//! feeds of the others.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::{Epoch, MemberName};
use crate::sinks::limits::UNTAKEN_AGE;

/// What lies there for a member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Owed {
    /// Whether there is something that could be sent to it.
    pub waits: bool,
    /// When the oldest of what it has not acknowledged was sent.
    pub oldest: Option<Duration>,
}

/// In what way a member is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silent {
    /// It owes nothing, and gives no credit; or its node is out of reach.
    TakesNothing,
    AcknowledgesNothing,
}

impl Silent {
    pub fn in_words(self) -> &'static str {
        match self {
            Self::TakesNothing => "takes nothing",
            Self::AcknowledgesNothing => "acknowledges nothing",
        }
    }
}

#[derive(Debug, Default)]
pub struct Silence {
    /// When each member took something last, or could take nothing.
    took: BTreeMap<MemberName, Duration>,
    /// Who is passed over.
    silent: BTreeMap<MemberName, Silent>,
}

impl Silence {
    /// Forgets who is no member any more.
    pub fn keep(&mut self, members: &BTreeMap<MemberName, Epoch>) {
        self.took.retain(|name, _| members.contains_key(name));
        self.silent.retain(|name, _| members.contains_key(name));
    }

    /// Who is passed over, and why.
    pub fn silent(&self) -> &BTreeMap<MemberName, Silent> {
        &self.silent
    }

    /// Those among whom feeds are shared: where all are silent, all of them.
    pub fn readers(&self, members: &BTreeMap<MemberName, Epoch>) -> Vec<MemberName> {
        let speaks = |name: &&MemberName| !self.silent.contains_key(*name);
        let speaking: Vec<_> = members.keys().filter(speaks).cloned().collect();
        if speaking.is_empty() { members.keys().cloned().collect() } else { speaking }
    }

    /// Looks at every member, and answers whether another is passed over now. One is always left: with nobody else there,
    /// what lies there waits. `age` is for how long what was sent may be unacknowledged.
    pub fn look(&mut self, now: Duration, age: Duration, members: &BTreeMap<MemberName, Owed>) -> bool {
        let is_over = |since: Duration, most: Duration| now.saturating_sub(since) >= most;
        let before = self.silent.len();
        for (name, owed) in members {
            let took = self.took.entry(name.clone()).or_insert(now);
            if !owed.waits || owed.oldest.is_some() {
                *took = now;
            }
            let found = match owed.oldest {
                Some(sent) => is_over(sent, age).then_some(Silent::AcknowledgesNothing),
                None => is_over(*took, age.min(UNTAKEN_AGE)).then_some(Silent::TakesNothing),
            };
            let somebody_is_left = self.silent.len() + 1 < members.len();
            if let Some(found) = found.filter(|_| somebody_is_left && !self.silent.contains_key(name)) {
                self.silent.insert(name.clone(), found);
            }
        }
        self.silent.len() != before
    }

    /// A member takes something, or would. That is no sign of one that owes acknowledgements.
    pub fn takes(&mut self, name: &MemberName, now: Duration) -> bool {
        if let Some(took) = self.took.get_mut(name) {
            *took = now;
        }
        self.ends_if(name, |silent| silent == Silent::TakesNothing)
    }

    /// A member acknowledges something, even if it is somebody else's by now.
    pub fn acknowledges(&mut self, name: &MemberName) -> bool {
        self.ends_if(name, |_| true)
    }

    /// A member comes anew. That is no sign of one that comes and takes nothing.
    pub fn comes(&mut self, name: &MemberName) -> bool {
        self.ends_if(name, |silent| silent == Silent::AcknowledgesNothing)
    }

    /// Whether the member is waited for until it takes something.
    pub fn takes_nothing(&self, name: &MemberName) -> bool {
        self.silent.get(name) == Some(&Silent::TakesNothing)
    }

    fn ends_if(&mut self, name: &MemberName, ends: impl Fn(Silent) -> bool) -> bool {
        let ends = self.silent.get(name).is_some_and(|silent| ends(*silent));
        if ends {
            self.silent.remove(name);
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_secs(300);

    fn name(n: u8) -> MemberName {
        format!("m{n}").parse().unwrap()
    }
    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }
    fn waits() -> Owed {
        Owed { waits: true, oldest: None }
    }
    fn owes(since: u64) -> Owed {
        Owed { waits: false, oldest: Some(at(since)) }
    }
    fn all(of: &[Owed]) -> BTreeMap<MemberName, Owed> {
        (0..).map(name).zip(of.iter().copied()).collect()
    }
    fn epochs(count: u8) -> BTreeMap<MemberName, Epoch> {
        (0..count).map(|n| (name(n), Epoch(1))).collect()
    }

    #[test]
    fn l1_who_takes_nothing_is_passed_over_until_it_takes_something() {
        let mut silence = Silence::default();
        let idle = Owed::default();
        assert!(!silence.look(at(0), AGE, &all(&[idle, idle])));
        assert!(!silence.look(at(100), AGE, &all(&[idle, idle])), "there was nothing to take");
        assert!(!silence.look(at(101), AGE, &all(&[waits(), idle])));
        assert!(!silence.look(at(129), AGE, &all(&[waits(), idle])));
        assert!(silence.look(at(130), AGE, &all(&[waits(), idle])));
        assert_eq!(silence.readers(&epochs(2)), [name(1)]);
        assert!(!silence.look(at(131), AGE, &all(&[waits(), idle])), "that is known");
        assert!(!silence.comes(&name(0)), "to come is easy");
        assert!(silence.takes(&name(0), at(140)) && silence.silent().is_empty());
        assert!(!silence.look(at(169), AGE, &all(&[waits(), idle])), "it is counted from there");
        assert!(silence.look(at(170), AGE, &all(&[waits(), idle])));
        assert!(silence.acknowledges(&name(0)));
    }

    #[test]
    fn l1_who_acknowledges_nothing_is_passed_over_until_it_does_or_comes_anew() {
        let mut silence = Silence::default();
        let idle = Owed::default();
        assert!(!silence.look(at(399), AGE, &all(&[owes(100), idle])));
        assert!(silence.look(at(400), AGE, &all(&[owes(100), idle])));
        assert!(!silence.takes(&name(0), at(401)), "it would only take more");
        assert!(silence.acknowledges(&name(0)));
        assert!(silence.look(at(402), AGE, &all(&[owes(100), idle])));
        assert!(silence.comes(&name(0)));
    }

    #[test]
    fn s1_the_last_one_is_not_passed_over() {
        let mut silence = Silence::default();
        assert!(silence.look(at(400), AGE, &all(&[owes(0), owes(0), owes(0)])));
        assert_eq!(silence.silent().len(), 2, "one is left");
        assert_eq!(silence.readers(&epochs(3)), [name(2)]);
        assert!(!silence.look(at(500), AGE, &all(&[owes(0), owes(0), owes(0)])));
        // The one that is left goes.
        assert_eq!(silence.readers(&epochs(2)), [name(0), name(1)], "somebody must read");
        silence.keep(&epochs(0));
        assert!(silence.silent().is_empty());
    }
}
