//! Any record in `ocsf` is one line of JSON that reads back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use siemgate_fuzz::encode::Format;
use siemgate_fuzz::{is_json, round_trip};

fuzz_target!(|input: &[u8]| round_trip(Format::Ocsf, input, is_json));
