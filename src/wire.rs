//! Protobuf types and gRPC stubs, generated from `proto/`. Only the edges may name them: `admin`, `cli`, the peer
//! transport and codec of `cluster`, and the envelope of `vault`.
//!
//! A package is a module path: `siemgate.v1` is [`v1`], `siemgate.cluster.v1` is `cluster::v1`.

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
