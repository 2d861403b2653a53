//! `run`: one node, from its configuration to its end.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::args::NodeFile;
use super::signal;
use crate::admin::carry_out::{Tools, bring_about};
use crate::admin::plan::Wanted;
use crate::admin::sealing::{Fetched, Secrets};
use crate::admin::{self, Backend, token_file};
use crate::clock::Clock;
use crate::config::resources::{self, Declared};
use crate::config::{self, Config};
use crate::metrics::Recorder;
use crate::node::telemetry::{Telemetry, end_on_panic};
use crate::node::{Node, NodeSettings, Spooling, Wires};
use crate::web;

/// How often a supervisor that asks for nothing is told that we live.
const WATCHDOG_IDLE: Duration = Duration::from_secs(3600);

/// Runs a node until it is told to stop
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    siemgate run\n  \
    siemgate run --config ./siemgate.toml\n\n\
    Ctrl-C or SIGTERM stops reading, lets the sinks acknowledge what is in flight and commits; a second one ends at\n\
    once. `siemgate config validate` finds faults of the configuration first.")]
pub struct Run {
    #[command(flatten)]
    node: NodeFile,
    /// Write what was committed into this file, one JSON object a line, for a checker to read
    #[arg(long, value_name = "FILE", hide = true)]
    history: Option<PathBuf>,
}

pub async fn run(args: Run) -> anyhow::Result<()> {
    let config = Config::load(&args.node.config)?;
    let declared = resources::load(&config.node.resources)?;
    let telemetry = Telemetry::install(&config.log, &config.tracing, &config.node.name)?;
    end_on_panic();
    no_core_dumps();
    Recorder::install();
    let result = serve(&config, declared, args.history).await;
    telemetry.shut_down();
    result
}

/// Build, run, drain. What can fail for a reason outside comes first, before anything is read from upstream.
async fn serve(config: &Config, declared: Vec<Declared>, history: Option<PathBuf>) -> anyhow::Result<()> {
    let clock = Clock::System;
    make_data_dir(&config.node.data_dir)?;
    let tokens = token_file::open(&config.admin_token(), &config.monitor_token())?;
    let api = admin::server::Server::bind(config.listen.api).await?.admitting_by(config.first_code());
    let pages = web::Server::bind(config.listen.web).await?;
    let starting = Node::start(NodeSettings {
        name: config.node.name.clone(),
        data_dir: config.node.data_dir.clone(),
        wires: Wires::Tls { listen: config.listen.peers, advertise: config.advertised(), own: config.peers.own() },
        spooling: spooling(&config.spool),
        api: config.listen.api.to_string(),
        extra_ca: config.tls.extra_ca.clone(),
        clock: clock.clone(),
        history,
    });
    let mut node = tokio::select! {
        node = starting => node.context("start the node")?,
        () = signal::stop() => return Ok(()),
    };
    apply(&node, declared, &clock).await.context("apply the resources named in the configuration")?;

    let backend = node.backend();
    let (stop_api, api_stops) = watch::channel(false);
    let (stop_pages, pages_stop) = watch::channel(false);
    tracing::info!(api = %api.address(), web = %pages.address(), "listening");
    let mut faces = JoinSet::new();
    faces.spawn(pages.run(Arc::clone(&backend), tokens.clone(), pages_stop));
    faces.spawn(async move {
        if let Err(error) = api.run(backend, tokens, clock, api_stops).await {
            tracing::error!(%error, "the API has ended");
        }
    });
    tell(&[NotifyState::Ready]);
    let ended = until_told_to_stop(&mut node, &mut faces).await;

    tell(&[NotifyState::Stopping]);
    let leaving = async {
        node.dismiss_subscribers().await;
        stop_api.send_replace(true);
        node.drain().await
    };
    let drained = tokio::select! {
        drained = leaving => drained.context("stop the node"),
        () = signal::stop() => Err(anyhow!("told to stop twice: what was in flight is read again at the next start")),
    };
    // Probes may ask until the end why the node isn't ready.
    stop_pages.send_replace(true);
    while faces.join_next().await.is_some() {}
    ended.and(drained)
}

/// Waits for a signal, feeding the supervisor's watchdog. A part that ends by itself is a failure.
async fn until_told_to_stop(node: &mut Node, faces: &mut JoinSet<()>) -> anyhow::Result<()> {
    let half = sd_notify::watchdog_enabled().map_or(WATCHDOG_IDLE, |patience| patience / 2);
    let mut watchdog = tokio::time::interval(half);
    let stop = signal::stop();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return Ok(()),
            _ = watchdog.tick() => tell(&[NotifyState::Watchdog]),
            failure = node.failed() => {
                let unknown = || anyhow!("the node has ended by itself; the log says why");
                return Err(failure.map_or_else(unknown, Into::into));
            }
            Some(_) = faces.join_next() => return Err(anyhow!("a listener has ended by itself; the log says why")),
        }
    }
}

/// Makes the cluster have what the files say. What they don't name stays.
async fn apply(node: &Node, declared: Vec<Declared>, clock: &Clock) -> anyhow::Result<()> {
    if declared.is_empty() {
        return Ok(());
    }
    if node.locked() {
        tracing::error!(
            remedy = "copy the key file of another node into the data directory, and start again",
            "the resources named in the configuration are not applied: this node can't seal their secrets"
        );
        return Ok(());
    }
    let wanted: Vec<_> = declared.into_iter().map(wanted).collect();
    let (control, sealer) = (node.control().clone(), node.backend().sealer());
    let tools = Tools { control, sealer, clock: clock.clone() };
    Ok(bring_about(&tools, &wanted, "configuration").await?)
}

/// A secret that can't be read keeps no node from starting: what is sealed stays, and a credential or a sink without it
/// is shown as unusable.
fn wanted(declared: Declared) -> Wanted {
    let Declared { key, checked, .. } = declared;
    let mut secrets = Secrets::new();
    for (field, reference) in checked.secrets {
        let fetched = reference.read().map_or_else(
            |error| {
                tracing::warn!(resource = %key, %error, "a secret can't be read here; what is sealed of it stays in use");
                Fetched::Unread
            },
            Fetched::Value,
        );
        secrets.insert(field.to_owned(), fetched);
    }
    Wanted { key, body: checked.body, uses: checked.uses, secrets }
}

fn spooling(spool: &config::Spool) -> Spooling {
    Spooling {
        folder: spool.folder.clone(),
        memory_bytes: usize::try_from(spool.memory.get()).unwrap_or(usize::MAX),
        disk_bytes: spool.disk.get(),
        disk_bytes_per_tenant: spool.disk_per_tenant.get(),
    }
}

pub(super) fn make_data_dir(path: &Path) -> anyhow::Result<()> {
    DirBuilder::new().recursive(true).mode(DATA_DIR_MODE).create(path).with_context(|| {
        format!(
            "can't make the data directory {}; make it, owned by the service's user, or set `data_dir`",
            path.display()
        )
    })
}

/// What is kept there concerns nobody else on the host.
const DATA_DIR_MODE: u32 = 0o700;

/// Memory holds secrets; a crash must not write it to a disk.
fn no_core_dumps() {
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = rustix::process::setrlimit(rustix::process::Resource::Core, none) {
        tracing::warn!(%error, "core dumps could not be turned off");
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager could not be told");
    }
}
