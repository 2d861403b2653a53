//! `replay`: delivers a stretch of a source once more, to one sink.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use clap::{Args, Subcommand};

use super::args::{Connection, Format, Output, Reason};
use super::client::{Replays, refusal, replays, request};
use super::cursor::moving::{operator, time};
use super::output;
use super::replay_view::{as_json, beyond, details, one_line, overview};
use crate::admin::convert::time_to_wire;
use crate::clock::{Clock, Timestamp};
use crate::wire::v1;

/// How often `--wait` looks.
const LOOK: Duration = Duration::from_secs(1);
/// How often it says so where nobody watches a terminal.
const SAY: Duration = Duration::from_secs(15);

/// Delivers a stretch of a source once more, to one sink only
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "Examples:\n  \
    siemgate replay --tenant contoso --source defender --from 2026-11-01T00:00:00Z --to 2026-11-01T06:00:00Z --sink splunk\n  \
    siemgate replay list\n  \
    siemgate replay show 3\n  \
    siemgate replay cancel 3 --reason \"the index was restored\"\n\n\
    Other sinks get nothing and no cursor moves. Events have the ids they had before. An event hub needs a second\n\
    consumer group for it: see `catch_up_consumer_group` of the source.")]
pub struct ReplayArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    start: Start,
}

#[derive(Debug, Subcommand)]
enum Command {
    Start(Start),
    List(List),
    Show(Show),
    Pause(Change),
    Resume(Change),
    Cancel(Change),
}

