//! One complete envelope of the HTTP Event Collector for each event, whatever its format. Pure.
//!
//! What is put inside an envelope as JSON is proven to be one JSON value first; anything else goes in as a text. So no
//! event can end its envelope, name an index of its own choice, or begin another event.

use serde::de::IgnoredAny;

use super::config::HecConfig;
use crate::sinks::Stamp;

/// Writes envelopes for one sink.
#[derive(Debug, Clone)]
pub struct Envelope {
    index: Option<String>,
    sourcetype: Option<String>,
    source: Option<String>,
    host: Option<String>,
    indexed_fields: bool,
    format: &'static str,
}

/// The format that writes envelopes itself.
const OWN_ENVELOPE: &str = "splunk";
/// One name for the whole cluster, so that a fail-over does not look like a new host.
const HOST: &str = "siemgate";

/// What an event's own envelope says, each as it is written there.
#[derive(Default)]
struct Told<'a> {
    time: Option<&'a [u8]>,
    host: Option<&'a [u8]>,
    source: Option<&'a [u8]>,
    sourcetype: Option<&'a [u8]>,
    index: Option<&'a [u8]>,
    event: &'a [u8],
}

impl Envelope {
    pub fn new(config: &HecConfig) -> Self {
        let HecConfig { index, sourcetype, source, host, indexed_fields, .. } = config.clone();
        Self { index, sourcetype, source, host, indexed_fields, format: OWN_ENVELOPE }
    }

    #[must_use]
    pub fn of_format(self, format: &'static str) -> Self {
        Self { format, ..self }
    }

    /// Appends the envelope around one encoded event and says how long it is.
    pub fn frame(&self, stamp: &Stamp<'_>, payload: &[u8], out: &mut Vec<u8>) -> usize {
        let start = out.len();
        let own = if self.format == OWN_ENVELOPE { told(payload) } else { None };
        let told = own.unwrap_or_default();
        out.extend_from_slice(b"{\"time\":");
        match told.time {
            Some(time) => out.extend_from_slice(time),
            None => seconds(stamp.time.nanos(), out),
        }
        member("host", self.host.as_deref(), told.host, Some(HOST), out);
        let origin = format!("siemgate:{}/{}", stamp.tenant, stamp.source);
        member("source", self.source.as_deref(), told.source, Some(&origin), out);
        let kind = format!("siemgate:{}", self.format);
        member("sourcetype", self.sourcetype.as_deref(), told.sourcetype, Some(&kind), out);
        member("index", self.index.as_deref(), told.index, None, out);
        if self.indexed_fields {
            fields(stamp, out);
        }
        out.extend_from_slice(b",\"event\":");
        if !told.event.is_empty() {
            out.extend_from_slice(told.event);
        } else if is_object(payload) {
            out.extend_from_slice(payload);
        } else {
            string(&String::from_utf8_lossy(payload), out);
        }
        out.extend_from_slice(b"}\n");
        out.len() - start
    }
}

/// One of the envelope's words: as the sink says, else as the event does, else as usual.
fn member(key: &str, sink: Option<&str>, event: Option<&[u8]>, usual: Option<&str>, out: &mut Vec<u8>) {
    if sink.is_none() && event.is_none() && usual.is_none() {
        return;
    }
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
    match (sink, event) {
        (Some(word), _) => string(word, out),
        (None, Some(written)) => out.extend_from_slice(written),
        (None, None) => string(usual.unwrap_or_default(), out),
    }
}

/// The event's coordinates, flat and as strings, as indexed fields must be.
fn fields(stamp: &Stamp<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"fields\":{\"siemgate_id\":");
    string(stamp.id, out);
    out.extend_from_slice(b",\"siemgate_feed\":");
    string(&stamp.feed.to_string(), out);
    out.extend_from_slice(b",\"siemgate_epoch\":");
    string(&stamp.epoch.0.to_string(), out);
    out.push(b'}');
}

fn string(text: &str, out: &mut Vec<u8>) {
    // Writing a text to memory can't fail.
    let _ = serde_json::to_writer(out, text);
}

/// Seconds since the epoch with as many decimals as there are microseconds to tell; never whole milliseconds.
fn seconds(nanos: i64, out: &mut Vec<u8>) {
    let micros = nanos.div_euclid(1_000).unsigned_abs();
    let sign = if nanos < 0 { "-" } else { "" };
    out.extend_from_slice(format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000).as_bytes());
}

/// Whether this is one JSON object and nothing else.
fn is_object(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'{') && is_json(bytes)
}

fn is_json(bytes: &[u8]) -> bool {
    // As text, because what is skipped in bytes is not looked at for being UTF-8.
    std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// Reads an envelope as our encoder writes it: words first, the event last. None where it is anything else.
fn told(payload: &[u8]) -> Option<Told<'_>> {
    let mut told = Told::default();
    let mut rest = payload.strip_prefix(b"{")?;
    loop {
        if let Some(event) = rest.strip_prefix(b"\"event\":") {
            told.event = event.strip_suffix(b"}")?;
            return is_json(told.event).then_some(told);
        }
        let (key, after) = quoted(rest)?;
        let (value, after) = scalar(after.strip_prefix(b":")?)?;
        let place = match key {
            b"\"time\"" => &mut told.time,
            b"\"host\"" => &mut told.host,
            b"\"source\"" => &mut told.source,
            b"\"sourcetype\"" => &mut told.sourcetype,
            b"\"index\"" => &mut told.index,
            _ => return None,
        };
        *place = Some(value);
        rest = after.strip_prefix(b",")?;
    }
}

/// A string or a number, and what comes after it.
fn scalar(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if bytes.first() == Some(&b'"') {
        return quoted(bytes);
    }
    let length = bytes.iter().position(|b| !matches!(b, b'0'..=b'9' | b'.' | b'-'))?;
    let (number, after) = bytes.split_at(length);
    is_json(number).then_some((number, after))
}

