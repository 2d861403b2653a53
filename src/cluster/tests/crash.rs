//! The log under power cuts, torn writes, cut files and flipped bits.

use std::collections::BTreeMap;
use std::sync::Arc;

use openraft::{CommittedLeaderId, EntryPayload};

use super::sim_disk::{Crash, SimDisk};
use crate::clock::Timestamp;
use crate::cluster::command::{Command, ResourceKind};
use crate::cluster::disk::Disk;
use crate::cluster::log::{Heads, Log};
use crate::cluster::types::{Batch, Entry, LogId, Vote};
use crate::cluster::{ClusterError, Settings, data_dir, frame};
use crate::ids::NodeId;

/// So small that the script spans several segments.
const SEGMENT_BYTES: u64 = 700;
const CRASHES: [Crash; 6] = [Crash::Lose, Crash::Keep, Crash::Tear(1), Crash::Tear(2), Crash::Tear(3), Crash::Tear(4)];

#[derive(Debug, Clone)]
enum Step {
    Vote(u64),
    Append {
        term: u64,
        indexes: std::ops::RangeInclusive<u64>,
        bytes: usize,
    },
    /// As a leader appends: there at once, durable only after the next write.
    Stage {
        term: u64,
        indexes: std::ops::RangeInclusive<u64>,
        bytes: usize,
    },
    Write,
    Commit {
        term: u64,
        index: u64,
    },
    Truncate {
        since: u64,
    },
    Purge {
        term: u64,
        upto: u64,
    },
}

/// One life of a log: two terms, a tail that is voided and rewritten, purges, and segments that come and go.
fn script() -> Vec<Step> {
    vec![
        Step::Vote(1),
        Step::Append { term: 1, indexes: 0..=0, bytes: 10 },
        Step::Append { term: 1, indexes: 1..=3, bytes: 40 },
        Step::Commit { term: 1, index: 2 },
        Step::Append { term: 1, indexes: 4..=4, bytes: 900 },
        Step::Append { term: 1, indexes: 5..=8, bytes: 60 },
        Step::Vote(2),
        Step::Truncate { since: 6 },
        Step::Append { term: 2, indexes: 6..=7, bytes: 300 },
        Step::Commit { term: 2, index: 6 },
        Step::Purge { term: 1, upto: 4 },
        Step::Append { term: 2, indexes: 8..=8, bytes: 600 },
        Step::Append { term: 2, indexes: 9..=9, bytes: 30 },
        Step::Stage { term: 2, indexes: 10..=10, bytes: 300 },
        Step::Stage { term: 2, indexes: 11..=12, bytes: 30 },
        Step::Write,
        Step::Commit { term: 2, index: 12 },
        Step::Purge { term: 2, upto: 12 },
        Step::Append { term: 2, indexes: 13..=13, bytes: 20 },
        Step::Stage { term: 2, indexes: 14..=14, bytes: 900 },
        Step::Write,
        Step::Vote(3),
    ]
}

fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(term, 1), index)
}
fn entry(term: u64, index: u64, bytes: usize) -> Entry {
    let (kind, body) = (ResourceKind::Tenant, "x".repeat(bytes));
    let (name, at) = (format!("t{index}"), Timestamp::from_millis(1));
    let put = Command::PutResource { kind, tenant: None, name, body, uses: vec![], at };
    Entry { log_id: log_id(term, index), payload: EntryPayload::Normal(Batch(vec![put])) }
}
fn take(log: &mut Log, step: &Step) -> Result<(), ClusterError> {
    match step.clone() {
        Step::Vote(term) => log.save_vote(Vote::new(term, 1)),
        Step::Append { term, indexes, bytes } => log.append(indexes.map(|n| entry(term, n, bytes)).collect()),
        Step::Stage { term, indexes, bytes } => log.stage(indexes.map(|n| entry(term, n, bytes)).collect()),
        Step::Write => {
            let write = log.begin_write()?.expect("something is staged");
            let written = write.carry_out();
            log.end_write(&write, written)
        }
        Step::Commit { term, index } => {
            log.save_committed(Some(log_id(term, index)));
            Ok(())
        }
        Step::Truncate { since } => log.truncate(since),
        Step::Purge { term, upto } => log.purge(log_id(term, upto)),
    }
}

/// All a log says. What is committed is left out: it may lag, since it is durable only with the next frame.
type Said = (Heads, Vec<Entry>);

fn said(log: &mut Log) -> Said {
    let heads = Heads { committed: None, ..log.heads().clone() };
    (heads, log.read(..).unwrap())
}
fn open(disk: &SimDisk) -> Result<Log, ClusterError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    data_dir::open_log(&disk, &Settings::new("/simulated", NodeId(1)), SEGMENT_BYTES).map(|(_, log)| log)
}
/// Runs the script until the disk dies. Answers what was acknowledged last, and what may be there instead because the
/// step that was interrupted got far enough.
fn run(disk: &SimDisk) -> (Option<Said>, Option<Said>) {
    let whole = &mut open(&SimDisk::default()).unwrap();
    let Ok(mut log) = open(disk) else { return (None, Some(said(whole))) };
    let mut acknowledged = said(whole);
    for step in script() {
        take(whole, &step).unwrap();
        let after = said(whole);
        if take(&mut log, &step).is_err() {
            return (Some(acknowledged), Some(after));
        }
        if !matches!(step, Step::Stage { .. }) {
            acknowledged = after;
        }
    }
    (Some(acknowledged), None)
}

