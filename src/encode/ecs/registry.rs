//! The registry in ECS: hive, key and value apart, and the whole path.

use crate::encode::json::Json;
use crate::encode::tree::{Scratch, Shown};
use crate::event::{Event, Field};

/// Hives by each of their names, and the letters ECS writes for them.
const HIVES: &[(&str, &str)] = &[
    ("HKEY_LOCAL_MACHINE", "HKLM"),
    ("HKEY_CURRENT_USER", "HKCU"),
    ("HKEY_USERS", "HKU"),
    ("HKEY_CLASSES_ROOT", "HKCR"),
    ("HKEY_CURRENT_CONFIG", "HKCC"),
    ("LocalMachine", "HKLM"),
    ("CurrentUser", "HKCU"),
    ("Users", "HKU"),
    ("ClassesRoot", "HKCR"),
    ("CurrentConfig", "HKCC"),
    ("HKLM", "HKLM"),
    ("HKCU", "HKCU"),
    ("HKU", "HKU"),
    ("HKCR", "HKCR"),
    ("HKCC", "HKCC"),
];

/// Microsoft's types by the names Windows has for them.
const VALUE_TYPES: &[(&str, &str)] = &[
    ("None", "REG_NONE"),
    ("Binary", "REG_BINARY"),
    ("Dword", "REG_DWORD"),
    ("Qword", "REG_QWORD"),
    ("String", "REG_SZ"),
    ("ExpandString", "REG_EXPAND_SZ"),
    ("MultiString", "REG_MULTI_SZ"),
    ("Link", "REG_LINK"),
];

fn hive_of(name: &str) -> Option<&'static str> {
    HIVES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, letters)| *letters)
}

pub(super) fn registry(event: &Event<'_>, scratch: &mut Scratch, json: &mut Json<'_>) -> bool {
    let fields = &event.fields;
    let Scratch { letters, more, shown, .. } = scratch;
    let text = |field: Field| fields.text(field);
    let first = |both: [Field; 2]| both.into_iter().find(|field| fields.has(*field));
    let start = json.length();
    json.open_object();
    let empty = json.length();
    // The whole path where upstream gives it, else hive and key, which evidence has apart. Of what was deleted only the
    // state before is told.
    let apart = [Field::RegistryHive, Field::RegistryKey].iter().any(|field| fields.has(*field));
    let paths = first([Field::RegistryPath, Field::RegistryPreviousPath]).filter(|_| !apart);
    let (hive, key) = if let Some((field, path)) = paths.and_then(|field| Some((field, text(field)?))) {
        shown.add(field);
        let path = path.read(letters);
        let (first, rest) = path.split_once('\\').unwrap_or((path, ""));
        hive_of(first).map_or((None, path), |hive| (Some(hive), rest))
    } else {
        let hive = text(Field::RegistryHive).and_then(|hive| hive_of(hive.read(letters)));
        if hive.is_some() {
            shown.add(Field::RegistryHive);
        }
        shown.add(Field::RegistryKey);
        (hive, text(Field::RegistryKey).map(|key| key.read(letters)).unwrap_or_default())
    };
    more.clear();
    if let Some(hive) = hive {
        json.written_key("\"hive\":");
        json.string(hive);
        more.push_str(hive);
    }
    if !key.is_empty() {
        json.written_key("\"key\":");
        json.string(key);
        more.push_str(if more.is_empty() { "" } else { "\\" });
        more.push_str(key);
    }
    let names = first([Field::RegistryValueName, Field::RegistryPreviousValueName]);
    if let Some((field, name)) = names.and_then(|field| Some((field, text(field)?))) {
        shown.add(field);
        json.written_key("\"value\":");
        json.text(name);
        if !more.is_empty() {
            more.push('\\');
            more.push_str(name.read(letters));
        }
    }
    if !more.is_empty() {
        json.written_key("\"path\":");
        json.string(more);
    }
    data(event, shown, json);
    let is_written = json.length() > empty;
    json.close_object();
    if !is_written {
        json.take_back(start);
    }
    is_written
}

/// What a value holds, and of which type that is.
fn data(event: &Event<'_>, shown: &mut Shown, json: &mut Json<'_>) {
    let text = |field: Field| event.fields.text(field);
    let (data, kind) = (text(Field::RegistryValue), text(Field::RegistryValueType));
    if data.is_some() || kind.is_some() {
        json.written_key("\"data\":{");
        if let Some(kind) = kind {
            shown.add(Field::RegistryValueType);
            json.written_key("\"type\":");
            match VALUE_TYPES.iter().find(|(known, _)| kind.eq_ignore_case(known)) {
                Some((_, name)) => json.string(name),
                None => json.text(kind),
            }
        }
        if let Some(data) = data {
            shown.add(Field::RegistryValue);
            json.written_key("\"strings\":[");
            json.text(data);
            json.close_array();
        }
        json.close_object();
    }
}
