//! The files of a quarantine as they are searched and thinned out: one sealed JSON object a line, in files with numbers.
//!
//! A record is known by the digest of its line before it was sealed, which never changes. Records go by writing their file anew beside the old
//! one and renaming it, so that a crash leaves either; a file without records goes as a whole, and makes room.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::limits::QUARANTINE_TOTAL_BYTES_MAX;
use super::quarantine::{QuarantineError, Quarantined};
use super::quarantine_keys::Keys;
use super::quarantine_seal::{Line, SALT_BYTES, look, seal};
use crate::ids::TenantId;

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
    /// Records beside those that can't be opened, because their key is gone or this node lacks what opens it.
    pub closed: u64,
    pub bytes: u64,
    pub bytes_max: u64,
}

/// The folder of a quarantine and the keys of what is in it.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub folder: PathBuf,
    pub keys: Keys,
}

impl Files {
    pub(super) fn find(&self, search: &Search, wants: &dyn Fn(&Kept) -> bool) -> Result<Found, QuarantineError> {
        let mut found = Found { bytes_max: QUARANTINE_TOTAL_BYTES_MAX, ..Found::default() };
        let (mut reached, mut bytes, mut full) = (search.after.is_empty(), 0, false);
        for path in numbered(&self.folder)? {
            let read = each_line(&path, &mut |line| {
                found.bytes += line.len() as u64;
                let kept = match self.kept(line) {
                    Read::Record(kept) => *kept,
                    Read::Closed => return found.closed += 1,
                    Read::Nothing => return,
                };
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

    pub(super) fn remove(&self, ids: &BTreeSet<String>) -> Result<usize, QuarantineError> {
        self.rewrite(&|line| match self.kept(line) {
            Read::Record(kept) if ids.contains(&kept.id) => Becomes::Nothing,
            Read::Record(_) | Read::Closed | Read::Nothing => Becomes::Itself,
        })
    }

    /// Seals the lines of older versions, and answers how many there were. A line that a crash has torn was never counted
    /// on, so that it goes; one that can't be sealed yet stays.
    pub(super) fn seal_older(&self) -> Result<usize, QuarantineError> {
        let read = |cause| QuarantineError::Read { path: self.folder.clone(), cause };
        for tenant in self.keys.tenants().map_err(read)? {
            self.keys.to_open(&tenant);
        }
        self.rewrite(&|line| match (line.strip_suffix(b"\n"), self.kept(line)) {
            (Some(whole), Read::Record(kept)) if look(whole) == Line::Clear => {
                match self.sealed(&kept.record.feed, whole) {
                    Ok(sealed) => Becomes::Other(sealed + "\n"),
                    Err(_) => Becomes::Itself,
                }
            }
            (None, _) if look(line) == Line::Clear => Becomes::Nothing,
            (Some(_) | None, _) => Becomes::Itself,
        })
    }

    /// The tenants that have something here and are not to be kept.
    pub(super) fn gone(&self, keep: &dyn Fn(&TenantId) -> bool) -> Result<BTreeSet<TenantId>, QuarantineError> {
        let read = |cause| QuarantineError::Read { path: self.folder.clone(), cause };
        Ok(self.keys.tenants().map_err(read)?.into_iter().filter(|tenant| !keep(tenant)).collect())
    }

    /// Destroys the keys of these tenants first of all, and then what nobody can read any more.
    pub(super) fn forget(&self, gone: &BTreeSet<TenantId>) -> Result<usize, QuarantineError> {
        for tenant in gone {
            self.keys.forget(tenant).map_err(|cause| QuarantineError::Write { path: self.folder.clone(), cause })?;
        }
        self.rewrite(&|line| match look(line.strip_suffix(b"\n").unwrap_or(line)) {
            Line::Sealed(sealed) if gone.contains(&sealed.tenant) => Becomes::Nothing,
            Line::Sealed(_) | Line::Clear | Line::Unknown => Becomes::Itself,
        })
    }

    /// A record's line as it is written.
    pub(super) fn sealed(&self, feed: &str, line: &[u8]) -> Result<String, QuarantineError> {
        let tenant = feed.split('/').next().and_then(|name| name.parse::<TenantId>().ok());
        let tenant = tenant.ok_or_else(|| QuarantineError::NoTenant { feed: feed.to_owned() })?;
        let mut salt = [0; SALT_BYTES];
        SystemRandom::new().fill(&mut salt).map_err(|_| QuarantineError::NoChance)?;
        Ok(seal(&self.keys.to_seal(&tenant)?, &tenant, salt, line))
    }

    /// Writes those files anew of which some line becomes something else, and answers how many lines do.
    fn rewrite(&self, becomes: &dyn Fn(&[u8]) -> Becomes) -> Result<usize, QuarantineError> {
        let mut changed = 0;
        for path in numbered(&self.folder)? {
            let mut here = 0;
            let mut count = |line: &[u8]| here += usize::from(!matches!(becomes(line), Becomes::Itself));
            each_line(&path, &mut count).map_err(|cause| QuarantineError::Read { path: path.clone(), cause })?;
            if here > 0 {
                write_anew(&self.folder, &path, becomes).map_err(|cause| QuarantineError::Write { path, cause })?;
                changed += here;
            }
        }
        Ok(changed)
    }

    /// The record of a whole line; nothing for what a crash has torn.
    fn kept(&self, line: &[u8]) -> Read {
        let Some(line) = line.strip_suffix(b"\n") else { return Read::Nothing };
        let clear = match look(line) {
            Line::Clear => line.to_vec(),
            Line::Unknown => return Read::Nothing,
            Line::Sealed(sealed) => {
                let key = self.keys.to_open(&sealed.tenant);
                let Some(opened) = key.and_then(|key| sealed.open(&key)) else { return Read::Closed };
                opened
            }
        };
        let Ok(record) = serde_json::from_slice(&clear) else { return Read::Nothing };
        let Ok(line) = String::from_utf8(clear) else { return Read::Nothing };
        let id = digest(&SHA256, line.as_bytes()).as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Read::Record(Box::new(Kept { id, line, record }))
    }
}

/// What a line holds.
enum Read {
    Record(Box<Kept>),
    /// A record that has no key here.
    Closed,
    Nothing,
}

/// What becomes of a line.
enum Becomes {
    Itself,
    Other(String),
    Nothing,
}

fn write_anew(folder: &Path, path: &Path, becomes: &dyn Fn(&[u8]) -> Becomes) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file =
        BufWriter::new(OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?);
    let (mut left, mut failed) = (false, None);
    each_line(path, &mut |line| {
        let written = match becomes(line) {
            Becomes::Nothing => return,
            Becomes::Itself => file.write_all(line),
            Becomes::Other(other) => file.write_all(other.as_bytes()),
        };
        left = true;
        failed = failed.take().or_else(|| written.err());
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

#[cfg(test)]
mod tests {
    use super::super::quarantine::tests::quarantine as open;
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
        let quarantine = open(&folder.path().join("quarantine"));
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
        assert!(numbered(&folder.path().join("quarantine")).unwrap().is_empty(), "files without records are gone");
        quarantine.keep(vec![record(1)]).await.unwrap();
        assert_eq!(numbers(&quarantine, all()).await.0, [1]);
    }

    #[tokio::test]
    async fn a_torn_line_is_no_record_and_hides_none() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = open(folder.path());
        quarantine.keep(vec![record(1), record(2)]).await.unwrap();
        let path = folder.path().join("000001.ndjson");
        let torn = format!("{}{{\"at\":\"20", fs::read_to_string(&path).unwrap());
        fs::write(&path, torn).unwrap();
        let (_, found) = numbers(&quarantine, all()).await;
        assert_eq!(found.kept.len(), 2);
        quarantine.remove(BTreeSet::from([found.kept[0].id.clone()])).await.unwrap();
        assert_eq!(numbers(&quarantine, all()).await.0, [2]);
    }

    /// As older versions wrote it.
    fn in_the_clear(record: &Quarantined) -> String {
        serde_json::to_string(record).unwrap() + "\n"
    }

    #[tokio::test]
    async fn what_an_older_version_left_in_the_clear_is_read_and_then_sealed_under_the_same_ids() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("000001.ndjson");
        let torn = "{\"at\":\"20";
        fs::write(&path, in_the_clear(&record(1)) + &in_the_clear(&record(2)) + torn).unwrap();
        let quarantine = open(folder.path());
        let (before, found) = numbers(&quarantine, all()).await;
        quarantine.keep(vec![record(3)]).await.unwrap();
        assert_eq!((before, quarantine.seal_older().await.unwrap()), (vec![1, 2], 3));
        assert_eq!(quarantine.seal_older().await.unwrap(), 0, "once is enough");
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains('{') && !text.contains("not JSON"), "{text}");
        let (after, sealed) = numbers(&quarantine, all()).await;
        assert_eq!(after, [1, 2, 3]);
        assert_eq!(sealed.kept[1].id, found.kept[1].id);
    }

    #[tokio::test]
    async fn s11_what_is_of_a_tenant_that_is_gone_goes_with_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = open(folder.path());
        let other = Quarantined { feed: "fabrikam/hub/0".to_owned(), ..record(2) };
        quarantine.keep(vec![record(1), other]).await.unwrap();
        let copied = fs::read_to_string(folder.path().join("000001.ndjson")).unwrap();
        assert_eq!(quarantine.keep_only(|_| true).await.unwrap(), 0);
        assert_eq!(quarantine.keep_only(|tenant| tenant.as_str() == "fabrikam").await.unwrap(), 1);
        assert!(!folder.path().join("keys/contoso").exists() && folder.path().join("keys/fabrikam").exists());

        // Whoever has kept a copy of the file has nothing of it without the key.
        fs::write(folder.path().join("000009.ndjson"), copied).unwrap();
        let (left, found) = numbers(&quarantine, all()).await;
        assert_eq!((left, found.closed), (vec![2, 2], 1));
    }
}
