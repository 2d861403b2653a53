//! Several nodes as one cluster: they elect, hand on, fall behind and catch up, over a network that fails on command
//! and over real sockets.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails says where")]

mod agreement;
mod catching_up;
mod clocks;
mod conversations;
#[path = "../history/ending.rs"]
mod ending;
mod enrolment;
mod falling_behind;
mod forgetting;
mod fronts;
mod gateway;
mod handover;
mod harness;
#[path = "../history/mod.rs"]
#[expect(dead_code, reason = "the checker's own tests need more of it")]
mod history;
mod joining;
mod judge;
mod members;
mod moved;
mod own_certificates;
mod passing_over;
mod quarantine;
#[path = "../history/reader.rs"]
mod reader;
mod recovery;
mod renewal;
mod sink_secrets;
mod sinks;
mod subscriber;
mod subscribers;
mod tls;
