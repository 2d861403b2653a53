#![doc = include_str!("manual/architecture.md")]

// The words everything else is written in.
pub mod clock;
pub mod event;
pub mod ids;
pub mod lease;
pub mod secret;
pub mod units;

// 1. Records come in.
pub mod identity;
pub mod sources;

// 2. Records become events.
pub mod normalize;

// 3. Events take the shape a SIEM wants.
pub mod encode;

// 4. Events go out.
pub mod sinks;

// The path that joins 1 to 4.
pub mod pipeline;

// Who does what.
pub mod cluster;
pub mod vault;

// One process.
pub mod config;
pub mod metrics;
pub mod node;
pub mod tls;
pub mod wire;

// For people.
pub mod admin;
pub mod cli;
pub mod web;

// A Microsoft cloud in a box; it shares nothing with the data path but the words.
pub mod simulator;

pub mod manual;
