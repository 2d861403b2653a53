//! Protobuf types and gRPC stubs, generated from `proto/`. Only the edges may name them: `admin`, `cli`, the peer
//! transport and codec of `cluster`, the words of `sinks::subscription`, and the envelope of `vault`.
//!
//! A package is a module path: `siemgate.v1` is [`v1`], `siemgate.cluster.v1` is `cluster::v1`.

use bytes::{Buf, BufMut, Bytes};
use prost::encoding::{self, DecodeContext, WireType};
use prost::{DecodeError, Message};

pub use generated::siemgate::*;

/// The public API as encoded descriptors, for gRPC reflection.
pub const PUBLIC_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/public.bin"));

impl std::fmt::Debug for cluster::v1::JoinRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JoinRequest({:?})", self.name)
    }
}
impl std::fmt::Debug for cluster::v1::JoinAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JoinAnswer({})", self.node)
    }
}
impl std::fmt::Debug for v1::InviteResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "InviteResponse({:?})", self.address)
    }
}
impl std::fmt::Debug for v1::RedeemRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedeemRequest")
    }
}
impl std::fmt::Debug for v1::RedeemResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedeemResponse")
    }
}
impl std::fmt::Debug for v1::SecretValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretValue({:?}, {})", self.key, self.field)
    }
}

/// `siemgate.v1.EventBatch`, of which a node sends what it was given framed, and a client reads the events.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventBatch {
    framed: Bytes,
    pub events: Vec<v1::Event>,
}

impl EventBatch {
    /// A batch that is encoded already.
    pub fn framed(framed: Bytes) -> Self {
        Self { framed, events: Vec::new() }
    }
}

const EVENTS: u32 = 1;

impl Message for EventBatch {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.framed);
        encoding::message::encode_repeated(EVENTS, &self.events, buf);
    }
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            EVENTS => encoding::message::merge_repeated(wire_type, &mut self.events, buf, context),
            _ => encoding::skip_field(wire_type, tag, buf, context),
        }
    }
    fn encoded_len(&self) -> usize {
        self.framed.len() + encoding::message::encoded_len_repeated(EVENTS, &self.events)
    }
    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[allow(
    clippy::all,
    clippy::too_many_lines,
    unused_qualifications,
    missing_docs,
    reason = "generated code keeps its own style"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/wire.rs"));
}
