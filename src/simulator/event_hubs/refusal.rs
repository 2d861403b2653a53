//! The answers no: every reason for which the service refuses or ends something, with the error condition clients match
//! on and the text people read.

use super::log::BadPosition;
use super::readers::AttachRefusal;
use super::sas::BadToken;
use super::selector::BadSelector;
use crate::clock::Timestamp;

/// Why a link, a delivery, a request or a whole connection is refused or ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("Unauthorized access. '{claim}' claim(s) are required to perform this operation. Resource: '{resource}'.")]
    MissingClaim { claim: &'static str, resource: String },
    #[error("The token of this link has expired. Resource: '{resource}'.")]
    TokenExpired { resource: String },
    #[error("The token was refused: {0}.")]
    BadToken(#[from] BadToken),
    #[error("The messaging entity '{resource}' could not be found.")]
    NotFound { resource: String },
    #[error("The messaging entity '{resource}' was deleted.")]
    Deleted { resource: String },
    #[error(
        "New receiver '{by}' with higher epoch of '{level}' is created hence current receiver '{whom}' with epoch \
         '{old}' is getting disconnected. If you are recreating the receiver, make sure a higher epoch is used."
    )]
    Displaced { by: String, level: i64, whom: String, old: String },
    #[error("Receiver '{name}' is refused: {cause}.")]
    Attach { name: String, cause: AttachRefusal },
    #[error("{0}.")]
    Position(#[from] BadPosition),
    #[error("{0}.")]
    Selector(#[from] BadSelector),
    #[error(
        "The request was terminated because the namespace is being throttled. Error code : 50002. Please wait 4 seconds and try again."
    )]
    ServerBusy,
    #[error("The link could not be created because of an internal error. Please retry the operation.")]
    AttachesRefused,
    #[error("{0}")]
    NotAllowed(String),
    #[error("The link is detached by the service. Please re-attach.")]
    LinkForced,
    #[error("The connection is closed by the service: {0}.")]
    ConnectionForced(String),
    #[error("The received message of {size} bytes exceeds the limit of {limit} bytes.")]
    MessageTooLarge { size: u64, limit: u64 },
    #[error("The message could not be decoded: {0}.")]
    Undecodable(String),
    #[error("The peer broke the protocol: {0}.")]
    Framing(String),
}

impl Refusal {
    /// The symbol a client matches on.
    pub fn condition(&self) -> &'static str {
        match self {
            Self::MissingClaim { .. } | Self::TokenExpired { .. } | Self::BadToken(_) => "amqp:unauthorized-access",
            Self::NotFound { .. } => "amqp:not-found",
            Self::Deleted { .. } => "amqp:resource-deleted",
            Self::Displaced { .. } => "amqp:link:stolen",
            Self::Attach { cause, .. } => match cause {
                AttachRefusal::LowerLevel { .. } | AttachRefusal::Owned { .. } => "amqp:link:stolen",
                AttachRefusal::TooMany => "amqp:resource-limit-exceeded",
            },
            Self::Position(cause) => match cause {
                BadPosition::OffsetUnreadable { .. } => "com.microsoft:argument-error",
                BadPosition::OffsetBeyondEnd { .. } | BadPosition::SequenceBeyondEnd { .. } => {
                    "com.microsoft:argument-out-of-range"
                }
            },
            Self::Selector(_) => "com.microsoft:argument-error",
            Self::ServerBusy => "com.microsoft:server-busy",
            Self::AttachesRefused => "amqp:internal-error",
            Self::NotAllowed(_) => "amqp:not-allowed",
            Self::LinkForced => "amqp:link:detach-forced",
            Self::ConnectionForced(_) => "amqp:connection:forced",
            Self::MessageTooLarge { .. } => "amqp:link:message-size-exceeded",
            Self::Undecodable(_) => "amqp:decode-error",
            Self::Framing(_) => "amqp:connection:framing-error",
        }
    }

    /// The status a request over a link, as opposed to the link itself, is answered with.
    pub fn status(&self) -> i32 {
        match self {
            Self::MissingClaim { .. } | Self::TokenExpired { .. } | Self::BadToken(_) => 401,
            Self::NotFound { .. } | Self::Deleted { .. } => 404,
            Self::ServerBusy => 503,
            Self::AttachesRefused | Self::LinkForced | Self::ConnectionForced(_) => 500,
            Self::Displaced { .. }
            | Self::Attach { .. }
            | Self::Position(_)
            | Self::Selector(_)
            | Self::NotAllowed(_)
            | Self::MessageTooLarge { .. }
            | Self::Undecodable(_)
            | Self::Framing(_) => 400,
        }
    }
}

/// What the service puts at the end of every error text, so that its operators can find the case again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracking {
    pub id: uuid::Uuid,
    pub system: String,
    pub at: Timestamp,
}

impl Tracking {
    /// The refusal's text with this tracking behind it.
    pub fn describe(&self, refusal: &Refusal) -> String {
        let (id, system, at) = (self.id.as_simple(), &self.system, self.at);
        format!("{refusal} TrackingId:{id}_G0, SystemTracker:{system}, Timestamp:{at}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_ends_with_its_tracking() {
        let tracking = Tracking { id: uuid::Uuid::nil(), system: "ns:eventhub:hub~0".into(), at: Timestamp::ZERO };
        assert_eq!(
            tracking.describe(&Refusal::LinkForced),
            "The link is detached by the service. Please re-attach. TrackingId:00000000000000000000000000000000_G0, \
             SystemTracker:ns:eventhub:hub~0, Timestamp:1970-01-01T00:00:00.0000000Z"
        );
    }

    #[test]
    fn losing_to_another_owner_is_told_apart_from_too_many_readers() {
        let refused = |cause| Refusal::Attach { name: "r".into(), cause }.condition();
        assert_eq!(refused(AttachRefusal::LowerLevel { asked: 1, current: 2 }), "amqp:link:stolen");
        assert_eq!(refused(AttachRefusal::TooMany), "amqp:resource-limit-exceeded");
    }
}
