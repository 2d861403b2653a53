//! Which class of OCSF an event is of, and what it calls the activity.

use super::access::{
    ACCOUNT, API, DEVICE_INVENTORY, DIRECTORY, ENTITIES, FILE_HOSTING, GROUP, LOGON, PRIVILEGE, USER_INVENTORY,
};
use super::activities::{
    DEVICE_AND_ACTOR, DRIVER_ACTIVITY, FILE_ACTIVITY, JOB_ACTIVITY, KEY_ACTIVITY, MEMORY_ACTIVITY, MODULE_ACTIVITY,
    PERIPHERAL_ACTIVITY, PROCESS_ACTIVITY, SCAN_ACTIVITY, SCRIPT_ACTIVITY, SERVICE_ACTIVITY, VALUE_ACTIVITY,
};
use super::mail::EMAIL_ACTIVITY;
use super::network::{CONNECTION, DNS_ACTIVITY, HOST, HOST_DEVICE, HTTP_ACTIVITY, NETWORK_ACTIVITY};
use super::words::number_of;
use super::writer::Member;
use crate::event::{Activity as A, Class, Event, Field};

/// A class of the schema, and what fills it.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) class: i64,
    pub(super) category: i64,
    pub(super) bodies: &'static [&'static [Member]],
    activities: &'static [(A, i64)],
}

/// What an event is to OCSF.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) shape: Shape,
    pub(super) activity: i64,
}

const fn shape(
    class: i64,
    category: i64,
    bodies: &'static [&'static [Member]],
    activities: &'static [(A, i64)],
) -> Shape {
    Shape { class, category, bodies, activities }
}

