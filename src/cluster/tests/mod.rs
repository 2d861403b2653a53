//! Tests of the control plane as a whole, beside those of its parts.

mod codec;
mod commands;
mod crash;
mod durability;
mod invariants;
mod plane;
mod rules;
mod sim_disk;
mod suite;
