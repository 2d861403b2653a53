//! A shorter event for a receiver that can't take all of it: long texts are cut, lists end early, and what is left says
//! how much there was and which record it was made from.

use ring::digest::{SHA256, digest};

use crate::event::evidence::Evidence;
use crate::event::text::start_of;
use crate::event::{Event, Fields, List, Member, Raw, Text, Value};

/// What an event that was made shorter says about the whole one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reduced {
    /// How many bytes the whole event takes in the same format.
    pub whole_bytes: u64,
    /// The first half of the SHA-256 of the record as upstream sent it.
    pub digest: [u8; 16],
}

impl Reduced {
    pub fn digest_in_hex(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.digest))
    }
}

/// How much of an event is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Longest text, in bytes as they stand in the record.
    text_bytes: usize,
    /// Pieces of evidence, in upstream's order.
    pieces: usize,
    /// Whether columns without a mapping are kept.
    unmapped: bool,
}

/// From mild to harsh. Even the last one leaves identifiers and hashes whole, which are the shortest and the most telling.
pub const STEPS: &[Step] = &[
    Step { text_bytes: 2048, pieces: 100, unmapped: true },
    Step { text_bytes: 512, pieces: 30, unmapped: true },
    Step { text_bytes: 256, pieces: 10, unmapped: false },
    Step { text_bytes: 128, pieces: 3, unmapped: false },
    Step { text_bytes: 64, pieces: 0, unmapped: false },
];

impl<'r> Event<'r> {
    /// The event, shortened by one step. The record itself stays: a format that passes it on can't be helped this way.
    pub fn reduced(&self, step: Step, whole_bytes: u64) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&digest(&SHA256, self.raw).as_ref()[..16]);
        Self {
            id: self.id,
            tenant: self.tenant,
            source: self.source,
            class: self.class,
            activity: self.activity,
            kind: self.kind,
            action: self.action,
            time: self.time,
            severity: self.severity,
            fields: shorter_fields(&self.fields, step),
            evidence: self.evidence.iter().take(step.pieces).map(|piece| shorter_piece(piece, step)).collect(),
            unmapped: shorter_members(&self.unmapped, step),
            revision: self.revision,
            index: self.index,
            record: self.record,
            raw: self.raw,
            repaired: self.repaired,
            reduced: Some(Reduced { whole_bytes, digest: half }),
        }
    }
}

fn shorter_fields<'r>(fields: &Fields<'r>, step: Step) -> Fields<'r> {
    let mut kept = Fields::default();
    for (field, value) in fields.iter() {
        let value = match value {
            Value::Text(text) => Value::Text(text.cut(step.text_bytes)),
            Value::List(list) => Value::List(shorter_list(list, step)),
            Value::Json(text) if text.len() > step.text_bytes => continue,
            other => other.clone(),
        };
        kept.insert(field, value);
    }
    kept
}

fn shorter_list<'r>(list: &List<'r>, step: Step) -> List<'r> {
    let mut room = step.text_bytes;
    let mut kept = Vec::new();
    for text in list.iter() {
        let Some(left) = room.checked_sub(text.as_written().len()) else { break };
        room = left;
        kept.push(text);
    }
    List::of(kept)
}

fn shorter_piece<'r>(piece: &Evidence<'r>, step: Step) -> Evidence<'r> {
    Evidence {
        kind: piece.kind,
        kind_name: piece.kind_name.cut(step.text_bytes),
        roles: piece.roles,
        verdict: piece.verdict,
        remediation: piece.remediation,
        fields: shorter_fields(&piece.fields, step),
        unmapped: shorter_members(&piece.unmapped, step),
        raw: if piece.raw.len() > step.text_bytes { "{}" } else { piece.raw },
    }
}

fn shorter_members<'r>(members: &[Member<'r>], step: Step) -> Vec<Member<'r>> {
    let kept = members.iter().filter(|_| step.unmapped).filter_map(|member| {
        let value = match member.value {
            Raw::String(text) => Raw::String(text.cut(step.text_bytes)),
            Raw::Array(text) | Raw::Object(text) if text.len() > step.text_bytes => return None,
            other => other,
        };
        Some(Member { key: member.key.cut(step.text_bytes), value })
    });
    kept.collect()
}

impl Text<'_> {
    /// At most so many bytes as they stand in the record, never ending within a letter or an escape.
    #[must_use]
    pub fn cut(self, bytes_max: usize) -> Self {
        let written = self.as_written();
        if written.len() <= bytes_max {
            return self;
        }
        let mut end = start_of(written, bytes_max).len();
        if self.as_plain().is_none() {
            end = whole_escapes(&written.as_bytes()[..end]);
        }
        self.part(&written[..end])
    }
}

/// The length of the longest start that ends between two letters. A pair of halves counts as one letter.
fn whole_escapes(bytes: &[u8]) -> usize {
    let mut end = 0;
    while let Some(byte) = bytes.get(end) {
        let length = match (byte, bytes.get(end + 1)) {
            (b'\\', Some(b'u')) => {
                let is_first_half =
                    matches!(bytes.get(end + 2..end + 4), Some([b'd' | b'D', b'8'..=b'9' | b'a' | b'b' | b'A' | b'B']));
                if is_first_half { 12 } else { 6 }
            }
            (b'\\', _) => 2,
            _ => 1,
        };
        if end + length > bytes.len() {
            break;
        }
        end += length;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_never_falls_into_a_letter_or_an_escape() {
        let cases = [
            (r"C:\\new\\test", true, 3, r"C:"),
            (r"C:\\new\\test", true, 4, r"C:\\"),
            (r"a\u00e9b", true, 6, "a"),
            (r"a\u00e9b", true, 7, r"a\u00e9"),
            (r"\ud83d\ude00x", true, 11, ""),
            (r"\ud83d\ude00x", true, 12, r"\ud83d\ude00"),
            ("café", false, 4, "caf"),
            ("short", false, 64, "short"),
        ];
        for (written, escaped, most, kept) in cases {
            assert_eq!(Text::quoted(written, escaped).cut(most).as_written(), kept, "{written} {most}");
        }
    }

    #[test]
    fn each_step_keeps_less_than_the_one_before() {
        for pair in STEPS.windows(2) {
            assert!(pair[0].text_bytes > pair[1].text_bytes && pair[0].pieces > pair[1].pieces);
            assert!(pair[0].unmapped || !pair[1].unmapped);
        }
        assert!(STEPS.iter().all(|step| step.text_bytes >= 64), "a SHA-256 stays whole");
    }
}
