//! The whole node, judged from outside: by the histories that simulator, receivers and nodes write.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on says where")]

mod canary;
mod checker;
mod crash;
mod far_behind;
mod fetched;
mod flow;
#[path = "../history/mod.rs"]
mod history;
mod isolation;
mod locked;
mod poison;
mod replay;
mod returning;
mod seen;
mod spans;
mod stage;