const BASE: Shape = shape(0, 0, &[HOST], &[]);
const FILE: Shape = shape(
    1001,
    1,
    &[DEVICE_AND_ACTOR, FILE_ACTIVITY],
    &[
        (A::Create, 1),
        (A::Read, 2),
        (A::Update, 3),
        (A::Write, 3),
        (A::Delete, 4),
        (A::Rename, 5),
        (A::SetAttributes, 6),
        (A::Open, 14),
    ],
);
const CERTIFICATE: Shape = shape(1001, 1, &[DEVICE_AND_ACTOR, FILE_ACTIVITY], &[]);
const DRIVER: Shape = shape(1002, 1, &[DEVICE_AND_ACTOR, DRIVER_ACTIVITY], &[(A::Load, 1)]);
const MEMORY: Shape = shape(
    1004,
    1,
    &[DEVICE_AND_ACTOR, MEMORY_ACTIVITY],
    &[(A::Allocate, 1), (A::Protect, 2), (A::Update, 2), (A::Delete, 3), (A::Read, 7), (A::Write, 8)],
);
const MODULE: Shape = shape(1005, 1, &[DEVICE_AND_ACTOR, MODULE_ACTIVITY], &[(A::Load, 1), (A::Execute, 3)]);
const JOB: Shape = shape(
    1006,
    1,
    &[DEVICE_AND_ACTOR, JOB_ACTIVITY],
    &[(A::Create, 1), (A::Update, 2), (A::Delete, 3), (A::Enable, 4), (A::Disable, 5), (A::Start, 6), (A::Execute, 6)],
);
const PROCESS: Shape = shape(
    1007,
    1,
    &[DEVICE_AND_ACTOR, PROCESS_ACTIVITY],
    &[(A::Start, 1), (A::Create, 1), (A::Stop, 2), (A::Open, 3), (A::Inject, 4), (A::SetUser, 5)],
);
/// Where what a class is about isn't known, what remains is that a process did something.
const SOMETHING: Shape = shape(1007, 1, &[DEVICE_AND_ACTOR, PROCESS_ACTIVITY], &[]);
const SCRIPT: Shape = shape(1009, 1, &[DEVICE_AND_ACTOR, SCRIPT_ACTIVITY], &[(A::Execute, 1), (A::Start, 1)]);
const PERIPHERAL: Shape = shape(
    1010,
    1,
    &[DEVICE_AND_ACTOR, PERIPHERAL_ACTIVITY],
    &[(A::Connect, 1), (A::Disconnect, 2), (A::Enable, 3), (A::Disable, 4)],
);
const KEY: Shape = shape(
    201_001,
    1,
    &[DEVICE_AND_ACTOR, KEY_ACTIVITY],
    &[(A::Create, 1), (A::Read, 2), (A::Update, 3), (A::Write, 3), (A::Delete, 4), (A::Rename, 5)],
);
const VALUE: Shape = shape(
    201_002,
    1,
    &[DEVICE_AND_ACTOR, VALUE_ACTIVITY],
    &[(A::Read, 1), (A::Create, 2), (A::Update, 2), (A::Write, 2), (A::Rename, 3), (A::Delete, 4)],
);
const SERVICE: Shape = shape(
    201_004,
    1,
    &[DEVICE_AND_ACTOR, SERVICE_ACTIVITY],
    &[(A::Create, 1), (A::Update, 2), (A::Start, 3), (A::Stop, 4), (A::Delete, 7)],
);
const ACCOUNT_CHANGE: Shape = shape(
    3001,
    3,
    &[ACCOUNT, HOST_DEVICE],
    &[
        (A::Create, 1),
        (A::Enable, 2),
        (A::ChangePassword, 3),
        (A::Disable, 5),
        (A::Delete, 6),
        (A::Lock, 9),
        (A::Unlock, 12),
    ],
);
const AUTHENTICATION: Shape = shape(3002, 3, &[LOGON, HOST_DEVICE], &[(A::Logon, 1), (A::Fail, 1), (A::Stop, 2)]);
const ENTITY: Shape = shape(
    3004,
    3,
    &[DIRECTORY, HOST_DEVICE],
    &[
        (A::Create, 1),
        (A::Read, 2),
        (A::Query, 2),
        (A::Update, 3),
        (A::Write, 3),
        (A::Delete, 4),
        (A::Enable, 8),
        (A::Disable, 9),
    ],
);
const USER_ACCESS: Shape = shape(3005, 3, &[PRIVILEGE, HOST_DEVICE], &[(A::AssignPrivilege, 1), (A::Enable, 1)]);
const GROUP_CHANGE: Shape = shape(
    3006,
    3,
    &[GROUP, HOST_DEVICE],
    &[(A::AssignPrivilege, 1), (A::AddMember, 3), (A::RemoveMember, 4), (A::Delete, 5), (A::Create, 6)],
);
const CONNECTIONS: &[(A, i64)] = &[
    (A::Open, 1),
    (A::Connect, 1),
    (A::Start, 1),
    (A::Disconnect, 2),
    (A::Stop, 2),
    (A::Fail, 4),
    (A::Refuse, 5),
    (A::Traffic, 6),
    (A::Query, 6),
    (A::Listen, 7),
];
const NETWORK: Shape = shape(4001, 4, &[HOST, CONNECTION, NETWORK_ACTIVITY], CONNECTIONS);
const HTTP: Shape = shape(4002, 4, &[HOST, CONNECTION, HTTP_ACTIVITY], &[]);
const DNS: Shape =
    shape(4003, 4, &[HOST, CONNECTION, DNS_ACTIVITY], &[(A::Query, 1), (A::Response, 2), (A::Traffic, 6)]);
const SSH: Shape = shape(4007, 4, &[HOST, CONNECTION], CONNECTIONS);
const FTP: Shape =
    shape(4008, 4, &[HOST, CONNECTION], &[(A::Upload, 1), (A::Download, 2), (A::Delete, 4), (A::Rename, 5)]);
