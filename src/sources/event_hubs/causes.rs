//! Finds, in the AMQP library's many error types, the condition the service stated; what it means is for `faults`.

use fe2o3_amqp::connection::{ConnectionStopReason, OpenError};
use fe2o3_amqp::link::{
    DetachError, IllegalLinkStateError, LinkStateError, ReceiverAttachError, RecvError, SendError, SenderAttachError,
    SessionStopReason,
};
use fe2o3_amqp::session::BeginError;
use fe2o3_amqp::types::definitions::{Error, ErrorCondition};
use fe2o3_amqp::types::primitives::Symbol;
use fe2o3_amqp::types::sasl::SaslCode;

use super::faults::{About, Fault, Stage};
use crate::sources::SourceError;

/// An error of the library: the service's own words, or something that happened on the way.
#[derive(Debug)]
pub(super) enum Cause {
    Stated(Fault),
    /// The service refused who we say we are.
    Refused(String),
    /// What came isn't AMQP as we know it.
    Malformed(String),
    Lost(String),
}

impl Cause {
    pub(super) fn into_error(self, about: &About<'_>, stage: Stage) -> SourceError {
        match self {
            Self::Stated(fault) => about.classify(&fault, stage),
            Self::Refused(text) => about.rejected(text),
            Self::Malformed(text) => about.protocol(text),
            Self::Lost(text) => about.disconnected(text),
        }
    }
}

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        let condition = match &error.condition {
            ErrorCondition::AmqpError(condition) => Symbol::from(condition),
            ErrorCondition::ConnectionError(condition) => Symbol::from(condition),
            ErrorCondition::SessionError(condition) => Symbol::from(condition),
            ErrorCondition::LinkError(condition) => Symbol::from(condition),
            ErrorCondition::Custom(condition) => condition.clone(),
        };
        Self::Stated(Fault { condition: condition.0, text: error.description.unwrap_or_default() })
    }
}

impl From<OpenError> for Cause {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::RemoteClosedWithError(error) => error.into(),
            OpenError::SaslError { code: SaslCode::Auth | SaslCode::SysPerm, .. } => {
                Self::Refused("SASL authentication failed".to_owned())
            }
            OpenError::ProtocolHeaderMismatch(_) | OpenError::DecodeError(_) | OpenError::NotImplemented(_) => {
                Self::Malformed(error.to_string())
            }
            other => Self::Lost(other.to_string()),
        }
    }
}

impl From<BeginError> for Cause {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::RemoteEndedWithError(error) => error.into(),
            BeginError::ConnectionStopped(reason) => reason.into(),
            other => Self::Lost(other.to_string()),
        }
    }
}

impl From<ConnectionStopReason> for Cause {
    fn from(reason: ConnectionStopReason) -> Self {
        match reason {
            ConnectionStopReason::RemoteClosedWithError(error) => error.into(),
            ConnectionStopReason::ClosedWithError(error) => Self::Lost(format!("the connection failed: {error:?}")),
            ConnectionStopReason::Closed | ConnectionStopReason::RemoteClosed => {
                Self::Lost("the connection ended".to_owned())
            }
        }
    }
}

impl From<SessionStopReason> for Cause {
    fn from(reason: SessionStopReason) -> Self {
        match reason {
            SessionStopReason::RemoteEndedWithError(error) => error.into(),
            SessionStopReason::ConnectionStopped(reason) => reason.into(),
            SessionStopReason::EndedWithError(error) => Self::Lost(format!("the session failed: {error:?}")),
            SessionStopReason::Ended | SessionStopReason::RemoteEnded => Self::Lost("the session ended".to_owned()),
        }
    }
}

impl From<LinkStateError> for Cause {
    fn from(error: LinkStateError) -> Self {
        match error {
            LinkStateError::RemoteDetachedWithError(error) | LinkStateError::RemoteClosedWithError(error) => {
                error.into()
            }
            LinkStateError::SessionStopped(reason) => reason.into(),
            other => Self::Lost(other.to_string()),
        }
    }
}

impl From<IllegalLinkStateError> for Cause {
    fn from(error: IllegalLinkStateError) -> Self {
        LinkStateError::from(error).into()
    }
}

impl From<RecvError> for Cause {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::LinkStateError(error) => error.into(),
            RecvError::MessageDecode(error) => Self::Malformed(format!("a message can't be decoded: {}", error.source)),
            other => Self::Malformed(other.to_string()),
        }
    }
}

impl From<SendError> for Cause {
    fn from(error: SendError) -> Self {
        match error {
            SendError::LinkStateError(error) => error.into(),
            SendError::Detached(
                DetachError::RemoteDetachedWithError(error) | DetachError::RemoteClosedWithError(error),
            ) => error.into(),
            SendError::Detached(DetachError::SessionStopped(reason)) => reason.into(),
            other => Self::Lost(other.to_string()),
        }
    }
}

impl From<SenderAttachError> for Cause {
    fn from(error: SenderAttachError) -> Self {
        match error {
            SenderAttachError::RemoteClosedWithError(error) => error.into(),
            SenderAttachError::SessionStopped(reason) => reason.into(),
            other => Self::Malformed(other.to_string()),
        }
    }
}

impl From<ReceiverAttachError> for Cause {
    fn from(error: ReceiverAttachError) -> Self {
        match error {
            ReceiverAttachError::RemoteClosedWithError(error) => error.into(),
            ReceiverAttachError::SessionStopped(reason) => reason.into(),
            other => Self::Malformed(other.to_string()),
        }
    }
}
