//! The sinks of this node: started when they are configured, ended when they change or go.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::deployment::{Configured, Deployment};
use crate::encode::{Encoder, Options};
use crate::event::batch::Position;
use crate::ids::SinkId;
use crate::pipeline::prepare::Lane;
use crate::pipeline::spec::SinkSpec;
use crate::sinks::limits::{PARCELS_QUEUED, WINDOW_BYTES};
use crate::sinks::status::SinkStatus;
use crate::sinks::{self, Parcel};

/// One running sink.
pub struct RunningSink {
    pub spec: SinkSpec,
    pub status: Arc<SinkStatus>,
    fingerprint: u64,
    parcels: mpsc::Sender<Parcel>,
    window: Arc<Semaphore>,
    stop: watch::Sender<bool>,
}

#[derive(Default)]
pub struct Sinks {
    running: BTreeMap<SinkId, RunningSink>,
    tasks: JoinSet<SinkId>,
}

impl Sinks {
    /// Starts what is new, ends what is gone or changed. Feeds that used an ended sink are rebuilt by their own
    /// fingerprint, and what it had not acknowledged is read again.
    pub fn reconcile(&mut self, deployment: &Deployment) {
        self.running.retain(|name, sink| {
            let keeps = deployment.sinks.get(name).is_some_and(|now| now.fingerprint == sink.fingerprint);
            if !keeps {
                sink.stop.send_replace(true);
            }
            keeps
        });
        for (name, configured) in &deployment.sinks {
            if !self.running.contains_key(name) {
                let sink = self.start(name, configured);
                self.running.insert(name.clone(), sink);
            }
        }
        while self.tasks.try_join_next().is_some() {}
    }

    fn start(&mut self, name: &SinkId, configured: &Configured<SinkSpec>) -> RunningSink {
        let (parcels, queue) = mpsc::channel(PARCELS_QUEUED);
        let (stop, stopped) = watch::channel(false);
        let status = Arc::new(SinkStatus::default());
        let (config, reporting, ended) = (configured.spec.sink.clone(), status.clone(), name.clone());
        self.tasks.spawn(async move {
            sinks::run(config, queue, reporting, stopped).await;
            ended
        });
        tracing::info!(sink = %name, "sink started");
        RunningSink {
            spec: configured.spec.clone(),
            status,
            fingerprint: configured.fingerprint,
            parcels,
            window: Arc::new(Semaphore::new(WINDOW_BYTES)),
            stop,
        }
    }

    /// A feed's view of one sink.
    pub fn lane(&self, name: &SinkId, committed: Option<Position>) -> Option<Lane> {
        let sink = self.running.get(name)?;
        Some(Lane {
            sink: name.clone(),
            route: sink.spec.routes.clone(),
            encoder: Encoder::new(sink.spec.format, Options::default()),
            framing: sink.spec.sink.framing(),
            parcels: sink.parcels.clone(),
            window: sink.window.clone(),
            status: sink.status.clone(),
            committed,
        })
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