const EMAIL: Shape = shape(4009, 4, &[EMAIL_ACTIVITY, HOST], &[(A::Send, 1), (A::Receive, 2), (A::Scan, 3)]);
const DEVICE: Shape = shape(5001, 5, &[DEVICE_INVENTORY], &[(A::Create, 1), (A::Collect, 2), (A::Update, 2)]);
const IDENTITY: Shape =
    shape(5003, 5, &[USER_INVENTORY, HOST_DEVICE], &[(A::Create, 1), (A::Collect, 2), (A::Update, 2)]);
const API_ACTIVITY: Shape = shape(
    6003,
    6,
    &[API, HOST_DEVICE],
    &[
        (A::Create, 1),
        (A::Send, 1),
        (A::Upload, 1),
        (A::AddMember, 1),
        (A::Read, 2),
        (A::Query, 2),
        (A::Open, 2),
        (A::Download, 2),
        (A::Collect, 2),
        (A::Update, 3),
        (A::Write, 3),
        (A::Rename, 3),
        (A::SetAttributes, 3),
        (A::Share, 3),
        (A::ChangePassword, 3),
        (A::AssignPrivilege, 3),
        (A::Enable, 3),
        (A::Disable, 3),
        (A::Delete, 4),
        (A::RemoveMember, 4),
    ],
);
const HOSTING: Shape = shape(
    6006,
    6,
    &[FILE_HOSTING, HOST_DEVICE],
    &[
        (A::Upload, 1),
        (A::Create, 1),
        (A::Download, 2),
        (A::Update, 3),
        (A::Write, 3),
        (A::SetAttributes, 3),
        (A::Delete, 4),
        (A::Rename, 5),
        (A::Lock, 10),
        (A::Unlock, 11),
        (A::Share, 12),
        (A::Open, 14),
        (A::Read, 14),
    ],
);
const SCAN: Shape = shape(
    6007,
    6,
    &[SCAN_ACTIVITY, HOST],
    &[(A::Start, 1), (A::Scan, 1), (A::Complete, 2), (A::Cancel, 3), (A::Fail, 6)],
);
/// Findings have a writer of their own.
pub(super) const DETECTION: Shape = shape(2004, 2, &[&[]], FINDINGS);
pub(super) const INCIDENT: Shape = shape(2005, 2, &[&[]], FINDINGS);
const FINDINGS: &[(A, i64)] = &[(A::Create, 1), (A::Update, 2), (A::Complete, 3)];

const OTHER: i64 = 99;

impl Target {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let shape = shape_of(event);
        let listed = shape.activities.iter().find(|(activity, _)| *activity == event.activity);
        let activity = match event.class {
            Class::Http | Class::Click if shape.class == HTTP.class => method(event),
            Class::Email if listed.is_none() => direction(event),
            // A finding that nothing is said of is a new one.
            Class::Alert | Class::Behavior | Class::Incident if listed.is_none() => 1,
            _ => listed.map_or(OTHER, |(_, number)| *number),
        };
        Self { shape, activity }
    }
}

fn shape_of(event: &Event<'_>) -> Shape {
    let is_told = |field: &Field| event.fields.text(*field).is_some_and(|text| !text.is_empty());
    let has = |fields: &[Field]| fields.iter().any(is_told);
    let or_something = |fields: &[Field], shape| if has(fields) { shape } else { SOMETHING };
    match event.class {
        Class::Incident => INCIDENT,
        Class::Alert | Class::Behavior => DETECTION,
        Class::Process => PROCESS,
        Class::Memory => MEMORY,
        Class::Module => or_something(&FILE_NAMES[..2], MODULE),
        Class::Driver => or_something(&FILE_NAMES[..2], DRIVER),
        Class::Script => or_something(&[Field::ScriptContent], SCRIPT),
        Class::File => or_something(FILE_NAMES, FILE),
        Class::Certificate => CERTIFICATE,
        Class::Registry => registry(event),
        Class::Job => or_something(&[Field::JobName], JOB),
        Class::Service => service(event),
        Class::Peripheral => or_something(&[Field::PeripheralName, Field::PeripheralId], PERIPHERAL),
        Class::Scan => SCAN,
        Class::Network => NETWORK,
        Class::Dns => DNS,
        Class::Http | Class::Click => {
            if has(HTTP_FIELDS) {
                HTTP
            } else {
                NETWORK
            }
        }
        Class::Ssh => SSH,
        Class::Ftp => FTP,
        Class::Logon => AUTHENTICATION,
        Class::Account => ACCOUNT_CHANGE,
        Class::Group => GROUP_CHANGE,
        Class::Privilege => USER_ACCESS,
        Class::Directory => {
            let is_about_something = event.activity != A::Query && has(ENTITIES);
            if is_about_something { ENTITY } else { NETWORK }
        }
        Class::Email => EMAIL,
        Class::Message | Class::Cloud => API_ACTIVITY,
        Class::CloudFile => {
            let has_name = has(&[Field::FileName, Field::FilePath, Field::ObjectName]);
            if has_name { HOSTING } else { API_ACTIVITY }
        }
        Class::Device => DEVICE,
        Class::Identity => IDENTITY,
        Class::Generic | Class::Gap => BASE,
    }
}

