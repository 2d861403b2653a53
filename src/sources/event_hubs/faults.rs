//! What an error of the service means, and so what is to be done. Pure: conditions and texts in, causes out.

use std::time::Duration;

use crate::sources::SourceError;

/// How long a busy namespace is left alone. The service asks for four seconds at least.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// Longest text of the service that we repeat.
const TEXT_BYTES_MAX: usize = 400;

/// An error as the service states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub condition: String,
    pub text: String,
}

/// What we were doing when the error came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// A token was shown a moment ago; if it isn't good now, the next one won't be either.
    Entering,
    /// Reading went on for a while; a token may just have ended.
    Reading,
}

/// Names for what an error is about: `namespace/hub`, and the partition or node in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    pub upstream: &'a str,
    pub what: &'a str,
}

impl About<'_> {
    pub(super) fn disconnected(&self, cause: impl ToString) -> SourceError {
        SourceError::Disconnected { upstream: self.upstream.to_owned(), cause: presentable(&cause.to_string()) }
    }
    pub(super) fn unavailable(&self, cause: impl ToString) -> SourceError {
        SourceError::Unavailable { upstream: self.upstream.to_owned(), cause: presentable(&cause.to_string()) }
    }
    pub(super) fn protocol(&self, cause: impl ToString) -> SourceError {
        SourceError::Protocol { upstream: self.upstream.to_owned(), cause: presentable(&cause.to_string()) }
    }
    pub(super) fn rejected(&self, cause: impl ToString) -> SourceError {
        SourceError::Rejected {
            upstream: self.upstream.to_owned(),
            cause: presentable(&cause.to_string()),
            remedy: format!(
                "check that the credential is valid and may listen to {}: a shared access rule with `Listen`, or the \
                 role Azure Event Hubs Data Receiver",
                self.upstream
            ),
        }
    }
    fn not_found(&self, cause: String) -> SourceError {
        SourceError::NotFound { upstream: self.upstream.to_owned(), what: self.what.to_owned(), cause }
    }
    fn displaced(&self, cause: String) -> SourceError {
        SourceError::Displaced { what: format!("{} {}", self.upstream, self.what), cause }
    }
    fn busy(&self) -> SourceError {
        SourceError::Throttled { upstream: self.upstream.to_owned(), wait: BUSY_WAIT }
    }

    /// The cause behind an AMQP error condition.
    pub(super) fn classify(&self, fault: &Fault, stage: Stage) -> SourceError {
        let cause = presentable(&format!("{}: {}", fault.condition, fault.text));
        match fault.condition.as_str() {
            "com.microsoft:server-busy" => self.busy(),
            "amqp:link:stolen" => self.displaced(cause),
            "amqp:unauthorized-access" => match stage {
                Stage::Entering => self.rejected(cause),
                Stage::Reading => self.disconnected(cause),
            },
            "amqp:not-found" | "com.microsoft:entity-disabled" => self.not_found(cause),
            "com.microsoft:timeout"
            | "com.microsoft:operation-cancelled"
            | "com.microsoft:entity-updated"
            | "amqp:internal-error"
            | "amqp:resource-limit-exceeded" => self.unavailable(cause),
            "amqp:not-allowed"
            | "amqp:not-implemented"
            | "amqp:invalid-field"
            | "amqp:decode-error"
            | "amqp:frame-size-too-small"
            | "amqp:precondition-failed"
            | "amqp:link:message-size-exceeded"
            | "amqp:link:transfer-limit-exceeded"
            | "amqp:connection:redirect"
            | "amqp:link:redirect"
            | "com.microsoft:argument-error"
            | "com.microsoft:argument-out-of-range" => self.protocol(cause),
            // Detached, forced, maintenance, a broken frame, or something new: a fresh connection is the remedy.
            _ => self.disconnected(cause),
        }
    }

    /// The cause behind the status of a reply from `$cbs` or `$management`.
    pub(super) fn classify_status(&self, status: i32, description: &str) -> SourceError {
        let cause = presentable(&format!("status {status}: {description}"));
        match status {
            401 | 403 => self.rejected(cause),
            404 => self.not_found(cause),
            // Nodes say with 503 what links say with `server-busy`; the number of the reason stands in the text alone.
            429 | 503 => self.busy(),
            408 | 500..=599 => self.unavailable(cause),
            _ => self.protocol(cause),
        }
    }
}

