//! See the architecture chapter of the manual.

pub mod event_hubs;
pub mod receiver;
pub mod workload;
