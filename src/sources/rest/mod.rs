//! Graph's security collections, polled: convergent objects rather than a log.
//!
//! `Graph` is made once for a node and makes a `GraphSource` for each feed. The rules live in pure files: `poll` with
//! `window`, `work`, `delivery`, `trouble`, `memory` and `outbox`; `object`, and `budget`. `api` and `graph` touch the network and
//! the clock.

mod api;
mod budget;
mod config;
mod delivery;
mod graph;
mod memory;
#[cfg(test)]
mod model;
mod object;
mod outbox;
mod poll;
#[cfg(test)]
mod tests;
mod trouble;
mod window;
mod work;

pub use config::{BadConfig, BadStart, Config, Kind, Start};
pub use graph::{Graph, GraphSource};
