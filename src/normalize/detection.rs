//! Detections of the retired interface for SIEMs: one flat record that speaks of a device, a user, a file and more.

use crate::event::product::product_of;
use crate::event::{Evidence, EvidenceKind, Field, Fields, Kind as Holds, List, Member, Raw, Remediation, Text, Value};
use crate::normalize::alert::piece_of;
use crate::normalize::kinds::Kind;

/// What the record speaks of, as the pieces of evidence that later interfaces make of the same.
pub(super) fn take_apart<'r>(
    kind: &Kind,
    fields: &mut Fields<'r>,
    unmapped: &mut Vec<Member<'r>>,
    evidence: &mut Vec<Evidence<'r>>,
) {
    for (name, field) in kind.second_best {
        unmapped.retain(|member| !(member.key.eq_ignore_case(name) && stand_in(*field, member.value, fields)));
    }
    let service = fields.text(Field::AlertDetectionSource);
    if let Some(service) = service.filter(|source| product_of(*source).is_some()) {
        fields.remove(Field::AlertDetectionSource);
        fields.replace(Field::AlertServiceSource, Value::Text(service));
    }
    let made = PARTS.iter().filter_map(|(kind, name, prefix)| piece_of(fields, *kind, name, prefix));
    evidence.extend(made);
    for (field, kinds) in OF_ONE_PIECE {
        let owner = kinds.iter().find_map(|kind| evidence.iter().position(|piece| piece.kind == *kind));
        if let (Some(owner), Some(value)) = (owner, fields.value(*field)) {
            evidence[owner].fields.insert(*field, value.clone());
            fields.remove(*field);
        }
    }
    if let Some(is_success) = fields.flag(Field::AlertIsRemediated) {
        let state = if is_success { Remediation::Remediated } else { Remediation::Unremediated };
        fields.insert(Field::Disposition, Value::plain(state.name()));
        if let Some(file) = evidence.iter_mut().find(|piece| piece.kind == EvidenceKind::File) {
            file.remediation = state;
        }
    }
}

/// Puts a second-best value where nothing better stands. Texts that are lists have semicolons between their elements.
fn stand_in<'r>(field: Field, value: Raw<'r>, fields: &mut Fields<'r>) -> bool {
    let Raw::String(text) = value else { return false };
    if field.kind() == Holds::List {
        let Some(plain) = text.as_plain() else { return false };
        let new = plain.split(';').map(str::trim).filter(|word| !word.is_empty()).map(Text::plain);
        let list: Vec<_> = fields.list(field).chain(new).collect();
        fields.replace(field, Value::List(List::of(list)));
        return true;
    }
    if let Some(known) = fields.text(field) {
        return known == text;
    }
    (field != Field::FileSha1 || text.as_written().len() == SHA1_DIGITS) && fields.insert(field, Value::Text(text))
}

const SHA1_DIGITS: usize = 40;

const PARTS: &[(EvidenceKind, &str, &str)] = &[
    (EvidenceKind::Device, "Machine", "device."),
    (EvidenceKind::User, "User", "user."),
    (EvidenceKind::File, "File", "file."),
    (EvidenceKind::Process, "Process", "process."),
    (EvidenceKind::Ip, "Ip", "ip."),
    (EvidenceKind::Url, "Url", "url."),
];

/// What describes one piece, and which; it stays with the alert where there is none.
const OF_ONE_PIECE: &[(Field, &[EvidenceKind])] = &[
    (Field::EvidenceTags, &[EvidenceKind::Device]),
    (Field::EvidenceRemediationDetails, &[EvidenceKind::File, EvidenceKind::Process, EvidenceKind::Device]),
];
