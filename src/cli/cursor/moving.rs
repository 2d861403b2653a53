//! `cursor set` and `cursor rewind`: what a move would do, and doing it.

use anyhow::bail;
use clap::{ArgGroup, Args};
use serde_json::json;

use super::places::{self, place};
use crate::admin::convert::{span_to_wire, time_to_wire};
use crate::cli::args::{Connection, Format, Output};
use crate::cli::client::{operate, refusal, request};
use crate::cli::output;
use crate::clock::Timestamp;
use crate::units::Span;
use crate::wire::v1;
use v1::move_cursors_request::To;

/// Moves a sink's cursor of one feed, to wherever it is told
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("to").required(true),
    after_help = "Examples:\n  \
    siemgate cursor set contoso/hub/0 --sink siem --sequence 41000 --reason 'CHG-1234' --dry-run\n  \
    siemgate cursor set contoso/hub/0 --sink siem --latest --allow-skip --reason 'a flood of tests'\n\n\
    What lies between the old place and the new one is delivered again, or skipped. Skipping needs `--allow-skip` and\n\
    leaves a gap record. The other sinks of the feed keep their cursors; of a collection they get again what this sink gets."
)]
pub(super) struct Set {
    /// The feed, written `tenant/source/part` as `siemgate cursor list` shows it
    feed: String,
    /// The sink whose cursor is moved
    #[arg(long)]
    sink: String,
    /// The first message to be delivered
    #[arg(long, visible_alias = "position", group = "to", value_name = "N", allow_negative_numbers = true)]
    sequence: Option<i64>,
    /// Deliver what came, or changed, from here on
    #[arg(long, group = "to", value_name = "TIME", value_parser = time)]
    time: Option<Timestamp>,
    /// Deliver everything upstream still has
    #[arg(long, group = "to")]
    earliest: bool,
    /// Deliver only what comes from now on
    #[arg(long, group = "to")]
    latest: bool,
    /// Skip events that the sink has not got, if that is what it takes
    #[arg(long)]
    allow_skip: bool,
    #[command(flatten)]
    doing: Doing,
}

