//! What a connection may do by the tokens it has put, or by the rule it logged in with.

use crate::clock::Timestamp;

use super::refusal::Refusal;
use super::sas::{Grant, Rights};

/// Most audiences a connection may hold tokens for at once; ten times what a reader of a hub's partitions needs.
const TOKENS_MAX: usize = 320;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    Listen,
    Send,
}

impl Claim {
    fn name(self) -> &'static str {
        match self {
            Self::Listen => "Listen",
            Self::Send => "Send",
        }
    }
    fn is_in(self, rights: Rights) -> bool {
        match self {
            Self::Listen => rights.listen,
            Self::Send => rights.send,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Access {
    /// The rights of the rule the connection logged in with, which hold everywhere and without end.
    login: Option<Rights>,
    grants: Vec<Grant>,
    is_proven: bool,
}

impl Access {
    pub(super) fn of(login: Option<Rights>) -> Self {
        Self { is_proven: login.is_some(), login, grants: Vec::new() }
    }

    /// Whether any right was ever proven on this connection.
    pub(super) fn is_proven(&self) -> bool {
        self.is_proven
    }

    /// Takes a checked token in the place of an earlier one for the same audience.
    pub(super) fn put(&mut self, grant: Grant, now: Timestamp) -> Result<(), Refusal> {
        self.grants.retain(|held| held.until > now && held.audience != grant.audience);
        if self.grants.len() >= TOKENS_MAX {
            return Err(Refusal::NotAllowed(format!("The connection holds {TOKENS_MAX} tokens, which is the limit.")));
        }
        self.grants.push(grant);
        self.is_proven = true;
        Ok(())
    }

    pub(super) fn allows(&self, path: &str, claim: Claim, now: Timestamp) -> bool {
        self.login.is_some_and(|rights| claim.is_in(rights))
            || self.valid(now).any(|grant| claim.is_in(grant.rights) && grant.audience.covers_path(path))
    }

    pub(super) fn require(&self, path: &str, claim: Claim, now: Timestamp) -> Result<(), Refusal> {
        if self.allows(path, claim, now) {
            return Ok(());
        }
        Err(Refusal::MissingClaim { claim: claim.name(), resource: path.to_owned() })
    }

    /// Whether anything may be listened to, which is what the management node as a whole asks for.
    pub(super) fn require_some_listening(&self, now: Timestamp) -> Result<(), Refusal> {
        let listens = self.login.is_some_and(|rights| rights.listen) || self.valid(now).any(|g| g.rights.listen);
        let missing = || Refusal::MissingClaim { claim: Claim::Listen.name(), resource: "$management".to_owned() };
        if listens { Ok(()) } else { Err(missing()) }
    }

    fn valid(&self, now: Timestamp) -> impl Iterator<Item = &Grant> {
        self.grants.iter().filter(move |grant| grant.until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::event_hubs::sas::Audience;

    const NOW: Timestamp = Timestamp::from_millis(1_000);
    const LATER: Timestamp = Timestamp::from_millis(2_000);

    fn grant(uri: &str, rights: Rights, until: Timestamp) -> Grant {
        Grant { audience: Audience::of(uri), rights, until }
    }

    #[test]
    fn a_token_opens_its_resource_and_what_lies_below_until_it_expires() {
        let mut access = Access::default();
        assert!(!access.is_proven());
        access.put(grant("amqps://ns/hub", Rights::LISTEN, LATER), NOW).unwrap();
        assert!(access.is_proven());
        let path = "hub/ConsumerGroups/$Default/Partitions/0";
        assert!(access.allows(path, Claim::Listen, NOW));
        assert!(!access.allows(path, Claim::Send, NOW));
        assert!(!access.allows("hub2", Claim::Listen, NOW));
        assert!(!access.allows(path, Claim::Listen, LATER));
        assert!(access.require_some_listening(LATER).is_err());
    }

    #[test]
    fn a_new_token_takes_the_place_of_the_old() {
        let mut access = Access::default();
        for round in 0..2 * TOKENS_MAX as i64 {
            let until = LATER.plus(std::time::Duration::from_secs(round as u64));
            access.put(grant("amqps://ns/hub", Rights::ALL, until), NOW).unwrap();
        }
        assert_eq!(access.grants.len(), 1);
    }

    #[test]
    fn a_login_opens_everything_it_has_the_right_for() {
        let access = Access::of(Some(Rights::SEND));
        assert!(access.is_proven() && access.allows("any", Claim::Send, LATER));
        assert!(access.require("any", Claim::Listen, LATER).is_err());
    }
}