#[test]
fn s7_s8_whatever_was_acknowledged_survives_a_power_cut_at_every_operation() {
    let whole = SimDisk::default();
    run(&whole);
    let operations = whole.operations();
    assert!(operations > 60, "the script is long enough to be worth it: {operations}");
    for operation in 1..=operations + 1 {
        for crash in CRASHES {
            let disk = SimDisk::default();
            disk.dies_at(operation);
            let (acknowledged, possible) = run(&disk);
            let found_disk = disk.after(crash);
            let mut log = open(&found_disk).unwrap_or_else(|error| panic!("{operation} {crash:?}: {error}"));
            let found = said(&mut log);
            let empty = said(&mut open(&SimDisk::default()).unwrap());
            let expected = found == acknowledged.unwrap_or(empty) || Some(&found) == possible.as_ref();
            assert!(expected, "operation {operation}, {crash:?}: found {found:?}");

            // Whatever was found counts from now on, so a second cut must not take it back.
            let again = said(&mut open(&found_disk.after(Crash::Lose)).unwrap());
            assert_eq!(again, found, "operation {operation}, {crash:?}, then a second cut");
        }
    }
}

#[test]
fn what_a_new_process_finds_unsynced_and_builds_on_survives_a_power_cut_later() {
    let whole = SimDisk::default();
    run(&whole);
    for operation in 1..=whole.operations() {
        let disk = SimDisk::default();
        disk.dies_at(operation);
        run(&disk);
        let disk = disk.restarted();
        let mut log = open(&disk).unwrap();
        let next = log.heads().last.map_or(0, |id| id.index + 1);
        log.append(vec![entry(9, next, 50)]).unwrap();
        let found = said(&mut log);
        let again = said(&mut open(&disk.after(Crash::Lose)).unwrap());
        assert_eq!(again, found, "process died at operation {operation}, then a power cut");
    }
}

#[test]
fn a_log_goes_on_after_every_power_cut() {
    let whole = SimDisk::default();
    run(&whole);
    for operation in (1..=whole.operations()).step_by(3) {
        let disk = SimDisk::default();
        disk.dies_at(operation);
        run(&disk);
        let disk = disk.after(Crash::Tear(operation));
        let mut log = open(&disk).unwrap();
        let next = log.heads().last.map_or(0, |id| id.index + 1);
        log.append(vec![entry(9, next, 50)]).unwrap();
        log.save_vote(Vote::new(9, 1)).unwrap();
        let written = said(&mut log);
        assert_eq!(said(&mut open(&disk.after(Crash::Lose)).unwrap()), written, "operation {operation}");
    }
}

/// The files of a log that spans several segments, because the script stops before its last purge.
fn written_log() -> BTreeMap<String, Vec<u8>> {
    let disk = SimDisk::default();
    let mut log = open(&disk).unwrap();
    for step in script().iter().take_while(|step| !matches!(step, Step::Purge { upto: 12, .. })) {
        take(&mut log, step).unwrap();
    }
    disk.files()
}

