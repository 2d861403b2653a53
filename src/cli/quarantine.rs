//! `quarantine`: the records that could not be processed, and what to do with them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

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
#[command(after_help = "Each node keeps what it could not process itself: run this on every node, or give --api.")]
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

/// Lists the records of this node's quarantine, the oldest first
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

/// Processes records again with today's program and settings, and sends them to the sinks that should have had them
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("which").required(true).args(["ids", "all"]),
    after_help = "A record leaves the quarantine once every sink has acknowledged it. Its event id stays the same.\n\
    Exit code: 1 if one of them stays."
)]
struct Retry {
    ids: Vec<String>,
    /// All that the filters let pass
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// Say what would become of them, and send nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Drops records for good; the audit says who did it, and why
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["ids", "all"]))]
struct Drop {
    ids: Vec<String>,
    /// All that the filters let pass
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// Why, for the audit
    #[arg(long, default_value = "", hide_default_value = true, required_unless_present = "dry_run")]
    reason: String,
    /// Say what would be dropped, and drop nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Writes records as they are kept, one JSON object a line; they stay in quarantine
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
        Command::List(args) => list(args).await?,
        Command::Show(args) => show(args).await?,
        Command::Export(args) => export(args).await?,
        Command::Retry(args) => {
            let Retry { ids, all, filter, dry_run, format, connection } = args;
            let wanted = v1::ChangeQuarantineRequest {
                all: all.then(|| asking(filter)),
                ids,
                change: Some(Change::Retry(true)),
                dry_run,
                ..v1::ChangeQuarantineRequest::default()
            };
            return change(&connection, format, wanted).await;
        }
        Command::Drop(args) => {
            let Drop { ids, all, filter, reason, dry_run, format, connection } = args;
            let wanted = v1::ChangeQuarantineRequest {
                all: all.then(|| asking(filter)),
                ids,
                change: Some(Change::Drop(true)),
                reason,
                dry_run,
                ..v1::ChangeQuarantineRequest::default()
            };
            return change(&connection, format, wanted).await;
        }
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

async fn list(args: List) -> anyhow::Result<()> {
    let mut operations = operate(&args.connection).await?;
    let wanted = v1::QuarantineRequest { limit: args.limit, ..asking(args.filter) };
    let answer = page(&mut operations, wanted).await?;
    let text = match args.format.output {
        Output::Table => table(&answer),
        Output::Json => {
            let records: Vec<Value> = answer.records.iter().map(as_json).collect();
            output::json(&json!({
                "node": answer.node, "matching": answer.matching, "total": answer.total, "bytes": answer.bytes,
                "bytes_max": answer.bytes_max, "records": records,
            }))?
        }
    };
    Ok(output::print(&text)?)
}

fn table(answer: &v1::QuarantineResponse) -> String {
    let row = |record: &v1::QuarantinedRecord| {
        let sink = if record.sink.is_empty() { "any".to_owned() } else { record.sink.clone() };
        vec![record.id.clone(), at(record), record.feed.clone(), sink, record.reason.clone()]
    };
    let rows = answer.records.iter().map(row).collect();
    let shown = answer.records.len() as u64;
    let more = if shown < answer.matching { format!(", {shown} of them shown") } else { String::new() };
    let (node, matching, total) = (&answer.node, answer.matching, answer.total);
    let (mib, mib_max) = (answer.bytes >> 20, answer.bytes_max >> 20);
    format!(
        "{}{matching} of the {total} records in the quarantine of {node} match{more}; they fill {mib} of {mib_max} MiB. \
         Other nodes keep their own.\n",
        output::table(&["ID", "SINCE", "FEED", "SINK", "REASON"], &[], rows)
    )
}

fn as_json(record: &v1::QuarantinedRecord) -> Value {
    json!({
        "id": record.id, "at": at(record), "feed": record.feed, "event": record.event,
        "sink": if record.sink.is_empty() { None } else { Some(&record.sink) },
        "coordinates": record.coordinates, "reason": record.reason, "bytes": record.bytes,
    })
}

async fn show(args: Show) -> anyhow::Result<()> {
    let mut operations = operate(&args.connection).await?;
    let wanted = v1::QuarantineRequest { ids: vec![args.id.clone()], whole: true, ..v1::QuarantineRequest::default() };
    let answer = page(&mut operations, wanted).await?;
    let Some(record) = answer.records.first() else {
        bail!(
            "{} is not in the quarantine of {}: `siemgate quarantine list` shows what is, and other nodes keep their own",
            args.id,
            answer.node
        );
    };
    let line: Value = serde_json::from_str(&record.line).context("the node's answer can't be read")?;
    let text = match args.format.output {
        Output::Table => {
            let raw = line["raw"].as_str().map(visible);
            let raw = raw.unwrap_or_else(|| format!("(Base64) {}", line["raw_base64"].as_str().unwrap_or_default()));
            let sink = if record.sink.is_empty() { "any: nobody can read it" } else { &record.sink };
            format!(
                "Record       {}\nSince        {}\nFeed         {}\nUpstream     {}\nEvent id     {}\nRefused by   {sink}\n\
                 Reason       {}\n\n{raw}\n",
                record.id,
                at(record),
                record.feed,
                visible(&record.coordinates),
                record.event,
                visible(&record.reason),
            )
        }
        Output::Json => output::json(&json!({"id": record.id, "node": answer.node, "record": line}))?,
    };
    Ok(output::print(&text)?)
}

/// Page by page, so that neither side holds all of it.
async fn export(args: Export) -> anyhow::Result<()> {
    let mut operations = operate(&args.connection).await?;
    let created = args.to.as_ref().map(|path| File::create(path).with_context(|| format!("create {}", path.display())));
    let mut out: Box<dyn Write> = match created.transpose()? {
        Some(file) => Box::new(BufWriter::new(file)),
        None => Box::new(BufWriter::new(io::stdout())),
    };
    let mut wanted = v1::QuarantineRequest { whole: true, ..asking(args.filter) };
    let (mut written, mut seen) = (0_u64, BTreeSet::new());
    loop {
        let answer = page(&mut operations, wanted.clone()).await?;
        let Some(last) = answer.records.last() else { break };
        wanted.after = last.id.clone();
        for record in answer.records.iter().filter(|record| seen.insert(record.id.clone())) {
            out.write_all(record.line.as_bytes())?;
            out.write_all(b"\n")?;
            written += 1;
        }
    }
    out.flush()?;
    if let Some(path) = &args.to {
        output::print(&format!("{written} records written to {}; they are still in quarantine.", path.display()))?;
    }
    Ok(())
}

async fn change(connection: &Connection, format: Format, wanted: v1::ChangeQuarantineRequest) -> anyhow::Result<bool> {
    let mut operations = operate(connection).await?;
    let wanted = v1::ChangeQuarantineRequest { operator: operator(), ..wanted };
    let dry_run = wanted.dry_run;
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
                vec![outcome.id.clone(), gone.to_owned(), outcome.what.clone()]
            };
            let rows = answer.outcomes.iter().map(row).collect();
            let gone = answer.outcomes.len() - stays;
            let dry = if dry_run { " Nothing was changed: this was a dry run." } else { "" };
            format!(
                "{}{gone} of {} records of {}.{dry}\n",
                output::table(&["ID", "", "WHAT"], &[], rows),
                answer.outcomes.len(),
                answer.node
            )
        }
        Output::Json => {
            let outcome = |it: &v1::QuarantineOutcome| json!({"id": it.id, "gone": it.gone, "what": it.what});
            let outcomes: Vec<_> = answer.outcomes.iter().map(outcome).collect();
            output::json(&json!({"node": answer.node, "dry_run": dry_run, "outcomes": outcomes}))?
        }
    };
    output::print(&text)?;
    Ok(stays == 0)
}
