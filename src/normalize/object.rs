//! Objects of the REST interfaces: members and members of members, found by name and read in a single pass.
//!
//! The pass checks the grammar as it goes, so that nothing has to be read once to be believed and once to be used.

use crate::event::json::{Fault, Scanner, members, whole};
use crate::event::{Field, Fields, Member, Raw, Text, Value};
use crate::normalize::Reason;
use crate::normalize::convert::{Converted, convert};

/// A dotted path inside an object, and what stands there.
pub(super) type Path = (&'static str, Field);

/// A member that isn't a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    Severity,
    Verdict,
    Remediation,
    Roles,
    /// What kind of evidence it is.
    Type,
    /// Pieces of evidence that say themselves what they are.
    Evidence,
    /// Pieces of evidence that are devices.
    Devices,
    Alerts,
}

/// The members of one kind of object by name, and those of the objects inside it. Built once, asked for every member.
#[derive(Debug)]
pub(super) struct Index {
    nodes: Vec<Node>,
}

/// The members of one object.
#[derive(Debug, Default)]
struct Node {
    rows: Vec<Row>,
    /// For each hash of a name the number of its row plus one, or zero. A power of two, never full.
    slots: Vec<u8>,
}

#[derive(Debug)]
struct Row {
    name: &'static str,
    field: Option<Field>,
    /// The node of the object that may stand here.
    inner: Option<u8>,
    special: Option<Special>,
}

impl Index {
    pub(super) fn of(paths: &[&[Path]], specials: &[&[(&'static str, Special)]]) -> Self {
        let mut index = Self { nodes: vec![Node::default()] };
        for (path, field) in paths.iter().copied().flatten() {
            let mut node = 0;
            let mut rest = *path;
            while let Some((name, inner)) = rest.split_once('.') {
                let next = u8::try_from(index.nodes.len()).unwrap_or(u8::MAX);
                let found = *index.nodes[node].row(name).inner.get_or_insert(next);
                if found == next {
                    index.nodes.push(Node::default());
                }
                (node, rest) = (usize::from(found), inner);
            }
            index.nodes[node].row(rest).field = Some(*field);
        }
        for (name, special) in specials.iter().copied().flatten() {
            index.nodes[0].row(name).special = Some(*special);
        }
        index.nodes.iter_mut().for_each(Node::hash);
        index
    }

    fn find(&self, node: u8, name: &str) -> Option<&Row> {
        self.nodes[usize::from(node)].find(name)
    }

    /// What a member of the outermost object leads to.
    pub(super) fn member(&self, key: Text<'_>) -> (Option<Field>, Option<Special>) {
        let row = match key.as_plain() {
            Some(name) => self.find(0, name),
            None => self.find(0, &key.to_cow()),
        };
        row.map_or((None, None), |row| (row.field, row.special))
    }

    /// Whether a dotted path leads somewhere.
    #[cfg(test)]
    pub(super) fn knows(&self, path: &str) -> bool {
        let mut node = 0;
        let mut rest = path;
        while let Some((name, inner)) = rest.split_once('.') {
            match self.find(node, name).and_then(|row| row.inner) {
                Some(next) => (node, rest) = (next, inner),
                None => return false,
            }
        }
        self.find(node, rest).is_some()
    }
}

impl Node {
    /// The row of a name, made if it isn't there.
    fn row(&mut self, name: &'static str) -> &mut Row {
        let known = self.rows.iter().position(|row| row.name.eq_ignore_ascii_case(name));
        let place = known.unwrap_or_else(|| {
            self.rows.push(Row { name, field: None, inner: None, special: None });
            self.rows.len() - 1
        });
        &mut self.rows[place]
    }

    fn hash(&mut self) {
        debug_assert!(self.rows.len() < usize::from(u8::MAX), "a row's number fits a byte");
        self.slots = vec![0; (self.rows.len() * 3).next_power_of_two().max(2)];
        for (number, row) in (1..).zip(&self.rows) {
            let mut slot = slot_of(row.name.as_bytes(), self.slots.len());
            while self.slots[slot] != 0 {
                slot = (slot + 1) % self.slots.len();
            }
            self.slots[slot] = number;
        }
    }

    #[inline]
    fn find(&self, name: &str) -> Option<&Row> {
        let mut slot = slot_of(name.as_bytes(), self.slots.len());
        loop {
            let row = self.rows.get(usize::from(self.slots[slot]).checked_sub(1)?)?;
            if row.name == name || row.name.eq_ignore_ascii_case(name) {
                return Some(row);
            }
            slot = (slot + 1) % self.slots.len();
        }
    }
}

/// The same for every case of a name: names of one object differ in their length, their ends or their middle.
#[inline]
fn slot_of(name: &[u8], slots: usize) -> usize {
    let letter = |at: usize| u32::from(name.get(at).copied().unwrap_or_default() | 0x20);
    let length = name.len();
    let sum = letter(0) << 24 | letter(length / 2) << 16 | letter(length.wrapping_sub(1)) << 8;
    let mixed = (sum ^ length as u32 ^ letter(length.wrapping_sub(4)) << 5).wrapping_mul(0x9E37_79B1);
    (mixed >> 16) as usize & (slots - 1)
}

/// What a member leads to that isn't a field: reads the value, and says whether all of it found its place.
pub(super) trait Reader<'r>: FnMut(Special, &mut Scanner<'r>) -> Result<bool, Fault> {}
impl<'r, F: FnMut(Special, &mut Scanner<'r>) -> Result<bool, Fault>> Reader<'r> for F {}

/// One pass over objects of a text.
#[derive(Clone, Copy)]
pub(super) struct Walk<'r, 'i> {
    pub(super) text: &'r str,
    pub(super) index: &'i Index,
}

impl<'r> Walk<'r, '_> {
    /// Reads the object that is next, `depth` levels deep: what the index names goes into `fields` or to `special`, and
    /// everything else that isn't empty into `unmapped`. An inner object that is not mapped to its last member is kept
    /// whole as well.
    pub(super) fn object(
        self,
        scanner: &mut Scanner<'r>,
        depth: u32,
        fields: &mut Fields<'r>,
        unmapped: &mut Vec<Member<'r>>,
        mut special: impl Reader<'r>,
    ) -> Result<(), Fault> {
        each_member(scanner, |scanner, key| {
            scanner.skip_blanks();
            let start = scanner.at();
            let row = match key.as_plain() {
                Some(name) => self.index.find(0, name),
                None => self.index.find(0, &key.to_cow()),
            };
            let kept = match row {
                Some(Row { special: Some(what), .. }) => special(*what, scanner)?,
                row => self.value(scanner, depth + 1, row, fields)? || key.as_written().contains("@odata."),
            };
            if !kept {
                unmapped.push(Member { key, value: Scanner::starting_at(self.text, start).value(depth + 1)? });
            }
            Ok(())
        })
    }

