//! Several nodes as one cluster: they elect, hand on, fall behind and catch up, over a network that fails on command
//! and over real sockets.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails says where")]

mod agreement;
mod catching_up;
mod enrolment;
mod forgetting;
mod gateway;
mod handover;
mod harness;
mod joining;
mod members;
mod own_certificates;
mod recovery;
mod renewal;
mod tls;
