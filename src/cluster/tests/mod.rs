//! Tests of the control plane as a whole, beside those of its parts.

mod codec;
mod commands;
mod contact;
mod crash;
mod cursors;
mod durability;
mod explorer;
mod faults;
mod invariants;
mod leasing;
mod members;
mod passing;
mod peers;
mod placement;
mod plane;
pub(super) mod planning;
mod recovery;
mod replays;
mod rules;
mod samples;
pub(super) mod sim_disk;
mod subscriptions;
mod suite;
mod takeover;
mod takeovers;
mod trust;
mod writer;
