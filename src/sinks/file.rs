//! Lines to a file or to standard output. A file is synced before its parcels are acknowledged.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, SeekFrom};
use tokio::sync::{mpsc, watch};

use super::limits::{FILE_SYNC_BYTES, RECONNECT_FIRST, RECONNECT_LONGEST};
use super::status::SinkStatus;
use super::{Parcel, SinkError};

#[derive(Debug, Clone)]
pub enum Target {
    File(PathBuf),
    Stdout,
}

enum Open {
    File(File, PathBuf),
    Stdout(tokio::io::Stdout),
}

/// Runs until the parcels end, or until `stop` turns true and the queue is empty.
pub async fn run(
    target: Target,
    mut parcels: mpsc::Receiver<Parcel>,
    status: Arc<SinkStatus>,
    mut stop: watch::Receiver<bool>,
) {
    status.settle_assurance(match target {
        Target::File(_) => "A3",
        Target::Stdout => "A0",
    });
    let mut waiting: Vec<Parcel> = Vec::new();
    let mut wait = RECONNECT_FIRST;
    loop {
        match write_all(&target, &mut parcels, &mut waiting, &status, &mut stop).await {
            Ok(()) => return,
            Err(error) => {
                if status.retrying(error.to_string()) {
                    tracing::warn!(%error, "sink is failing, trying on");
                }
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    _ = stop.wait_for(|stopped| *stopped) => return,
                }
                wait = (wait * 2).min(RECONNECT_LONGEST);
            }
        }
    }
}

async fn write_all(
    target: &Target,
    parcels: &mut mpsc::Receiver<Parcel>,
    waiting: &mut Vec<Parcel>,
    status: &SinkStatus,
    stop: &mut watch::Receiver<bool>,
) -> Result<(), SinkError> {
    let mut open = Open::at(target).await?;
    let again = std::mem::take(waiting);
    for parcel in again {
        match parcel.may_be_written(stop).await {
            true => waiting.push(parcel),
            false => status.lost_connection(u64::from(parcel.events)),
        }
    }
    for parcel in waiting.iter() {
        open.write(parcel).await?;
    }
    settle(&mut open, waiting, status).await?;
    status.healthy();
    loop {
        let next = tokio::select! {
            biased;
            parcel = parcels.recv() => parcel,
            _ = stop.wait_for(|stopped| *stopped) => None,
        };
        let Some(parcel) = next else { return Ok(()) };
        let mut bytes = 0;
        let mut next = Some(parcel);
        while let Some(parcel) = next {
            if parcel.may_be_written(stop).await {
                bytes += parcel.frames.len() as u64;
                // Once, however often it must be written.
                status.wrote(parcel.events);
                waiting.push(parcel);
                open.write(&waiting[waiting.len() - 1]).await?;
            }
            next = (bytes < FILE_SYNC_BYTES).then(|| parcels.try_recv().ok()).flatten();
        }
        settle(&mut open, waiting, status).await?;
    }
}

/// Makes what was written durable, then acknowledges it.
async fn settle(open: &mut Open, waiting: &mut Vec<Parcel>, status: &SinkStatus) -> Result<(), SinkError> {
    if waiting.is_empty() {
        return Ok(());
    }
    open.sync().await?;
    for parcel in waiting.drain(..) {
        status.acknowledged(parcel.events);
        parcel.acknowledged();
    }
    Ok(())
}

impl Open {
    async fn at(target: &Target) -> Result<Self, SinkError> {
        match target {
            Target::Stdout => Ok(Self::Stdout(tokio::io::stdout())),
            Target::File(path) => {
                let file =
                    open_whole_lines(path).await.map_err(|cause| SinkError::File { path: path.clone(), cause })?;
                Ok(Self::File(file, path.clone()))
            }
        }
    }

    async fn write(&mut self, parcel: &Parcel) -> Result<(), SinkError> {
        match self {
            Self::File(file, path) => {
                file.write_all(&parcel.frames).await.map_err(|cause| SinkError::File { path: path.clone(), cause })
            }
            Self::Stdout(stdout) => stdout.write_all(&parcel.frames).await.map_err(|cause| SinkError::Stdout { cause }),
        }
    }

    async fn sync(&mut self) -> Result<(), SinkError> {
        match self {
            Self::File(file, path) => {
                let synced = async {
                    file.flush().await?;
                    file.sync_data().await
                };
                synced.await.map_err(|cause| SinkError::File { path: path.clone(), cause })
            }
            Self::Stdout(stdout) => stdout.flush().await.map_err(|cause| SinkError::Stdout { cause }),
        }
    }
}

