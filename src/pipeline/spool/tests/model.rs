//! The spool against a map that is simple enough to be right: random work, restarts, power cuts, full disks and damage.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Append(i64),
    /// A batch that does not follow: with a hole before it, or with positions that were there before.
    Jump(i64),
    /// The last one once more.
    Again,
    Read(u8),
    DropBefore(u8),
    Clear,
    Resume(u8),
    /// The node is killed and starts again.
    Restart,
    /// A power cut takes the end of the newest segment.
    PowerCut(u16),
    /// A bit of a segment turns.
    Flip(u8, u16),
    /// What is behind the feed is recreated.
    Recreated,
    /// The disk takes no more than this.
    DiskRoom(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..40_i64).prop_map(Step::Append),
        1 => (-30..30_i64).prop_map(Step::Jump),
        1 => Just(Step::Again),
        8 => any::<u8>().prop_map(Step::Read),
        2 => any::<u8>().prop_map(Step::DropBefore),
        1 => Just(Step::Clear),
        4 => any::<u8>().prop_map(Step::Resume),
        2 => Just(Step::Restart),
        1 => (0..2000_u16).prop_map(Step::PowerCut),
        1 => any::<(u8, u16)>().prop_map(|(file, bit)| Step::Flip(file, bit)),
        1 => Just(Step::Recreated),
        1 => any::<u16>().prop_map(Step::DiskRoom),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disk {
    Whole,
    /// Fewer batches may be there, but never other ones.
    Damaged,
}

struct Run {
    folder: tempfile::TempDir,
    /// Whatever may be there: the sequence before each batch, and after it.
    may: BTreeMap<u64, (i64, i64)>,
    /// Which must be there, as long as the disk is whole.
    must: Range<u64>,
    sequence: i64,
    generation: Generation,
    disk: Disk,
    room: Arc<AtomicI64>,
    spool: Option<FeedSpool>,
}

impl Run {
    async fn new() -> Self {
        let mut run = Self {
            folder: tempfile::tempdir().unwrap(),
            may: BTreeMap::new(),
            must: 0..0,
            sequence: 0,
            generation: GENERATION,
            disk: Disk::Whole,
            room: Arc::new(AtomicI64::new(i64::MAX)),
            spool: None,
        };
        run.open().await;
        run
    }

    fn spool(&mut self) -> &mut FeedSpool {
        self.spool.as_mut().unwrap()
    }
    fn next(&mut self) -> u64 {
        self.spool().range().map_or(0, |range| range.end)
    }

    async fn open(&mut self) {
        let room = self.room.clone();
        let write = move |file: &fs::File, bytes: &[u8], offset| {
            use std::os::unix::fs::FileExt;
            let left = room.fetch_sub(bytes.len() as i64, Ordering::Relaxed);
            if left >= bytes.len() as i64 {
                return file.write_all_at(bytes, offset);
            }
            file.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            Err(io::ErrorKind::StorageFull.into())
        };
        let all = Spool::writing(self.folder.path().to_owned(), ROOM, Arc::new(Keys(1)), Box::new(write)).unwrap();
        self.spool = Some(all.feed(&feed(), self.generation).await.unwrap());
    }

    /// A restart brings back what was dropped only for want of a reader, and loses nothing that is not damaged.
    async fn restart(&mut self) {
        self.spool = None;
        self.open().await;
        let range = self.spool().range().unwrap_or(0..0);
        assert!(range.clone().all(|number| self.may.contains_key(&number)), "{range:?}");
        if self.disk == Disk::Whole && !self.must.is_empty() {
            assert!(range.start <= self.must.start && range.end == self.must.end, "{range:?} {:?}", self.must);
        }
        self.may.split_off(&range.end);
        if let Some((_, after)) = self.may.get(&range.end.wrapping_sub(1)) {
            self.sequence = *after;
        }
        for number in range.clone() {
            self.read(number).await;
        }
        self.must = self.spool().range().unwrap_or(0..0);
    }

    async fn read(&mut self, number: u64) {
        let expected = self.may.get(&number).map(|(before, after)| told(&batch(*before, *after)));
        match self.spool().read(number).await {
            Ok(batch) => assert_eq!(Some(told(&batch)), expected),
            Err(SpoolError::Missing { .. }) => assert!(!self.must.contains(&number)),
            Err(SpoolError::Damaged { .. }) => {
                assert_eq!(self.disk, Disk::Damaged);
                self.must.start = self.must.end.min(number + 1);
            }
            Err(error) => panic!("{error}"),
        }
    }

