//! `cursor`: where the sinks stand in each feed, and moving them.

mod explain;
pub(super) mod moving;
pub(super) mod places;

use std::io::IsTerminal as _;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::args::{Connection, Format, Output};
use super::client::{operate, question, refusal};
use super::output::{self, count, span};
use crate::admin::convert::span_from_wire;
use crate::wire::v1;
use places::place;

/// Shows how far each sink has got in each feed, and moves it
#[derive(Debug, Args)]
pub struct CursorArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Explain(Explain),
    Set(moving::Set),
    Rewind(moving::Rewind),
}

/// Lists the cursors: one line for each feed and sink
#[derive(Debug, Args)]
struct List {
    /// Only this tenant's
    #[arg(long, default_value = "", hide_default_value = true)]
    tenant: String,
    /// Only this source's
    #[arg(long, default_value = "", hide_default_value = true)]
    source: String,
    /// Only this sink's
    #[arg(long, default_value = "", hide_default_value = true)]
    sink: String,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Shows the cursors of one feed, beside what upstream has of it
#[derive(Debug, Args)]
struct Show {
    /// The feed, written `tenant/source/part` as `siemgate cursor list` shows it
    feed: String,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Says in words where each sink stands, and what would be read again if the feed moved now
#[derive(Debug, Args)]
struct Explain {
    /// The feed, written `tenant/source/part` as `siemgate cursor list` shows it
    feed: String,
    /// Only this sink
    #[arg(long, default_value = "", hide_default_value = true)]
    sink: String,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

pub async fn cursor(args: CursorArgs) -> anyhow::Result<()> {
    match args.command {
        Command::List(args) => list(args).await,
        Command::Show(args) => show(args).await,
        Command::Explain(args) => explain(args).await,
        Command::Set(args) => moving::set(args).await,
        Command::Rewind(args) => moving::rewind(args).await,
    }
}

async fn asked(connection: &Connection, wanted: v1::CursorsRequest) -> anyhow::Result<Vec<v1::FeedCursors>> {
    let mut operations = operate(connection).await?;
    Ok(operations.cursors(question(wanted)).await.map_err(refusal)?.into_inner().feeds)
}

async fn list(args: List) -> anyhow::Result<()> {
    let List { tenant, source, sink, format, connection } = args;
    let wanted = v1::CursorsRequest { tenant, source, sink, ..v1::CursorsRequest::default() };
    let feeds = asked(&connection, wanted).await?;
    let text = match format.output {
        Output::Table if feeds.is_empty() && std::io::stdout().is_terminal() => "No feed is known.".to_owned(),
        Output::Table => {
            let row = |feed: &v1::FeedCursors, sink: &v1::SinkCursor| {
                let owner = feed.owner.map_or_else(|| "-".to_owned(), |owner| owner.to_string());
                let committed = sink.committed.as_ref().map(span_from_wire);
                let (in_flight, at) = (count(sink.in_flight), place(sink.position.as_ref()));
                vec![
                    feed.feed.clone(),
                    sink.sink.clone(),
                    at,
                    in_flight,
                    span(committed),
                    owner,
                    feed.epoch.to_string(),
                ]
            };
            let rows = feeds.iter().flat_map(|feed| feed.sinks.iter().map(move |sink| row(feed, sink)));
            let headings = ["FEED", "SINK", "DONE UP TO", "IN FLIGHT", "COMMITTED", "OWNER", "EPOCH"];
            output::table(&headings, &[3, 4, 5, 6], rows.collect())
        }
        Output::Json => output::json(&feeds.iter().map(as_json).collect::<Vec<_>>())?,
    };
    Ok(output::print(&text)?)
}

async fn one(connection: &Connection, feed: String, sink: String) -> anyhow::Result<v1::FeedCursors> {
    let wanted = v1::CursorsRequest { feed: feed.clone(), sink, look: true, ..v1::CursorsRequest::default() };
    let found = asked(connection, wanted).await?.into_iter().next();
    found.ok_or_else(|| anyhow::anyhow!("{feed} is not shown: its source can't be read, see `siemgate status`"))
}

async fn show(args: Show) -> anyhow::Result<()> {
    let feed = one(&args.connection, args.feed, String::new()).await?;
    let text = match args.format.output {
        Output::Table => explain::table(&feed),
        Output::Json => output::json(&as_json(&feed))?,
    };
    Ok(output::print(&text)?)
}

async fn explain(args: Explain) -> anyhow::Result<()> {
    let feed = one(&args.connection, args.feed, args.sink.clone()).await?;
    if !args.sink.is_empty() && feed.sinks.is_empty() {
        let (sink, feed) = (args.sink, feed.feed);
        anyhow::bail!("sink `{sink}` takes nothing of {feed}: `siemgate cursor show {feed}` shows those that do");
    }
    let text = match args.format.output {
        Output::Table => explain::in_words(&feed),
        Output::Json => output::json(&json!({"cursors": as_json(&feed), "words": explain::in_words(&feed)}))?,
    };
    Ok(output::print(&text)?)
}

fn as_json(feed: &v1::FeedCursors) -> Value {
    use v1::upstream_extent::Kind;
    let sink = |sink: &v1::SinkCursor| {
        json!({
            "sink": sink.sink, "position": sink.position.as_ref().map(places::as_json), "in_flight": sink.in_flight,
            "committed_seconds": sink.committed.as_ref().map(|ago| span_from_wire(ago).as_secs_f64()),
        })
    };
    let upstream = match feed.upstream.as_ref().and_then(|upstream| upstream.kind.as_ref()) {
        Some(Kind::Log(log)) => json!({
            "oldest": log.oldest, "newest": log.newest, "same_generation": log.same_generation,
            "newest_time": log.newest_time.as_ref().map(places::time),
        }),
        Some(Kind::Collection(_)) => json!({"collection": true}),
        Some(Kind::Unknown(why)) => json!({"unknown": why}),
        None => Value::Null,
    };
    json!({
        "feed": feed.feed, "kind": feed.kind, "owner": feed.owner, "epoch": feed.epoch, "generation": feed.generation,
        "sinks": feed.sinks.iter().map(sink).collect::<Vec<_>>(), "upstream": upstream, "gaps": feed.gaps,
        "lost": feed.lost, "here": feed.here,
    })
}