/// How many bytes of a file are no room.
fn written_of(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[test]
fn every_flipped_bit_of_the_log_or_the_identity_stops_the_node() {
    let files = written_log();
    assert!(files.len() >= 3, "identity and at least two segments: {:?}", files.keys());
    let whole = said(&mut open(&SimDisk::of(&files)).unwrap());
    for (name, bytes) in &files {
        for bit in 0..bytes.len() * 8 {
            let mut flipped = files.clone();
            flipped.get_mut(name).unwrap()[bit / 8] ^= 1 << (bit % 8);
            let stops = match open(&SimDisk::of(&flipped)) {
                Err(ClusterError::Damaged { .. } | ClusterError::Newer { .. }) => true,
                Err(error) => panic!("{name}, bit {bit}: {error}"),
                // In the room behind the last frame there is nothing that could be damaged.
                Ok(mut log) => bit / 8 >= written_of(bytes) && said(&mut log) == whole,
            };
            assert!(stops, "{name}, bit {bit}");
        }
    }
}

#[test]
fn an_entry_that_cannot_be_read_stops_the_log() {
    let disk = SimDisk::default();
    drop(open(&disk).map(|mut log| log.append(vec![entry(1, 0, 600), entry(1, 1, 30)])));
    let mut log = open(&disk).unwrap();
    disk.fails_reads();
    assert!(matches!(log.read(0..1), Err(ClusterError::Storage { .. })));
    assert!(matches!(log.append(vec![entry(1, 2, 10)]), Err(ClusterError::Storage { .. })), "no further work");
}

#[test]
fn a_last_segment_cut_at_any_byte_loses_whole_steps_or_is_refused() {
    let files = written_log();
    let mut log = open(&SimDisk::default()).unwrap();
    let mut legitimate = vec![said(&mut log)];
    for step in script() {
        take(&mut log, &step).unwrap();
        legitimate.push(said(&mut log));
    }
    let (last, bytes) = files.iter().rfind(|(name, _)| name.starts_with("log/")).unwrap();
    for len in 0..bytes.len() {
        let mut cut = files.clone();
        cut.get_mut(last).unwrap().truncate(len);
        match open(&SimDisk::of(&cut)) {
            Ok(mut log) => assert!(legitimate.contains(&said(&mut log)), "cut to {len}"),
            Err(error) => assert!(matches!(error, ClusterError::Damaged { .. }), "cut to {len}: {error}"),
        }
    }
}

#[test]
fn a_segment_that_is_gone_or_cut_before_the_last_one_stops_the_node() {
    let files = written_log();
    let segments: Vec<_> = files.keys().filter(|name| name.starts_with("log/")).cloned().collect();
    let (last, earlier) = segments.split_last().unwrap();
    assert!(!earlier.is_empty());
    for name in earlier {
        let mut gone = files.clone();
        gone.remove(name);
        let unneeded = open(&SimDisk::of(&gone)).map(|mut log| said(&mut log));
        let whole = said(&mut open(&SimDisk::of(&files)).unwrap());
        assert!(unneeded.is_err() || unneeded.is_ok_and(|said| said == whole), "{name} gone");
        // Some of these cuts fall between two frames, so that nothing but the next segment can tell.
        for len in (0..files[name].len()).step_by(8) {
            let mut cut = files.clone();
            cut.get_mut(name).unwrap().truncate(len);
            assert!(open(&SimDisk::of(&cut)).is_err(), "{name} cut to {len}");
        }
    }
    let all_gone = files.iter().filter(|(name, _)| !name.starts_with("log/"));
    let all_gone = all_gone.map(|(name, bytes)| (name.clone(), bytes.clone())).collect();
    assert!(matches!(open(&SimDisk::of(&all_gone)), Err(ClusterError::Damaged { .. })), "{last} and all others");
}

#[test]
fn a_vote_that_vanished_from_an_earlier_segment_stops_the_node() {
    let disk = SimDisk::default();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    // So small that every frame begins a segment.
    let (_, mut log) = data_dir::open_log(&shared, &Settings::new("/simulated", NodeId(1)), 1).unwrap();
    for term in 1..=3 {
        log.save_vote(Vote::new(term, 1)).unwrap();
    }
    let mut files = disk.files();
    let (name, bytes) = files.iter_mut().rev().nth(1).unwrap();
    let opening = frame::scan(3, bytes, true).unwrap().frames[1].0;
    assert!(name.starts_with("log/"));
    bytes.truncate(usize::try_from(opening).unwrap());
    assert!(matches!(open(&SimDisk::of(&files)), Err(ClusterError::Damaged { .. })));
}

#[test]
fn what_is_staged_can_be_read_at_once_is_written_as_one_frame_and_counts_as_durable_only_then() {
    let disk = SimDisk::default();
    let mut log = open(&disk).unwrap();
    log.append(vec![entry(1, 0, 10)]).unwrap();
    log.stage(vec![entry(1, 1, 10), entry(1, 2, 900)]).unwrap();
    let (syncs, first) = (disk.syncs(), log.begin_write().unwrap().unwrap());
    log.stage(vec![entry(1, 3, 10)]).unwrap();
    assert!(log.begin_write().unwrap().is_none(), "one frame at a time");
    assert_eq!((log.durable(), log.is_staging(), log.read(..).unwrap().len()), (Some(0), true, 4));
    let written = first.carry_out();
    log.end_write(&first, written).unwrap();
    assert_eq!((log.durable(), log.is_staging(), disk.syncs()), (Some(2), true, syncs + 1));
    assert_eq!(said(&mut open(&disk.after(Crash::Lose)).unwrap()).1.len(), 3, "what is still staged is lost");
    take(&mut log, &Step::Write).unwrap();
    assert_eq!((log.durable(), log.is_staging()), (Some(3), false));
    assert_eq!(said(&mut open(&disk.after(Crash::Lose)).unwrap()), said(&mut log));
}

#[test]
fn after_a_failed_sync_the_log_refuses_to_go_on() {
    let disk = SimDisk::default();
    let mut log = open(&disk).unwrap();
    log.append(vec![entry(1, 0, 10)]).unwrap();
    disk.fails_next_sync();
    assert!(matches!(log.append(vec![entry(1, 1, 10)]), Err(ClusterError::Storage { .. })));
    let syncs = disk.syncs();
    assert!(matches!(log.save_vote(Vote::new(2, 1)), Err(ClusterError::Storage { .. })));
    assert!(matches!(log.read(..), Err(ClusterError::Storage { .. })));
    assert_eq!(disk.syncs(), syncs, "a failed sync is not repeated");
}
