//! What a field of an event can hold, and the fields themselves: looked up by number, and reused from record to record.

use std::net::IpAddr;

use crate::clock::Timestamp;
use crate::event::dictionary::Field;
use crate::event::list::List;
use crate::event::text::Text;

/// One value. Whole numbers are exact; addresses and times are parsed, so that every format writes them its own way.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'r> {
    Text(Text<'r>),
    Integer(i64),
    Bool(bool),
    Time(Timestamp),
    Ip(IpAddr),
    Mac([u8; 6]),
    List(List<'r>),
    /// Something with structure that no flat format can show: the JSON as upstream wrote it.
    Json(&'r str),
}

impl<'r> Value<'r> {
    pub const fn plain(text: &'r str) -> Self {
        Self::Text(Text::plain(text))
    }
    pub const fn as_text(&self) -> Option<Text<'r>> {
        match self {
            Self::Text(text) => Some(*text),
            _ => None,
        }
    }
}

/// The fields of one event, each at most once.
#[derive(Debug)]
pub struct Fields<'r> {
    list: Vec<(Field, Value<'r>)>,
    /// For each field its place in `list` plus one, or zero.
    index: [u8; Field::COUNT],
}

/// Most fields of one event: a place must fit into a byte of the index, and no table has half as many columns.
const FIELDS_MAX: usize = u8::MAX as usize;

impl Default for Fields<'_> {
    fn default() -> Self {
        Self { list: Vec::new(), index: [0; Field::COUNT] }
    }
}

impl<'r> Fields<'r> {
    /// Sets a field that isn't set yet. The first of two values stays; `false` says that the second one is homeless.
    #[inline]
    pub fn insert(&mut self, field: Field, value: Value<'r>) -> bool {
        let place = &mut self.index[field as usize];
        if *place != 0 || self.list.len() == FIELDS_MAX {
            return false;
        }
        self.list.push((field, value));
        *place = u8::try_from(self.list.len()).unwrap_or(u8::MAX);
        true
    }

    /// Sets a field, whatever it held before.
    pub fn replace(&mut self, field: Field, value: Value<'r>) {
        match self.index[field as usize] {
            0 => {
                self.insert(field, value);
            }
            place => self.list[usize::from(place) - 1].1 = value,
        }
    }

    /// Takes a field away.
    pub fn remove(&mut self, field: Field) {
        let place = usize::from(self.index[field as usize]);
        if place != 0 {
            self.list.swap_remove(place - 1);
            self.index[field as usize] = 0;
            if let Some((moved, _)) = self.list.get(place - 1) {
                self.index[*moved as usize] = u8::try_from(place).unwrap_or(u8::MAX);
            }
        }
    }

    /// Lets a field's value be another field's, where that one has none.
    pub(crate) fn rename(&mut self, from: Field, to: Field) {
        let place = self.index[from as usize];
        if place != 0 && self.index[to as usize] == 0 {
            self.list[usize::from(place) - 1].0 = to;
            self.index[from as usize] = 0;
            self.index[to as usize] = place;
        }
    }

    pub fn value(&self, field: Field) -> Option<&Value<'r>> {
        match self.index[field as usize] {
            0 => None,
            place => self.list.get(usize::from(place) - 1).map(|(_, value)| value),
        }
    }
    pub fn has(&self, field: Field) -> bool {
        self.index[field as usize] != 0
    }
    pub fn text(&self, field: Field) -> Option<Text<'r>> {
        self.value(field).and_then(Value::as_text)
    }
    pub fn integer(&self, field: Field) -> Option<i64> {
        match self.value(field) {
            Some(Value::Integer(number)) => Some(*number),
            _ => None,
        }
    }
    pub fn time(&self, field: Field) -> Option<Timestamp> {
        match self.value(field) {
            Some(Value::Time(time)) => Some(*time),
            _ => None,
        }
    }
    pub fn ip(&self, field: Field) -> Option<IpAddr> {
        match self.value(field) {
            Some(Value::Ip(address)) => Some(*address),
            _ => None,
        }
    }
    pub fn mac(&self, field: Field) -> Option<[u8; 6]> {
        match self.value(field) {
            Some(Value::Mac(address)) => Some(*address),
            _ => None,
        }
    }
    pub fn list(&self, field: Field) -> impl Iterator<Item = Text<'r>> {
        let list = match self.value(field) {
            Some(Value::List(list)) => Some(list.iter()),
            _ => None,
        };
        list.into_iter().flatten()
    }
    pub fn flag(&self, field: Field) -> Option<bool> {
        match self.value(field) {
            Some(Value::Bool(flag)) => Some(*flag),
            _ => None,
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (Field, &Value<'r>)> {
        self.list.iter().map(|(field, value)| (*field, value))
    }
    pub fn len(&self) -> usize {
        self.list.len()
    }
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Emptied, for the next record: what was allocated for this one is kept.
    pub(crate) fn recycle<'next>(mut self) -> Fields<'next> {
        self.index = [0; Field::COUNT];
        Fields { list: recycle(self.list), index: self.index }
    }
}

/// An emptied vector for borrows of another lifetime. The standard library collects in place when a vector is turned
/// into one of the same layout, so that the memory stays; a test holds it to that.
pub(crate) fn recycle<From, To>(mut used: Vec<From>) -> Vec<To> {
    used.clear();
    used.into_iter().filter_map(|_| None).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_of_a_field_stays() {
        let mut fields = Fields::default();
        assert!(fields.insert(Field::DeviceName, Value::plain("a")));
        assert!(!fields.insert(Field::DeviceName, Value::plain("b")));
        assert_eq!(fields.value(Field::DeviceName), Some(&Value::plain("a")));
        fields.replace(Field::DeviceName, Value::plain("c"));
        assert_eq!(fields.value(Field::DeviceName), Some(&Value::plain("c")));
        assert_eq!(fields.len(), 1);
    }

    #[test]
    fn removing_a_field_leaves_the_others_where_they_are_found() {
        let mut fields = Fields::default();
        for (field, text) in [(Field::DeviceName, "a"), (Field::DeviceId, "b"), (Field::DeviceGroup, "c")] {
            fields.insert(field, Value::plain(text));
        }
        fields.remove(Field::DeviceName);
        fields.remove(Field::DeviceName);
        assert!(!fields.has(Field::DeviceName));
        assert_eq!(fields.value(Field::DeviceId), Some(&Value::plain("b")));
        assert_eq!(fields.value(Field::DeviceGroup), Some(&Value::plain("c")));
    }

    #[test]
    fn a_renamed_value_is_found_under_its_new_name_only() {
        let mut fields = Fields::default();
        fields.insert(Field::DeviceName, Value::plain("a"));
        fields.insert(Field::DeviceId, Value::plain("b"));
        fields.rename(Field::DeviceName, Field::DeviceHost);
        fields.rename(Field::DeviceId, Field::DeviceHost);
        assert!(!fields.has(Field::DeviceName) && fields.has(Field::DeviceId));
        assert_eq!(fields.value(Field::DeviceHost), Some(&Value::plain("a")));
    }

    #[test]
    fn a_recycled_vector_keeps_its_memory() {
        let first = String::from("one");
        let mut used: Vec<Text<'_>> = Vec::with_capacity(100);
        used.push(Text::plain(&first));
        let memory = used.as_ptr().addr();
        let next: Vec<Text<'static>> = recycle(used);
        assert!(next.is_empty() && next.capacity() == 100);
        assert_eq!(next.as_ptr().addr(), memory);
    }
}