/// Opens the file for appending, without the torn line that a crash may have left at its end: that line was never
/// acknowledged, so it comes again whole.
async fn open_whole_lines(path: &PathBuf) -> io::Result<File> {
    const STEP: u64 = 64 << 10;
    // In append mode, because an offset of our own would overwrite what anybody else has added since.
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path).await?;
    let length = file.metadata().await?.len();
    let mut end = length;
    while end > 0 {
        let from = end.saturating_sub(STEP);
        file.seek(SeekFrom::Start(from)).await?;
        let mut tail = vec![0; usize::try_from(end - from).unwrap_or_default()];
        file.read_exact(&mut tail).await?;
        if let Some(newline) = tail.iter().rposition(|b| *b == b'\n') {
            end = from + newline as u64 + 1;
            break;
        }
        end = from;
    }
    if end < length {
        file.set_len(end).await?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::lease::Lease;
    use crate::sinks::{Ack, Receipt, Stretch};

    fn line(text: &'static str, batch: u64, acks: &mpsc::Sender<Ack>) -> Parcel {
        let receipt = Some(Receipt::new(Stretch::sample(), 0, batch, 1, acks.clone()));
        let (frames, lease) = (Bytes::from_static(text.as_bytes()), Lease::unlimited());
        Parcel { frames, ends: vec![], events: 1, permit: None, receipt, lease }
    }

    #[tokio::test]
    async fn what_is_left_of_a_feed_that_ended_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.log");
        let (parcels, queue) = mpsc::channel(4);
        let (living, mut acknowledged) = mpsc::channel(4);
        let (_stop, stopped) = watch::channel(false);
        let (ended, its_task) = mpsc::channel(4);
        parcels.send(line("of the old owner\n", 0, &ended)).await.unwrap();
        parcels.send(line("of the new owner\n", 1, &living)).await.unwrap();
        drop((its_task, parcels));
        run(Target::File(path.clone()), queue, Arc::default(), stopped).await;
        assert_eq!(std::fs::read_to_string(path).unwrap(), "of the new owner\n");
        assert_eq!(acknowledged.recv().await.unwrap().batch, 1);
    }

    #[tokio::test]
    async fn what_must_be_written_again_and_again_is_in_flight_once() {
        let folder = tempfile::tempdir().unwrap();
        let (path, later) = (folder.path().join("events.log"), folder.path().join("later"));
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let (parcels, queue) = mpsc::channel(4);
        let (acks, mut acknowledged) = mpsc::channel(4);
        let (stop, stopped) = watch::channel(false);
        let status = Arc::new(SinkStatus::default());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(run(Target::File(path.clone()), queue, status.clone(), stopped));
        let failed = async |times: u64| {
            let failed = async {
                while status.retries.load(Relaxed) < times {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), failed).await.expect("it fails");
        };
        parcels.send(line("line\n", 0, &acks)).await.unwrap();
        failed(1).await;
        // Now it can't even be opened.
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(later.join("events.log"), &path).unwrap();
        let before = status.retries.load(Relaxed);
        failed(before + 2).await;
        assert_eq!(status.in_flight.load(Relaxed), 1);
        std::fs::create_dir(&later).unwrap();
        assert_eq!(acknowledged.recv().await.unwrap().batch, 0);
        stop.send_replace(true);
        tasks.join_all().await;
        assert_eq!((status.in_flight.load(Relaxed), status.sent.load(Relaxed)), (0, 1));
        assert_eq!(std::fs::read_to_string(path).unwrap(), "line\n");
    }

    #[tokio::test]
    async fn who_has_the_file_open_twice_overwrites_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.log");
        let mut files = [open_whole_lines(&path).await.unwrap(), open_whole_lines(&path).await.unwrap()];
        for (file, line) in files.iter_mut().zip([b"one\n", b"two\n"]) {
            file.write_all(line).await.unwrap();
            file.sync_data().await.unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), "one\ntwo\n");
    }

    #[tokio::test]
    async fn a_torn_line_is_cut_and_parcels_are_acknowledged_once_durable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.log");
        std::fs::write(&path, b"whole\ntorn").unwrap();
        let (parcels, queue) = mpsc::channel(4);
        let (acks, mut acknowledged) = mpsc::channel(4);
        let (_stop, stopped) = watch::channel(false);
        let status = Arc::new(SinkStatus::default());
        for batch in 0..2 {
            parcels.send(line("line\n", batch, &acks)).await.unwrap();
        }
        drop(parcels);
        run(Target::File(path.clone()), queue, status, stopped).await;
        assert_eq!(std::fs::read_to_string(path).unwrap(), "whole\nline\nline\n");
        assert_eq!((acknowledged.recv().await.unwrap().batch, acknowledged.recv().await.unwrap().batch), (0, 1));
    }
}
