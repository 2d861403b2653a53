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
