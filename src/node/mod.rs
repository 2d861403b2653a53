//! One process: build, run, drain. The only place that names concrete kinds of sources and sinks.

pub mod ledger;
pub mod reconcile;
