//! Everything the control plane keeps or sends, as versioned protobuf bytes. Pure.
//!
//! Reading is strict: an unknown kind or a higher version is [`CodecError::Newer`], at which the node stops, because
//! leaving something out would make its state differ from the others'. Old bytes stay readable for ever; the files in
//! `fixtures/` are there to prove it. The version of an entry is the highest [`Level`] among its commands, that of a
//! state the level its cluster has committed: an older version reads both for as long as it may be among the members.

mod audit;
mod command;
mod node;
mod outcome;
mod peers;
mod raft;
mod replay_job;
mod state;
mod subscription;
mod trust;

pub(super) use audit::audit_digest;
pub(super) use command::command_bytes;
pub(super) use peers::{
    AskWire, ReplyWire, accusation_to_wire, append_to_wire, beat_to_wire, change_to_wire, chunk_to_wire,
};
pub(super) use peers::{propose_to_wire, vote_request_to_wire};
pub(super) use raft::{FrameBody, Identity, Opening, decode_frame, decode_identity};
pub(super) use raft::{encode_entry, encode_frame, encode_frame_of, encode_identity};
pub(super) use state::{AppliedTo, SnapshotHead, decode_applied, decode_part, decode_snapshot, encode_applied};
pub(super) use state::{EncodedPart, encode_key, encode_part, encode_snapshot, parts_of};

/// The version of the identity file. A directory that waits to be joined says so only since the second.
pub(super) const IDENTITY_VERSION: u32 = 2;

use super::level::Level;

/// Why bytes could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("{what} is unknown here")]
    Newer { what: String },
    #[error("{what} cannot be read: {cause}")]
    Malformed { what: &'static str, cause: String },
}

impl CodecError {
    fn newer(what: impl Into<String>) -> Self {
        Self::Newer { what: what.into() }
    }
    fn malformed(what: &'static str, cause: impl ToString) -> Self {
        Self::Malformed { what, cause: cause.to_string() }
    }
    fn absent(what: &'static str) -> Self {
        Self::Malformed { what, cause: "it is missing".into() }
    }
}

fn check_version(what: &str, found: u32, known: u32) -> Result<(), CodecError> {
    if found > known { Err(CodecError::newer(format!("{what} of version {found}"))) } else { Ok(()) }
}

/// A level as it is written. Zero is the first, which was written before there was a number.
fn level(number: u32) -> Result<Level, CodecError> {
    Level::try_from(number.max(Level::FIRST.number()))
        .map_err(|unknown| CodecError::newer(format!("level {}", unknown.0)))
}

/// Bytes of a fixed length, such as a digest.
fn array<const N: usize>(what: &'static str, bytes: &[u8]) -> Result<[u8; N], CodecError> {
    bytes.try_into().map_err(|_| CodecError::malformed(what, format!("it has {} bytes, not {N}", bytes.len())))
}

fn parse<T: std::str::FromStr<Err: ToString>>(what: &'static str, text: &str) -> Result<T, CodecError> {
    text.parse().map_err(|bad: T::Err| CodecError::malformed(what, bad))
}
