//! What became of an account's requests for tokens, for the operators of it. Counts since the process started. Pure.

use std::collections::BTreeMap;

use super::IdentityError;
use super::grants::Scope;
use super::refusal::Advice;
use crate::clock::Timestamp;

/// Why no token was given out, by what it takes to change that: a closed set, so that failures can be counted by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureClass {
    /// Nothing was sent: the secret or certificate is missing or unusable here.
    Local,
    /// A person must change something here or in Entra.
    Fix,
    /// A person must sign in or consent again.
    SignIn,
    /// Our request was wrong.
    Malformed,
    Throttled,
    Unreachable,
    /// An answer that isn't Entra's.
    Unreadable,
}

impl FailureClass {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Fix => "fix",
            Self::SignIn => "sign-in",
            Self::Malformed => "malformed",
            Self::Throttled => "throttled",
            Self::Unreachable => "unreachable",
            Self::Unreadable => "unreadable",
        }
    }
}

impl IdentityError {
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Secret { .. } | Self::Certificate { .. } | Self::NoGrant | Self::Transport(_) => FailureClass::Local,
            Self::Refused { refusal, .. } => match refusal.advice {
                Advice::Fix(_) => FailureClass::Fix,
                Advice::SignIn(_) => FailureClass::SignIn,
                Advice::Report(_) => FailureClass::Malformed,
                Advice::BackOff(_) => FailureClass::Throttled,
                Advice::Retry => FailureClass::Unreachable,
            },
            Self::Throttled { .. } => FailureClass::Throttled,
            Self::Unreachable { .. } => FailureClass::Unreachable,
            Self::Protocol { .. } => FailureClass::Unreadable,
        }
    }
}

/// What became of an account's requests, over all scopes it was asked for.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Requests that were sent, whatever the answer.
    pub requests: u64,
    pub failures: BTreeMap<FailureClass, u64>,
    pub last_success: Option<Timestamp>,
    /// Scopes whose last request failed.
    failing: BTreeMap<String, (Timestamp, IdentityError)>,
}

impl Record {
    pub fn succeeded(&mut self, scope: &Scope, now: Timestamp) {
        self.requests += 1;
        self.last_success = self.last_success.max(Some(now));
        self.failing.remove(scope.resource());
    }

    /// Returns whether it is news: the scope had not failed before, or in another way.
    pub fn failed(&mut self, scope: &Scope, error: &IdentityError, now: Timestamp) -> bool {
        let class = error.class();
        self.requests += u64::from(class != FailureClass::Local);
        *self.failures.entry(class).or_default() += 1;
        let before = self.failing.insert(scope.resource().to_owned(), (now, error.clone()));
        before.is_none_or(|(_, before)| before.to_string() != error.to_string())
    }

    /// The last failure of a scope that hasn't had a token since.
    pub fn problem(&self) -> Option<&(Timestamp, IdentityError)> {
        self.failing.values().max_by_key(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::refusal::{Response, read_failure};

    fn refused(code: u32) -> IdentityError {
        let body =
            format!(r#"{{"error":"invalid_client","error_description":"AADSTS{code}: No.","error_codes":[{code}]}}"#);
        let Response::Refused(refusal) = read_failure(401, None, body.as_bytes()) else {
            panic!("{code} is no refusal")
        };
        IdentityError::Refused { authority: "login".into(), refusal }
    }

    #[test]
    fn a_scope_that_works_does_not_hide_one_that_fails() {
        let (graph, hubs): (Scope, Scope) = ("https://graph".parse().unwrap(), "https://hubs".parse().unwrap());
        let at = |second: i64| Timestamp::from_millis(second * 1_000);
        let mut record = Record::default();
        assert!(record.failed(&hubs, &refused(500_011), at(1)));
        assert!(!record.failed(&hubs, &refused(500_011), at(2)), "told already");
        assert!(record.failed(&hubs, &refused(7_000_222), at(3)), "another cause");
        record.succeeded(&graph, at(4));
        let (when, error) = record.problem().unwrap();
        assert_eq!((*when, error.class()), (at(3), FailureClass::Fix));
        assert_eq!((record.requests, record.failures[&FailureClass::Fix]), (4, 3));
        assert_eq!(record.last_success, Some(at(4)));
        record.succeeded(&hubs, at(5));
        assert!(record.problem().is_none());
        assert_eq!(record.failures[&FailureClass::Fix], 3, "what was counted stays counted");
    }

    #[test]
    fn what_was_never_sent_is_a_failure_but_no_request() {
        let scope: Scope = "https://graph".parse().unwrap();
        let mut record = Record::default();
        record.failed(&scope, &IdentityError::Secret { cause: "not there".into() }, Timestamp::ZERO);
        assert_eq!((record.requests, record.failures[&FailureClass::Local]), (0, 1));
    }

    #[test]
    fn failures_are_counted_by_what_it_takes_to_change_them() {
        let authority = || "login".to_owned();
        let cause = || "x".to_owned();
        for (error, class) in [
            (refused(7_000_215), "fix"),
            (refused(70_008), "sign-in"),
            (refused(900_144), "malformed"),
            (IdentityError::Throttled { authority: authority(), wait: std::time::Duration::ZERO }, "throttled"),
            (IdentityError::Unreachable { authority: authority(), cause: cause() }, "unreachable"),
            (IdentityError::Protocol { authority: authority(), cause: cause() }, "unreadable"),
            (IdentityError::NoGrant, "local"),
        ] {
            assert_eq!(error.class().name(), class, "{error}");
        }
    }
}
