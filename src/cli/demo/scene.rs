//! The parts of a demo: the cloud, the node, the receiver, and the resources that connect them.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Args;
use super::summary::{Counted, Received, SinkRow, SourceRow, Summary};
use crate::admin::Backend;
use crate::admin::view::Status;
use crate::clock::Clock;
use crate::cluster::{Command, Outcome, ResourceKey, ResourceKind};
use crate::ids::TenantId;
use crate::node::{Node, NodeSettings, Spooling, Wires};
use crate::simulator::receiver::{Options, Receiver, Tally};
use crate::simulator::{self, TenantAccess};

pub struct Scene {
    pub cloud: simulator::Running,
    pub receiver: Receiver,
    pub node: Node,
    folder: Folder,
}

/// The data folder; a temporary one is removed with the scene.
struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary {
            // What remains in the temporary folder of the system is swept by the system.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

impl Folder {
    fn at(given: Option<&Path>) -> anyhow::Result<Self> {
        let temporary = given.is_none();
        let path = match given {
            Some(path) => path.to_owned(),
            None => std::env::temp_dir().join(format!("siemgate-demo-{}", uuid::Uuid::new_v4())),
        };
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.with_context(|| format!("make the data folder {}", path.display()))?;
        Ok(Self { path: fs::canonicalize(&path)?, temporary })
    }

    /// Writes a secret where only this user can read it, and returns the reference to it.
    fn secret(&self, name: &str, text: &str) -> anyhow::Result<String> {
        let path = self.path.join(name);
        let file = fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("write {}", path.display()))?;
        Ok(format!("${{file:{}}}", path.display()))
    }
}

