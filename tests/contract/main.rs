//! What every source and sink owes the pipeline, shown against a peer that behaves like the real one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on says where")]

mod event_hubs;
mod graph;
mod hec;
mod syslog;
mod syslog_health;
mod syslog_transports;
mod syslog_window;
