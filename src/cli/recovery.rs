//! `cluster recover`, `cluster backup` and `cluster restore`: for the day on which a cluster can't help itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::args::{Connection, Format, NodeFile, Output};
use super::client::{Admin, connect, refusal, request};
use super::join::own_certificate;
use super::run::make_data_dir;
use super::{Usage, output};
use crate::clock::Clock;
use crate::cluster::{NodeSpec, Role};
use crate::config::Config;
use crate::ids::Incarnation;
use crate::node::recovery::{self, Begun, staging};
use crate::wire::v1;
use v1::change_cluster_request::Change;

/// An ordinary node's share.
const WEIGHT: u32 = 100;
/// How long a running node may take to write a snapshot: seconds for the largest state.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Largest file read as a backup; a mistaken path to something else should fail early.
const FILE_BYTES_MAX: u64 = (1 << 30) + (1 << 20);

/// Makes a cluster of one of a node that is left, when a majority of the voters is lost for good
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    siemgate cluster recover --dry-run     # on each node that is left: which has the longest log?\n  \
    siemgate cluster recover               # on that one alone\n\n\
    Stop the node first, and run this as root or as the service's user. It refuses while another member answers: with a majority\n\
    of the voters, nothing has to be recovered. All that this node has in its log is kept; what only others had is lost, so that\n\
    some events may be delivered again, and none is skipped. The cluster gets a new id and all other members are removed:\n\
    they must never run again with their old data, which would be refused, and join anew with an empty directory. The old\n\
    data stay beside the new ones as `raft.before-recovery-N` and `pki.before-recovery-N` until you remove them; they hold keys.\n\
    Should it be interrupted, run it again.")]
pub struct RecoverArgs {
    /// Look at everything and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    node: NodeFile,
}

/// Writes the agreed state into a file, sealed under the cluster's key
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    siemgate cluster backup /backup/siemgate-$(date +%F)\n\n\
    Run it on any node, running or not, as root or as the service's user. The file holds resources, cursors and sealed secrets, and\n\
    no events. It is readable only with the key file `pki/kek` of the data directory, which is not in it: keep a copy of\n\
    that elsewhere, never beside the backups. Who loses the key has lost the secrets, and the backups with them.")]
