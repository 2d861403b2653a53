//! Frames, and that a stream of them reads back as exactly the messages that went in.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::event::Label;
use crate::ids::Epoch;

fn header(settings: &Value) -> Header {
    let mut table = json!({"address": "siem:514", "hostname": "gw"});
    for (key, value) in settings.as_object().unwrap() {
        table[key] = value.clone();
    }
    let config: SyslogConfig = serde_json::from_value(table).unwrap();
    assert_eq!(config.fault(), None);
    Header::new(&config)
}

fn framed_with(settings: &Value, kind: &str, payload: &[u8]) -> Vec<u8> {
    let feed = "contoso/hub/0".parse().unwrap();
    let stamp = Stamp {
        tenant: "contoso",
        source: "hub",
        feed: &feed,
        epoch: Epoch(7),
        id: "00ff",
        record: 3,
        time: Timestamp::parse("2022-11-08T08:42:17.2959999Z").unwrap(),
        label: Label::of(kind),
        finding: true,
        severity: 5,
    };
    let mut out = Vec::new();
    header(settings).frame(&stamp, payload, &mut out);
    out
}

fn framed(structured_data: bool, kind: &str, payload: &[u8]) -> String {
    String::from_utf8(framed_with(&json!({"structured_data": structured_data}), kind, payload)).unwrap()
}

#[test]
fn a_frame_counts_its_octets() {
    let text = framed(false, "Alert", b"CEF:0|\xC3\xA9");
    let (count, message) = text.split_once(' ').unwrap();
    assert_eq!(count.parse::<usize>().unwrap(), message.len());
    assert_eq!(message, "<117>1 2022-11-08T08:42:17.295Z gw defender - Alert - CEF:0|é");
}

#[test]
fn structured_data_names_the_event() {
    let text = framed(true, "Alert", b"x");
    assert!(text.ends_with(
        "[gw@32473 tenant=\"contoso\" source=\"hub\" feed=\"contoso/hub/0\" epoch=\"7\" id=\"00ff\" record=\"3\"] x"
    ));
}

#[test]
fn upstreams_text_can_not_break_the_header() {
    assert!(framed(false, "Bad \n]table", b"x").contains(" defender - Bad]table - x"));
    assert!(framed(false, "", b"x").contains(" defender - - - x"));
    assert!(framed(false, &"T".repeat(99), b"x").contains(&format!(" {} - x", "T".repeat(32))));
}

#[test]
fn parameter_values_escape_exactly_three_characters() {
    let mut out = Vec::new();
    parameter("say \"hi\" ] \\ =|\n", &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), "say \\\"hi\\\" \\] \\\\ =| ");
}

#[test]
fn the_old_header_has_a_tag_unless_the_text_brings_one() {
    let lf = json!({"header": "rfc3164", "framing": "lf"});
    for (payload, expected) in [
        ("CEF:0|a", "<117>Nov  8 08:42:17 gw CEF:0|a\n"),
        ("LEEF:1.0|a\tb", "<117>Nov  8 08:42:17 gw LEEF:1.0|a\tb\n"),
        ("{\"a\":1}", "<117>Nov  8 08:42:17 gw defender: {\"a\":1}\n"),
    ] {
        assert_eq!(String::from_utf8(framed_with(&lf, "Alert", payload.as_bytes())).unwrap(), expected);
    }
}

#[test]
fn facility_and_byte_order_mark_are_as_asked() {
    let asked = json!({"facility": "local4", "bom": true, "framing": "lf"});
    let text = String::from_utf8(framed_with(&asked, "Alert", b"x")).unwrap();
    assert!(text.starts_with("<165>1 ") && text.ends_with(" - \u{feff}x\n"), "{text:?}");
}

#[test]
fn a_message_for_a_transport_that_keeps_them_apart_is_bare() {
    for transport in ["udp", "relp"] {
        let bare = framed_with(&json!({"transport": transport}), "Alert", b"a\nb");
        assert!(bare.starts_with(b"<117>1 ") && bare.ends_with(b" - a\nb"), "{}", bare.escape_ascii());
    }
}

/// The messages of a stream, as RFC 6587 has a receiver read it: by their first octet.
fn read(mut stream: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some(first) = stream.first() {
        let (message, rest) = if first.is_ascii_digit() {
            let space = stream.iter().position(|b| *b == b' ').unwrap();
            let count: usize = std::str::from_utf8(&stream[..space]).unwrap().parse().unwrap();
            stream[space + 1..].split_at(count)
        } else {
            assert_eq!(*first, b'<');
            let end = stream.iter().position(|b| *b == b'\n').unwrap();
            (&stream[..end], &stream[end + 1..])
        };
        messages.push(message.to_vec());
        stream = rest;
    }
    messages
}

proptest! {
    #[test]
    fn s14_a_stream_reads_back_as_exactly_the_messages_that_were_sent(
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..20),
        lf in any::<bool>(),
        old in any::<bool>(),
    ) {
        let settings = json!({
            "framing": if lf { "lf" } else { "octet-counting" }, "header": if old { "rfc3164" } else { "rfc5424" },
        });
        let stream: Vec<u8> = payloads.iter().flat_map(|payload| framed_with(&settings, "Alert", payload)).collect();
        let messages = read(&stream);
        prop_assert_eq!(messages.len(), payloads.len());
        for (message, payload) in messages.iter().zip(&payloads) {
            let text = &message[message.len() - payload.len()..];
            let same = |(sent, came): (&u8, &u8)| sent == came || (lf && (*sent < 32 || *sent == 127) && *came == b' ');
            prop_assert!(payload.iter().zip(text).all(same));
            prop_assert!(!lf || !message.contains(&b'\n'));
        }
    }
}