/// Without a name there is no file in OCSF.
const FILE_NAMES: &[Field] = &[Field::FileName, Field::FilePath, Field::FilePreviousName, Field::FilePreviousPath];
const HTTP_FIELDS: &[Field] = &[Field::HttpUserAgent, Field::HttpUri, Field::Url, Field::NetRemoteUrl];

/// A key or one of its values: by what is named, and by upstream's word where neither is.
fn registry(event: &Event<'_>) -> Shape {
    let has = |field| event.fields.text(field).is_some_and(|text| !text.is_empty());
    let has_key = [Field::RegistryPath, Field::RegistryKey, Field::RegistryHive, Field::RegistryPreviousPath]
        .into_iter()
        .any(has);
    let is_named = [
        Field::RegistryValueName,
        Field::RegistryValue,
        Field::RegistryPreviousValueName,
        Field::RegistryPreviousValue,
    ]
    .into_iter()
    .any(has);
    let word = event.action.map_or("", |action| action.as_written());
    let is_value = !word.starts_with("RegistryKey") && (is_named || word.starts_with("RegistryValue"));
    match (has_key, is_value) {
        (false, _) => SOMETHING,
        (true, true) => VALUE,
        (true, false) => KEY,
    }
}

/// A service's name is not enough for OCSF: it wants its command or how it starts.
fn service(event: &Event<'_>) -> Shape {
    let has = |field| event.fields.text(field).is_some_and(|text| !text.is_empty());
    let is_whole = has(Field::ServiceName) && (has(Field::ServiceCommand) || has(Field::ServiceStart));
    if is_whole { SERVICE } else { SOMETHING }
}

/// A click asks for a page; else the request says how it asks.
fn method(event: &Event<'_>) -> i64 {
    match (known_method(event), event.class) {
        (Some(number), _) => number,
        (None, Class::Click) => 3,
        (None, _) if event.fields.has(Field::HttpMethod) => OTHER,
        (None, _) => 0,
    }
}

fn known_method(event: &Event<'_>) -> Option<i64> {
    const METHODS: &[(&str, i64)] = &[
        ("connect", 1),
        ("delete", 2),
        ("get", 3),
        ("head", 4),
        ("options", 5),
        ("post", 6),
        ("put", 7),
        ("trace", 8),
        ("patch", 9),
    ];
    event.fields.text(Field::HttpMethod).and_then(|method| number_of(method, METHODS))
}

/// Mail is sent or received, seen from the organisation; what is done to it later is something else.
fn direction(event: &Event<'_>) -> i64 {
    if event.activity != A::Other || event.fields.has(Field::MailLaterAction) {
        return OTHER;
    }
    let way = event.fields.text(Field::MailDirection);
    way.and_then(|way| number_of(way, &[("inbound", 2), ("outbound", 1), ("intraorg", 2), ("internal", 2)]))
        .unwrap_or(0)
}