    /// Whether all of a value found its place.
    fn value(
        self,
        scanner: &mut Scanner<'r>,
        depth: u32,
        row: Option<&Row>,
        fields: &mut Fields<'r>,
    ) -> Result<bool, Fault> {
        if let Some(Row { inner: Some(node), .. }) = row
            && scanner.peek() == Some(b'{')
        {
            let mut all = true;
            each_member(scanner, |scanner, key| {
                let name = key.to_cow();
                scanner.skip_blanks();
                all &= self.value(scanner, depth + 1, self.index.find(*node, &name), fields)? || name == "@odata.type";
                Ok(())
            })?;
            return Ok(all);
        }
        let value = scanner.value(depth)?;
        if value.is_absent() {
            return Ok(true);
        }
        let Some(Row { field: Some(field), .. }) = row else { return Ok(false) };
        Ok(match convert(field.kind(), value) {
            Converted::Value(value) => insert(fields, *field, value),
            Converted::Absent => true,
            Converted::Misfit => false,
        })
    }
}

/// Reads a text that is one object and nothing else, and returns the object.
pub(super) fn document<'r>(
    text: &'r str,
    index: &Index,
    fields: &mut Fields<'r>,
    unmapped: &mut Vec<Member<'r>>,
    special: impl Reader<'r>,
) -> Result<&'r str, Reason> {
    let mut scanner = Scanner::new(text);
    scanner.skip_blanks();
    if scanner.peek() != Some(b'{') {
        whole(text)?;
        return Err(Reason::NotAnObject);
    }
    let start = scanner.at();
    Walk { text, index }.object(&mut scanner, 1, fields, unmapped, special)?;
    let object = &text[start..scanner.at()];
    scanner.skip_blanks();
    if scanner.peek().is_some() { Err(scanner.unexpected().into()) } else { Ok(object) }
}

