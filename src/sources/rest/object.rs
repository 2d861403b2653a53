//! What a page of a collection holds: objects with their versions, cut out of the answer's bytes without copying. Pure.

use std::sync::Arc;

use bytes::Bytes;
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::event::batch::{Shape, Version};

/// Deeper JSON is an attack on a parser, not an alert.
const DEPTH_MAX: usize = 64;

/// One version of one object as received.
#[derive(Debug, Clone)]
pub struct Object {
    pub id: Arc<str>,
    pub version: Version,
    pub shape: Shape,
    pub bytes: Bytes,
    /// The alerts inside an incident, each an object of its own.
    pub alerts: Vec<Object>,
    /// Why it can't be processed, if so.
    pub problem: Option<String>,
}

/// One answer of a list.
#[derive(Debug, Default)]
pub struct Page {
    pub objects: Vec<Object>,
    /// The service's address of the next page, not yet checked.
    pub next: Option<String>,
    /// Part of the service did not answer, so that objects may be missing.
    pub partial: bool,
    /// The server's clock when it answered.
    pub server_time: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Collection<'a> {
    #[serde(borrow)]
    value: Vec<&'a RawValue>,
    #[serde(rename = "@odata.nextLink", default)]
    next: Option<String>,
}

/// Reads a collection of objects of `shape`. `partial` and `server_time` are for the caller to fill in.
pub fn read_page(body: &Bytes, shape: Shape) -> Result<Page, &'static str> {
    let text = std::str::from_utf8(body).map_err(|_| "the answer is not UTF-8")?;
    let collection: Collection<'_> =
        serde_json::from_str(text).map_err(|_| "the answer is not a JSON collection with `value`")?;
    let objects = collection.value.into_iter().map(|raw| read_object(body, raw.get(), shape)).collect();
    Ok(Page { objects, next: collection.next, ..Page::default() })
}

fn read_object(body: &Bytes, text: &str, shape: Shape) -> Object {
    let bytes = body.slice_ref(text.as_bytes());
    match parse(text) {
        Ok(members) => {
            let alerts = if shape == Shape::GraphIncident { read_alerts(body, text) } else { Vec::new() };
            identified(members, shape, bytes, alerts)
        }
        Err(reason) => broken(reason, shape, bytes),
    }
}

fn parse(text: &str) -> Result<Map<String, Value>, &'static str> {
    if depth(text.as_bytes()) > DEPTH_MAX {
        return Err("it is nested deeper than 64 levels");
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err("it is not a JSON object"),
        Err(_) => Err("it is not JSON"),
    }
}

fn identified(members: Map<String, Value>, shape: Shape, bytes: Bytes, alerts: Vec<Object>) -> Object {
    let id = match members.get("id") {
        Some(Value::String(id)) if !id.is_empty() => Arc::from(id.as_str()),
        Some(Value::Number(id)) => Arc::from(id.to_string()),
        _ => return broken("it has no `id`", shape, bytes),
    };
    let time = |name: &str| members.get(name)?.as_str().and_then(Timestamp::parse);
    // The schema lets an alert's last update be null; it was updated when it was created, then.
    let Some(updated) = time("lastUpdateDateTime").or_else(|| time("createdDateTime")) else {
        return Object { id, ..broken("it has no readable `lastUpdateDateTime`", shape, bytes) };
    };
    let version = Version { updated, digest: content_digest(&members) };
    Object { id, version, shape, bytes, alerts, problem: None }
}

fn broken(reason: &str, shape: Shape, bytes: Bytes) -> Object {
    let whole = digest(&SHA256, &bytes);
    let short: [u8; 8] = first_eight(whole.as_ref());
    let name: String = short.iter().map(|byte| format!("{byte:02x}")).collect();
    Object {
        id: format!("unidentified/{name}").into(),
        version: Version { updated: Timestamp::ZERO, digest: short },
        shape,
        bytes,
        alerts: Vec::new(),
        problem: Some(reason.to_owned()),
    }
}

fn read_alerts(body: &Bytes, incident: &str) -> Vec<Object> {
    #[derive(Deserialize)]
    struct Expanded<'a> {
        #[serde(borrow, default)]
        alerts: Option<Vec<&'a RawValue>>,
    }
    let alerts = serde_json::from_str::<Expanded<'_>>(incident).ok().and_then(|expanded| expanded.alerts);
    alerts.unwrap_or_default().into_iter().map(|raw| read_object(body, raw.get(), Shape::GraphAlert)).collect()
}

/// Digest of everything that an object says, without the protocol's annotations. An incident's event tells of its
/// alerts, so they count: one that joined, changed or was left out of the answer makes another version, and with that
/// another event id.
///
/// Spacing and the order of members and of array elements don't count: the service states the same evidence in
/// another order from one answer to the next, and that is no new version.
pub fn content_digest(members: &Map<String, Value>) -> [u8; 8] {
    let counted = members.iter().filter(|(name, _)| !name.starts_with("@odata.") && !name.starts_with("alerts@odata."));
    first_eight(&hash_members(counted))
}

fn hash_members<'a>(members: impl Iterator<Item = (&'a String, &'a Value)>) -> [u8; 32] {
    let mut parts: Vec<_> = members
        .map(|(name, value)| {
            let mut part = hash(b'"', name.as_bytes()).to_vec();
            part.extend(hash_value(value));
            part
        })
        .collect();
    parts.sort_unstable();
    hash(b'{', &parts.concat())
}

