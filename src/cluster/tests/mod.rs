//! Tests of the control plane as a whole, beside those of its parts.

mod codec;
mod commands;
mod crash;
mod durability;
mod invariants;
mod members;
mod peers;
mod plane;
mod rules;
pub(super) mod sim_disk;
mod suite;
mod writer;
