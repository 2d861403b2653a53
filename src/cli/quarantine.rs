//! `quarantine`: the records that could not be processed, and what to do with them.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Value, json};

use super::args::{Connection, Format, Output};
use super::client::{Operations, operate, question, refusal, request};
use super::cursor::moving::{operator, time};
use super::output::{self, visible};
use crate::admin::convert::{time_from_wire, time_to_wire};
use crate::clock::Timestamp;
use crate::wire::v1;
use v1::change_quarantine_request::Change;

/// Deals with records that could not be processed
#[derive(Debug, Args)]
#[command(
    after_help = "Each node keeps what it could not process itself, and any node answers for all of them. One that does not answer is\n    named, and the exit code is 1."
)]
pub struct QuarantineArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Retry(Retry),
    Drop(Drop),
    Export(Export),
}

#[derive(Debug, Clone, Args)]
struct Filter {
    /// Only this tenant's
    #[arg(long, default_value = "", hide_default_value = true)]
    tenant: String,
    /// Only this source's
    #[arg(long, default_value = "", hide_default_value = true)]
    source: String,
    /// Only what this sink alone refused
    #[arg(long, default_value = "", hide_default_value = true)]
    sink: String,
    /// Only what came here since, such as `2030-01-31T08:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Only where the reason contains this, in any case
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason_contains: String,
}

/// Lists the records in quarantine on all nodes, the oldest first
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    filter: Filter,
    /// Only so many
    #[arg(long, short = 'n', default_value_t = 0, hide_default_value = true)]
    limit: u32,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Shows one record whole: why it is there, what to do, and its bytes
#[derive(Debug, Args)]
struct Show {
    id: String,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Which records are dealt with, and how it is told
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["ids", "all"]))]
struct Dealing {
    ids: Vec<String>,
    /// All that the filters let pass
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// Say what would become of them, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Processes records again with today's program and settings, and sends them to the sinks that should have had them
#[derive(Debug, Args)]
#[command(
    after_help = "A record leaves the quarantine once every sink has acknowledged it. Its event id stays the same.\n\
    Exit code: 1 if one of them stays."
)]
struct Retry {
    #[command(flatten)]
    dealing: Dealing,
}

/// Drops records for good; the audit says who did it, and why
#[derive(Debug, Args)]
struct Drop {
    /// Why, for the audit
    #[arg(long, default_value = "", hide_default_value = true, required_unless_present = "dry_run")]
    reason: String,
    #[command(flatten)]
    dealing: Dealing,
}

