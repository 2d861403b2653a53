//! Incidents, alerts and detections of any bytes; the first byte says which kind they are taken for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use siemgate_fuzz::{SHAPES, normalize};

fuzz_target!(|input: &[u8]| {
    if let Some((first, bytes)) = input.split_first() {
        normalize(SHAPES[usize::from(*first) % SHAPES.len()], bytes, |_| {});
    }
});