fn hash_value(value: &Value) -> [u8; 32] {
    match value {
        Value::Null => hash(b'n', &[]),
        Value::Bool(flag) => hash(b'b', &[u8::from(*flag)]),
        Value::Number(number) => hash(b'0', number.to_string().as_bytes()),
        Value::String(text) => hash(b'"', text.as_bytes()),
        Value::Array(elements) => {
            let mut parts: Vec<_> = elements.iter().map(hash_value).collect();
            parts.sort_unstable();
            hash(b'[', &parts.concat())
        }
        Value::Object(members) => hash_members(members.iter()),
    }
}

fn hash(kind: u8, content: &[u8]) -> [u8; 32] {
    let mut context = ring::digest::Context::new(&SHA256);
    context.update(&[kind]);
    context.update(content);
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

fn first_eight(whole: &[u8]) -> [u8; 8] {
    let mut short = [0; 8];
    short.copy_from_slice(&whole[..8]);
    short
}

/// How deep brackets nest, outside of texts.
fn depth(text: &[u8]) -> usize {
    let (mut now, mut most, mut quoted, mut escaped) = (0usize, 0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                now += 1;
                most = most.max(now);
            }
            b'}' | b']' if !quoted => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str, shape: Shape) -> Page {
        read_page(&Bytes::from(text.to_owned()), shape).unwrap()
    }
    fn digest_of(text: &str) -> [u8; 8] {
        content_digest(&parse(text).unwrap())
    }

    #[test]
    fn an_incident_is_read_with_its_alerts_as_objects_of_their_own() {
        let text = r#"{"@odata.nextLink":"https://g/next","value":[ {"id":"4711","lastUpdateDateTime":"2030-01-01T10:05:30.29Z",
            "alerts":[{"id":"da1","lastUpdateDateTime":"2030-01-01T10:05:29.9Z"}]} ]}"#;
        let page = page(text, Shape::GraphIncident);
        let incident = &page.objects[0];
        assert_eq!((&*incident.id, page.next.as_deref()), ("4711", Some("https://g/next")));
        assert_eq!(incident.version.updated.to_microsoft(), "2030-01-01T10:05:30.2900000Z");
        assert!(incident.bytes.starts_with(b"{\"id\":\"4711\"") && incident.bytes.ends_with(b"}]}"));
        assert_eq!((&*incident.alerts[0].id, incident.alerts[0].shape), ("da1", Shape::GraphAlert));
        assert_eq!(&incident.alerts[0].bytes[..], br#"{"id":"da1","lastUpdateDateTime":"2030-01-01T10:05:29.9Z"}"#);
    }

    #[test]
    fn the_digest_sees_content_and_nothing_else() {
        let plain = digest_of(r#"{"id":"1","status":"new","tags":["a","b"],"n":{"x":1,"y":[{"p":1},{"q":2}]}}"#);
        let same = [
            r#"{ "n":{"y":[{"q":2},{"p":1}],"x":1}, "tags":["b","a"], "status":"new", "id":"1" }"#,
            r#"{"@odata.context":"https://x","alerts@odata.context":"https://x","id":"1","status":"new","tags":["a","b"],"n":{"x":1,"y":[{"p":1},{"q":2}]}}"#,
        ];
        for text in same {
            assert_eq!(digest_of(text), plain, "{text}");
        }
        let other = [
            r#"{"id":"1","status":"resolved","tags":["a","b"],"n":{"x":1,"y":[{"p":1},{"q":2}]}}"#,
            r#"{"id":"1","status":"new","tags":["a"],"n":{"x":1,"y":[{"p":1},{"q":2}]}}"#,
            r#"{"id":"1","status":"new","tags":["a","b"],"n":{"x":1,"y":[{"p":2},{"q":1}]}}"#,
            r#"{"id":"1","status":"new","tags":["a","b"],"n":{"x":"1","y":[{"p":1},{"q":2}]}}"#,
            r#"{"id":"1","status":"new","tags":["a","b"],"n":null}"#,
            r#"{"id":"1","status":"new","tags":["a","b"],"n":{"x":1,"y":[{"p":1},{"q":2}]},"alerts":[{"id":"da1"}]}"#,
        ];
        for text in other {
            assert_ne!(digest_of(text), plain, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_identified_is_kept_whole_with_a_reason() {
        let deep = format!(r#"{{"id":"1","x":{}1{}}}"#, "[".repeat(70), "]".repeat(70));
        let text = format!(
            r#"{{"value":[5,{{"x":1}},{deep},{{"id":"7","lastUpdateDateTime":"soon"}},{{"id":8,"createdDateTime":"2030-01-01T00:00:00Z"}}]}}"#
        );
        let page = page(&text, Shape::GraphAlert);
        let problems: Vec<_> = page.objects.iter().map(|object| object.problem.is_some()).collect();
        assert_eq!(problems, [true, true, true, true, false]);
        assert!(page.objects[0].id.starts_with("unidentified/"));
        assert_eq!((&*page.objects[3].id, &*page.objects[4].id), ("7", "8"));
        assert_eq!(&page.objects[1].bytes[..], br#"{"x":1}"#);
    }

    #[test]
    fn an_answer_that_is_no_collection_is_refused() {
        for bad in ["", "[]", "<html>", r#"{"value":5}"#, r#"{"error":{}}"#] {
            assert!(read_page(&Bytes::from(bad.to_owned()), Shape::GraphAlert).is_err(), "{bad}");
        }
        assert!(read_page(&Bytes::from_static(b"\xff"), Shape::GraphAlert).is_err());
    }

    #[test]
    fn brackets_in_texts_do_not_nest() {
        assert_eq!(depth(br#"{"a":"[[[\"{{{","b":[[]]}"#), 3);
    }
}
