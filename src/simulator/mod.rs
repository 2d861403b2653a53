//! See the architecture chapter of the manual.

pub mod event_hubs;