/// Whether the service found our starting point itself at fault, so that another way of naming it may do.
pub(super) fn is_bad_position(fault: &Fault) -> bool {
    matches!(fault.condition.as_str(), "com.microsoft:argument-error" | "com.microsoft:argument-out-of-range")
}

/// A text fit for logs: short, on one line, and without a signature, should the service ever repeat ours.
fn presentable(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(TEXT_BYTES_MAX));
    let mut rest = text;
    while let Some(at) = rest.find(SIGNATURE) {
        let (before, found) = rest.split_at(at + SIGNATURE.len());
        let end = found.find(|c: char| c == '&' || c == ';' || c.is_whitespace()).unwrap_or(found.len());
        out.push_str(before);
        out.push_str("***");
        rest = &found[end..];
    }
    out.push_str(rest);
    let cut = (0..=TEXT_BYTES_MAX.min(out.len())).rev().find(|at| out.is_char_boundary(*at)).unwrap_or(0);
    out.truncate(cut);
    out.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// What precedes a signature wherever one is written.
const SIGNATURE: &str = "sig=";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::Remedy;

    const ABOUT: About<'static> = About { upstream: "n.example/logs", what: "partition 3" };

    fn remedy(condition: &str, stage: Stage) -> Remedy {
        ABOUT.classify(&Fault { condition: condition.into(), text: "because".into() }, stage).remedy()
    }

    #[test]
    fn every_condition_has_the_remedy_the_service_documents() {
        for (condition, expected) in [
            ("com.microsoft:server-busy", Remedy::RetryAfter(BUSY_WAIT)),
            ("com.microsoft:timeout", Remedy::Reconnect),
            ("amqp:internal-error", Remedy::Reconnect),
            ("amqp:connection:forced", Remedy::Reconnect),
            ("amqp:link:detach-forced", Remedy::Reconnect),
            ("amqp:resource-limit-exceeded", Remedy::Reconnect),
            ("amqp:link:stolen", Remedy::StopAndReassess),
            ("amqp:not-allowed", Remedy::Reconnect),
            ("something:new", Remedy::Reconnect),
        ] {
            for stage in [Stage::Entering, Stage::Reading] {
                assert_eq!(remedy(condition, stage), expected, "{condition}");
            }
        }
        assert!(BUSY_WAIT >= Duration::from_secs(4));
    }

    #[test]
    fn a_token_that_ends_while_reading_is_replaced_once_and_then_a_person_is_asked() {
        assert_eq!(remedy("amqp:unauthorized-access", Stage::Reading), Remedy::Reconnect);
        assert!(matches!(remedy("amqp:unauthorized-access", Stage::Entering), Remedy::HoldForOperator(_)));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let Remedy::HoldForOperator(text) = remedy("amqp:not-found", Stage::Entering) else { panic!("not held") };
        assert!(text.contains("partition 3"), "{text}");
    }

    #[test]
    fn replies_are_told_apart_by_status() {
        let remedy = |status| ABOUT.classify_status(status, "why").remedy();
        assert!(matches!(remedy(401), Remedy::HoldForOperator(_)));
        assert!(matches!(remedy(404), Remedy::HoldForOperator(_)));
        assert_eq!(remedy(429), Remedy::RetryAfter(BUSY_WAIT));
        assert_eq!(remedy(503), Remedy::RetryAfter(BUSY_WAIT));
        assert_eq!(remedy(500), Remedy::Reconnect);
        assert_eq!(remedy(400), Remedy::Reconnect);
    }

    #[test]
    fn a_signature_that_comes_back_in_a_text_is_not_repeated() {
        let text = presentable("bad token SharedAccessSignature sr=x&sig=hunter2%3D&se=1 and sig=hunter2\nnext");
        assert_eq!(text, "bad token SharedAccessSignature sr=x&sig=***&se=1 and sig=*** next");
        assert_eq!(presentable(&"ü".repeat(1000)).len(), TEXT_BYTES_MAX);
    }
}
