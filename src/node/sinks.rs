//! The sinks of this node: started when they are configured, ended when they change or go.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::deployment::{Configured, Deployment};
use super::idle::Changes;
use super::tasks::resume_panic;
use crate::encode::Encoder;
use crate::event::batch::Position;
use crate::ids::{FeedId, SinkId};
use crate::pipeline::prepare::{Lane, Untold};
use crate::pipeline::spec::SinkSpec;
use crate::sinks::allowance::Allowance;
use crate::sinks::limits::{PARCELS_QUEUED, WINDOW_BYTES};
use crate::sinks::status::SinkStatus;
use crate::sinks::subscription::desk::Desk;
use crate::sinks::{self, Parcel, subscription};
use crate::units::Span;

/// One running sink.
pub struct RunningSink {
    pub spec: SinkSpec,
    pub status: Arc<SinkStatus>,
    /// Where a subscription's events are fetched.
    pub desk: Option<Arc<Desk>>,
    fingerprint: u64,
    parcels: mpsc::Sender<Parcel>,
    window: Arc<Semaphore>,
    stop: watch::Sender<bool>,
    alive: Alive,
}

/// Closed once the sink's task has ended.
type Alive = watch::Receiver<()>;

#[derive(Default)]
pub struct Sinks {
    running: BTreeMap<SinkId, RunningSink>,
    /// Files whose writer was told to end, and perhaps has not yet.
    ending: Vec<(PathBuf, Alive)>,
    tasks: JoinSet<()>,
}

impl Sinks {
    /// Starts what is new, ends what is gone or changed. Feeds that used an ended sink are rebuilt by their own
    /// fingerprint, and what it had not acknowledged is read again.
    pub fn reconcile(&mut self, deployment: &Deployment) {
        self.ending.retain(|(_, alive)| alive.has_changed().is_ok());
        self.running.retain(|name, sink| {
            let keeps = deployment.sinks.get(name).is_some_and(|now| now.fingerprint == sink.fingerprint);
            if !keeps {
                sink.stop.send_replace(true);
                self.ending.extend(sink.spec.sink.file().map(|file| (file.to_owned(), sink.alive.clone())));
            }
            keeps
        });
        for (name, configured) in &deployment.sinks {
            if !self.running.contains_key(name) {
                let sink = self.start(name, configured);
                self.running.insert(name.clone(), sink);
            }
        }
    }

