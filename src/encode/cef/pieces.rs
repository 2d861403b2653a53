//! All the evidence of an alert, where flat keys hold one of each: lists of what is there more than once, and one list
//! of every piece with what Microsoft thinks and did about it.

use super::keys::Key;
use super::line::Line;
use crate::event::text::join_path;
use crate::event::{Evidence, EvidenceKind, Field, Remediation, Value, Verdict};

pub(super) fn write(evidence: &[Evidence<'_>], line: &mut Line<'_>) {
    for (key, kind) in [
        (Key::Devices, EvidenceKind::Device),
        (Key::Users, EvidenceKind::User),
        (Key::Files, EvidenceKind::File),
        (Key::Addresses, EvidenceKind::Ip),
        (Key::Urls, EvidenceKind::Url),
    ] {
        let mut names: Vec<String> = Vec::new();
        for name in evidence.iter().filter(|piece| piece.kind == kind).filter_map(name) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if names.len() > 1 {
            line.text(key, None, &names.join(", "));
        }
    }
    let all: Vec<String> = evidence.iter().map(describe).collect();
    line.text(Key::Evidence, None, &all.join(", "));
}

/// `file C:\Temp\tool.exe (malicious, prevented)`.
fn describe(piece: &Evidence<'_>) -> String {
    let kind = piece.kind_name.to_cow();
    let mut text = kind.strip_suffix("Evidence").unwrap_or(&kind).to_owned();
    if let Some(name) = name(piece) {
        text.push(' ');
        text.push_str(&name);
    }
    let mut words: Vec<&str> = piece.roles.iter().map(|role| role.name()).collect();
    if piece.verdict != Verdict::Unknown {
        words.push(piece.verdict.name());
    }
    if piece.remediation != Remediation::None {
        words.push(piece.remediation.name());
    }
    if !words.is_empty() {
        text.push_str(" (");
        text.push_str(&words.join(", "));
        text.push(')');
    }
    text
}

/// What people call a piece of evidence.
fn name(piece: &Evidence<'_>) -> Option<String> {
    if let Some(folder) = piece.fields.text(Field::FileFolder) {
        let mut path = String::new();
        let name = piece.fields.text(Field::FileName).map(|name| name.to_string()).unwrap_or_default();
        join_path(&folder.to_cow(), &name, &mut path);
        return Some(path);
    }
    NAMES.iter().find_map(|field| match piece.fields.value(*field)? {
        Value::Text(text) => Some(text.to_string()),
        Value::Ip(address) => Some(address.to_string()),
        Value::Integer(number) => Some(number.to_string()),
        _ => None,
    })
}

/// The most telling first: a kind has only some of these.
const NAMES: &[Field] = &[
    Field::FileName,
    Field::ProcessCommand,
    Field::ProcessName,
    Field::UserUpn,
    Field::UserName,
    Field::UserMail,
    Field::UserDisplayName,
    Field::MailSubject,
    Field::MailNetworkId,
    Field::MalwareName,
    Field::RegistryKey,
    Field::DnsQuery,
    Field::ResourceName,
    Field::IpAddress,
    Field::NetRemoteIp,
    Field::Url,
    Field::ResourceId,
    Field::DeviceName,
    Field::DeviceHost,
    Field::DeviceId,
    Field::DeviceMac,
    Field::SessionUid,
];
