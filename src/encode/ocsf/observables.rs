//! What people look for in other events: names, addresses, hashes, each with the path at which it stands.

use super::writer::{Writer, is_hash, is_mail};
use crate::event::ends::Ends;
use crate::event::id::Decimal;
use crate::event::{Evidence, EvidenceKind, Field, Text, Value};

/// A type of the schema's, a path inside of the piece, and fields: the first that says something stands there.
type Row = (i64, &'static str, &'static [Field]);

/// The event's own device, and what the pieces of evidence name.
pub(super) fn write(writer: &mut Writer<'_, '_>, has_device: bool) {
    let length = writer.json.length();
    writer.json.known_key("observables");
    writer.json.open_array();
    let before = writer.json.length();
    if has_device {
        for (kind, path, fields) in DEVICE {
            writer.more.clear();
            writer.more.push_str(path);
            one(writer, *kind, fields);
        }
    }
    let event = writer.event;
    let of_event = writer.fields;
    for (place, evidence) in event.evidence.iter().enumerate() {
        if has_device && is_of_event(writer, evidence) {
            continue;
        }
        writer.fields = &evidence.fields;
        rows(writer, place, rows_of(evidence));
        if evidence.kind == EvidenceKind::RegistryKey {
            registry_key(writer, place);
        }
        hashes(writer, place, evidence.kind);
    }
    writer.fields = of_event;
    if event.evidence.is_empty() {
        rows(writer, 0, OF_EVENT);
        ends(writer);
        hashes(writer, 0, EvidenceKind::Process);
        hashes(writer, 0, EvidenceKind::File);
    }
    if writer.json.length() == before {
        writer.json.take_back(length);
    } else {
        writer.json.close_array();
    }
}

fn rows(writer: &mut Writer<'_, '_>, place: usize, rows: &[Row]) {
    for (kind, path, fields) in rows {
        if *kind == PORT && writer.fields.ip(if path.starts_with('s') { LOCAL } else { REMOTE }).is_none() {
            continue;
        }
        begin(writer, place);
        writer.more.push_str(path);
        one(writer, *kind, fields);
    }
}

fn begin(writer: &mut Writer<'_, '_>, place: usize) {
    writer.more.clear();
    writer.more.push_str("evidences[");
    push_number(writer, place);
    writer.more.push_str("].");
}

fn push_number(writer: &mut Writer<'_, '_>, number: usize) {
    let mut digits = Decimal::default();
    let digits = digits.write(u64::try_from(number).unwrap_or_default());
    writer.more.push_str(std::str::from_utf8(digits).unwrap_or_default());
}

/// The device of the event is shown once, at the event.
fn is_of_event(writer: &Writer<'_, '_>, evidence: &Evidence<'_>) -> bool {
    evidence.kind == EvidenceKind::Device
        && [Field::DeviceId, Field::DeviceName]
            .iter()
            .all(|field| evidence.fields.text(*field) == writer.event.fields.text(*field))
}

/// Writes one observable, whose path is in `writer.more`, if the value is as the path's attribute wants it.
fn one(writer: &mut Writer<'_, '_>, kind: i64, fields: &[Field]) {
    let all = writer.fields;
    let fits = |value: &Value<'_>| match value {
        Value::Text(text) => !text.is_empty() && (kind != MAIL || is_mail(*text)),
        Value::Ip(_) => true,
        Value::Integer(number) if kind == PID => (0..=i64::from(i32::MAX)).contains(number),
        Value::Integer(number) => (0..=65535).contains(number),
        _ => false,
    };
    let Some(value) = fields.iter().filter_map(|field| all.value(*field)).find(|value| fits(value)) else { return };
    open(writer, kind);
    match value {
        Value::Text(text) => writer.json.text(*text),
        Value::Ip(address) => writer.json.address(*address),
        Value::Integer(number) => writer.json.digits(*number),
        _ => {}
    }
    writer.json.close_object();
}

fn open(writer: &mut Writer<'_, '_>, kind: i64) {
    writer.json.open_object();
    writer.json.known_key("type_id");
    writer.json.integer(kind);
    writer.json.known_key("name");
    writer.json.string(writer.more);
    writer.json.known_key("value");
}

/// A key stands there with its hive.
fn registry_key(writer: &mut Writer<'_, '_>, place: usize) {
    let fields = writer.fields;
    let has_path = [Field::RegistryPath, Field::RegistryKey, Field::RegistryHive]
        .iter()
        .any(|field| fields.text(*field).is_some_and(|text| !text.is_empty()));
    if !has_path {
        return;
    }
    begin(writer, place);
    writer.more.push_str("reg_key.path");
    open(writer, 46);
    super::activities::key_path(writer);
    writer.json.close_object();
}

/// The addresses of a finding that is one row: both ends where it tells of a connection.
fn ends(writer: &mut Writer<'_, '_>) {
    let ends = writer.ends;
    let alone = if ends == Ends::default() { writer.fields.ip(Field::IpAddress) } else { None };
    for (path, ip) in [("src_endpoint.ip", ends.source.ip.or(alone)), ("dst_endpoint.ip", ends.destination.ip)] {
        if let Some(ip) = ip {
            begin(writer, 0);
            writer.more.push_str(path);
            open(writer, 2);
            writer.json.address(ip);
            writer.json.close_object();
        }
    }
}

