//! The checker of histories is itself checked: against a model that keeps every promise, against every kind of damage,
//! and against the lines that real processes write.

mod model;
mod mutations;
mod processes;
