//! Any record in `cef` is one line with seven pipes, whose last value names the event.
#![no_main]

use libfuzzer_sys::fuzz_target;
use siemgate_fuzz::encode::Format;
use siemgate_fuzz::round_trip;

fuzz_target!(|input: &[u8]| round_trip(Format::Cef, input, |line, event| {
    assert!(line.starts_with("CEF:0|Microsoft|Defender XDR|1.0|"));
    assert!(line.ends_with(&format!("SiemgateEventId={}", event.id)));
    assert_eq!(line.matches("SiemgateEventId=").count(), 1);
}));