impl Scene {
    pub async fn set(args: &Args) -> anyhow::Result<Self> {
        let folder = Folder::at(args.data_dir.as_deref())?;
        let mut settings = simulator::Settings::new(args.seed, usize::from(args.tenants))?;
        settings.workload.records_per_second = args.rate;
        settings.workload.changes_per_second = args.changes;
        settings.graph.requests_per_minute = DEMO_REQUESTS_PER_MINUTE;
        let receiver = Receiver::start(Options::default()).await?;
        let cloud = simulator::start(settings).await?;
        let node = Node::start(NodeSettings {
            name: "demo".to_owned(),
            data_dir: folder.path.clone(),
            wires: Wires::Tls { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), advertise: None, own: None },
            spooling: Spooling::default(),
            api: String::new(),
            extra_ca: Vec::new(),
            clock: Clock::System,
            history: None,
        })
        .await?;
        let scene = Self { cloud, receiver, node, folder };
        scene.connect().await?;
        Ok(scene)
    }

    /// Applies what an operator would apply.
    async fn connect(&self) -> anyhow::Result<()> {
        let address = self.receiver.address().to_string();
        let sink = json!({"kind": "syslog", "address": address, "format": "cef", "structured_data": true});
        self.put(ResourceKind::Sink, None, "receiver", &sink, vec![]).await?;
        for tenant in &self.cloud.access.tenants {
            self.connect_tenant(tenant).await?;
        }
        Ok(())
    }

    async fn connect_tenant(&self, tenant: &TenantAccess) -> anyhow::Result<()> {
        let name: TenantId = tenant.name.parse()?;
        let key = ResourceKey::tenant(&name);
        self.put(ResourceKind::Tenant, None, &tenant.name, &json!({"directory": tenant.directory}), vec![]).await?;
        let app = json!({
            "grant": "client-secret", "client_id": tenant.client_id, "authority": self.cloud.access.authority,
            "secret": self.folder.secret(&format!("{name}-app"), &tenant.client_secret)?,
        });
        self.put(ResourceKind::Credential, Some(&name), "app", &app, vec![key.clone()]).await?;
        let hub = json!({
            "grant": "connection-string",
            "connection_string": self.folder.secret(&format!("{name}-hub"), &tenant.connection_string)?,
        });
        self.put(ResourceKind::Credential, Some(&name), "hub", &hub, vec![key.clone()]).await?;
        let graph = format!("{}/v1.0", self.cloud.access.graph);
        for (source, kind, credential) in [
            ("incidents", "graph-incidents", "app"),
            ("alerts", "graph-alerts", "app"),
            ("streaming", "event-hub", "hub"),
        ] {
            let mut body = json!({"kind": kind, "credential": credential, "start": "earliest"});
            if credential == "app" {
                body["base_url"] = json!(graph);
                body["interval"] = json!("2s");
                body["overlap"] = json!("30s");
                body["requests_per_minute"] = json!(DEMO_REQUESTS_PER_MINUTE);
            }
            let uses = vec![key.clone(), ResourceKey::credential(&name, credential)];
            self.put(ResourceKind::Source, Some(&name), source, &body, uses).await?;
        }
        Ok(())
    }

    async fn put(
        &self,
        kind: ResourceKind,
        tenant: Option<&TenantId>,
        name: &str,
        body: &Value,
        uses: Vec<ResourceKey>,
    ) -> anyhow::Result<()> {
        let command = Command::PutResource {
            kind,
            tenant: tenant.cloned(),
            name: name.to_owned(),
            body: body.to_string(),
            uses,
            at: Clock::System.now(),
        };
        match self.node.control().propose(command).await? {
            Outcome::Refused(refusal) => bail!("{kind} `{name}`: {refusal}"),
            _ => Ok(()),
        }
    }

    pub fn introduction(&self) -> String {
        let access = &self.cloud.access;
        format!(
            "Simulated Microsoft cloud: Entra and Graph at {}, Event Hubs at {}, faults at {}/faults\n\
             Receiver: syslog over TCP at {}\nNode data: {}\nEvents as they arrive, in CEF; Ctrl-C ends the demo.\n",
            access.graph,
            access.amqp,
            access.control,
            self.receiver.address(),
            self.folder.path.display(),
        )
    }

    /// Waits until everything the cloud made was read and everything read has arrived, or `bound` is over.
    pub async fn settle(&mut self, bound: Duration) {
        let deadline = Instant::now() + bound;
        let stop = super::super::signal::stop();
        tokio::pin!(stop);
        let mut before = None;
        while Instant::now() < deadline {
            let summary = self.summary(Duration::ZERO).await;
            // Objects can be late by design; two equal looks one polling interval apart show that none is on its way.
            if summary.lost() == 0 && before.as_ref() == Some(&summary) {
                return;
            }
            before = Some(summary);
            tokio::select! {
                () = tokio::time::sleep(POLL_AND_BARRIER) => {}
                () = &mut stop => return,
            }
        }
    }

    pub async fn end(self, length: Duration) -> anyhow::Result<Summary> {
        let summary = self.summary(length).await;
        self.node.drain().await?;
        self.cloud.stop().await;
        let tally = self.receiver.stop().await;
        // Draining may have delivered a little more.
        Ok(with_tally(summary, &tally))
    }

    async fn summary(&self, length: Duration) -> Summary {
        let status = self.node.backend().status().await;
        let produced = self.cloud.produced();
        let sources = self
            .cloud
            .access
            .tenants
            .iter()
            .flat_map(|tenant| ["alerts", "incidents", "streaming"].map(|source| (tenant.name.clone(), source)));
        let tally = self.receiver.tally();
        let rows = sources.map(|(tenant, source)| {
            let made = (source == "streaming").then(|| produced.get(&tenant).copied().unwrap_or(0));
            let name = format!("{tenant}/{source}");
            let received = received(&tally, &name);
            SourceRow::of(name, made, counted(&status, &tenant, source), received)
        });
        let sinks = status.sinks.iter().map(|sink| SinkRow {
            name: sink.sink.to_string(),
            kind: sink.kind.clone(),
            format: sink.format.clone(),
            assurance: sink.assurance.clone(),
            sent: sink.sent,
            acknowledged: sink.acknowledged,
            delivered: tally.total.distinct,
            duplicates: tally.total.duplicates,
            malformed: tally.malformed,
        });
        Summary { seconds: length.as_secs(), sources: rows.collect(), sinks: sinks.collect() }
    }
}

/// Far above what a demo polls, so that the quota is not what one sees.
const DEMO_REQUESTS_PER_MINUTE: u32 = 6_000;
/// Longer than a polling interval and the idle second of a drain barrier together.
const POLL_AND_BARRIER: Duration = Duration::from_millis(3_500);

fn counted(status: &Status, tenant: &str, source: &str) -> Counted {
    let feeds =
        status.feeds.iter().filter(|feed| feed.feed.tenant.as_str() == tenant && feed.feed.source.as_str() == source);
    feeds.fold(Counted::default(), |sum, feed| Counted {
        read: sum.read + feed.read,
        filtered: sum.filtered + feed.filtered(),
        quarantined: sum.quarantined + feed.quarantined,
    })
}

fn received(tally: &Tally, source: &str) -> Received {
    let counts = tally.source(source);
    Received { distinct: counts.distinct, duplicates: counts.duplicates }
}

fn with_tally(mut summary: Summary, tally: &Tally) -> Summary {
    for row in &mut summary.sources {
        let now = received(tally, &row.name);
        row.lost = row.lost.saturating_sub(now.distinct.saturating_sub(row.delivered));
        row.delivered = now.distinct;
        row.duplicates = now.duplicates;
    }
    for sink in &mut summary.sinks {
        sink.delivered = tally.total.distinct;
        sink.duplicates = tally.total.duplicates;
        sink.malformed = tally.malformed;
    }
    summary
}
