//! Evidence: one piece of what an alert is about, in any of the ways Microsoft writes it.

use crate::event::json::{Fault, Scanner};
use crate::event::{Evidence, EvidenceKind, Field, Fields, Raw, Remediation, Role, Roles, Text, Value, Verdict};
use crate::normalize::object::{self, Special, Walk, each_element};
use crate::normalize::tables::evidence::{Pieces, Vocabulary};

const TYPE_PREFIX: &str = "#microsoft.graph.security.";

/// Evidence at one place of a record.
#[derive(Clone, Copy)]
pub(super) struct Place<'r, 'p> {
    pub(super) text: &'r str,
    pub(super) pieces: &'p Pieces,
    /// How deep an element lies.
    pub(super) depth: u32,
    /// Where every element is a device and none says so.
    pub(super) are_devices: bool,
}

impl<'r> Place<'r, '_> {
    /// Reads the array that is next. Whether it was one, and all its elements were pieces of evidence.
    pub(super) fn read_all(self, scanner: &mut Scanner<'r>, found: &mut Vec<Evidence<'r>>) -> Result<bool, Fault> {
        self.read_some(scanner, |_| true, |piece| found.push(piece))
    }

    /// The same for the kinds that are wanted.
    pub(super) fn read_some(
        self,
        scanner: &mut Scanner<'r>,
        wanted: impl Fn(EvidenceKind) -> bool,
        mut each: impl FnMut(Evidence<'r>),
    ) -> Result<bool, Fault> {
        scanner.skip_blanks();
        if scanner.peek() != Some(b'[') {
            return Ok(scanner.value(self.depth - 1)?.is_absent());
        }
        let mut all = true;
        each_element(scanner, |scanner| {
            if scanner.peek() != Some(b'{') {
                all &= scanner.value(self.depth)?.is_absent();
                return Ok(());
            }
            let (kind, kind_name) = self.kind(*scanner)?;
            if wanted(kind) {
                each(self.read(scanner, kind, kind_name)?);
            } else {
                scanner.value(self.depth)?;
            }
            Ok(())
        })?;
        Ok(all)
    }

    /// What the object that is next says it is. Nearly always its first member tells.
    fn kind(self, mut ahead: Scanner<'r>) -> Result<(EvidenceKind, Text<'r>), Fault> {
        if self.are_devices {
            return Ok((EvidenceKind::Device, Text::plain("Device")));
        }
        let vocabulary = self.pieces.vocabulary;
        let key = vocabulary.type_key();
        let mut first = ahead;
        first.expect(b'{')?;
        let told = match first.key() {
            Ok(name) if name.eq_ignore_case(key) => Some(first.value(self.depth + 1)?),
            _ => match ahead.value(self.depth)? {
                Raw::Object(object) => object::member(object, key),
                _ => None,
            },
        };
        let name = match told {
            Some(Raw::String(name)) => without_prefix(name),
            _ => Text::plain("evidence"),
        };
        Ok((vocabulary.kind(&name.to_cow()), name))
    }

    fn read(self, scanner: &mut Scanner<'r>, kind: EvidenceKind, kind_name: Text<'r>) -> Result<Evidence<'r>, Fault> {
        let start = scanner.at();
        let mut piece = bare(kind, kind_name);
        let Evidence { roles, verdict, remediation, fields, unmapped, .. } = &mut piece;
        let walk = Walk { text: self.text, index: self.pieces.index(kind) };
        walk.object(scanner, self.depth, fields, unmapped, |special, scanner| {
            let value = scanner.value(self.depth + 1)?;
            Ok(value.is_absent()
                || match (special, value) {
                    (Special::Type, Raw::String(_)) => true,
                    (Special::Verdict, Raw::String(word)) => {
                        *verdict = Verdict::parse(&word.to_cow());
                        *verdict != Verdict::Other
                    }
                    (Special::Remediation, Raw::String(word)) => {
                        *remediation = Remediation::parse(&word.to_cow());
                        *remediation != Remediation::Other
                    }
                    (Special::Roles, Raw::Array(array)) => add_roles(array, roles),
                    _ => false,
                })
        })?;
        piece.raw = &self.text[start..scanner.at()];
        if kind == EvidenceKind::FileHash && self.pieces.vocabulary == Vocabulary::Graph {
            name_hash(&mut piece.fields);
        }
        Ok(piece)
    }
}

/// A piece of which only the kind is known.
pub(super) fn bare<'r>(kind: EvidenceKind, kind_name: Text<'r>) -> Evidence<'r> {
    Evidence {
        kind,
        kind_name,
        roles: Roles::default(),
        verdict: Verdict::Unknown,
        remediation: Remediation::None,
        fields: Fields::default(),
        unmapped: Vec::new(),
        raw: "{}",
    }
}

fn without_prefix(name: Text<'_>) -> Text<'_> {
    let written = name.as_written();
    let short = written.strip_prefix(TYPE_PREFIX).or_else(|| written.strip_prefix(&TYPE_PREFIX[1..]));
    name.part(short.unwrap_or(written))
}

/// Whether all of them are known. A word that is newer than we are is kept as it is, too.
fn add_roles(array: &str, roles: &mut Roles) -> bool {
    crate::event::json::elements(array).fold(true, |all, element| {
        let Raw::String(word) = element else { return false };
        let role = Role::parse(&word.to_cow());
        roles.add(role);
        all && role != Role::Other
    })
}

/// A hash by itself, where formats look for it.
fn name_hash(fields: &mut Fields<'_>) {
    let (Some(hash), Some(algorithm)) = (fields.text(Field::ResourceId), fields.text(Field::ResourceType)) else {
        return;
    };
    let named = [
        ("md5", Field::FileMd5),
        ("sha1", Field::FileSha1),
        ("sha256", Field::FileSha256),
        ("sha256ac", Field::FileSha256Authenticode),
    ];
    if let Some((_, field)) = named.iter().find(|(name, _)| algorithm.eq_ignore_case(name)) {
        fields.insert(*field, Value::Text(hash));
    }
}
