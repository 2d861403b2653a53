//! Which member of a subscription reads which feed. Pure, and the same on every node.
//!
//! Rendezvous hashing: whoever scores highest for a feed has it, so that one who comes or goes moves only its own feeds.

use crate::ids::{FeedId, MemberName};

/// The member that a feed is for; nobody where there are none.
pub fn reader_of<'m>(feed: &FeedId, members: impl Iterator<Item = &'m MemberName>) -> Option<&'m MemberName> {
    let name = feed.to_string();
    members.max_by_key(|member| (score(&name, member.as_str()), *member))
}

/// FNV-1a over both names, then stirred, because FNV's last letters hardly reach its high bits.
fn score(feed: &str, member: &str) -> u64 {
    let letters = feed.bytes().chain([0]).chain(member.bytes());
    let sum =
        letters.fold(0xcbf2_9ce4_8422_2325_u64, |sum, letter| (sum ^ u64::from(letter)).wrapping_mul(0x0100_0000_01b3));
    let stirred = (sum ^ (sum >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let stirred = (stirred ^ (stirred >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    stirred ^ (stirred >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(count: usize) -> Vec<MemberName> {
        (0..count).map(|n| format!("m{n}").parse().unwrap()).collect()
    }
    fn feeds() -> impl Iterator<Item = FeedId> {
        (0..300).map(|n| format!("contoso/hub/{n}").parse().unwrap())
    }

    #[test]
    fn feeds_are_shared_fairly_and_only_those_of_who_goes_move() {
        let three = members(3);
        for feed in feeds() {
            let before = reader_of(&feed, three.iter()).unwrap();
            let after = reader_of(&feed, three[..2].iter()).unwrap();
            assert!(before == &three[2] || before == after, "{feed}");
        }
        for member in &three {
            let share = feeds().filter(|feed| reader_of(feed, three.iter()) == Some(member)).count();
            assert!((70..130).contains(&share), "{member} has {share} of 300");
        }
        assert_eq!(reader_of(&"a/b/0".parse().unwrap(), [].iter()), None);
    }
}
