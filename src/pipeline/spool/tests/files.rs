//! A feed's spool on a real disk.

use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use ring::rand::{SecureRandom, SystemRandom};

use super::*;

#[tokio::test]
async fn what_was_spooled_is_read_back_also_by_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    {
        let mut spool = spool(folder.path(), ROOM).feed(&feed(), GENERATION).await.unwrap();
        assert_eq!((spool.range(), spool.positions()), (None, None));
        fill(&mut spool, 0..20).await;
        for number in [3, 4, 5, 19, 0, 1] {
            reads(&mut spool, number).await;
        }
        assert!(matches!(spool.read(20).await, Err(SpoolError::Missing { number: 20 })));
    }
    let mut spool = spool(folder.path(), ROOM).feed(&feed(), GENERATION).await.unwrap();
    assert_eq!(spool.range(), Some(0..20));
    assert_eq!(spool.positions(), Some(Positions { before: Some(&log(0)), after: &log(200) }));
    fill(&mut spool, 20..25).await;
    for number in 0..25 {
        reads(&mut spool, number).await;
    }
}

#[tokio::test]
async fn s10_no_text_of_an_event_is_in_any_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = spool(folder.path(), ROOM).feed(&feed(), GENERATION).await.unwrap();
    fill(&mut spool, 0..20).await;
    let path = folder.path().join("contoso/hub/0/0000000001.spool");
    let bytes = fs::read(path).unwrap();
    assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
}

/// A spool whose disk can be made to take no more, which it notices in the midst of a record.
fn on_a_small_disk(folder: &Path, cause: io::ErrorKind) -> (Spool, Arc<AtomicBool>) {
    let full = Arc::new(AtomicBool::new(false));
    let (quota, shown) = (ROOM, full.clone());
    let write = move |file: &fs::File, bytes: &[u8], offset: u64| match full.load(Ordering::Relaxed) {
        false => file.write_all_at(bytes, offset),
        true => file.write_all_at(&bytes[..bytes.len() / 2], offset).and(Err(cause.into())),
    };
    let spool = Spool::writing(folder.to_owned(), quota, Arc::new(Keys(1)), Box::new(write)).unwrap();
    (spool, shown)
}

fn bytes_below(folder: &Path) -> u64 {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.unwrap();
        let found = entry.metadata().unwrap();
        bytes += if found.is_dir() { bytes_below(&entry.path()) } else { found.len() };
    }
    bytes
}

#[tokio::test]
async fn a_full_disk_stops_the_spool_until_there_is_room_and_leaves_no_half_record() {
    for cause in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
        let folder = tempfile::tempdir().unwrap();
        let (all, full) = on_a_small_disk(folder.path(), cause);
        let mut spool = all.feed(&feed(), GENERATION).await.unwrap();
        full.store(true, Ordering::Relaxed);
        for _ in 0..2 {
            let refused = spool.append(0, None, &batch(0, 10)).await;
            assert!(matches!(refused, Err(SpoolError::Full { by: Limit::Disk })), "{refused:?}");
            assert_eq!((spool.range(), all.usage().total, bytes_below(folder.path())), (None, 0, 0));
        }
        full.store(false, Ordering::Relaxed);
        fill(&mut spool, 0..3).await;
        let taken = all.usage().total;
        full.store(true, Ordering::Relaxed);
        assert!(spool.append(3, Some(&log(30)), &batch(30, 40)).await.is_err());
        assert_eq!((all.usage().total, bytes_below(folder.path())), (taken, taken), "nothing is left of it");
        full.store(false, Ordering::Relaxed);
        fill(&mut spool, 3..5).await;
        for number in 0..5 {
            reads(&mut spool, number).await;
        }
        drop((spool, all));
        let (again, _) = on_a_small_disk(folder.path(), cause);
        let again = again.feed(&feed(), GENERATION).await.unwrap();
        assert_eq!(again.range(), Some(0..5));
    }
}

#[tokio::test]
async fn another_error_of_the_disk_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (all, broken) = on_a_small_disk(folder.path(), io::ErrorKind::ReadOnlyFilesystem);
    let mut spool = all.feed(&feed(), GENERATION).await.unwrap();
    broken.store(true, Ordering::Relaxed);
    let told = spool.append(0, None, &batch(0, 10)).await.unwrap_err().to_string();
    assert!(told.contains("contoso/hub/0/0000000001.spool"), "{told}");
}

