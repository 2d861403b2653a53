//! Event Hubs: hubs with partitions, consumer groups, owner levels and retention, served over AMQP 1.0 to any client
//! that can talk to the real service, Microsoft's own among them.
//!
//! The protocol is our own small server on AMQP's types rather than a client library's listener, for three reasons: it
//! shares no mistake with the client library the data path uses, it can refuse a link in the service's exact shape, and
//! it hands event bodies to the socket without copying them.

#![allow(dead_code, reason = "the protocol that uses the rest follows in the next change")]

mod attached;
mod certificate;
mod faults;
mod hub;
mod namespace;
mod orders;
mod readers;
mod refusal;
mod sas;
mod selector;
mod serve;

pub use certificate::{CertificateError, SelfSigned, self_signed};
pub use hub::{DEFAULT_GROUP, LastEnqueued, PARTITION_BYTES_MAX, PartitionState, RETENTION_DEFAULT};
pub use namespace::{Appended, JwtCheck, Namespace, NamespaceError, Observer, Options, Patience};
pub use sas::{Rights, Rule};
pub use serve::serve;
