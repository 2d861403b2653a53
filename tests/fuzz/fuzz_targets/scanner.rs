//! The scanner of JSON accepts what serde_json accepts, and its walks find the same members.
#![no_main]

use libfuzzer_sys::fuzz_target;
use siemgate_fuzz::clock::Timestamp;
use siemgate_fuzz::event::json::{self, DEPTH_MAX};
use siemgate_fuzz::event::text::{UrlParts, host_of};
use siemgate_fuzz::event::{List, Raw, Text};

fuzz_target!(|text: &str| {
    let depth = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
    if depth <= DEPTH_MAX as usize {
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        assert_eq!(json::whole(text).is_ok(), theirs);
    }
    match json::whole(text) {
        Ok(Raw::Object(object)) => {
            json::members(object).for_each(|member| {
                member.key.to_cow();
            });
        }
        Ok(Raw::Array(array)) => {
            if let Some(list) = List::of_array(array) {
                list.iter().for_each(|text| _ = text.to_cow());
            }
        }
        Ok(Raw::String(string)) => {
            if let Ok(theirs) = serde_json::from_str::<String>(text) {
                assert_eq!(string.to_cow(), theirs);
            }
            for most in [0, 1, 5, 64] {
                assert!(string.to_cow().starts_with(&*string.cut(most).to_cow()) || text.contains("\\u"));
            }
        }
        Ok(_) | Err(_) => {}
    }
    _ = List::of_quoted(text).map(|list| list.iter().count());
    _ = Timestamp::parse(text);
    _ = (UrlParts::of(text), host_of(text), Text::plain(text).cut(7));
    _ = json::balanced_end(text, 0);
});
