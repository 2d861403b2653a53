//! What every source and sink owes the pipeline, shown against a peer that behaves like the real one.

mod event_hubs;
