//! The files of a quarantine as they are searched and thinned out: one JSON object a line, in files with numbers.
//!
//! A record is known by the digest of its line, which never changes. Records go by writing their file anew beside the old
//! one and renaming it, so that a crash leaves either; a file without records goes as a whole, and makes room.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};

use super::limits::QUARANTINE_TOTAL_BYTES_MAX;
use super::quarantine::{QuarantineError, Quarantined};

/// One record with its line.
#[derive(Debug, Clone)]
pub struct Kept {
    /// 16 hexadecimal digits.
    pub id: String,
    pub line: String,
    pub record: Quarantined,
}

/// How much of what passes is wanted.
#[derive(Debug, Clone)]
pub struct Search {
    /// Go on after this id; empty to begin with the first.
    pub after: String,
    pub records_max: usize,
    pub bytes_max: usize,
}

#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The oldest first.
    pub kept: Vec<Kept>,
    /// All that pass, also those before `after` and beyond the bounds.
    pub matching: u64,
    pub total: u64,
    pub bytes: u64,
    pub bytes_max: u64,
}

pub(super) fn find(folder: &Path, search: &Search, wants: &dyn Fn(&Kept) -> bool) -> Result<Found, QuarantineError> {
    let mut found = Found { bytes_max: QUARANTINE_TOTAL_BYTES_MAX, ..Found::default() };
    let (mut reached, mut bytes, mut full) = (search.after.is_empty(), 0, false);
    for path in numbered(folder)? {
        let read = each_line(&path, &mut |line| {
            found.bytes += line.len() as u64;
            let Some(kept) = kept(line) else { return };
            found.total += 1;
            let is_last = kept.id == search.after;
            if wants(&kept) {
                found.matching += 1;
                full |= found.kept.len() >= search.records_max || bytes + kept.line.len() > search.bytes_max;
                if reached && (!full || found.kept.is_empty()) {
                    bytes += kept.line.len();
                    found.kept.push(kept);
                }
            }
            reached |= is_last;
        });
        match read {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {} // Its last record went meanwhile.
            read => read.map_err(|cause| QuarantineError::Read { path, cause })?,
        }
    }
    Ok(found)
}

pub(super) fn remove(folder: &Path, ids: &BTreeSet<String>) -> Result<usize, QuarantineError> {
    let mut removed = 0;
    for path in numbered(folder)? {
        let mut here = 0;
        let mut count = |line: &[u8]| here += usize::from(kept(line).is_some_and(|kept| ids.contains(&kept.id)));
        each_line(&path, &mut count).map_err(|cause| QuarantineError::Read { path: path.clone(), cause })?;
        if here > 0 {
            thin_out(folder, &path, ids).map_err(|cause| QuarantineError::Write { path, cause })?;
            removed += here;
        }
    }
    Ok(removed)
}

/// Writes a file anew without these records. What is no record, such as a torn line, stays.
fn thin_out(folder: &Path, path: &Path, ids: &BTreeSet<String>) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = BufWriter::new(File::create(&beside)?);
    let (mut left, mut failed) = (false, None);
    each_line(path, &mut |line| {
        if kept(line).is_some_and(|kept| ids.contains(&kept.id)) {
            return;
        }
        left = true;
        failed = failed.take().or_else(|| file.write_all(line).err());
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    if left {
        fs::rename(&beside, path)?;
    } else {
        fs::remove_file(path)?;
        fs::remove_file(&beside)?;
    }
    File::open(folder)?.sync_all()
}

/// The files with numbers, the oldest first; none where no record ever came.
fn numbered(folder: &Path) -> Result<Vec<PathBuf>, QuarantineError> {
    let read = |cause| QuarantineError::Read { path: folder.to_owned(), cause };
    let entries = match fs::read_dir(folder) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(read)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(read)?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        let is_lines = path.extension().is_some_and(|extension| extension == "ndjson");
        files.extend(number.filter(|_| is_lines).map(|number| (number, path)));
    }
    files.sort();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

/// Hands on each line with its end. Records are bounded by what upstream sends, so lines are too.
fn each_line(path: &Path, each: &mut impl FnMut(&[u8])) -> io::Result<()> {
    let mut file = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line)? > 0 {
        each(&line);
        line.clear();
    }
    Ok(())
}

