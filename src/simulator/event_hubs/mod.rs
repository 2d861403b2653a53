//! Event Hubs: hubs with partitions, consumer groups, owner levels and retention, served over AMQP 1.0 to any client
//! that can talk to the real service, Microsoft's own among them.
//!
//! The protocol is our own small server on AMQP's types rather than a client library's listener, for three reasons: it
//! shares no mistake with the client library the data path uses, it can refuse a link in the service's exact shape, and
//! it hands event bodies to the socket without copying them.

mod access;
mod address;
mod attach;
mod attached;
mod certificate;
mod connection;
mod driver;
mod faults;
mod hub;
mod link;
mod log;
mod message;
mod namespace;
mod orders;
mod output;
mod readers;
mod refusal;
mod requests;
mod sas;
mod sasl;
mod selector;
mod serve;
mod session;
mod traffic;
mod wire;

pub use certificate::{CertificateError, SelfSigned, self_signed};
pub use hub::{DEFAULT_GROUP, PARTITION_BYTES_MAX, RETENTION_DEFAULT};
pub use log::{LastEnqueued, PartitionState};
pub use message::MESSAGE_BYTES_MAX;
pub use namespace::{Appended, JwtCheck, Namespace, NamespaceError, Observer, Options, Patience};
pub use sas::{Audience, Rights, Rule};
pub use serve::serve;

#[cfg(test)]
mod tests;