/// Two members may name the same thing; saying the same twice loses nothing.
fn insert<'r>(fields: &mut Fields<'r>, field: Field, value: Value<'r>) -> bool {
    match fields.value(field) {
        Some(known) => *known == value,
        None => fields.insert(field, value),
    }
}

/// Hands out the keys of the object that is next; `each` reads the value.
pub(super) fn each_member<'r>(
    scanner: &mut Scanner<'r>,
    mut each: impl FnMut(&mut Scanner<'r>, Text<'r>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    scanner.expect(b'{')?;
    if scanner.take(b'}') {
        return Ok(());
    }
    loop {
        let key = scanner.key()?;
        each(scanner, key)?;
        if scanner.take(b'}') {
            return Ok(());
        }
        scanner.expect(b',')?;
    }
}

/// Stands at each element of the array that is next; `each` reads it.
pub(super) fn each_element<'r>(
    scanner: &mut Scanner<'r>,
    mut each: impl FnMut(&mut Scanner<'r>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    scanner.expect(b'[')?;
    if scanner.take(b']') {
        return Ok(());
    }
    loop {
        scanner.skip_blanks();
        each(scanner)?;
        if scanner.take(b']') {
            return Ok(());
        }
        scanner.expect(b',')?;
    }
}

/// The first member of that name, in an object that has been found well-formed.
pub(super) fn member<'r>(object: &'r str, name: &str) -> Option<Raw<'r>> {
    members(object).find(|member| member.key.eq_ignore_case(name)).map(|member| member.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATHS: &[Path] = &[
        ("A", Field::DeviceName),
        ("b.c", Field::DeviceId),
        ("d.e", Field::DeviceHost),
        ("g", Field::DeviceDomain),
        ("g.h", Field::DeviceNtDomain),
    ];

    fn read(object: &str) -> Result<(String, String), Fault> {
        let index = Index::of(&[PATHS], &[&[("s", Special::Severity)]]);
        let (mut fields, mut unmapped) = (Fields::default(), Vec::new());
        Walk { text: object, index: &index }.object(
            &mut Scanner::new(object),
            1,
            &mut fields,
            &mut unmapped,
            |_, scanner| Ok(matches!(scanner.value(2)?, Raw::Bool(true))),
        )?;
        let fields: Vec<_> = fields.iter().map(|(field, value)| format!("{}={value:?}", field.name())).collect();
        let unmapped: Vec<_> = unmapped.iter().map(|member| format!("{}={:?}", member.key, member.value)).collect();
        Ok((fields.join(" "), unmapped.join(" ")))
    }

    #[test]
    fn members_of_members_find_their_field_and_the_rest_is_kept() {
        let (fields, unmapped) = read(
            r#"{"a":"1","b":{"c":"2","@odata.type":"x"},"d":{"e":"3","f":"4"},"x":"5","h":null,"B":{"C":"2"},
                "b":{"c":"6"}, "@odata.etag":"y","s":true}"#,
        )
        .unwrap();
        assert_eq!(fields, r#"device.name=Text("1") device.id=Text("2") device.host=Text("3")"#);
        assert_eq!(unmapped, r#"d=Object("{\"e\":\"3\",\"f\":\"4\"}") x=String("5") b=Object("{\"c\":\"6\"}")"#);
    }

    #[test]
    fn one_name_can_be_a_text_here_and_an_object_there() {
        assert_eq!(read(r#"{"g":"1"}"#).unwrap().0, r#"device.domain=Text("1")"#);
        assert_eq!(read(r#"{"g":{"h":"1"}}"#).unwrap().0, r#"device.nt_domain=Text("1")"#);
        assert_eq!(read(r#"{"g":["1"]}"#).unwrap().1, r#"g=Array("[\"1\"]")"#);
    }

    #[test]
    fn what_is_not_json_is_found_wherever_it_stands() {
        for broken in [r#"{"a":"1",}"#, r#"{"b":{"c":}}"#, r#"{"b":{"c":"1""#, r#"{"z":[1,]}"#, r#"{"s":tru}"#, "{"] {
            assert!(read(broken).is_err(), "{broken}");
        }
    }
}
