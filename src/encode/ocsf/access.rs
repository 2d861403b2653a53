//! Who may do what, and what is done in applications: logons, accounts, groups, directories, clouds, inventories.

use super::network::{CONNECTION_INFO, HTTP_REQUEST, destination, must_source, plain_source, url};
use super::objects::{ACTOR, DEVICE, FILE, SESSION, UNKNOWN_ACTOR, UNKNOWN_DEVICE, UNKNOWN_FILE};
use super::people::USER;
use super::words::{LOGON_PROTOCOL, LOGON_TYPE};
use super::writer::{Member, Object, Take, Writer};
use crate::event::Field;

use Take::{Code, First, Fixed, Made, Mail, Must, Object as Of};

const UNKNOWN: &str = r#"{"name":"unknown"}"#;

pub(super) const LOGON: &[Member] = &[
    ("actor", Of(&ACTOR)),
    ("user", Must(&USER, UNKNOWN)),
    ("logon_type_id", Code(Field::LogonType, LOGON_TYPE, "logon_type")),
    ("auth_protocol_id", Code(Field::LogonProtocol, LOGON_PROTOCOL, "auth_protocol")),
    ("session", Of(&SESSION)),
    ("src_endpoint", Made(plain_source)),
    ("dst_endpoint", Made(logon_destination)),
    ("service", Made(service)),
    ("is_remote", Made(is_remote)),
    ("http_request", Of(&HTTP_REQUEST)),
];

/// One signs in to a device or to a service; the schema wants to know which.
fn logon_destination(writer: &mut Writer<'_, '_>) -> bool {
    destination(writer) || writer.object(&DEVICE_AS_END)
}

static DEVICE_AS_END: Object =
    Object { one_of: &[("hostname", First(&[Field::DeviceName]))], instead: None, also: &[], last: &[] };

fn service(writer: &mut Writer<'_, '_>) -> bool {
    let end = writer.ends.destination;
    let has_end =
        end.ip.is_some() || end.host.is_some_and(|host| !host.is_empty()) || writer.text(Field::DeviceName).is_some();
    if writer.object(&SERVICE) {
        return true;
    }
    if !has_end {
        writer.json.written_key(UNKNOWN);
    }
    !has_end
}

static SERVICE: Object = Object {
    one_of: &[("name", First(&[Field::AppName])), ("uid", First(&[Field::AppId, Field::AppInstance]))],
    instead: None,
    also: &[],
    last: &[],
};

fn is_remote(writer: &mut Writer<'_, '_>) -> bool {
    let Some(is_local) = writer.fields.flag(Field::LogonIsLocal) else { return false };
    writer.json.flag(!is_local);
    writer.done(true, Field::LogonIsLocal)
}

pub(super) const ACCOUNT: &[Member] =
    &[("actor", Of(&ACTOR)), ("user", Made(target)), ("src_endpoint", Made(plain_source))];

pub(super) const GROUP: &[Member] = &[
    ("actor", Of(&ACTOR)),
    ("group", Must(&GROUP_OBJECT, UNKNOWN)),
    ("user", Made(|writer| writer.object(&TARGET) || writer.object(&USER))),
    ("src_endpoint", Made(plain_source)),
];

pub(super) const PRIVILEGE: &[Member] = &[
    ("actor", Of(&ACTOR)),
    ("user", Made(target)),
    ("privileges", Made(privileges)),
    ("src_endpoint", Made(plain_source)),
];

pub(super) const DIRECTORY: &[Member] =
    &[("actor", Of(&ACTOR)), ("entity", Made(entity)), ("src_endpoint", Made(plain_source))];

/// The account that something is done to.
fn target(writer: &mut Writer<'_, '_>) -> bool {
    if !writer.object(&TARGET) && !writer.object(&USER) {
        writer.json.written_key(UNKNOWN);
    }
    true
}

static TARGET: Object = Object {
    one_of: &[("name", First(&[Field::TargetUserUpn, Field::TargetUserDisplayName]))],
    instead: None,
    also: &[("display_name", First(&[Field::TargetUserDisplayName])), ("email_addr", Mail(&[Field::TargetUserUpn]))],
    last: &[],
};

static GROUP_OBJECT: Object = Object {
    one_of: &[("name", First(&[Field::GroupName])), ("uid", First(&[Field::GroupSid]))],
    instead: None,
    also: &[("domain", First(&[Field::GroupDomain]))],
    last: &[],
};

fn privileges(writer: &mut Writer<'_, '_>) -> bool {
    writer.json.open_array();
    if !writer.value(Field::PrivilegeName) {
        writer.json.string("unknown");
    }
    writer.json.close_array();
    true
}

/// What a directory was asked about or changed: a device, an account, a group, or an object by its name.
fn entity(writer: &mut Writer<'_, '_>) -> bool {
    let some = [&DEVICE_ENTITY, &USER_ENTITY, &GROUP_ENTITY, &OBJECT_ENTITY];
    if !some.into_iter().any(|object| writer.object(object)) {
        writer.json.written_key(UNKNOWN);
    }
    true
}

/// Whether a directory event names what it is about.
pub(super) const ENTITIES: &[Field] = &[
    Field::TargetDevice,
    Field::TargetUserUpn,
    Field::TargetUserDisplayName,
    Field::GroupName,
    Field::GroupSid,
    Field::ObjectName,
    Field::ObjectId,
];