/// Writes records in the clear, one JSON object a line, for your eyes alone; they stay in quarantine
#[derive(Debug, Args)]
struct Export {
    #[command(flatten)]
    filter: Filter,
    /// Where to; without it, standard output
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// Whether everything was done that was asked for.
pub async fn quarantine(args: QuarantineArgs) -> anyhow::Result<bool> {
    match args.command {
        Command::List(args) => return list(args).await,
        Command::Show(args) => show(args).await?,
        Command::Export(args) => return export(args).await,
        Command::Retry(Retry { dealing }) => return change(dealing, Change::Retry(true), String::new()).await,
        Command::Drop(Drop { reason, dealing }) => return change(dealing, Change::Drop(true), reason).await,
    }
    Ok(true)
}

fn asking(filter: Filter) -> v1::QuarantineRequest {
    let Filter { tenant, source, sink, since, reason_contains } = filter;
    let since = since.map(time_to_wire);
    v1::QuarantineRequest { tenant, source, sink, since, reason_contains, ..v1::QuarantineRequest::default() }
}

async fn page(operations: &mut Operations, wanted: v1::QuarantineRequest) -> anyhow::Result<v1::QuarantineResponse> {
    Ok(operations.quarantine(question(wanted)).await.map_err(refusal)?.into_inner())
}

fn at(record: &v1::QuarantinedRecord) -> String {
    record.at.as_ref().map_or_else(String::new, |at| time_from_wire(at).to_string())
}

/// Whether every node has answered.
async fn list(args: List) -> anyhow::Result<bool> {
    let mut operations = operate(&args.connection).await?;
    let wanted = v1::QuarantineRequest { limit: args.limit, everywhere: true, ..asking(args.filter) };
    let answer = page(&mut operations, wanted).await?;
    let text = match args.format.output {
        Output::Table => table(&answer),
        Output::Json => {
            let records: Vec<Value> = answer.records.iter().map(as_json).collect();
            output::json(&json!({
                "matching": answer.matching, "total": answer.total, "closed": answer.closed, "bytes": answer.bytes,
                "bytes_max": answer.bytes_max, "records": records, "nodes": nodes_as_json(&answer.nodes),
            }))?
        }
    };
    output::print(&text)?;
    Ok(answer.nodes.iter().all(|node| node.problem.is_empty()))
}

fn nodes_as_json(nodes: &[v1::QuarantineNode]) -> Vec<Value> {
    let as_json = |node: &v1::QuarantineNode| {
        let problem = if node.problem.is_empty() { None } else { Some(&node.problem) };
        json!({
            "node": node.node, "name": node.name, "matching": node.matching, "total": node.total,
            "closed": node.closed, "bytes": node.bytes, "bytes_max": node.bytes_max, "problem": problem,
        })
    };
    nodes.iter().map(as_json).collect()
}

/// Those that did not answer, a line each.
fn silent(nodes: &[v1::QuarantineNode]) -> String {
    let told = |node: &v1::QuarantineNode| {
        let (name, number, problem) = (visible(&node.name), node.node, visible(&node.problem));
        format!("Node {name} ({number}) is left out: {problem}\n")
    };
    nodes.iter().filter(|node| !node.problem.is_empty()).map(told).collect()
}

fn table(answer: &v1::QuarantineResponse) -> String {
    let row = |record: &v1::QuarantinedRecord| {
        let sink = if record.sink.is_empty() { "any".to_owned() } else { record.sink.clone() };
        vec![record.id.clone(), at(record), record.node.clone(), record.feed.clone(), sink, record.reason.clone()]
    };
    let rows = answer.records.iter().map(row).collect();
    let shown = answer.records.len() as u64;
    let more = if shown < answer.matching { format!(", {shown} of them shown") } else { String::new() };
    let (matching, total) = (answer.matching, answer.total);
    let (mib, mib_max) = (answer.bytes >> 20, answer.bytes_max >> 20);
    let closed = match answer.closed {
        0 => String::new(),
        closed => format!("{closed} more can't be opened: their tenant is gone, or a node lacks its key file.\n"),
    };
    format!(
        "{}{matching} of the {total} records in quarantine match{more}; they fill {mib} of {mib_max} MiB.\n{closed}{}",
        output::table(&["ID", "SINCE", "NODE", "FEED", "SINK", "REASON"], &[], rows),
        silent(&answer.nodes)
    )
}

fn as_json(record: &v1::QuarantinedRecord) -> Value {
    json!({
        "id": record.id, "at": at(record), "node": record.node, "feed": record.feed, "event": record.event,
        "sink": if record.sink.is_empty() { None } else { Some(&record.sink) },
        "coordinates": record.coordinates, "reason": record.reason, "bytes": record.bytes,
    })
}

async fn show(args: Show) -> anyhow::Result<()> {
    let mut operations = operate(&args.connection).await?;
    let ids = vec![args.id.clone()];
    let wanted = v1::QuarantineRequest { ids, whole: true, everywhere: true, ..v1::QuarantineRequest::default() };
    let answer = page(&mut operations, wanted).await?;
    let Some(record) = answer.records.first() else {
        let silent = silent(&answer.nodes);
        bail!("{} is not in quarantine: `siemgate quarantine list` shows what is\n{silent}", args.id);
    };
    let line: Value = serde_json::from_str(&record.line).context("the node's answer can't be read")?;
    let text = match args.format.output {
        Output::Table => {
            let raw = line["raw"].as_str().map(visible);
            let raw = raw.unwrap_or_else(|| format!("(Base64) {}", line["raw_base64"].as_str().unwrap_or_default()));
            let sink = if record.sink.is_empty() { "any: nobody can read it" } else { &record.sink };
            format!(
                "Record       {}\nNode         {}\nSince        {}\nFeed         {}\nUpstream     {}\nEvent id     {}\nRefused by   {sink}\n\
                 Reason       {}\n\n{raw}\n",
                record.id,
                visible(&record.node),
                at(record),
                record.feed,
                visible(&record.coordinates),
                record.event,
                visible(&record.reason),
            )
        }
        Output::Json => output::json(&json!({"id": record.id, "node": record.node, "record": line}))?,
    };
    Ok(output::print(&text)?)
}

/// Node after node and page by page, so that neither side holds all of it. Whether every node has answered.
async fn export(args: Export) -> anyhow::Result<bool> {
    let mut operations = operate(&args.connection).await?;
    let created = args.to.as_ref().map(|path| own(path).with_context(|| format!("create {}", path.display())));
    let mut out: Box<dyn Write> = match created.transpose()? {
        Some(file) => Box::new(BufWriter::new(file)),
        None => Box::new(BufWriter::new(io::stdout())),
    };
    let filter = asking(args.filter);
    let first = v1::QuarantineRequest { everywhere: true, limit: 1, ..filter.clone() };
    let nodes = page(&mut operations, first).await?.nodes;
    let mut written = 0;
    for node in nodes.iter().filter(|node| node.problem.is_empty()) {
        let wanted = v1::QuarantineRequest { whole: true, node: node.node, ..filter.clone() };
        written += export_node(&mut operations, wanted, &mut out).await?;
    }
    out.flush()?;
    if let Some(path) = &args.to {
        output::print(&format!("{written} records written to {}; they are still in quarantine.\n", path.display()))?;
    }
    let silent = silent(&nodes);
    if !silent.is_empty() {
        bail!("not all of it was written\n{silent}");
    }
    Ok(true)
}

async fn export_node(
    operations: &mut Operations,
    mut wanted: v1::QuarantineRequest,
    out: &mut impl Write,
) -> anyhow::Result<u64> {
    let (mut written, mut seen) = (0, BTreeSet::new());
    loop {
        let answer = page(operations, wanted.clone()).await?;
        let Some(last) = answer.records.last() else { return Ok(written) };
        wanted.after = last.id.clone();
        for record in answer.records.iter().filter(|record| seen.insert(record.id.clone())) {
            out.write_all(record.line.as_bytes())?;
            out.write_all(b"\n")?;
            written += 1;
        }
    }
}

/// What was sealed is in the clear in this file, so that nobody else may read it, also where it was there already.
fn own(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

async fn change(dealing: Dealing, change: Change, reason: String) -> anyhow::Result<bool> {
    let Dealing { ids, all, filter, dry_run, format, connection } = dealing;
    let mut operations = operate(&connection).await?;
    let wanted = v1::ChangeQuarantineRequest {
        all: all.then(|| asking(filter)),
        ids,
        change: Some(change),
        reason,
        operator: operator(),
        dry_run,
        everywhere: true,
        ..v1::ChangeQuarantineRequest::default()
    };
    let answer = operations.change_quarantine(request(wanted)).await.map_err(refusal)?.into_inner();
    let stays = answer.outcomes.iter().filter(|outcome| !outcome.gone).count();
    let text = match format.output {
        Output::Table => {
            let row = |outcome: &v1::QuarantineOutcome| {
                let gone = match (outcome.gone, dry_run) {
                    (true, false) => "gone",
                    (true, true) => "would go",
                    (false, _) => "stays",
                };
                vec![outcome.id.clone(), outcome.node.clone(), gone.to_owned(), outcome.what.clone()]
            };
            let rows = answer.outcomes.iter().map(row).collect();
            let gone = answer.outcomes.len() - stays;
            let dry = if dry_run { " Nothing was changed: this was a dry run." } else { "" };
            format!(
                "{}{gone} of {} records.{dry}\n{}",
                output::table(&["ID", "NODE", "", "WHAT"], &[], rows),
                answer.outcomes.len(),
                silent(&answer.nodes)
            )
        }
        Output::Json => {
            let outcome =
                |it: &v1::QuarantineOutcome| json!({"id": it.id, "node": it.node, "gone": it.gone, "what": it.what});
            let outcomes: Vec<_> = answer.outcomes.iter().map(outcome).collect();
            let nodes = nodes_as_json(&answer.nodes);
            output::json(&json!({"dry_run": dry_run, "outcomes": outcomes, "nodes": nodes}))?
        }
    };
    output::print(&text)?;
    Ok(stays == 0 && answer.nodes.iter().all(|node| node.problem.is_empty()))
}

#[cfg(test)]
#[path = "quarantine_tests.rs"]
mod tests;
