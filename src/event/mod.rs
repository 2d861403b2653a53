//! The one shape a record takes inside the gateway.

pub mod batch;