    /// Waits until a sink's task ends, and passes its panic on. Dropping this loses nothing.
    pub async fn next_ended(sinks: &Mutex<Self>) {
        let ended = poll_fn(|cx| match sinks.lock().tasks.poll_join_next(cx) {
            Poll::Ready(Some(ended)) => Poll::Ready(ended),
            // Without a sink there is nothing to wait for until one is started, after which this is called anew.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        });
        ended.await.unwrap_or_else(resume_panic);
    }

    fn start(&mut self, name: &SinkId, configured: &Configured<SinkSpec>) -> RunningSink {
        let (parcels, queue) = mpsc::channel(PARCELS_QUEUED);
        let (stop, stopped) = watch::channel(false);
        let status = Arc::new(SinkStatus::default());
        let (living, alive) = watch::channel(());
        let (config, reporting, paused) = (configured.spec.sink.clone(), status.clone(), configured.spec.paused);
        let desk = match &config {
            sinks::Config::Subscription(config) => Some(Arc::new(Desk::new(config.caps(), status.clone()))),
            sinks::Config::Syslog(_) | sinks::Config::Hec(_) | sinks::Config::File(_) | sinks::Config::Stdout(_) => {
                None
            }
        };
        let fetched_at = desk.clone();
        let same_file = self.ending.iter().filter(|(file, _)| config.file() == Some(file));
        let before: Vec<Alive> = same_file.map(|(_, alive)| alive.clone()).collect();
        self.tasks.spawn(async move {
            let _living = living;
            // Two writers of a file would cut each other's unfinished lines. What comes meanwhile waits in the queue.
            for mut alive in before {
                while alive.changed().await.is_ok() {}
            }
            if paused {
                reporting.paused();
                let _ = stopped.clone().wait_for(|stopped| *stopped).await;
                return;
            }
            match fetched_at {
                Some(desk) => subscription::run(desk, queue, stopped.clone()).await,
                None => sinks::run(config, queue, reporting, stopped.clone()).await,
            }
            // Ended by itself, it would leave its feeds to go from node to node for ever.
            assert!(*stopped.borrow() || stopped.has_changed().is_err(), "a sink runs until it is told to end");
        });
        tracing::info!(sink = %name, "sink started");
        RunningSink {
            spec: configured.spec.clone(),
            status,
            desk,
            fingerprint: configured.fingerprint,
            parcels,
            window: Arc::new(Semaphore::new(WINDOW_BYTES)),
            stop,
            alive,
        }
    }

    /// A feed's view of one sink.
    pub fn lane(&self, name: &SinkId, feed: &FeedId, committed: Option<Position>) -> Option<Lane> {
        let sink = self.running.get(name)?;
        let desk = sink.desk.clone().map(|desk| (desk, feed.clone()));
        Some(Lane {
            sink: name.clone(),
            route: sink.spec.routes.clone(),
            encoder: Encoder::new(sink.spec.format, sink.spec.options.clone()),
            framing: sink.spec.sink.framing().of_format(sink.spec.format.name()),
            size: sink.spec.size_policy(),
            parcels: sink.parcels.clone(),
            window: Allowance::new(sink.window.clone(), desk),
            status: sink.status.clone(),
            committed,
            expire_after: sink.spec.expire_after.map(Span::get),
            untold: Untold::default(),
        })
    }

    /// Says which subscriptions hold nothing back any more, and which do again. One that was edited meanwhile begins with a
    /// status that knows nothing of it.
    pub fn suspended(&self, changes: &Changes, is_suspended: impl Fn(&SinkId) -> bool) {
        for name in &changes.suspended {
            tracing::warn!(sink = %name, "nobody has read the subscription for its `idle_ttl`: it is suspended");
        }
        let unsaid = |sink: &RunningSink| sink.status.weakness().is_none();
        for (_, sink) in self.running.iter().filter(|(name, sink)| is_suspended(name) && unsaid(sink)) {
            sink.status.fell_back("suspended: nobody has read it for its `idle_ttl`".to_owned());
        }
        for (name, sink) in changes.resumed.iter().filter_map(|name| Some((name, self.running.get(name)?))) {
            tracing::info!(sink = %name, "somebody reads the subscription: it goes on where it stood");
            sink.status.recovered_level();
        }
    }

    /// Where a subscription's events are fetched.
    pub fn desk(&self, name: &SinkId) -> Option<Arc<Desk>> {
        self.running.get(name)?.desk.clone()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&SinkId, &RunningSink)> {
        self.running.iter()
    }

    /// Ends all sinks. Feeds have drained by now, so nothing is left to send.
    pub async fn shut_down(&mut self) {
        for sink in self.running.values() {
            sink.stop.send_replace(true);
        }
        self.running.clear();
        while self.tasks.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::ids::{Epoch, MemberName};
    use crate::lease::Lease;
    use crate::sinks::status::State;
    use crate::sinks::{Ack, Receipt, Stretch};

    /// A deployment of one sink that writes to `file`, as it is after so many edits.
    fn of_a_file(file: &std::path::Path, fingerprint: u64) -> Deployment {
        let body = serde_json::json!({"kind": "file", "path": file, "format": "cef"});
        let spec = serde_json::from_value(body).unwrap();
        let mut deployment = Deployment::default();
        deployment.sinks.insert("disk".parse().unwrap(), Configured { spec, fingerprint });
        deployment
    }

    async fn send(lane: &Lane, frames: Bytes, acks: &mpsc::Sender<Ack>) {
        let receipt = Some(Receipt::new(Stretch::sample(), 0, 0, 1, acks.clone()));
        let parcel = Parcel { frames, ends: vec![], events: 1, permit: None, receipt, lease: Lease::unlimited() };
        lane.parcels.send(parcel).await.unwrap();
    }

    #[tokio::test]
    async fn an_edited_subscription_is_still_shown_as_suspended() {
        let name: SinkId = "soc".parse().unwrap();
        let edited = |fingerprint| {
            let body = serde_json::json!({"kind": "subscription", "format": "microsoft", "idle_ttl": "1m"});
            let spec = serde_json::from_value(body).unwrap();
            let mut deployment = Deployment::default();
            deployment.sinks.insert("soc".parse().unwrap(), Configured { spec, fingerprint });
            deployment
        };
        let mut sinks = Sinks::default();
        let shown = |sinks: &Sinks| sinks.running[&name].status.weakness().is_some();
        sinks.reconcile(&edited(1));
        sinks.suspended(&Changes { suspended: vec![name.clone()], ..Changes::default() }, |_| true);
        assert!(shown(&sinks));
        sinks.reconcile(&edited(2));
        sinks.suspended(&Changes::default(), |_| true);
        assert!(shown(&sinks), "nobody reads it any more than before");
        sinks.suspended(&Changes { resumed: vec![name.clone()], ..Changes::default() }, |_| false);
        assert!(!shown(&sinks));
        sinks.shut_down().await;
    }

    #[tokio::test]
    async fn an_edited_file_sink_goes_on_after_the_last_line_of_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.log");
        let name: SinkId = "disk".parse().unwrap();
        let mut sinks = Sinks::default();
        let (acks, mut acknowledged) = mpsc::channel(PARCELS_QUEUED + 1);
        let mut old = vec![b'o'; 256 << 10];
        old.push(b'\n');
        let old = Bytes::from(old);
        sinks.reconcile(&of_a_file(&path, 1));
        let lane = sinks.lane(&name, &Stretch::sample().feed, None).unwrap();
        for _ in 0..PARCELS_QUEUED {
            send(&lane, old.clone(), &acks).await;
        }
        sinks.reconcile(&of_a_file(&path, 2));
        send(&sinks.lane(&name, &Stretch::sample().feed, None).unwrap(), Bytes::from_static(b"new\n"), &acks).await;
        for _ in 0..=PARCELS_QUEUED {
            acknowledged.recv().await.unwrap();
        }
        sinks.shut_down().await;
        let written = std::fs::read(&path).unwrap();
        assert_eq!(written.len(), PARCELS_QUEUED * old.len() + 4, "nothing is overwritten");
        assert!(written.ends_with(b"new\n"), "the old one ends before the new one begins");
    }

    #[tokio::test]
    async fn a_paused_subscription_stays_paused_whoever_comes_and_goes() {
        let body = serde_json::json!({"kind": "subscription", "format": "cef", "paused": true});
        let mut sinks = Sinks::default();
        let (name, member): (SinkId, MemberName) = ("read".parse().unwrap(), "a".parse().unwrap());
        let mut deployment = Deployment::default();
        let spec = serde_json::from_value(body).unwrap();
        deployment.sinks.insert(name.clone(), Configured { spec, fingerprint: 1 });
        sinks.reconcile(&deployment);
        let status = sinks.lane(&name, &Stretch::sample().feed, None).unwrap().status;
        while status.state() != State::Paused {
            tokio::task::yield_now().await;
        }
        let desk = sinks.desk(&name).unwrap();
        desk.set_members([(member.clone(), Epoch(1))].into());
        let visitor = desk.attach(&member, Epoch(1)).unwrap();
        assert_eq!(status.state(), State::Paused);
        drop(visitor);
        assert!(status.state() == State::Paused && !status.works());
        sinks.shut_down().await;
    }

    #[tokio::test]
    async fn a_sink_that_dies_is_heard_of_and_takes_the_node_with_it() {
        let sinks = Arc::new(Mutex::new(Sinks::default()));
        let mut supervisor = JoinSet::new();
        let watched = sinks.clone();
        supervisor.spawn(async move { Sinks::next_ended(&watched).await });
        sinks.lock().tasks.spawn(async { panic!("a fault of ours") });
        let ended = tokio::time::timeout(std::time::Duration::from_secs(8), supervisor.join_next()).await;
        assert!(ended.expect("somebody sees it").unwrap().unwrap_err().is_panic());
    }
}
