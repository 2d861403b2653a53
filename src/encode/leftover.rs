//! What no path of a format took: fields under the dictionary's own names, columns without a field under upstream's,
//! and evidence piece by piece. Nothing is lost for want of a place.

use super::json::Json;
use super::tree::{Scratch, Shown, Style, write_value};
use crate::event::{Event, Field, Fields, Kind, Member, Raw, Value, json};

/// Keys for fields that stand under no name of the format's.
pub(super) struct Leftover {
    /// `"name":` for each field.
    keys: Vec<Box<str>>,
    /// The same for a field that should hold JSON and holds text that isn't.
    text_keys: Vec<Box<str>>,
    style: Style,
    taken: Taken,
}

/// How a column's name becomes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    AsTheyAre,
    /// `DeviceName` as `unmapped_device_name`.
    Snake,
}

impl Leftover {
    pub(super) fn new(prefix: &str, style: Style) -> Self {
        let keys = |suffix: &str| {
            let key = |field: &Field| format!("\"{prefix}{}{suffix}\":", name_of(*field)).into();
            Field::ALL.iter().map(key).collect()
        };
        Self { keys: keys(""), text_keys: keys("_text"), style, taken: Taken::default() }
    }

    /// Every field that isn't shown yet.
    pub(super) fn fields(&self, fields: &Fields<'_>, shown: &Shown, letters: &mut String, json: &mut Json<'_>) {
        for (field, value) in fields.iter() {
            if shown.has(field) {
                continue;
            }
            let length = json.length();
            if field.kind() == Kind::Json
                && let Value::Text(text) = value
            {
                // Upstream writes JSON into a string here and as it is there; a key holds one type or the other.
                let letters = text.read(letters);
                match json::whole(letters) {
                    Ok(document @ (Raw::Object(_) | Raw::Array(_))) => {
                        json.written_key(&self.keys[field as usize]);
                        json.raw(document);
                    }
                    _ => {
                        json.written_key(&self.text_keys[field as usize]);
                        json.string(letters);
                    }
                }
                continue;
            }
            json.written_key(&self.keys[field as usize]);
            if !write_value(value, self.style, json) {
                json.take_back(length);
            }
        }
    }