#[tokio::test]
async fn b4_the_spool_never_takes_more_than_its_quotas() {
    let folder = tempfile::tempdir().unwrap();
    let quota = Quota { total: 20_000, per_tenant: 12_000 };
    let all = spool(folder.path(), quota);
    let mut spools = Vec::new();
    for name in ["contoso/hub/0", "contoso/hub/1", "fabrikam/hub/0"] {
        spools.push((all.feed(&name.parse().unwrap(), GENERATION).await.unwrap(), 0));
    }
    let mut limits = std::collections::HashSet::new();
    for round in 0..400 {
        let (spool, number) = &mut spools[round % 3];
        let from = *number as i64 * 10;
        match spool.append(*number, Some(&log(from)), &batch(from, from + 10)).await {
            Ok(()) => *number += 1,
            Err(SpoolError::Full { by }) => {
                limits.insert(by);
                if round % 7 == 0 {
                    spool.drop_before(*number).await;
                }
            }
            Err(error) => panic!("{error}"),
        }
        let usage = all.usage();
        assert_eq!(usage.total, bytes_below(folder.path()), "the books are right");
        assert_eq!(usage.total, usage.tenants.values().sum::<u64>());
        assert!(usage.total <= quota.total && usage.tenants.values().all(|bytes| *bytes <= quota.per_tenant));
    }
    assert_eq!(limits, [Limit::Total, Limit::Tenant].into(), "both were met");
    drop(spools);
    assert_eq!(spool(folder.path(), quota).usage(), all.usage(), "the next run counts the same");
    let smaller = Quota { total: 1_000, per_tenant: 1_000 };
    assert_eq!(spool(folder.path(), smaller).usage().total, 0, "what is beyond a new quota goes");
    assert_eq!(bytes_below(folder.path()), 0);
}

#[tokio::test]
async fn s11_all_of_a_tenant_is_removed_with_its_key_and_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    let all = spool(folder.path(), ROOM);
    let mut gone = all.feed(&feed(), GENERATION).await.unwrap();
    let mut stays = all.feed(&"fabrikam/hub/0".parse().unwrap(), GENERATION).await.unwrap();
    fill(&mut gone, 0..3).await;
    fill(&mut stays, 0..3).await;
    fs::write(folder.path().join("contoso").join(KEY_FILE), "a sealed key").unwrap();

    all.forget_tenant(&feed().tenant).await.unwrap();
    assert!(!folder.path().join("contoso").exists());
    let late = gone.append(3, Some(&log(30)), &batch(30, 40)).await;
    assert!(matches!(late, Err(SpoolError::Removed { .. })), "{late:?}");
    gone.clear().await;
    assert!(!folder.path().join("contoso").exists(), "work that was under way brings nothing back");
    assert_eq!(all.usage().tenants.keys().map(TenantId::as_str).collect::<Vec<_>>(), ["fabrikam"]);
    reads(&mut stays, 2).await;

    drop(gone);
    let mut anew = all.feed(&feed(), GENERATION).await.unwrap();
    assert_eq!(anew.range(), None);
    fill(&mut anew, 0..1).await;
}

#[tokio::test]
async fn s11_what_a_node_missed_while_it_was_off_is_removed_at_its_next_look() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["contoso/hub/0", "contoso/hub/1", "contoso/other/0", "fabrikam/hub/0"] {
        let all = spool(folder.path(), ROOM);
        fill(&mut all.feed(&name.parse().unwrap(), GENERATION).await.unwrap(), 0..2).await;
    }
    fs::create_dir_all(folder.path().join("contoso/Not A Name/0")).unwrap();
    fs::create_dir(folder.path().join("Nobody")).unwrap();
    let all = spool(folder.path(), ROOM);
    let mut open = all.feed(&"contoso/hub/1".parse().unwrap(), GENERATION).await.unwrap();
    all.keep_only(|feed| feed.to_string() == "contoso/hub/0").await.unwrap();
    let left = |name: &str| folder.path().join(name).exists();
    assert!(left("contoso/hub/0") && left("contoso/hub/1"), "one is kept, and one is open");
    assert!(!left("contoso/other") && !left("fabrikam") && !left("Nobody"));
    reads(&mut open, 1).await;
    assert_eq!(all.usage().total, bytes_below(folder.path()));
    drop(open);
    all.keep_only(|_| false).await.unwrap();
    assert_eq!((all.usage().total, fs::read_dir(folder.path()).unwrap().count()), (0, 0));
}