/// Moves a sink's cursor back, so that it gets again what came since
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("what").required(true),
    group = ArgGroup::new("where").required(true),
    after_help = "Examples:\n  \
    siemgate cursor rewind contoso/hub/0 --sink siem --by 2h --reason 'the index was lost' --dry-run\n  \
    siemgate cursor rewind --source contoso/hub --sink siem --to 2030-01-31T08:00:00Z --reason 'CHG-1234'\n\n\
    The time is when upstream got the message, or when the object changed. Nothing is ever skipped by this."
)]
pub(super) struct Rewind {
    /// The feed, written `tenant/source/part` as `siemgate cursor list` shows it
    #[arg(group = "what")]
    feed: Option<String>,
    /// All feeds of a source, written `tenant/source`
    #[arg(long, group = "what", value_name = "TENANT/SOURCE")]
    source: Option<String>,
    /// The sink whose cursor is moved
    #[arg(long)]
    sink: String,
    /// So long before now, such as `2h`
    #[arg(long, group = "where", value_name = "SPAN")]
    by: Option<Span>,
    /// To this time
    #[arg(long, group = "where", value_name = "TIME", value_parser = time)]
    to: Option<Timestamp>,
    #[command(flatten)]
    doing: Doing,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Doing {
    /// Why, for the audit: everybody who may look at it reads this
    #[arg(long, default_value = "", hide_default_value = true, required_unless_present = "dry_run")]
    pub reason: String,
    /// Say what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub format: Format,
    #[command(flatten)]
    pub connection: Connection,
}

pub(super) async fn set(args: Set) -> anyhow::Result<()> {
    let Set { feed, sink, sequence, time, earliest, latest, allow_skip, doing } = args;
    let to = match (sequence, time, earliest, latest) {
        (Some(sequence), ..) => To::Sequence(sequence),
        (_, Some(time), ..) => To::Time(time_to_wire(time)),
        (_, _, true, _) => To::Earliest(true),
        (..) => To::Latest(true),
    };
    let wanted = v1::MoveCursorsRequest { feed, sink, to: Some(to), allow_skip, ..v1::MoveCursorsRequest::default() };
    make(doing, wanted).await
}

pub(super) async fn rewind(args: Rewind) -> anyhow::Result<()> {
    let Rewind { feed, source, sink, by, to, doing } = args;
    let to = by.map(|span| To::Back(span_to_wire(span.get()))).or(to.map(|time| To::Time(time_to_wire(time))));
    let (feed, source) = (feed.unwrap_or_default(), source.unwrap_or_default());
    let wanted =
        v1::MoveCursorsRequest { feed, source, sink, to, only_back: true, ..v1::MoveCursorsRequest::default() };
    make(doing, wanted).await
}

async fn make(doing: Doing, wanted: v1::MoveCursorsRequest) -> anyhow::Result<()> {
    let Doing { reason, dry_run, format, connection } = doing;
    let wanted = v1::MoveCursorsRequest { reason, dry_run, operator: operator(), ..wanted };
    let mut operations = operate(&connection).await?;
    let changes = operations.move_cursors(request(wanted)).await.map_err(refusal)?.into_inner().changes;
    report(&changes, dry_run, format)
}

/// Says what was changed, or would be; an error if some of it can't be.
pub(in crate::cli) fn report(changes: &[v1::CursorChange], dry_run: bool, format: Format) -> anyhow::Result<()> {
    let text = match format.output {
        Output::Table => table(changes, dry_run),
        Output::Json => {
            let changes: Vec<_> = changes.iter().map(as_json).collect();
            output::json(&json!({"dry_run": dry_run, "changes": changes}))?
        }
    };
    output::print(&text)?;
    let (refused, all) = (changes.iter().filter(|change| !change.refused.is_empty()).count(), changes.len());
    match (refused, dry_run) {
        (0, _) => Ok(()),
        (_, true) => bail!("{refused} of {all} cursors can't be moved like that; without --dry-run none would be"),
        (_, false) => {
            bail!("{refused} of {all} cursors were not moved, the others were; see why, and move those again")
        }
    }
}

fn table(changes: &[v1::CursorChange], dry_run: bool) -> String {
    let row = |change: &v1::CursorChange| {
        let (feed, sink) = (change.feed.clone(), change.sink.clone());
        let (before, after) = (place(change.before.as_ref()), place(change.after.as_ref()));
        if change.refused.is_empty() {
            vec![feed, sink, before, after, in_words(change)]
        } else {
            vec![feed, sink, String::new(), String::new(), format!("no: {}", change.refused)]
        }
    };
    let rows = changes.iter().map(row).collect();
    let table = output::table(&["FEED", "SINK", "BEFORE", "AFTER", "EFFECT"], &[], rows);
    if dry_run { format!("{table}Nothing was changed: this was a dry run.\n") } else { table }
}

fn in_words(change: &v1::CursorChange) -> String {
    let messages = |count: Option<u64>| {
        count.map_or_else(|| "an unknown number of events".to_owned(), |n| output::some(n, "message"))
    };
    match change.effect() {
        v1::CursorEffect::None => "none: it stands there".to_owned(),
        v1::CursorEffect::Again if change.again.is_none() => {
            "again all that changed since, to every sink of the feed".to_owned()
        }
        v1::CursorEffect::Again if change.at_most => {
            format!("again at most {}, those since that time", messages(change.again))
        }
        v1::CursorEffect::Again => format!("{} again", messages(change.again)),
        v1::CursorEffect::Skips => format!("skips {}", messages(change.skipped)),
        v1::CursorEffect::Begins | v1::CursorEffect::Unspecified => "begins there".to_owned(),
    }
}

fn as_json(change: &v1::CursorChange) -> serde_json::Value {
    let effect = match change.effect() {
        v1::CursorEffect::None => "none",
        v1::CursorEffect::Again => "again",
        v1::CursorEffect::Skips => "skips",
        v1::CursorEffect::Begins => "begins",
        v1::CursorEffect::Unspecified => "refused",
    };
    json!({
        "feed": change.feed, "sink": change.sink, "before": change.before.as_ref().map(places::as_json),
        "after": change.after.as_ref().map(places::as_json), "effect": effect, "again": change.again,
        "again_at_most": change.at_most, "skipped": change.skipped,
        "refused": if change.refused.is_empty() { None } else { Some(&change.refused) },
    })
}

/// Who types this, as far as the environment tells; the audit takes it for no more than that.
pub(in crate::cli) fn operator() -> String {
    let name = |variable: &str| std::env::var(variable).ok().filter(|name| !name.is_empty());
    name("SUDO_USER").or_else(|| name("USER")).or_else(|| name("LOGNAME")).unwrap_or_default()
}

/// A time as people write it: `2030-01-31T08:00:00Z`.
pub(in crate::cli) fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "write it as 2030-01-31T08:00:00Z".to_owned())
}