pub struct BackupArgs {
    /// Where to write it; a file that is there already is not replaced
    file: PathBuf,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Makes a cluster of one of a backup, in an empty data directory
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    siemgate cluster restore /backup/siemgate-2026-11-28 --kek /safe/kek\n\n\
    For when no node is left: otherwise `siemgate cluster recover` knows more. The cursors are as old as the backup, so\n\
    that what came after it is delivered again, and nothing is skipped. The cluster gets a new id, and its epochs outrank\n\
    those of the old one, should a node of it still run. Without the key file the backup is of no use.")]
pub struct RestoreArgs {
    file: PathBuf,
    /// The key file that was kept elsewhere: a copy of `pki/kek` of any node
    #[arg(long, value_name = "FILE")]
    kek: PathBuf,
    /// The incarnation to begin; needed if the cluster was recovered or restored since the backup was taken, and then
    /// higher than the one that `siemgate cluster status` showed last
    #[arg(long, value_name = "N")]
    incarnation: Option<u64>,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    node: NodeFile,
}

pub async fn recover(args: RecoverArgs) -> anyhow::Result<()> {
    let config = Config::load(&args.node.config)?;
    let data_dir = &config.node.data_dir;
    if finished(data_dir, args.format, args.dry_run)? {
        return Ok(());
    }
    let begun = recovery::recover(data_dir, config.peers.own(), &Clock::System, args.dry_run).await?;
    told(&config, &begun, args.format, if args.dry_run { "would be" } else { "is" }, args.dry_run)
}

pub fn restore(args: &RestoreArgs) -> anyhow::Result<()> {
    let config = Config::load(&args.node.config)?;
    let Some(peer) = config.advertised() else {
        bail!(Usage("give `[listen] peers` a port, so that members can reach this node".into()));
    };
    let data_dir = &config.node.data_dir;
    make_data_dir(data_dir)?;
    if finished(data_dir, args.format, false)? {
        return Ok(());
    }
    let bytes = read(&args.file)?;
    let (name, api) = (config.node.name.clone(), config.listen.api.to_string());
    let spec = NodeSpec { name, peer, api, weight: WEIGHT, role: Role::Data };
    let incarnation = args.incarnation.map(Incarnation);
    let begun = recovery::restore(data_dir, &bytes, &args.kek, spec, incarnation, &Clock::System)?;
    told(&config, &begun, args.format, "is", false)
}

pub async fn backup(args: BackupArgs) -> anyhow::Result<()> {
    let config = Config::load(&args.connection.node.config)?;
    // A node that does not run has all it knows on disk.
    let asked = match connect(&args.connection).await {
        Ok(mut admin) => fresh_snapshot(&mut admin).await.map(|()| true)?,
        Err(_) => false,
    };
    let taken = recovery::backup(&config.node.data_dir, &args.file)?;
    let text = match args.format.output {
        Output::Table => format!(
            "Wrote {} ({} bytes): cluster {}, incarnation {}, up to entry {}.\n{}\n\
             It can be read only with the key file {}: keep a copy of that elsewhere.\n",
            args.file.display(),
            taken.bytes,
            taken.name.cluster,
            taken.incarnation,
            taken.index,
            if taken.running && !asked {
                "The node runs and could not be asked for a new snapshot, so this is the newest there was.\n"
            } else {
                ""
            },
            config.node.data_dir.join("pki/kek").display(),
        ),
        Output::Json => output::json(&json!({
            "file": args.file, "bytes": taken.bytes, "cluster": taken.name.cluster.to_string(),
            "incarnation": taken.incarnation.0, "index": taken.index, "running": taken.running,
        }))?,
    };
    Ok(output::print(&text)?)
}

/// Finishes what was interrupted, if anything was. A dry run only says so.
fn finished(data_dir: &Path, format: Format, dry_run: bool) -> anyhow::Result<bool> {
    if !staging::is_unfinished(data_dir) {
        return Ok(false);
    }
    if dry_run {
        let text = match format.output {
            Output::Table => "A recovery or a restore was decided on here and interrupted: without `--dry-run`, this \
                              finishes it. Nothing was changed."
                .to_owned(),
            Output::Json => output::json(&json!({"dry_run": true, "finished": false, "interrupted": true}))?,
        };
        output::print(&text)?;
        return Ok(true);
    }
    let aside = staging::finish(data_dir)?;
    let text = match format.output {
        Output::Table => {
            "Finished what was interrupted. Next: `siemgate run`, then `siemgate cluster status`.".to_owned()
        }
        Output::Json => output::json(&json!({"finished": true, "aside": aside}))?,
    };
    output::print(&text)?;
    Ok(true)
}

fn told(config: &Config, begun: &Begun, format: Format, is: &str, dry_run: bool) -> anyhow::Result<()> {
    let Begun { was, now, incarnation, index, role, removed, strangers, aside } = begun;
    let numbers = |nodes: &[crate::ids::NodeId]| nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if format.output == Output::Json {
        let text = output::json(&json!({
            "dry_run": dry_run, "was": was.to_string(),
            "cluster": (!dry_run).then(|| now.cluster.to_string()), "node": now.node.0,
            "incarnation": incarnation.0, "index": index, "removed": removed.iter().map(|node| node.0).collect::<Vec<_>>(),
            "strangers": strangers, "aside": aside,
        }))?;
        return Ok(output::print(&text)?);
    }
    let mut text = format!(
        "Cluster {was} {is} recovered as a cluster of node {} alone.\n\n  \
         log          up to entry {index}\n  \
         incarnation  {incarnation}\n  \
         removed      {}\n",
        now.node,
        if removed.is_empty() { "nobody".to_owned() } else { format!("nodes {}", numbers(removed)) },
    );
    for stranger in strangers {
        text.push_str(&format!("  note         not of this cluster: {}\n", output::visible(stranger)));
    }
    if dry_run {
        text.push_str("\nNothing was changed. No other member answers.\n");
        return Ok(output::print(&text)?);
    }
    text.push_str(&format!("  cluster      {} from now on\n  name         {now}\n", now.cluster));
    for path in aside {
        text.push_str(&format!("  old data     {}\n", path.display()));
    }
    if *role == Role::Witness {
        text.push_str("\nThis node is a witness, which reads nothing: let a data node join before anything is read.\n");
    }
    text.push_str(&format!(
        "\n{}Next: `siemgate run`. It reads nothing until you have looked at it and say:\n\n  \
         siemgate cluster drain {} --off\n\n\
         Then `siemgate cluster invite` for each further node, which begins with an empty data directory.\n",
        own_certificate(config, *now),
        now.node
    ));
    Ok(output::print(&text)?)
}

/// Has a running node write what it knows now.
async fn fresh_snapshot(admin: &mut Admin) -> anyhow::Result<()> {
    let Some((applied, _)) = reach(admin).await? else { return Ok(()) };
    let deadline = Instant::now() + SNAPSHOT_WITHIN;
    while reach(admin).await?.is_some_and(|(_, snapshot)| snapshot < applied) {
        // One that was under way already may end before what is wanted, so it is asked for again.
        let asking = v1::ChangeClusterRequest { change: Some(Change::Snapshot(v1::TakeSnapshot {})) };
        admin.change_cluster(request(asking)).await.map_err(refusal)?;
        if Instant::now() > deadline {
            bail!("the node wrote no snapshot within {} s; look at its log", SNAPSHOT_WITHIN.as_secs());
        }
        sleep(LOOK_INTERVAL).await;
    }
    Ok(())
}

/// How far the node that answers has applied the log, and how far its newest snapshot goes.
async fn reach(admin: &mut Admin) -> anyhow::Result<Option<(u64, u64)>> {
    let cluster = admin.cluster(request(v1::ClusterRequest {})).await.map_err(refusal)?.into_inner();
    let own = cluster.members.into_iter().find(|member| member.id == cluster.node);
    Ok(own.and_then(|member| member.report).map(|report| (report.applied, report.snapshot)))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let size = std::fs::metadata(path).with_context(|| format!("read {}", path.display()))?.len();
    if size > FILE_BYTES_MAX {
        bail!("{} is larger than any backup", path.display());
    }
    std::fs::read(path).with_context(|| format!("read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_finishes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!finished(dir.path(), Format { output: Output::Table }, true).unwrap());
        std::fs::create_dir_all(dir.path().join("recovery/raft")).unwrap();
        for (dry_run, still) in [(true, true), (false, false)] {
            assert!(finished(dir.path(), Format { output: Output::Json }, dry_run).unwrap());
            assert_eq!(staging::is_unfinished(dir.path()), still, "dry run: {dry_run}");
        }
    }
}