static DEVICE_ENTITY: Object = Object {
    one_of: &[("name", First(&[Field::TargetDevice]))],
    instead: None,
    also: &[],
    last: &[("type_id", Fixed("1"))],
};
static USER_ENTITY: Object = Object {
    one_of: &[("user", Of(&TARGET))],
    instead: None,
    also: &[("name", First(&[Field::TargetUserUpn, Field::TargetUserDisplayName]))],
    last: &[("type_id", Fixed("2"))],
};
static GROUP_ENTITY: Object = Object {
    one_of: &[("group", Of(&GROUP_OBJECT))],
    instead: None,
    also: &[("name", First(&[Field::GroupName]))],
    last: &[("type_id", Fixed("3"))],
};
static OBJECT_ENTITY: Object = Object {
    one_of: &[("name", First(&[Field::ObjectName])), ("uid", First(&[Field::ObjectId]))],
    instead: None,
    also: &[],
    last: &[],
};

pub(super) const API: &[Member] = &[
    ("actor", Made(doer)),
    ("src_endpoint", Made(must_source)),
    ("dst_endpoint", Made(destination)),
    ("api", Made(api)),
    ("http_request", Of(&HTTP_REQUEST)),
    ("resources", Made(resources)),
];

pub(super) const FILE_HOSTING: &[Member] = &[
    ("actor", Made(doer)),
    ("src_endpoint", Made(must_source)),
    ("dst_endpoint", Made(destination)),
    ("file", Made(hosted_file)),
    ("http_request", Of(&HTTP_REQUEST)),
    ("connection_info", Of(&CONNECTION_INFO)),
];

/// Who did it: in a chat, who sent the message.
fn doer(writer: &mut Writer<'_, '_>) -> bool {
    if !writer.object(&ACTOR) && !writer.object(&SENDER_ACTOR) {
        writer.json.written_key(UNKNOWN_ACTOR);
    }
    true
}

static SENDER_ACTOR: Object = Object { one_of: &[("user", Of(&SENDER))], instead: None, also: &[], last: &[] };

static SENDER: Object = Object {
    one_of: &[
        ("name", First(&[Field::MailSenderName, Field::MailSender])),
        ("uid", First(&[Field::MailSenderObjectId])),
    ],
    instead: None,
    also: &[("email_addr", Mail(&[Field::MailSender]))],
    last: &[],
};

/// The operation is upstream's word for what was done.
fn api(writer: &mut Writer<'_, '_>) -> bool {
    writer.json.open_object();
    writer.json.known_key("operation");
    match writer.event.action.filter(|action| !action.is_empty()) {
        Some(action) => writer.json.text(action),
        None if writer.value(Field::AppActivity) => {}
        None if writer.event.kind.is_empty() => writer.json.string("unknown"),
        None => writer.json.text(writer.event.kind),
    }
    writer.member(&("service", Of(&SERVICE)));
    writer.json.close_object();
    true
}

fn resources(writer: &mut Writer<'_, '_>) -> bool {
    let length = writer.json.length();
    writer.json.open_array();
    let mut has_some = false;
    for object in [&MESSAGE_RESOURCE, &OBJECT_RESOURCE, &RESOURCE] {
        has_some |= writer.object(object);
    }
    writer.json.close_array();
    if !has_some {
        writer.json.take_back(length);
    }
    has_some
}

static MESSAGE_RESOURCE: Object = Object {
    one_of: &[("uid", First(&[Field::MessageId]))],
    instead: None,
    also: &[("name", First(&[Field::MailSubject]))],
    last: &[("type", Fixed(r#""message""#))],
};

static OBJECT_RESOURCE: Object = Object {
    one_of: &[("name", First(&[Field::ObjectName])), ("uid", First(&[Field::ObjectId]))],
    instead: None,
    also: &[("type", First(&[Field::ObjectType]))],
    last: &[],
};

pub(super) static RESOURCE: Object = Object {
    one_of: &[("uid", First(&[Field::ResourceId])), ("name", First(&[Field::ResourceName]))],
    instead: None,
    also: &[("type", First(&[Field::ResourceType])), ("owner", Of(&RESOURCE_OWNER))],
    last: &[],
};

static RESOURCE_OWNER: Object =
    Object { one_of: &[("name", First(&[Field::ResourceOwner]))], instead: None, also: &[], last: &[] };

/// A file in a cloud is named in its own columns, or as the object of the activity.
fn hosted_file(writer: &mut Writer<'_, '_>) -> bool {
    let has_name = writer.text(Field::FileName).is_some() || writer.text(Field::FilePath).is_some();
    let object = if has_name { &FILE } else { &OBJECT_FILE };
    if !writer.object(object) {
        writer.json.written_key(UNKNOWN_FILE);
    }
    true
}

static OBJECT_FILE: Object = Object {
    one_of: &[("name", First(&[Field::ObjectName]))],
    instead: None,
    also: &[("uid", First(&[Field::ObjectId])), ("url", Made(|writer| url(writer, Field::Url)))],
    last: &[("type_id", Fixed("1"))],
};

pub(super) const DEVICE_INVENTORY: &[Member] = &[("device", Must(&DEVICE, UNKNOWN_DEVICE)), ("actor", Of(&ACTOR))];
pub(super) const USER_INVENTORY: &[Member] = &[("user", Must(&USER, UNKNOWN)), ("actor", Of(&ACTOR))];
