use std::io::Write;

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Typed {
    #[command(flatten)]
    args: Args,
}

fn typed(words: &[&str]) -> Args {
    Typed::parse_from(std::iter::once("normalize").chain(words.iter().copied())).args
}

fn ran(words: &[&str], input: &[u8]) -> (ExitSummary, String) {
    let mut output = Vec::new();
    let summary = run(&typed(words), input, &mut output).unwrap();
    (summary, String::from_utf8(output).unwrap())
}

const RECORD: &str = r#"{"category":"AdvancedHunting-DeviceLogonEvents","properties":{"ActionType":"LogonFailed"}}"#;
const INCIDENT: &str = r#"{"id":"7","displayName":"x","alerts":[{"id":"a","title":"t"}]}"#;

#[test]
fn every_kind_of_line_becomes_events_in_order() {
    let input = format!("{RECORD}\n\n{INCIDENT}\r\n{{\"records\":[{RECORD},{RECORD}]}}");
    let (summary, output) = ran(&[], input.as_bytes());
    assert_eq!((summary.lines, summary.events, summary.rejected), (4, 5, 0));
    let class_ids: Vec<_> = output.lines().map(|line| line.split('|').nth(4).unwrap()).collect();
    let logon = "DeviceLogonEvents:LogonFailed";
    assert_eq!(class_ids, [logon, "Incident", "unknown:unknown", logon, logon]);
    let (_, untouched) = ran(&["--format", "microsoft"], RECORD.as_bytes());
    assert_eq!(untouched, format!("{RECORD}\n"));
}

#[test]
fn each_choice_of_a_format_is_a_word_away() {
    let record = RECORD.replace("LogonFailed", "a|b");
    let line = |words: &[&str]| ran(words, record.as_bytes()).1;
    assert!(line(&["--cef1"]).starts_with("CEF:1|"));
    assert!(line(&["--format", "leef"]).starts_with("LEEF:1.0|Microsoft|Defender XDR|1.0|a b|cat="));
    assert!(line(&["--format", "leef", "--leef2"]).starts_with("LEEF:2.0|Microsoft|Defender XDR|1.0|a b|x09|cat="));
    let spoken = r#"{"category":"AdvancedHunting-Unheard","properties":{"x":"a|b^c"}}"#;
    let value = |words: &[&str]| {
        let line = ran(words, spoken.as_bytes()).1;
        line.split(['\t', '\n']).find_map(|part| part.strip_prefix("MicrosoftDefenderx=").map(str::to_owned))
    };
    assert_eq!(value(&["--format", "leef"]).as_deref(), Some("a|b^c"));
    assert_eq!(value(&["--format", "leef", "--leef-strict"]).as_deref(), Some("a b c"));
    assert_eq!(value(&["--format", "leef", "--unmapped", "never"]), None);
    let add_on: serde_json::Value = serde_json::from_str(&line(&["--format", "splunk", "--splunk-add-on"])).unwrap();
    assert_eq!(add_on["sourcetype"], "ms:defender:eventhub");
    assert_eq!(add_on["event"], serde_json::from_str::<serde_json::Value>(&record).unwrap());
    assert!(line(&["--format", "splunk"]).contains(r#""sourcetype":"siemgate:defender""#));
}

#[test]
fn every_kind_of_alert_is_told_by_itself_and_can_be_named() {
    let siem = r#"{"AlertId":"s","AlertTitle":"x","AlertTime":"2030-01-01T10:00:00Z"}"#;
    let endpoint = r#"{"id":"e","machineId":"m","title":"x"}"#;
    let xdr = r#"{"incidentId":7,"incidentName":"x","alerts":[{"alertId":"d","incidentId":7,"title":"x"}]}"#;
    let ids = |words: &[&str], input: &str| {
        let (summary, output) = ran(words, input.as_bytes());
        let ids: Vec<_> = output.split([' ', '|']).filter_map(|word| word.strip_prefix("externalId=")).collect();
        (ids.join(" "), summary.rejected)
    };
    let mixed = format!("[{siem},{siem}]\n{endpoint}\n{xdr}\n{{\"value\":[{endpoint},{xdr},{siem},{INCIDENT},7]}}\n[]");
    assert_eq!(ids(&[], &mixed), ("s s e 7 d e 7 d s 7 a".to_owned(), 1));
    assert_eq!(ids(&["--from", "siem-detection"], &format!("[{siem}]")), ("s".to_owned(), 0));
    assert_eq!(ids(&["--from", "siem-detection"], "[]"), (String::new(), 0));
    assert_eq!(ids(&["--from", "endpoint-alert"], &format!("{{\"value\":[{endpoint}]}}")), ("e".to_owned(), 0));
    assert_eq!(ids(&["--from", "xdr-incident"], xdr), ("7 d".to_owned(), 0));
    assert_eq!(ids(&["--from", "xdr-alert"], r#"{"alertId":"d"}"#), ("d".to_owned(), 0));
    // What is named wrongly has no id under the name that was expected, and is rejected rather than misread.
    assert_eq!(ids(&["--from", "xdr-alert"], endpoint), (String::new(), 1));
    assert_eq!(ids(&["--from", "graph-alert"], siem), (String::new(), 1));
}

#[test]
fn what_cannot_be_read_is_kept_whole_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.ndjson");
    let words = ["--quarantine", path.to_str().unwrap()];
    let mut input = format!("{RECORD}\n{{\"records\":[{RECORD},{{\"x\":1}}]}}\n").into_bytes();
    input.extend(b"{\"broken\xff\n");
    input.extend(std::iter::repeat_n(b'z', lines::LINE_BYTES_MAX + 300_000));
    let (summary, output) = ran(&words, &input);
    assert_eq!((summary.lines, summary.events, summary.rejected), (4, 2, 3));
    assert_eq!(output.lines().count(), 2);
    let entries: Vec<serde_json::Value> =
        std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&entries[0]["line"], &entries[0]["record"]), (&2.into(), &1.into()));
    assert_eq!(entries[0]["text"], "{\"x\":1}");
    assert_eq!((&entries[1]["line"], &entries[1]["base64"]), (&3.into(), &"eyJicm9rZW7/".into()));
    assert_eq!(entries[2]["line"], 4);
    assert_eq!(entries[2]["base64"].as_str().unwrap().len(), (lines::LINE_BYTES_MAX + 300_000).div_ceil(3) * 4);
}

#[test]
fn rejected_lines_fail_the_command_unless_they_are_kept() {
    let (summary, _) = ran(&[], b"nonsense");
    assert_eq!(format!("{:?}", summary.exit_code()), format!("{:?}", ExitCode::FAILURE));
    let (summary, _) = ran(&[], RECORD.as_bytes());
    assert_eq!(format!("{:?}", summary.exit_code()), format!("{:?}", ExitCode::SUCCESS));
}

#[test]
fn a_reader_who_has_enough_ends_it_quietly() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    assert!(run(&typed(&[]), RECORD.as_bytes(), Full).unwrap().ended_early);
}
