//! Real processes of the real binary, each in a network namespace of its own: what they must keep to when they are
//! killed, frozen, cut off, or out of room. Every scenario ends in the checker of histories.
//!
//! It takes root, iproute2 and iptables. `SIEMGATE_SEED`, `SIEMGATE_LOAD` and `SIEMGATE_KILLS` make the long form.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on says where")]
#![allow(clippy::print_stdout, reason = "a failure is read beside what was printed before it")]

mod comings;
mod cuts;
mod disks;
#[path = "../history/ending.rs"]
mod ending;
#[path = "../history/mod.rs"]
#[expect(dead_code, reason = "the checker's own tests need more of it")]
mod history;
mod judge;
mod memory;
mod one_node;
mod owners;
#[path = "../history/reader.rs"]
#[expect(dead_code, reason = "here a connection to a node that dies ends by itself")]
mod reader;
mod sinks;
mod world;
mod world_itself;
