//! Devices, users, processes and files: the objects that most classes have in common.

use std::net::IpAddr;

use super::people::{ACTOR_USER, USER};
use super::words::{DEVICE_TYPE, INTEGRITY, RISK, number_of, same_word};
use super::writer::{Member, Object, Take, Writer, document};
use crate::event::text::join_path;
use crate::event::{Class, Field, Raw, Text, json};

use Take::{Code, First, Fixed, Hashes, Made, Objects, Small};

pub(super) const UNKNOWN_DEVICE: &str = r#"{"name":"unknown","type_id":0}"#;
pub(super) const UNKNOWN_ACTOR: &str = r#"{"app_name":"unknown"}"#;
pub(super) const UNKNOWN_FILE: &str = r#"{"name":"unknown","type_id":0}"#;

pub(super) static DEVICE: Object = Object {
    one_of: &[
        ("hostname", First(&[Field::DeviceName])),
        ("name", First(&[Field::DeviceHost])),
        ("uid", First(&[Field::DeviceId])),
        ("ip", First(&[Field::DeviceIp, Field::DeviceExternalIp])),
    ],
    instead: Some(r#""name":"unknown""#),
    also: &[
        ("uid_alt", First(&[Field::DeviceEntraId])),
        ("domain", First(&[Field::DeviceDomain, Field::DeviceNtDomain])),
        ("mac", First(&[Field::DeviceMac])),
        ("vendor_name", First(&[Field::DeviceVendor])),
        ("model", First(&[Field::DeviceModel])),
        ("os", Take::Object(&OS)),
        ("groups", Objects(&DEVICE_GROUP)),
        ("risk_level_id", Code(Field::DeviceRisk, RISK, "risk_level")),
        ("first_seen_time", First(&[Field::DeviceFirstSeen])),
        ("is_managed", Made(is_managed)),
        ("agent_list", Objects(&AGENT)),
        ("network_interfaces", Objects(&INTERFACE)),
        ("owner", Made(owner)),
    ],
    last: &[("type_id", Made(device_type))],
};

static OS: Object = Object {
    one_of: &[("name", First(&[Field::DeviceOs, Field::DeviceOsDistribution]))],
    instead: Some(r#""name":"unknown""#),
    also: &[
        ("version", First(&[Field::DeviceOsVersion])),
        ("build", First(&[Field::DeviceOsBuild])),
        ("edition", First(&[Field::DeviceOsEdition])),
    ],
    last: &[("type_id", Made(|writer| os_type(writer, Field::DeviceOs)))],
};

static DEVICE_GROUP: Object = Object {
    one_of: &[("name", First(&[Field::DeviceGroup])), ("uid", First(&[Field::DeviceGroupId]))],
    instead: None,
    also: &[],
    last: &[],
};

static AGENT: Object = Object {
    one_of: &[("version", First(&[Field::DeviceAgentVersion]))],
    instead: None,
    also: &[],
    last: &[("name", Fixed(r#""Microsoft Defender for Endpoint""#)), ("type_id", Fixed("1"))],
};

static INTERFACE: Object = Object {
    one_of: &[("name", First(&[Field::InterfaceName]))],
    instead: None,
    also: &[
        ("ip", Made(interface_ip)),
        ("mac", First(&[Field::DeviceMac])),
        ("type_id", Code(Field::InterfaceType, super::words::INTERFACE_TYPE, "type")),
    ],
    last: &[],
};

fn device_type(writer: &mut Writer<'_, '_>) -> bool {
    if !writer.code(Field::DeviceType, DEVICE_TYPE, "type") {
        writer.json.integer(0);
    }
    true
}

/// The first of those that are signed in; the list itself is kept in `unmapped`.
fn owner(writer: &mut Writer<'_, '_>) -> bool {
    const MEMBERS: &[(&str, &str)] = &[("username", "name"), ("domainname", "domain"), ("sid", "uid")];
    let Some(Raw::Array(users)) = document(writer.fields, Field::DeviceUsers, writer.letters) else { return false };
    let Some(Raw::Object(user)) = json::elements(users).next() else { return false };
    let mut written = [false; 3];
    writer.json.open_object();
    for member in json::members(user) {
        let place = MEMBERS.iter().position(|(theirs, _)| same_word(member.key, theirs));
        if let (Some(place), Raw::String(text)) = (place, member.value)
            && !member.value.is_absent()
            && !written[place]
        {
            written[place] = true;
            writer.json.known_key(MEMBERS[place].1);
            writer.json.text(text);
        }
    }
    writer.json.close_object();
    written[0] || written[2]
}

/// The first address of an adapter that is one; the list itself is kept in `unmapped`.
fn interface_ip(writer: &mut Writer<'_, '_>) -> bool {
    let Some(Raw::Array(all)) = document(writer.fields, Field::InterfaceAddresses, writer.letters) else {
        return false;
    };
    let addresses = json::elements(all).filter_map(|element| match element {
        Raw::Object(object) => json::members(object).find_map(|member| match member.value {
            Raw::String(text) if same_word(member.key, "ipaddress") => text.as_plain()?.parse::<IpAddr>().ok(),
            _ => None,
        }),
        _ => None,
    });
    let first = { addresses }.next();
    first.map(|address| writer.json.address(address.to_canonical())).is_some()
}

/// Nothing is claimed of a device whose state is in between.
fn is_managed(writer: &mut Writer<'_, '_>) -> bool {
    let Some(state) = writer.text(Field::DeviceOnboarding) else { return false };
    let is_managed = number_of(state, &[("onboarded", 1), ("canbeonboarded", 0), ("unsupported", 0)]);
    is_managed.map(|flag| writer.json.flag(flag == 1)).is_some() && writer.done(true, Field::DeviceOnboarding)
}

/// The family of an operating system by the beginning of its name.
pub(super) fn os_type(writer: &mut Writer<'_, '_>, field: Field) -> bool {
    const FAMILIES: &[(&str, i64)] = &[
        ("windows", 100),
        ("linux", 200),
        ("ubuntu", 200),
        ("debian", 200),
        ("redhat", 200),
        ("centos", 200),
        ("suse", 200),
        ("android", 201),
        ("macos", 300),
        ("ios", 301),
        ("ipados", 302),
    ];
    let name = writer.text(field).map_or("", Text::as_written);
    let starts = |family: &str| name.get(..family.len()).is_some_and(|start| start.eq_ignore_ascii_case(family));
    let family = FAMILIES.iter().find(|(family, _)| starts(family));
    writer.json.integer(family.map_or(0, |(_, number)| *number));
    true
}

pub(super) static ACTOR: Object = Object {
    one_of: &[
        ("process", Take::Object(&ACTOR_PROCESS)),
        ("user", Made(actor_user)),
        ("session", Take::Object(&ACTOR_SESSION)),
    ],
    instead: None,
    also: &[],
    last: &[],
};

/// Who did it. A file on a share is asked for by the account of the request, which acts through a system's process; who
/// asks a directory over the network is told as the only account.
fn actor_user(writer: &mut Writer<'_, '_>) -> bool {
    let class = writer.event.class;
    let is_asked = class == Class::File
        && writer.text(Field::RequestProtocol).is_some_and(|protocol| !same_word(protocol, "local"));
    (is_asked && writer.object(&USER))
        || writer.object(&ACTOR_USER)
        || (matches!(class, Class::Network | Class::Dns) && writer.object(&USER))
}

pub(super) static ACTOR_PROCESS: Object = Object {
    one_of: &[("pid", Small(Field::ActorProcessPid)), ("uid", First(&[Field::ActorProcessUid]))],
    instead: Some(r#""pid":0"#),
    also: &[
        ("name", First(&[Field::ActorProcessName])),
        ("path", First(&[Field::ActorProcessPath])),
        ("cmd_line", First(&[Field::ActorProcessCommand])),
        ("created_time", First(&[Field::ActorProcessCreated])),
        ("integrity_id", Code(Field::ActorProcessIntegrity, INTEGRITY, "integrity")),
        ("file", Take::Object(&ACTOR_FILE)),
        ("parent_process", Take::Object(&ACTOR_PARENT)),
    ],
    last: &[("user", Take::Object(&ACTOR_NAME)), ("session", Take::Object(&ACTOR_LOGON))],
};

/// Whose process it is, in short: the actor's user is the same one.
static ACTOR_NAME: Object =
    Object { one_of: &[("name", First(&[Field::ActorUserName]))], instead: None, also: &[], last: &[] };
static ACTOR_LOGON: Object =
    Object { one_of: &[("uid", First(&[Field::ActorSessionUid]))], instead: None, also: &[], last: &[] };

static ACTOR_FILE: Object = Object {
    one_of: &[("name", First(&[Field::ActorProcessName]))],
    instead: Some(r#""name":"unknown""#),
    also: &[
        ("path", First(&[Field::ActorProcessPath])),
        ("size", First(&[Field::ActorProcessSize])),
        ("hashes", Hashes(&[Field::ActorProcessMd5, Field::ActorProcessSha1, Field::ActorProcessSha256])),
        ("company_name", First(&[Field::ActorProcessCompany])),
        ("product", Take::Object(&ACTOR_PRODUCT)),
        ("version", First(&[Field::ActorProcessVersion])),
        ("internal_name", First(&[Field::ActorProcessInternalName])),
        ("desc", First(&[Field::ActorProcessDescription])),
    ],
    last: &[("type_id", Fixed("1"))],
};

static ACTOR_PRODUCT: Object =
    Object { one_of: &[("name", First(&[Field::ActorProcessProduct]))], instead: None, also: &[], last: &[] };

static ACTOR_PARENT: Object = Object {
    one_of: &[("pid", Small(Field::ActorParentPid))],
    instead: Some(r#""pid":0"#),
    also: &[("name", First(&[Field::ActorParentName])), ("created_time", First(&[Field::ActorParentCreated]))],
    last: &[],
};

static ACTOR_SESSION: Object = Object {
    one_of: &[
        ("uid", First(&[Field::ActorSessionUid])),
        ("uid_alt", First(&[Field::ActorSessionId])),
        ("is_remote", First(&[Field::ActorSessionIsRemote])),
    ],
    instead: None,
    also: &[],
    last: &[],
};

pub(super) static SESSION: Object = Object {
    one_of: &[
        ("uid", First(&[Field::SessionUid])),
        ("uid_alt", First(&[Field::SessionId])),
        ("is_remote", First(&[Field::SessionIsRemote])),
        ("created_time", First(&[Field::SessionStarted])),
    ],
    instead: None,
    also: &[],
    last: &[],
};

pub(super) static PROCESS: Object = Object {
    one_of: &[("pid", Small(Field::ProcessPid)), ("uid", First(&[Field::ProcessUid]))],
    instead: Some(r#""pid":0"#),
    also: PROCESS_ALSO,
    last: &[
        ("user", Take::Object(&USER)),
        ("session", Take::Object(&SESSION)),
        ("parent_process", Made(parent)),
        ("container", Made(super::activities::container)),
    ],
};

const PROCESS_ALSO: &[Member] = &[
    ("name", First(&[Field::ProcessName])),
    ("path", Made(|writer| path(writer, Field::ProcessPath, Field::ProcessFolder, Field::ProcessName))),
    ("cmd_line", First(&[Field::ProcessCommand])),
    ("created_time", First(&[Field::ProcessCreated])),
    ("integrity_id", Code(Field::ProcessIntegrity, INTEGRITY, "integrity")),
    ("working_directory", First(&[Field::ProcessDirectory])),
    ("file", Take::Object(&PROCESS_FILE)),
];

static PROCESS_FILE: Object = Object {
    one_of: &[("name", First(&[Field::ProcessName]))],
    instead: Some(r#""name":"unknown""#),
    also: &[
        ("path", Made(|writer| path(writer, Field::ProcessPath, Field::ProcessFolder, Field::ProcessName))),
        ("size", First(&[Field::ProcessSize])),
        ("hashes", Hashes(&[Field::ProcessMd5, Field::ProcessSha1, Field::ProcessSha256])),
        ("company_name", First(&[Field::ProcessCompany])),
        ("product", Take::Object(&PROCESS_PRODUCT)),
        ("version", First(&[Field::ProcessVersion])),
        ("internal_name", First(&[Field::ProcessInternalName])),
        ("desc", First(&[Field::ProcessDescription])),
    ],
    last: &[("type_id", Fixed("1"))],
};

static PROCESS_PRODUCT: Object =
    Object { one_of: &[("name", First(&[Field::ProcessProduct]))], instead: None, also: &[], last: &[] };

/// What started a process: said of it where upstream does, else the process that acts if it is a start.
fn parent(writer: &mut Writer<'_, '_>) -> bool {
    let acts = writer.event.class == Class::Process && writer.event.activity == crate::event::Activity::Start;
    writer.object(&PARENT) || (acts && writer.object(&STARTER))
}

static PARENT: Object = Object {
    one_of: &[("pid", Small(Field::ParentPid))],
    instead: Some(r#""pid":0"#),
    also: &[
        ("name", First(&[Field::ParentName])),
        ("created_time", First(&[Field::ParentCreated])),
        ("file", Take::Object(&PARENT_FILE)),
    ],
    last: &[],
};

static PARENT_FILE: Object = Object {
    one_of: &[("name", First(&[Field::ParentName]))],
    instead: Some(r#""name":"unknown""#),
    also: &[
        ("path", Made(|writer| path(writer, Field::ParentName, Field::ParentFolder, Field::ParentName))),
        ("hashes", Made(parent_hashes)),
    ],
    last: &[("type_id", Fixed("1"))],
};

fn parent_hashes(writer: &mut Writer<'_, '_>) -> bool {
    // No table tells a parent's MD5.
    writer.hashes(&[Field::ParentSha1, Field::ParentSha1, Field::ParentSha256])
}

static STARTER: Object = Object {
    one_of: &[("pid", Small(Field::ActorProcessPid))],
    instead: None,
    also: &[("name", First(&[Field::ActorProcessName]))],
    last: &[],
};

pub(super) static FILE: Object = Object {
    one_of: &[("name", Made(file_name))],
    instead: Some(r#""name":"unknown""#),
    also: &[
        ("path", Made(|writer| path(writer, Field::FilePath, Field::FileFolder, Field::FileName))),
        ("parent_folder", First(&[Field::FileFolder])),
        ("ext", First(&[Field::FileExtension])),
        ("size", First(&[Field::FileSize])),
        ("hashes", Hashes(&[Field::FileMd5, Field::FileSha1, Field::FileSha256])),
        ("company_name", First(&[Field::FilePublisher])),
        ("confidentiality", First(&[Field::FileLabel])),
        ("url", Take::Object(&FILE_ORIGIN)),
        ("signatures", Objects(&super::activities::SIGNATURE)),
    ],
    last: &[("type_id", Fixed("1"))],
};

static FILE_ORIGIN: Object =
    Object { one_of: &[("url_string", First(&[Field::FileOriginUrl]))], instead: None, also: &[], last: &[] };

/// A file before it got another name.
pub(super) static PREVIOUS_FILE: Object = Object {
    one_of: &[("name", Made(previous_name))],
    instead: None,
    also: &[(
        "path",
        Made(|writer| path(writer, Field::FilePreviousPath, Field::FilePreviousPath, Field::FilePreviousName)),
    )],
    last: &[("type_id", Fixed("1"))],
};

fn file_name(writer: &mut Writer<'_, '_>) -> bool {
    writer.value(Field::FileName)
        || last_part(writer, Field::FilePath)
        || (writer.event.class == Class::Certificate && writer.value(Field::FileSha1))
}

fn previous_name(writer: &mut Writer<'_, '_>) -> bool {
    writer.value(Field::FilePreviousName) || last_part(writer, Field::FilePreviousPath)
}

/// What stands after the last separator of a path.
fn last_part(writer: &mut Writer<'_, '_>, field: Field) -> bool {
    let Some(path) = writer.text(field) else { return false };
    let name = path.read(writer.letters).rsplit(['\\', '/']).next().filter(|name| !name.is_empty());
    name.map(|name| writer.json.string(name)).is_some()
}

/// The whole path: as upstream gives it, or of a folder and a name.
fn path(writer: &mut Writer<'_, '_>, whole: Field, folder: Field, name: Field) -> bool {
    if whole != name && writer.value(whole) {
        return true;
    }
    let (Some(folder_text), Some(name)) = (writer.text(folder), writer.text(name)) else { return false };
    join_path(folder_text, name, writer.more);
    writer.json.string(writer.more);
    writer.done(true, folder)
}