/// Begins a replay; `siemgate replay --tenant …` is short for this
#[derive(Debug, Args)]
struct Start {
    // What is required is optional here, because a subcommand takes its place.
    #[arg(long, required = true)]
    tenant: Option<String>,
    #[arg(long, required = true)]
    source: Option<String>,
    /// What upstream published at or after this, such as `2026-11-01T00:00:00Z`
    #[arg(long, required = true, value_name = "TIME", value_parser = time)]
    from: Option<Timestamp>,
    /// And before this [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<Timestamp>,
    /// The one sink that gets it
    #[arg(long, required = true)]
    sink: Option<String>,
    /// Events a second at most [default: 500]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    #[command(flatten)]
    why: Reason,
    /// Only say what it would be
    #[arg(long)]
    dry_run: bool,
    /// Show progress until it is over
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Shows all replays that are remembered
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Shows how far a replay has come, part by part
#[derive(Debug, Args)]
struct Show {
    /// Its number, as `siemgate replay list` shows it
    id: u64,
    /// Show progress until it is over
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Lets a replay rest, go on, or end for good
#[derive(Debug, Args)]
struct Change {
    /// Its number, as `siemgate replay list` shows it
    id: u64,
    #[command(flatten)]
    why: Reason,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Whether it worked, where the command waits for that.
pub async fn replay(args: ReplayArgs) -> anyhow::Result<bool> {
    match args.command.unwrap_or(Command::Start(args.start)) {
        Command::Start(args) => return start(args).await,
        Command::Show(args) => return show(args).await,
        Command::List(args) => list(args).await?,
        Command::Pause(args) => change(args, v1::ReplayChange::Pause).await?,
        Command::Resume(args) => change(args, v1::ReplayChange::Resume).await?,
        Command::Cancel(args) => change(args, v1::ReplayChange::Cancel).await?,
    }
    Ok(true)
}

async fn start(args: Start) -> anyhow::Result<bool> {
    let mut client = replays(&args.connection).await?;
    let wanted = v1::StartReplayRequest {
        tenant: args.tenant.unwrap_or_default(),
        source: args.source.unwrap_or_default(),
        sink: args.sink.unwrap_or_default(),
        from: args.from.map(time_to_wire),
        to: args.to.map(time_to_wire),
        rate: args.rate.unwrap_or(0),
        reason: args.why.reason,
        dry_run: args.dry_run,
        operator: operator(),
    };
    let answer = client.start_replay(request(wanted)).await.map_err(refusal)?.into_inner();
    let replay = answer.replay.unwrap_or_default();
    if args.wait && args.format.output == Output::Json {
        // One document: what became of it.
        return until_over(&mut client, replay.id, Output::Json).await;
    }
    let text = match (args.format.output, args.dry_run) {
        (Output::Json, _) => output::json(&as_json(&replay))?,
        (Output::Table, true) => format!("This would be begun; nothing was.\n\n{}", details(&replay, now())),
        (Output::Table, false) => format!(
            "Replay {} has begun: {} of {}/{} to {}. See it with `siemgate replay show {0}`.",
            replay.id,
            output::some(replay.parts.len() as u64, "part"),
            replay.tenant,
            replay.source,
            replay.sink,
        ),
    };
    output::print(&text)?;
    if args.wait { until_over(&mut client, replay.id, args.format.output).await } else { Ok(true) }
}

async fn list(args: List) -> anyhow::Result<()> {
    let mut client = replays(&args.connection).await?;
    let all = v1::ListReplaysRequest { id: None };
    let replays = client.list_replays(request(all)).await.map_err(refusal)?.into_inner().replays;
    let text = match args.format.output {
        Output::Json => output::json(&replays.iter().map(as_json).collect::<Vec<_>>())?,
        Output::Table if replays.is_empty() => "Nothing was replayed yet.".to_owned(),
        Output::Table => overview(&replays, now()),
    };
    Ok(output::print(&text)?)
}

async fn show(args: Show) -> anyhow::Result<bool> {
    let mut client = replays(&args.connection).await?;
    if args.wait {
        return until_over(&mut client, args.id, args.format.output).await;
    }
    let replay = ask(&mut client, args.id).await?;
    let text = match args.format.output {
        Output::Json => output::json(&as_json(&replay))?,
        Output::Table => details(&replay, now()),
    };
    output::print(&text)?;
    Ok(true)
}

async fn change(args: Change, change: v1::ReplayChange) -> anyhow::Result<()> {
    let mut client = replays(&args.connection).await?;
    let Change { id, why, format, .. } = args;
    let wanted = v1::ChangeReplayRequest { id, change: change.into(), reason: why.reason, operator: operator() };
    let answer = client.change_replay(request(wanted)).await.map_err(refusal)?.into_inner();
    Ok(output::print(&shown(&answer.replay.unwrap_or_default(), format.output)?)?)
}

/// In a line, or whole.
fn shown(replay: &v1::Replay, format: Output) -> anyhow::Result<String> {
    Ok(match format {
        Output::Json => output::json(&as_json(replay))?,
        Output::Table => one_line(replay, now()),
    })
}

async fn ask(client: &mut Replays, id: u64) -> anyhow::Result<v1::Replay> {
    let answer = client.list_replays(request(v1::ListReplaysRequest { id: Some(id) })).await.map_err(refusal)?;
    Ok(answer.into_inner().replays.into_iter().next().unwrap_or_default())
}

/// Shows progress until the replay is over. Whoever stops looking does not stop it.
async fn until_over(client: &mut Replays, id: u64, format: Output) -> anyhow::Result<bool> {
    let stop = super::signal::stop();
    tokio::pin!(stop);
    let terminal = std::io::stderr().is_terminal();
    let mut said: Option<tokio::time::Instant> = None;
    loop {
        let replay = ask(client, id).await?;
        let over = !matches!(replay.state.as_str(), "running" | "paused");
        let line = one_line(&replay, now());
        if over {
            if terminal && said.is_some() {
                super::say("");
            }
            output::print(&shown(&replay, format)?)?;
            if format == Output::Table {
                super::say(beyond(&replay).trim());
            }
            return Ok(replay.state == "finished");
        }
        if terminal {
            // The line is written over the one before; nobody can be told that this failed.
            let _ = write!(std::io::stderr(), "\r\x1b[2K{line}");
            said = Some(tokio::time::Instant::now());
        } else if said.is_none_or(|said| said.elapsed() >= SAY) {
            super::say(&line);
            said = Some(tokio::time::Instant::now());
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = &mut stop => {
                super::say(&format!("\nThe replay goes on: `siemgate replay show {id} --wait` looks on."));
                return Ok(false);
            }
        }
    }
}

fn now() -> Timestamp {
    Clock::System.now()
}
