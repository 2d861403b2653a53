//! All the evidence of an alert, where flat keys hold one of each: lists of what is there more than once, and one list
//! of every piece with what Microsoft thinks and did about it.

use std::collections::HashSet;

use crate::event::text::join_path;
use crate::event::{Evidence, EvidenceKind, Field, Remediation, Text, Value, Verdict};

/// One of the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::encode) enum Pieces {
    Devices,
    Users,
    Files,
    Addresses,
    Urls,
    /// Every piece with its roles, its verdict and what was done.
    All,
}

/// Gives each list that has something to say beyond the keys of one piece.
pub(in crate::encode) fn each(evidence: &[Evidence<'_>], mut put: impl FnMut(Pieces, &str)) {
    if evidence.is_empty() {
        return;
    }
    for (pieces, kind) in [
        (Pieces::Devices, EvidenceKind::Device),
        (Pieces::Users, EvidenceKind::User),
        (Pieces::Files, EvidenceKind::File),
        (Pieces::Addresses, EvidenceKind::Ip),
        (Pieces::Urls, EvidenceKind::Url),
    ] {
        // An attacker may name many thousand files: each one is looked for in a set, not in the list.
        let (mut names, mut known) = (Vec::new(), HashSet::new());
        for name in evidence.iter().filter(|piece| piece.kind == kind).filter_map(name) {
            if known.insert(name.clone()) {
                names.push(name);
            }
        }
        if names.len() > 1 {
            put(pieces, &names.join(", "));
        }
    }
    let all: Vec<String> = evidence.iter().map(describe).collect();
    put(Pieces::All, &all.join(", "));
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
        join_path(folder, piece.fields.text(Field::FileName).unwrap_or(Text::plain("")), &mut path);
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