/// Hashes stand in a list, of which only those are there that are what they say.
fn hashes(writer: &mut Writer<'_, '_>, place: usize, kind: EvidenceKind) {
    let (path, fields) = match kind {
        EvidenceKind::File => ("file.hashes[", [Field::FileMd5, Field::FileSha1, Field::FileSha256]),
        EvidenceKind::Process => {
            ("process.file.hashes[", [Field::ProcessMd5, Field::ProcessSha1, Field::ProcessSha256])
        }
        _ => return,
    };
    let all = writer.fields;
    let texts = fields
        .into_iter()
        .zip([32, 40, 64])
        .filter_map(|(field, length)| all.text(field).filter(|text: &Text<'_>| is_hash(*text, length)));
    for (number, hash) in texts.enumerate() {
        begin(writer, place);
        writer.more.push_str(path);
        push_number(writer, number);
        writer.more.push_str("].value");
        open(writer, 8);
        writer.json.lower(hash);
        writer.json.close_object();
    }
}

const MAIL: i64 = 5;
const PORT: i64 = 11;
const PID: i64 = 15;
const LOCAL: Field = Field::NetLocalIp;
const REMOTE: Field = Field::NetRemoteIp;

const DEVICE: &[Row] = &[
    (1, "device.hostname", &[Field::DeviceName]),
    (47, "device.uid", &[Field::DeviceId]),
    (2, "device.ip", &[Field::DeviceIp, Field::DeviceExternalIp]),
];
const USER_NAME: Row = (4, "user.name", &[Field::UserName, Field::UserUpn, Field::UserMail, Field::UserDisplayName]);
const USER_ID: Row = (31, "user.uid", &[Field::UserSid, Field::UserObjectId]);
const USER_MAIL: Row = (MAIL, "user.email_addr", &[Field::UserMail, Field::UserUpn]);
const PROCESS_NAME: Row = (9, "process.name", &[Field::ProcessName]);
const PROCESS_COMMAND: Row = (13, "process.cmd_line", &[Field::ProcessCommand]);
const PROCESS_PID: Row = (PID, "process.pid", &[Field::ProcessPid]);
const FILE_NAME: Row = (7, "file.name", &[Field::FileName]);
const SENDER: Row = (MAIL, "email.from", &[Field::MailSender]);
const SUBJECT: Row = (40, "email.subject", &[Field::MailSubject]);
const MESSAGE_ID: Row = (42, "email.message_uid", &[Field::MailInternetId]);
const URL: Row = (6, "url.url_string", &[Field::Url]);
const ADDRESS: &[Field] = &[Field::IpAddress];
const RESOURCE_ID: Row = (10, "resources[0].uid", &[Field::ResourceId]);

/// What a finding without pieces is about.
const OF_EVENT: &[Row] = &[
    PROCESS_NAME,
    PROCESS_COMMAND,
    PROCESS_PID,
    FILE_NAME,
    USER_NAME,
    USER_ID,
    USER_MAIL,
    (6, "url.url_string", &[Field::Url, Field::NetRemoteUrl]),
    SENDER,
    SUBJECT,
    MESSAGE_ID,
];

const fn rows_of(evidence: &Evidence<'_>) -> &'static [Row] {
    use EvidenceKind as K;
    match evidence.kind {
        K::Device => DEVICE,
        K::User | K::Mailbox => &[USER_NAME, USER_ID, USER_MAIL],
        K::ServicePrincipal => &[(4, "user.name", &[Field::UserName]), (31, "user.uid", &[Field::UserObjectId])],
        K::File => &[FILE_NAME],
        K::Process => &[PROCESS_NAME, PROCESS_COMMAND, PROCESS_PID],
        K::RegistryValue => &[(43, "reg_value.name", &[Field::RegistryValueName, Field::RegistryPreviousValueName])],
        K::Ip if evidence.roles.is_target() => &[(2, "dst_endpoint.ip", ADDRESS)],
        K::Ip => &[(2, "src_endpoint.ip", ADDRESS)],
        K::Url => &[URL],
        K::Dns => &[(1, "query.hostname", &[Field::DnsQuery])],
        K::NetworkConnection => &[
            (2, "src_endpoint.ip", &[LOCAL]),
            (PORT, "src_endpoint.port", &[Field::NetLocalPort]),
            (2, "dst_endpoint.ip", &[REMOTE]),
            (PORT, "dst_endpoint.port", &[Field::NetRemotePort]),
        ],
        K::AnalyzedMessage => &[SENDER, SUBJECT, MESSAGE_ID],
        K::CloudApplication | K::OAuthApplication | K::AzureResource | K::AmazonResource | K::GoogleCloudResource => {
            &[RESOURCE_ID]
        }
        K::SecurityGroup => {
            &[(33, "resources[0].uid", &[Field::ResourceId]), (32, "resources[0].name", &[Field::ResourceName])]
        }
        K::CloudLogonSession => {
            &[(4, "actor.user.name", &[Field::UserName, Field::UserUpn, Field::UserMail, Field::UserDisplayName])]
        }
        _ => &[],
    }
}
