//! Any record in `cef` is one line with seven pipes before its keys, of which one names the event.
#![no_main]

use libfuzzer_sys::fuzz_target;
use siemgate_fuzz::encode::Format;
use siemgate_fuzz::round_trip;

fuzz_target!(|input: &[u8]| round_trip(Format::Cef, input, |line, event| {
    assert!(line.starts_with("CEF:0|Microsoft|Defender XDR|1.0|"));
    let mut is_escaped = false;
    let pipes = line.bytes().enumerate().filter(|(_, byte)| {
        let found = *byte == b'|' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        found
    });
    let (header, _) = pipes.take(7).last().expect("seven pipes");
    // An equals sign in a value has a backslash before it, so that only a key looks like one.
    let id = format!("SiemgateEventId={}", event.id);
    let named = line[header + 1..].split(' ').filter(|word| word.starts_with("SiemgateEventId="));
    assert_eq!(named.collect::<Vec<_>>(), [id]);
}));