#[tokio::test]
async fn a_batch_that_turns_out_damaged_goes_with_those_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = spool(folder.path(), ROOM).feed(&feed(), GENERATION).await.unwrap();
    fill(&mut spool, 0..4).await;
    let path = folder.path().join("contoso/hub/0/0000000001.spool");
    let bytes = fs::read(&path).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let middle = bytes.len() as u64 * 2 / 5;
    file.write_all_at(&[!bytes[middle as usize]], middle).unwrap();
    reads(&mut spool, 0).await;
    assert!(matches!(spool.read(1).await, Err(SpoolError::Damaged { number: 1 })));
    assert!(matches!(spool.read(1).await, Err(SpoolError::Missing { number: 1 })));
    assert_eq!(spool.range(), Some(2..4));
    assert_eq!(spool.positions().unwrap().before, Some(&log(20)), "up to here the source is read again");
    fill(&mut spool, 4..5).await;
    reads(&mut spool, 4).await;
}

#[tokio::test]
async fn a_segment_that_was_taken_away_is_read_from_the_source() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = spool(folder.path(), ROOM).feed(&feed(), GENERATION).await.unwrap();
    fill(&mut spool, 0..2).await;
    fs::remove_file(folder.path().join("contoso/hub/0/0000000001.spool")).unwrap();
    assert!(matches!(spool.read(0).await, Err(SpoolError::Damaged { number: 0 })));
}

#[tokio::test]
async fn objects_are_spooled_within_a_run_and_never_resumed_by_another() {
    let folder = tempfile::tempdir().unwrap();
    {
        let mut spool = spool(folder.path(), ROOM).feed(&feed(), GENERATION).await.unwrap();
        for number in 0..3 {
            spool.append(number, None, &of_every_kind()).await.unwrap();
        }
        assert_eq!(told(&spool.read(2).await.unwrap()), told(&of_every_kind()));
        assert_eq!(spool.resume_after(&of_every_kind().after), None);
    }
    let all = spool(folder.path(), ROOM);
    assert_eq!(all.feed(&feed(), GENERATION).await.unwrap().range(), None);
    assert_eq!((all.usage().total, bytes_below(folder.path())), (0, 0));
}

#[tokio::test]
async fn a_dropped_future_leaves_the_spool_as_if_it_had_been_awaited_or_never_begun() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = spool(folder.path(), ROOM).feed(&feed(), GENERATION).await.unwrap();
    for number in 0..200 {
        let (from, before) = (number as i64 * 10, log(number as i64 * 10));
        let batch = batch(from, from + 10);
        // Polled once and dropped, at random places of the work.
        tokio::select! {
            biased;
            appended = spool.append(number, Some(&before), &batch) => appended.unwrap(),
            () = tokio::task::yield_now() => {}
        }
        spool.append(number, Some(&before), &batch).await.unwrap();
        tokio::select! {
            biased;
            read = spool.read(number) => assert_eq!(told(&read.unwrap()), told(&batch)),
            () = tokio::task::yield_now() => {}
        }
        reads(&mut spool, number).await;
    }
    assert_eq!(spool.range(), Some(0..200));
}

#[tokio::test]
async fn two_cannot_have_a_feed_open_and_the_next_waits_for_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let all = spool(folder.path(), ROOM);
    let mut first = all.feed(&feed(), GENERATION).await.unwrap();
    fill(&mut first, 0..1).await;
    let id = feed();
    let mut second = Box::pin(all.feed(&id, GENERATION));
    tokio::select! {
        biased;
        _ = &mut second => panic!("two at once"),
        () = tokio::task::yield_now() => {}
    }
    drop(first);
    assert_eq!(second.await.unwrap().range(), Some(0..1));
}

