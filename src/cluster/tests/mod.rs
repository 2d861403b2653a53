//! Tests of the control plane as a whole, beside those of its parts.

mod plane;
mod suite;
