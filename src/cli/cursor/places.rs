//! Positions as people and programs read them. Pure.

use serde_json::{Value, json};

use crate::admin::convert::time_from_wire;
use crate::wire::v1;

pub(in crate::cli) fn time(time: &prost_types::Timestamp) -> String {
    time_from_wire(time).to_string()
}

/// What is done with.
pub(in crate::cli) fn place(position: Option<&v1::CursorPosition>) -> String {
    match position {
        Some(v1::CursorPosition { sequence: Some(sequence), time: Some(at) }) => {
            format!("message {sequence} ({})", time(at))
        }
        Some(v1::CursorPosition { sequence: Some(-1), time: None }) => "before the first message".to_owned(),
        Some(v1::CursorPosition { sequence: Some(sequence), time: None }) => format!("message {sequence}"),
        Some(v1::CursorPosition { sequence: None, time: Some(at) }) => format!("all before {}", time(at)),
        Some(v1::CursorPosition { sequence: None, time: None }) | None => "nothing yet".to_owned(),
    }
}

pub(in crate::cli) fn as_json(position: &v1::CursorPosition) -> Value {
    json!({"sequence": position.sequence, "time": position.time.as_ref().map(time)})
}