    /// Columns that no table maps, each under a key of its own.
    pub(super) fn columns(&mut self, members: &[Member<'_>], names: Names, scratch: &mut Scratch, json: &mut Json<'_>) {
        let Scratch { letters, more, .. } = scratch;
        self.taken.clear();
        for member in members {
            let name = member.key.read(letters);
            let mut key = match names {
                Names::AsTheyAre => name,
                Names::Snake => {
                    snake(name, more);
                    more.as_str()
                }
            };
            let mut number = 2;
            let mut numbered;
            while !self.taken.take(key) {
                numbered = match names {
                    Names::AsTheyAre => format!("{name}_{number}"),
                    Names::Snake => format!("{more}_{number}"),
                };
                number += 1;
                key = &numbered;
            }
            json.key(key);
            json.raw(member.value);
        }
    }

    /// Each piece of evidence as an object, for formats that can carry a list of these.
    pub(super) fn evidence(&mut self, event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) {
        json.open_array();
        for piece in &event.evidence {
            json.open_object();
            json.written_key("\"kind\":");
            json.text(piece.kind_name);
            json.written_key("\"verdict\":");
            json.string(piece.verdict.name());
            json.written_key("\"remediation\":");
            json.string(piece.remediation.name());
            if piece.roles.iter().next().is_some() {
                json.written_key("\"roles\":[");
                piece.roles.iter().for_each(|role| json.string(role.name()));
                json.close_array();
            }
            self.fields(&piece.fields, &Shown::default(), &mut scratch.letters, json);
            if !piece.unmapped.is_empty() {
                json.written_key("\"unmapped\":{");
                self.columns(&piece.unmapped, Names::AsTheyAre, scratch, json);
                json.close_object();
            }
            json.close_object();
        }
        json.close_array();
    }
}

/// The dictionary's name in snake case, shorter where everybody knows what is meant.
fn name_of(field: Field) -> String {
    match field {
        Field::Classification => "classification".to_owned(),
        Field::Determination => "determination".to_owned(),
        Field::AssignedTo => "assigned_to".to_owned(),
        Field::Comments => "comments".to_owned(),
        Field::Techniques => "techniques".to_owned(),
        Field::Extra => "additional_fields".to_owned(),
        Field::RecordSequence => "report_id".to_owned(),
        _ => field.name().replace('.', "_"),
    }
}

/// `IPAddressType` as `unmapped_ip_address_type`; whatever isn't a letter or a digit of ASCII is a stroke.
fn snake(name: &str, out: &mut String) {
    out.clear();
    out.push_str("unmapped_");
    let bytes = name.as_bytes();
    for (place, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() {
            let before = place.checked_sub(1).map_or(b'_', |before| bytes[before]);
            let is_followed = bytes.get(place + 1).is_some_and(u8::is_ascii_lowercase);
            if before.is_ascii_lowercase() || before.is_ascii_digit() || (before.is_ascii_uppercase() && is_followed) {
                out.push('_');
            }
        }
        out.push(if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' });
    }
}

/// Which keys of one object are taken. Names count as the same if their hashes are: at worst one gets a number it
/// didn't need.
#[derive(Default)]
struct Taken {
    /// A bit for a hash of each name: most are seen to be new by it alone.
    marks: [u64; 16],
    hashes: Vec<u64>,
}

impl Taken {
    fn clear(&mut self) {
        self.marks = [0; 16];
        self.hashes.clear();
    }

    /// `false` if the name is taken already.
    fn take(&mut self, name: &str) -> bool {
        let hash = hash_of(name.as_bytes());
        let (word, bit) = ((hash >> 60) as usize, hash >> 54 & 63);
        if self.marks[word] >> bit & 1 == 1 && self.hashes.contains(&hash) {
            return false;
        }
        self.marks[word] |= 1 << bit;
        self.hashes.push(hash);
        true
    }
}

fn hash_of(name: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(FACTOR).rotate_left(29);
    let (words, rest) = name.as_chunks::<8>();
    let hash = words.iter().fold(name.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let last = rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    mix(mix(hash, last), FACTOR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Text;

    fn keys(names: &[&str], how: Names) -> Vec<String> {
        let members: Vec<Member<'_>> =
            names.iter().map(|name| Member { key: Text::plain(name), value: Raw::Number("1") }).collect();
        let mut out = Vec::from(b"{");
        let style = Style { epoch: false, mac: b'-' };
        Leftover::new("", style).columns(&members, how, &mut Scratch::default(), &mut Json::on(&mut out));
        let text = String::from_utf8(out).unwrap();
        text[1..].split(":1").filter(|key| !key.is_empty()).map(|key| key.replace([',', '"'], "")).collect()
    }

    #[test]
    fn every_column_has_a_key_of_its_own() {
        assert_eq!(keys(&["a", "a", "a_2", "A", "a", "é"], Names::AsTheyAre), ["a", "a_2", "a_2_2", "A", "a_3", "é"]);
        assert_eq!(
            keys(&["DeviceName", "device name", "IPAddressType", "Sha1", "SHA256Ac", "é.X", ""], Names::Snake),
            [
                "unmapped_device_name",
                "unmapped_device_name_2",
                "unmapped_ip_address_type",
                "unmapped_sha1",
                "unmapped_sha256_ac",
                "unmapped___x",
                "unmapped_"
            ]
        );
    }

    #[test]
    fn no_two_fields_share_a_key() {
        let mut names: Vec<_> =
            Field::ALL.iter().flat_map(|field| [name_of(*field), name_of(*field) + "_text"]).collect();
        let reserved = ["kind", "verdict", "remediation", "roles", "unmapped", "evidence", "table", "status"];
        names.extend(reserved.map(str::to_owned));
        names.extend(["event_id", "revision", "change"].map(str::to_owned));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