    async fn append(&mut self, number: u64, from: i64, to: i64) {
        let follows = self.spool().range().is_none() || (number == self.next() && from == self.sequence);
        let appended = self.spool().append(number, Some(&log(from)), &batch(from, to)).await;
        if !follows {
            (self.may, self.must, self.disk) = (BTreeMap::new(), number..number, Disk::Whole);
        }
        match appended {
            Ok(()) => {
                self.may.split_off(&number);
                self.may.insert(number, (from, to));
                let start = if self.must.is_empty() { number } else { self.must.start };
                (self.must, self.sequence) = (start..number + 1, to);
            }
            Err(SpoolError::Full { by: Limit::Disk }) => {
                assert!(self.room.load(Ordering::Relaxed) < 0);
                // The space returns.
                self.room.store(i64::MAX, Ordering::Relaxed);
            }
            Err(error) => panic!("{error}"),
        }
    }

    async fn drop_before(&mut self, number: u64) {
        self.spool().drop_before(number).await;
        self.must.start = number.clamp(self.must.start, self.must.end);
        assert!(self.spool().range().is_none_or(|range| range.start >= number));
    }

    async fn clear(&mut self) {
        self.spool().clear().await;
        assert_eq!(self.spool().range(), None);
        (self.may, self.must, self.disk) = (BTreeMap::new(), 0..0, Disk::Whole);
    }

    fn resume(&mut self, sequence: i64) {
        let found = self.spool().resume_after(&log(sequence));
        let Some(range) = self.spool().range() else { return assert_eq!(found, None) };
        let (before, after) = (self.may[&range.start].0, self.may[&(range.end - 1)].1);
        assert_eq!(found.is_some(), (before..=after).contains(&sequence));
        match found {
            Some(Resume::At(number)) if number == range.end => assert_eq!(after, sequence),
            Some(Resume::At(number)) => assert_eq!(self.may[&number].0, sequence),
            Some(Resume::Within(number)) => {
                assert!(self.may[&number].0 < sequence && sequence < self.may[&number].1);
            }
            None => {}
        }
    }

    fn segments(&self) -> Vec<PathBuf> {
        let folder = self.folder.path().join("contoso/hub/0");
        let mut found: Vec<_> = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        found.sort();
        found
    }

    async fn take(&mut self, step: Step) {
        let next = self.next();
        let some_number = |run: &Self, at: u8| run.must.start + u64::from(at) % (run.must.end - run.must.start + 1);
        match step {
            Step::Append(messages) => self.append(next, self.sequence, self.sequence + messages).await,
            Step::Jump(by) => {
                let number = next + by.max(0).unsigned_abs();
                self.append(number, self.sequence + by, self.sequence + by + 5).await;
            }
            Step::Again => {
                if let Some((from, to)) = next.checked_sub(1).and_then(|last| self.may.get(&last)).copied() {
                    let range = self.spool().range();
                    self.spool().append(next - 1, Some(&log(from)), &batch(from, to)).await.unwrap();
                    assert_eq!(self.spool().range(), range);
                }
            }
            Step::Read(at) => self.read(some_number(self, at)).await,
            Step::DropBefore(at) => self.drop_before(some_number(self, at)).await,
            Step::Clear => self.clear().await,
            Step::Resume(at) => self.resume(self.sequence - i64::from(at)),
            Step::Restart => self.restart().await,
            Step::PowerCut(bytes) => {
                self.spool = None;
                if let Some(newest) = self.segments().last() {
                    let file = fs::OpenOptions::new().write(true).open(newest).unwrap();
                    file.set_len(file.metadata().unwrap().len().saturating_sub(bytes.into())).unwrap();
                    self.disk = Disk::Damaged;
                }
                self.restart().await;
            }
            Step::Flip(file, bit) => self.flip(file.into(), bit.into()),
            Step::Recreated => {
                self.generation.0 += 1;
                (self.may, self.must, self.disk) = (BTreeMap::new(), 0..0, Disk::Whole);
                self.restart().await;
            }
            Step::DiskRoom(bytes) => self.room.store(bytes.into(), Ordering::Relaxed),
        }
    }

    fn flip(&mut self, file: usize, bit: usize) {
        let segments = self.segments();
        let Some(path) = segments.get(file % segments.len().max(1)) else { return };
        let mut bytes = fs::read(path).unwrap();
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        // In its place: a file that is open has to see it.
        use std::os::unix::fs::FileExt;
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(&bytes[bit / 8..=bit / 8], bit as u64 / 8).unwrap();
        self.disk = Disk::Damaged;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_spool_never_gives_another_batch_and_loses_none_without_damage(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut run = Run::new().await;
            for step in steps {
                run.take(step).await;
            }
            run.restart().await;
        });
    }
}