/// The record of a whole line; nothing for what a crash has torn.
fn kept(line: &[u8]) -> Option<Kept> {
    let line = line.strip_suffix(b"\n")?;
    let record = serde_json::from_slice(line).ok()?;
    let line = String::from_utf8(line.to_vec()).ok()?;
    let id = digest(&SHA256, line.as_bytes()).as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    Some(Kept { id, line, record })
}

#[cfg(test)]
mod tests {
    use super::super::quarantine::{Quarantine, Raw};
    use super::*;

    fn record(n: u32) -> Quarantined {
        Quarantined {
            at: format!("2030-01-01T00:00:{n:02}.0000000Z"),
            feed: "contoso/hub/0".to_owned(),
            epoch: 1,
            id: "00".to_owned(),
            coordinates: format!("partition 0, sequence {n}"),
            record: Some(n),
            reason: "not JSON".to_owned(),
            sink: None,
            place: None,
            raw: Raw::of(b"{"),
        }
    }
    fn all() -> Search {
        Search { after: String::new(), records_max: usize::MAX, bytes_max: usize::MAX }
    }
    async fn numbers(quarantine: &Quarantine, search: Search) -> (Vec<u32>, Found) {
        let found = quarantine.find(search, |_| true).await.unwrap();
        (found.kept.iter().filter_map(|kept| kept.record.record).collect(), found)
    }

    #[tokio::test]
    async fn records_are_found_page_by_page_and_go_for_good_with_their_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::new(folder.path().join("quarantine"));
        assert_eq!(numbers(&quarantine, all()).await.0, [0_u32; 0], "nothing ever came");
        quarantine.keep((0..5).map(record).collect()).await.unwrap();
        let (_, found) = numbers(&quarantine, all()).await;
        assert_eq!((found.kept.len(), found.matching, found.total), (5, 5, 5));
        let page = Search { after: found.kept[1].id.clone(), records_max: 2, ..all() };
        assert_eq!(numbers(&quarantine, page).await.0, [2, 3]);

        let ids = [1, 3].map(|n: usize| found.kept[n].id.clone());
        assert_eq!(quarantine.remove(BTreeSet::from(ids.clone())).await.unwrap(), 2);
        assert_eq!(quarantine.remove(BTreeSet::from(ids)).await.unwrap(), 0);
        quarantine.keep(vec![record(9)]).await.unwrap();
        let (left, after) = numbers(&quarantine, all()).await;
        assert_eq!(left, [0, 2, 4, 9]);
        assert!(after.bytes < found.bytes);
        assert_eq!(after.kept[0].id, found.kept[0].id, "what stays keeps its id");

        let rest = after.kept.iter().map(|kept| kept.id.clone()).collect();
        assert_eq!(quarantine.remove(rest).await.unwrap(), 4);
        assert_eq!(fs::read_dir(folder.path().join("quarantine")).unwrap().count(), 0);
        quarantine.keep(vec![record(1)]).await.unwrap();
        assert_eq!(numbers(&quarantine, all()).await.0, [1]);
    }

    #[tokio::test]
    async fn a_torn_line_is_no_record_and_hides_none() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::new(folder.path().to_owned());
        quarantine.keep(vec![record(1), record(2)]).await.unwrap();
        let path = folder.path().join("000001.ndjson");
        let torn = format!("{}{{\"at\":\"20", fs::read_to_string(&path).unwrap());
        fs::write(&path, torn).unwrap();
        let (_, found) = numbers(&quarantine, all()).await;
        assert_eq!(found.kept.len(), 2);
        quarantine.remove(BTreeSet::from([found.kept[0].id.clone()])).await.unwrap();
        assert_eq!(numbers(&quarantine, all()).await.0, [2]);
    }
}
