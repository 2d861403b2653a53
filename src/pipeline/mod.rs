//! See the architecture chapter of the manual.
