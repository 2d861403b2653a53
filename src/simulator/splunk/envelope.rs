//! Reads what was sent as Splunk reads it: JSON objects one behind the other. Pure.

use ring::digest;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// An event with this in it is refused as a broken one would be.
pub const POISON: &str = "siemgate-poison";

/// One event as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrived {
    /// By its indexed field, by the event's own, or derived from its text.
    pub id: String,
    pub feed: String,
    /// Of the ownership it was sent under; 0 where its envelope says nothing of that.
    pub epoch: u64,
    /// SHA-256 of what the envelope has as `event`, byte for byte, in hexadecimal.
    pub sha256: String,
    pub envelope: Value,
}

/// The one part of an envelope whose bytes matter.
#[derive(Deserialize)]
struct Held<'a> {
    #[serde(borrow)]
    event: Option<&'a RawValue>,
}

/// Why a request is refused, and at which of its events.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken {
    pub code: i64,
    pub at: usize,
}

/// The events of a request, up to the first that is broken.
pub fn read(body: &[u8]) -> (Vec<Arrived>, Option<Broken>) {
    let mut events = Vec::new();
    for text in serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>() {
        let at = events.len();
        match text.map_err(|_| 6).and_then(|text| event(text.get())) {
            Ok(event) => events.push(event),
            Err(code) => return (events, Some(Broken { code, at })),
        }
    }
    (events, None)
}

fn event(written: &str) -> Result<Arrived, i64> {
    let envelope: Value = serde_json::from_str(written).map_err(|_| 6)?;
    let members = envelope.as_object().ok_or(6)?;
    match members.get("event") {
        None | Some(Value::Null) => return Err(12),
        Some(Value::String(text)) if text.trim().is_empty() => return Err(13),
        Some(_) => {}
    }
    let seconds = |time: &Value| time.as_f64().or_else(|| time.as_str()?.parse().ok());
    if members.get("time").is_some_and(|time| seconds(time).is_none()) {
        return Err(6);
    }
    match members.get("fields") {
        None => {}
        Some(Value::Object(fields)) if fields.values().any(Value::is_object) => return Err(15),
        Some(Value::Object(_)) => {}
        Some(_) => return Err(6),
    }
    if written.contains(POISON) {
        return Err(6);
    }
    let told = |path: &str| envelope.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let id = told("/fields/siemgate_id").or_else(|| told("/event/event_id")).unwrap_or_else(|| {
        let mut digits = sha256(envelope.to_string().as_bytes());
        digits.truncate(32);
        digits
    });
    let feed = told("/fields/siemgate_feed").unwrap_or_else(|| "-".to_owned());
    let epoch = told("/fields/siemgate_epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or_default();
    let held: Held<'_> = serde_json::from_str(written).map_err(|_| 6)?;
    let sha256 = sha256(held.event.map_or("", RawValue::get).as_bytes());
    Ok(Arrived { id, feed, epoch, sha256, envelope })
}

fn sha256(bytes: &[u8]) -> String {
    digest::digest(&digest::SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_up_to_the_first_broken_one() {
        let good = r#"{"time":1.5,"event":"a","fields":{"siemgate_id":"1","siemgate_feed":"t/s/0"}}"#;
        let whole = r#"{"event":{"b": 1, "a":2},"fields":{"siemgate_epoch":"7"}}"#;
        let (events, _) = read(whole.as_bytes());
        assert_eq!((events[0].epoch, &events[0].sha256), (7, &sha256(br#"{"b": 1, "a":2}"#)), "byte for byte");
        let (events, broken) = read(format!("{good}\n{good}{{\"event\":{{\"event_id\":\"2\"}}}}").as_bytes());
        assert_eq!((events.len(), broken), (3, None));
        assert_eq!((events[0].id.as_str(), events[0].feed.as_str(), events[2].id.as_str()), ("1", "t/s/0", "2"));
        for (bad, code) in [
            ("{}", 12),
            (r#"{"event":" "}"#, 13),
            (r#"{"event":1,"fields":[]}"#, 6),
            (r#"{"event":1,"fields":{"a":{}}}"#, 15),
            (r#"{"event":1,"time":"noon"}"#, 6),
            (r#"{"event":"#, 6),
            ("[1]", 6),
            (r#"{"event":"siemgate-poison"}"#, 6),
        ] {
            let (events, broken) = read(format!("{good}{bad}{good}").as_bytes());
            assert_eq!((events.len(), broken), (1, Some(Broken { code, at: 1 })), "{bad}");
        }
    }
}
