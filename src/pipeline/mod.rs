//! The path that joins sources to sinks: one task for each feed reads batches, turns them into framed events for every
//! sink, and tells the ledger which cursors are safe once sinks have acknowledged.

pub mod aside;
pub mod backlog;
pub mod backoff;
mod bad_batches;
pub mod bucket;
pub mod catch_up;
pub mod completeness;
pub mod deadline;
pub mod expiry;
pub mod feed;
pub mod fit;
pub mod gate;
pub mod joining;
pub mod lag;
pub mod ledger;
pub mod limits;
pub mod paced;
pub mod patience;
pub mod prepare;
pub mod progress;
pub mod quarantine;
pub mod quarantine_files;
pub mod quarantine_keys;
mod quarantine_seal;
pub mod relief;
pub mod room;
pub mod route;
pub mod spans;
pub mod spec;
pub mod spool;
pub mod status;
pub mod tap;
pub mod turns;
