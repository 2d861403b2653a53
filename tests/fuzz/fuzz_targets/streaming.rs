//! Streaming messages of any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use siemgate_fuzz::event::batch::Shape;
use siemgate_fuzz::normalize;

fuzz_target!(|bytes: &[u8]| normalize(Shape::Streaming, bytes, |_| {}));
