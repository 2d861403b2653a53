//! `related.*`: every address, person, host and hash of an event in one place, each once, in an order that depends on
//! nothing but the event.

use std::collections::BTreeSet;

use crate::encode::json::Json;
use crate::encode::tree::Scratch;
use crate::event::{Event, Field, Fields, Text, Value};

const ADDRESSES: &[Field] = &[
    Field::NetSourceIp,
    Field::NetDestinationIp,
    Field::NetLocalIp,
    Field::NetRemoteIp,
    Field::DeviceIp,
    Field::DeviceExternalIp,
    Field::IpAddress,
    Field::MailSenderIp,
    Field::MailSenderIp6,
    Field::RequestIp,
    Field::FileOriginIp,
    Field::SessionRemoteIp,
    Field::ActorSessionRemoteIp,
];
const PEOPLE: &[Field] = &[
    Field::UserName,
    Field::UserUpn,
    Field::UserMail,
    Field::ActorUserName,
    Field::ActorUserUpn,
    Field::TargetUserUpn,
    Field::MailSender,
    Field::MailRecipient,
    Field::AssignedTo,
];
const HOSTS: &[Field] = &[
    Field::DeviceName,
    Field::DeviceHost,
    Field::NetSourceHost,
    Field::NetDestinationHost,
    Field::NetRemoteHost,
    Field::TargetDevice,
    Field::SessionRemoteDevice,
    Field::ActorSessionRemoteDevice,
    Field::DnsQuery,
    Field::HttpHost,
    Field::TlsServerName,
    Field::UrlDomain,
];
const HASHES: &[Field] = &[
    Field::ProcessMd5,
    Field::ProcessSha1,
    Field::ProcessSha256,
    Field::ActorProcessMd5,
    Field::ActorProcessSha1,
    Field::ActorProcessSha256,
    Field::ParentSha1,
    Field::ParentSha256,
    Field::FileMd5,
    Field::FileSha1,
    Field::FileSha256,
];

pub(super) fn related(event: &Event<'_>, _: &mut Scratch, json: &mut Json<'_>) -> bool {
    json.open_object();
    let empty = json.length();
    for (key, fields) in [("\"ip\":[", ADDRESSES), ("\"user\":[", PEOPLE)] {
        list(event, key, fields, json, |value, json| match value {
            Value::Ip(address) => json.address(*address),
            Value::Text(text) => json.text(*text),
            _ => {}
        });
    }
    for (key, fields) in [("\"hosts\":[", HOSTS), ("\"hash\":[", HASHES)] {
        list(event, key, fields, json, |value, json| {
            if let Value::Text(text) = value {
                json.lower(*text);
            }
        });
    }
    let is_written = json.length() > empty;
    json.close_object();
    is_written
}

fn list(
    event: &Event<'_>,
    key: &str,
    fields: &'static [Field],
    json: &mut Json<'_>,
    write: impl Fn(&Value<'_>, &mut Json<'_>),
) {
    let start = json.length();
    json.written_key(key);
    let empty = json.length();
    if event.evidence.is_empty() {
        // The few values of telemetry are compared with each other, which costs less than remembering them.
        for (place, value) in values(&event.fields, fields).enumerate() {
            if !values(&event.fields, fields).take(place).any(|before| is_same(before, value)) {
                write(value, json);
            }
        }
    } else {
        let mut seen = BTreeSet::new();
        let everything = std::iter::once(&event.fields).chain(event.evidence.iter().map(|piece| &piece.fields));
        for value in everything.flat_map(|all| values(all, fields)) {
            let letters = match value {
                Value::Ip(address) => address.to_string(),
                Value::Text(text) => text.to_cow().to_ascii_lowercase(),
                _ => continue,
            };
            if seen.insert(letters) {
                write(value, json);
            }
        }
    }
    if json.length() > empty {
        json.close_array();
    } else {
        json.take_back(start);
    }
}

fn values<'e, 'r>(all: &'e Fields<'r>, fields: &'static [Field]) -> impl Iterator<Item = &'e Value<'r>> {
    fields.iter().filter_map(|field| all.value(*field))
}

fn is_same(one: &Value<'_>, other: &Value<'_>) -> bool {
    match (one.as_text().map(Text::as_plain), other.as_text().map(Text::as_plain)) {
        (Some(Some(one)), Some(Some(other))) => one.eq_ignore_ascii_case(other),
        (Some(_), Some(_)) => match (one.as_text(), other.as_text()) {
            (Some(one), Some(other)) => one.is_same_ignoring_case(other),
            _ => false,
        },
        _ => one == other,
    }
}
