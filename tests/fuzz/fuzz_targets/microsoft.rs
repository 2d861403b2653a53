//! Any record in `microsoft` is the record, on one line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use siemgate_fuzz::encode::Format;
use siemgate_fuzz::round_trip;

fuzz_target!(|input: &[u8]| round_trip(Format::Microsoft, input, |line, event| {
    let without_breaks = |text: &str| text.replace(['\n', '\r'], "");
    assert_eq!(line, without_breaks(event.record));
    assert!(serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok());
}));
