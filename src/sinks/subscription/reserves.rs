//! Room that is kept for the feeds of each member, beside what all feeds of their subscription share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ids::MemberName;
use crate::sinks::limits::MEMBER_RESERVE_BYTES;

/// A reserve outlives its member: what it holds of one that is gone counts for the next. So there are never more of them
/// than there were members at once, and never more bytes than theirs.
#[derive(Debug, Default)]
pub struct Reserves {
    all: Vec<Arc<Semaphore>>,
    /// Whose each is, by its index.
    of: BTreeMap<MemberName, usize>,
}

impl Reserves {
    pub fn set_members(&mut self, members: &BTreeSet<MemberName>) {
        self.of.retain(|name, _| members.contains(name));
        for name in members {
            if !self.of.contains_key(name) {
                let free = (0..).find(|index| !self.of.values().any(|taken| taken == index)).unwrap_or(self.all.len());
                self.of.insert(name.clone(), free);
            }
        }
        let most = self.of.values().max().map_or(0, |index| index + 1);
        while self.all.len() < most {
            self.all.push(Arc::new(Semaphore::new(MEMBER_RESERVE_BYTES)));
        }
    }

    pub fn of(&self, member: &MemberName) -> Option<&Arc<Semaphore>> {
        self.all.get(*self.of.get(member)?)
    }

    /// What a feed has taken of one member's reserve is another's to hold once the feed is, as far as that has room.
    pub fn pass_on(&self, permit: &mut OwnedSemaphorePermit, reader: &MemberName) {
        let is = |reserve: &Arc<Semaphore>| Arc::ptr_eq(reserve, permit.semaphore());
        let Some(own) = self.of(reader).filter(|own| !is(own) && self.all.iter().any(is)) else { return };
        let bytes = u32::try_from(permit.num_permits()).unwrap_or(u32::MAX);
        if let Ok(passed) = own.clone().try_acquire_many_owned(bytes) {
            *permit = passed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(of: &[&str]) -> BTreeSet<MemberName> {
        of.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn b3_reserves_are_no_more_than_members_were_at_once_and_pass_on_with_their_feeds() {
        let mut reserves = Reserves::default();
        reserves.set_members(&members(&["a", "b"]));
        let [a, b] = ["a", "b"].map(|name| name.parse::<MemberName>().unwrap());
        let all = u32::try_from(MEMBER_RESERVE_BYTES).unwrap();
        let mut held = reserves.of(&a).unwrap().clone().try_acquire_many_owned(all).unwrap();
        assert!(reserves.of(&a).unwrap().clone().try_acquire_owned().is_err());
        reserves.pass_on(&mut held, &b);
        assert_eq!(reserves.of(&a).unwrap().available_permits(), MEMBER_RESERVE_BYTES, "its feed is b's now");
        assert!(reserves.of(&b).unwrap().clone().try_acquire_owned().is_err());
        // What is of the window that all share stays there.
        let window = Arc::new(Semaphore::new(10));
        let mut shared = window.clone().try_acquire_many_owned(10).unwrap();
        reserves.pass_on(&mut shared, &a);
        assert_eq!(window.available_permits(), 0);

        reserves.set_members(&members(&["c"]));
        reserves.set_members(&members(&["c", "d"]));
        assert_eq!(reserves.all.len(), 2);
        let free = |name: &str| reserves.of(&name.parse().unwrap()).unwrap().available_permits();
        assert_eq!(free("c") + free("d"), MEMBER_RESERVE_BYTES, "what b's feeds hold counts still");
    }
}