/// A string with its quotes, and what comes after it.
fn quoted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut escaped = false;
    let end = bytes.strip_prefix(b"\"")?.iter().position(|b| {
        let ends = *b == b'"' && !escaped;
        escaped = *b == b'\\' && !escaped;
        ends
    })?;
    let (string, after) = bytes.split_at(end + 2);
    is_json(string).then_some((string, after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::Timestamp;
    use crate::event::Label;
    use crate::ids::{Epoch, FeedId};

    fn envelope(more: &Value) -> Envelope {
        let mut table = json!({"url": "https://h", "token": "${env:T}"});
        table.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Envelope::new(&serde_json::from_value(table).unwrap())
    }

    fn framed(envelope: &Envelope, payload: &[u8]) -> Value {
        let feed: FeedId = "contoso/hub/0".parse().unwrap();
        let stamp = Stamp {
            tenant: "contoso",
            source: "hub",
            feed: &feed,
            epoch: Epoch(7),
            id: "00ff",
            record: 0,
            time: Timestamp::from_nanos(1_668_154_320_123_000_000),
            label: Label::of("x"),
            finding: false,
            severity: 6,
        };
        let mut out = Vec::new();
        assert_eq!(envelope.frame(&stamp, payload, &mut out), out.len());
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn the_formats_own_envelope_is_kept_and_the_sink_has_the_last_word() {
        let own = br#"{"time":1.5,"host":"pc\"1","source":"s","sourcetype":"siemgate:defender","event":{"a":[1]}}"#;
        let plain = framed(&envelope(&json!({"indexed_fields": false})), own);
        assert_eq!(
            plain,
            json!({"time":1.5,"host":"pc\"1","source":"s","sourcetype":"siemgate:defender","event":{"a":[1]}})
        );
        let words = json!({"index": "sec", "host": "h", "source": "o", "sourcetype": "t"});
        let told = framed(&envelope(&words), own);
        assert_eq!((&told["index"], &told["host"], &told["source"]), (&json!("sec"), &json!("h"), &json!("o")));
        assert_eq!(told["sourcetype"], "t");
        assert_eq!(
            told["fields"],
            json!({"siemgate_id": "00ff", "siemgate_feed": "contoso/hub/0", "siemgate_epoch": "7"})
        );
    }

    #[test]
    fn other_formats_get_an_envelope() {
        let text = framed(&envelope(&json!({})).of_format("cef"), b"CEF:0|a|\"b\\\n");
        assert_eq!(text["event"], "CEF:0|a|\"b\\\n");
        assert_eq!((&text["sourcetype"], &text["host"]), (&json!("siemgate:cef"), &json!("siemgate")));
        assert_eq!((&text["source"], &text["time"]), (&json!("siemgate:contoso/hub"), &json!(1_668_154_320.123)));
        assert!(text.get("index").is_none());
        let object = framed(&envelope(&json!({})).of_format("ocsf"), br#"{"class_uid":2004}"#);
        assert_eq!(object["event"], json!({"class_uid": 2004}));
        let part = framed(&envelope(&json!({})), b"siemgate-part 1/2 00ff {\"tim");
        assert_eq!(part["event"], "siemgate-part 1/2 00ff {\"tim");
    }

    #[test]
    fn s14_an_event_names_no_index_and_begins_no_other_event() {
        let hostile: [&[u8]; 7] = [
            br#"{"event":{"a":1},"index":"admin"}"#,
            br#"{"event":{"a":1}}{"event":"forged"}"#,
            br#"{"time":1,"index":"admin,"event":1}"#,
            br#"{"a":1},"index":"admin","b":{}"#,
            b"{\"a\":\"\xff\"}",
            b"{\"a\":\"\n\"}",
            br#"{"event":}"#,
        ];
        for format in ["splunk", "microsoft"] {
            for payload in hostile {
                let whole = framed(&envelope(&json!({"indexed_fields": false})).of_format(format), payload);
                assert!(whole.get("index").is_none(), "{whole}");
                let keys: Vec<_> = whole.as_object().unwrap().keys().cloned().collect();
                assert_eq!(keys, ["event", "host", "source", "sourcetype", "time"]);
            }
        }
    }

    #[test]
    fn times_before_the_epoch_and_between_seconds_are_told() {
        let told = |nanos| {
            let mut out = Vec::new();
            seconds(nanos, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(told(0), "0.000000");
        assert_eq!(told(59_999_999_999), "59.999999");
        assert_eq!(told(-1_500_000_000), "-1.500000");
    }

    proptest! {
        #[test]
        fn s14_any_payload_is_one_envelope(payload in prop::collection::vec(any::<u8>(), 0..200), own in any::<bool>()) {
            let format = if own { "splunk" } else { "cef" };
            let whole = framed(&envelope(&json!({"index": "sec"})).of_format(format), &payload);
            prop_assert_eq!(&whole["index"], "sec");
            prop_assert_eq!(&whole["event"], &Value::String(String::from_utf8_lossy(&payload).into_owned()));
        }

        #[test]
        fn s14_any_own_envelope_is_one_envelope(
            tail in "[{}\\[\\]:,\"a-z0-9\\\\ ]{0,40}", cut in 0usize..60
        ) {
            let own = format!(r#"{{"time":1.5,"host":"h","source":"s","sourcetype":"t","event":{tail}}}"#);
            let whole = framed(&envelope(&json!({"index": "sec"})), &own.as_bytes()[cut.min(own.len())..]);
            prop_assert_eq!(&whole["index"], "sec");
            prop_assert_eq!(whole.as_object().unwrap().len(), 7);
        }
    }
}
