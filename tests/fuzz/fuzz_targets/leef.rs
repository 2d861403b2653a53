//! Any record in `leef` is one line of attributes, each with a key of its own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use siemgate_fuzz::encode::Format;
use siemgate_fuzz::round_trip;

fuzz_target!(|input: &[u8]| round_trip(Format::Leef, input, |line, event| {
    let mut parts = line.splitn(6, '|');
    assert_eq!(parts.next(), Some("LEEF:1.0"));
    let attributes = parts.nth(4).expect("a header of five fields");
    let mut keys = std::collections::BTreeSet::new();
    for attribute in attributes.split('\t') {
        let (key, value) = attribute.split_once('=').expect("a key and a value");
        assert!(!key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{key}");
        assert!(keys.insert(key), "{key} is there twice");
        assert!(key != "eventId" || value == event.id.to_string());
    }
    assert!(keys.contains("eventId"));
}));
