//! Which field goes under which LEEF key, class by class, in the order we write them. Where two rows name one key the
//! first that has a value wins.

mod endpoint;
mod findings;
mod people;

use super::keys::Key;
use crate::encode::flat::Take;
use crate::event::{Activity, Class, Field};

/// One key and what it takes its value from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) key: Key,
    pub(super) take: Take,
    /// Leave the key out if that one isn't there: QRadar reads a host name only beside its address.
    pub(super) needs: Option<Key>,
    /// Leave the key out if that one is there.
    pub(super) unless: Option<Key>,
}

const fn field(key: Key, field: Field) -> Row {
    taken(key, Take::Field(field))
}
const fn taken(key: Key, take: Take) -> Row {
    Row { key, take, needs: None, unless: None }
}

/// The rows of a class. Inbound traffic swaps the ends. A process that starts another one is its parent; one that does
/// anything else to another one isn't.
pub(super) const fn rows_of(class: Class, activity: Activity, is_inbound: bool) -> &'static [&'static [Row]] {
    use endpoint as e;
    use people as p;
    match class {
        Class::Incident => &[findings::INCIDENT],
        Class::Alert | Class::Behavior => &[findings::ALERT, findings::PRIMARY, findings::ACTOR],
        Class::Process if matches!(activity, Activity::Start) => e::STARTED,
        Class::Process | Class::Memory => e::DONE_TO_PROCESS,
        Class::Certificate => &[e::RECORD, e::CERTIFICATE, e::FILE],
        Class::Registry => &[e::RECORD, e::REGISTRY, e::ACTOR_PROCESS, e::ACTOR, e::OUTBOUND],
        Class::Network | Class::Dns | Class::Http | Class::Ssh | Class::Ftp if is_inbound => TRAFFIC_IN,
        Class::Network | Class::Dns | Class::Http | Class::Ssh | Class::Ftp => TRAFFIC_OUT,
        Class::Logon => &[e::RECORD, p::LOGON, e::USER, e::ACTOR_PROCESS, e::INITIATOR],
        Class::Account | Class::Group | Class::Privilege | Class::Directory => {
            &[e::RECORD, p::DIRECTORY, p::QUERY, e::ACTOR_PROCESS, e::ACTOR, e::SECOND_USER]
        }
        Class::Email | Class::Message => &[e::RECORD, p::EMAIL],
        Class::Click => &[e::RECORD, p::CLICK],
        Class::Cloud | Class::CloudFile => &[e::RECORD, p::CLOUD],
        Class::Device => &[e::RECORD, e::DEVICE],
        Class::Identity => &[e::RECORD, e::USER, p::IDENTITY],
        Class::Generic => &[e::RECORD, e::GENERIC, e::ACTOR_PROCESS, e::ACTOR],
        Class::File => e::DONE_TO_FILE,
        Class::Module
        | Class::Driver
        | Class::Script
        | Class::Job
        | Class::Service
        | Class::Peripheral
        | Class::Scan => e::DONE_TO_DEVICE,
        Class::Gap => &[findings::GAP],
    }
}

const TRAFFIC_IN: &[&[Row]] = &[
    endpoint::RECORD,
    endpoint::INBOUND,
    endpoint::NETWORK,
    people::QUERY,
    endpoint::ACTOR_PROCESS,
    endpoint::ACTOR,
    endpoint::SECOND_USER,
    endpoint::PROCESS,
    endpoint::FILE,
];
const TRAFFIC_OUT: &[&[Row]] = &[
    endpoint::RECORD,
    endpoint::OUTBOUND,
    endpoint::NETWORK,
    people::QUERY,
    endpoint::ACTOR_PROCESS,
    endpoint::ACTOR,
    endpoint::SECOND_USER,
    endpoint::PROCESS,
    endpoint::FILE,
];
