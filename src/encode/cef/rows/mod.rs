//! Which field goes under which CEF key, class by class, in the order we write them. Where two rows name one key the
//! first that has a value wins. Slots follow the old ArcSight connector: content written for it goes on working.

mod endpoint;
mod findings;
mod people;

use super::keys::Key;
use crate::encode::flat::Take;
use crate::event::{Class, Field};

/// One key and what it takes its value from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) key: Key,
    pub(super) label: Option<&'static str>,
    pub(super) take: Take,
    /// Leave the key out rather than cut the value.
    pub(super) whole: bool,
    /// Leave the key out if that one is there.
    pub(super) unless: Option<Key>,
}

const fn field(key: Key, field: Field) -> Row {
    taken(key, Take::Field(field))
}
const fn labelled(key: Key, label: &'static str, field: Field) -> Row {
    made(key, label, Take::Field(field))
}
const fn taken(key: Key, take: Take) -> Row {
    Row { key, label: None, take, whole: false, unless: None }
}
const fn made(key: Key, label: &'static str, take: Take) -> Row {
    Row { key, label: Some(label), take, whole: false, unless: None }
}

/// The rows of a class. Inbound traffic swaps the ends: the reporting device is then the destination.
pub(super) const fn rows_of(class: Class, is_inbound: bool) -> &'static [&'static [Row]] {
    use endpoint as e;
    use people as p;
    match class {
        Class::Incident => &[findings::INCIDENT],
        Class::Alert => &[findings::ALERT, findings::PRIMARY, findings::STREAMED, findings::ACTOR],
        Class::Behavior => &[findings::BEHAVIOR, findings::ALERT, findings::PRIMARY, findings::STREAMED],
        Class::Process => &[RECORD, e::PROCESS, e::CONTAINER, e::FAR_END, e::THING, e::KEY_AND_VALUE, ACTOR],
        Class::Memory => &[RECORD, e::PROCESS, e::FAR_END, e::THING, e::KEY_AND_VALUE, ACTOR],
        Class::Module | Class::Driver => &[RECORD, e::FILE, e::FAR_END, e::THING, e::COMMAND, e::KEY_AND_VALUE, ACTOR],
        Class::File => &[RECORD, e::FILE_REQUEST, e::FILE, e::FAR_END, e::THING, e::COMMAND, e::KEY_AND_VALUE, ACTOR],
        Class::Script => &[RECORD, e::SCRIPT, e::FAR_END, e::THING, e::COMMAND, e::KEY_AND_VALUE, ACTOR],
        Class::Certificate => &[RECORD, e::CERTIFICATE, e::THING, e::COMMAND, e::KEY_AND_VALUE, ACTOR],
        Class::Registry => &[RECORD, e::REGISTRY, e::FAR_END, e::THING, e::COMMAND, ACTOR],
        Class::Job | Class::Service => &[RECORD, e::SERVICE, e::FAR_END, e::THING, e::COMMAND, e::KEY_AND_VALUE, ACTOR],
        Class::Peripheral => &[RECORD, e::PERIPHERAL, e::FAR_END, e::THING, e::COMMAND, e::KEY_AND_VALUE, ACTOR],
        Class::Scan => &[RECORD, e::SCAN, e::FAR_END, e::THING, e::COMMAND, e::KEY_AND_VALUE, ACTOR],
        Class::Network | Class::Dns | Class::Http | Class::Ssh | Class::Ftp if is_inbound => {
            &[RECORD, e::INBOUND, e::NETWORK, p::QUERY, e::THING, e::COMMAND, e::KEY_AND_VALUE, ACTOR]
        }
        Class::Network | Class::Dns | Class::Http | Class::Ssh | Class::Ftp => {
            &[RECORD, e::OUTBOUND, e::NETWORK, p::QUERY, e::THING, e::COMMAND, e::KEY_AND_VALUE, ACTOR]
        }
        Class::Logon => &[RECORD, p::LOGON, e::THING, e::COMMAND, e::KEY_AND_VALUE, ACTOR],
        Class::Account | Class::Group | Class::Privilege => {
            &[RECORD, p::ENDS, p::ACCOUNT, e::THING, e::COMMAND, e::KEY_AND_VALUE, ACTOR]
        }
        Class::Directory => &[RECORD, p::ENDS, p::QUERY, p::DIRECTORY, e::THING, e::COMMAND, e::KEY_AND_VALUE, ACTOR],
        Class::Email | Class::Message => &[p::DELIVERED, RECORD, p::EMAIL],
        Class::Click => &[RECORD, p::CLICK, ACTOR],
        Class::Cloud => &[RECORD, p::CLOUD, p::CLOUD_OBJECT, ACTOR],
        Class::CloudFile => &[RECORD, p::CLOUD, p::CLOUD_FILE, ACTOR],
        Class::Device => &[RECORD, e::DEVICE],
        Class::Identity => &[RECORD, p::IDENTITY],
        Class::Generic => &[RECORD, e::GENERIC, e::FAR_END, e::THING, e::COMMAND, e::KEY_AND_VALUE, ACTOR],
        Class::Gap => &[findings::GAP],
    }
}

/// What only CEF:1 can say.
pub(super) const ONE_ONLY: &[Row] = &[
    taken(Key::ThreatAttackId, Take::FirstTechnique),
    taken(Key::FrameworkName, Take::IfPresent(Field::Techniques, "MITRE ATT&CK")),
    field(Key::ThreatActor, Field::AlertActor),
    field(Key::ReportedResourceName, Field::ResourceName),
    field(Key::ReportedResourceId, Field::ResourceId),
    field(Key::ReportedResourceType, Field::ResourceType),
];

const RECORD: &[Row] = &[
    taken(Key::Rt, Take::Time),
    Row { whole: true, ..field(Key::ExternalId, Field::RecordSequence) },
    Row { unless: Some(Key::ExternalId), ..labelled(Key::FlexString1, "ReportId", Field::RecordSequence) },
    field(Key::DeviceExternalId, Field::DeviceId),
    field(Key::Dvchost, Field::DeviceName),
    field(Key::Directory, Field::TenantDirectory),
    field(Key::Outcome, Field::Outcome),
];

/// Who did it, and by which process.
const ACTOR: &[Row] = &[
    field(Key::Act, Field::Disposition),
    field(Key::Sproc, Field::ActorProcessName),
    field(Key::Spid, Field::ActorProcessPid),
    field(Key::Spriv, Field::ActorProcessToken),
    field(Key::Suser, Field::ActorUserName),
    field(Key::Suser, Field::ActorUserUpn),
    field(Key::Suser, Field::ActorUserDisplayName),
    field(Key::Sntdom, Field::ActorUserDomain),
    field(Key::Suid, Field::ActorUserSid),
    field(Key::Suid, Field::ActorUserObjectId),
    field(Key::Suid, Field::ActorUserAccountId),
];