#[tokio::test]
async fn segments_are_given_back_once_nobody_needs_what_is_in_them() {
    let folder = tempfile::tempdir().unwrap();
    let all = spool(folder.path(), ROOM);
    let mut spool = all.feed(&feed(), GENERATION).await.unwrap();
    // Three of them fill a segment, and can't be made smaller.
    let mut noise = vec![0; 6 << 20];
    SystemRandom::new().fill(&mut noise).unwrap();
    let large = |number: u64| {
        let content = Content::Records { shape: Shape::Streaming, bytes: Bytes::from(noise.clone()) };
        Batch { entries: vec![entry(content, number as i64)], ..batch(number as i64, number as i64 + 1) }
    };
    for number in 0..7 {
        spool.append(number, Some(&log(number as i64)), &large(number)).await.unwrap();
    }
    let segments = || fs::read_dir(folder.path().join("contoso/hub/0")).unwrap().count();
    assert_eq!(segments(), 3);
    spool.drop_before(2).await;
    assert_eq!(segments(), 3);
    spool.drop_before(3).await;
    assert_eq!(segments(), 2);
    assert_eq!(spool.position_after(3), Some(&log(4)));
    assert_eq!(told(&spool.read(5).await.unwrap()), told(&large(5)));
    spool.drop_before(7).await;
    assert_eq!((segments(), all.usage().total, spool.range()), (0, 0, None));
    spool.append(7, Some(&log(7)), &large(7)).await.unwrap();
    assert_eq!(told(&spool.read(7).await.unwrap()), told(&large(7)));
}

#[tokio::test]
async fn no_sealing_number_is_used_twice_also_where_a_record_could_not_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let written: Arc<parking_lot::Mutex<Vec<Vec<u8>>>> = Arc::default();
    let shown = written.clone();
    let write = move |file: &fs::File, bytes: &[u8], offset: u64| {
        let mut written = written.lock();
        written.push(bytes.to_vec());
        // Every third write fails.
        let whole = !written.len().is_multiple_of(3);
        if whole { file.write_all_at(bytes, offset) } else { Err(io::ErrorKind::StorageFull.into()) }
    };
    let all = Spool::writing(folder.path().to_owned(), ROOM, Arc::new(Keys(1)), Box::new(write)).unwrap();
    let mut spool = all.feed(&feed(), GENERATION).await.unwrap();
    for number in 0..10 {
        while spool.append(number, None, &batch(number as i64, number as i64 + 1)).await.is_err() {}
    }
    let records = shown.lock()[1..].to_vec();
    let numbers: std::collections::HashSet<_> = records.iter().map(|record| record[25..33].to_vec()).collect();
    assert_eq!(numbers.len(), records.len());
    assert!(records.len() > 10, "some had to be written again");
}

#[tokio::test]
async fn what_a_crash_has_torn_is_cut_off_before_anybody_counts_on_it() {
    let folder = tempfile::tempdir().unwrap();
    fill(&mut spool(folder.path(), ROOM).feed(&feed(), GENERATION).await.unwrap(), 0..4).await;
    let path = folder.path().join("contoso/hub/0/0000000001.spool");
    let length = fs::metadata(&path).unwrap().len();
    // The length was written, the end of the last record was not.
    fs::OpenOptions::new().write(true).open(&path).unwrap().write_all_at(&[0; 9], length - 9).unwrap();
    let all = spool(folder.path(), ROOM);
    let mut spool = all.feed(&feed(), GENERATION).await.unwrap();
    assert_eq!(spool.range(), Some(0..3));
    assert_eq!(all.usage().total, bytes_below(folder.path()));
    assert!(all.usage().total < length);
    fill(&mut spool, 3..5).await;
    for number in 0..5 {
        reads(&mut spool, number).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_tenant_that_is_removed_while_its_feeds_are_opened_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let all = spool(folder.path(), ROOM);
    let comings = async {
        for _ in 0..200 {
            let (removing, looked) = (all.clone(), all.clone());
            let feeds = ["contoso/hub/0", "contoso/hub/1", "contoso/hub/2"].map(|name| {
                let all = all.clone();
                async move {
                    // What is there of another generation is removed while the feed is opened.
                    for generation in [Generation(1), Generation(2)] {
                        if let Ok(mut feed) = all.feed(&name.parse().unwrap(), generation).await {
                            let _ = feed.append(0, None, &Batch { generation, ..batch(0, 1) }).await;
                        }
                    }
                }
            });
            let tenant = feed().tenant;
            let removal = async move { removing.forget_tenant(&tenant).await.unwrap() };
            let look = async move { looked.keep_only(|_| false).await.unwrap() };
            tokio::join!(futures_util::future::join_all(feeds), removal, look);
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), comings).await.expect("nobody waits for ever");
}
