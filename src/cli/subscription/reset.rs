//! `subscription reset`: lets a subscription begin elsewhere, in all of its feeds.

use std::collections::BTreeSet;

use anyhow::bail;
use clap::{ArgGroup, Args};

use super::show::feeds_of;
use crate::admin::convert::time_to_wire;
use crate::cli::args::{Connection, Format};
use crate::cli::client::{operate, refusal, request};
use crate::cli::cursor::moving::{operator, report, time};
use crate::clock::Timestamp;
use crate::wire::v1;
use v1::move_cursors_request::To;

/// Lets a subscription go on elsewhere, in all feeds of which it has something
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("to").required(true),
    after_help = "Examples:\n  \
    siemgate subscription reset soc --earliest --reason 'the index was lost' --dry-run\n  \
    siemgate subscription reset soc --time 2030-01-31T08:00:00Z --reason 'CHG-1234'\n\n\
    What lies between the old place and the new one is delivered again, or skipped. Skipping needs `--allow-skip` and\n\
    leaves gap records. Nothing is moved unless everything can be. Feeds of which it has acknowledged nothing begin where\n\
    its `start` says."
)]
pub(super) struct Reset {
    /// The subscription's name
    name: String,
    /// Deliver what came, or changed, from here on
    #[arg(long, group = "to", value_name = "TIME", value_parser = time)]
    time: Option<Timestamp>,
    /// Deliver everything upstream still has
    #[arg(long, group = "to")]
    earliest: bool,
    /// Deliver only what comes from now on
    #[arg(long, group = "to")]
    latest: bool,
    /// Skip events that it has not got, if that is what it takes
    #[arg(long)]
    allow_skip: bool,
    /// Why, for the audit: everybody who may look at it reads this
    #[arg(long, default_value = "", hide_default_value = true, required_unless_present = "dry_run")]
    reason: String,
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn reset(args: Reset) -> anyhow::Result<()> {
    let Reset { name, time, earliest, allow_skip, reason, dry_run, format, connection, .. } = args;
    let to = match time {
        Some(time) => To::Time(time_to_wire(time)),
        None if earliest => To::Earliest(true),
        None => To::Latest(true),
    };
    let feeds = feeds_of(&name, &connection).await?;
    let sources: BTreeSet<&str> = feeds.iter().filter_map(|feed| Some(feed.feed.rsplit_once('/')?.0)).collect();
    if sources.is_empty() {
        bail!("subscription `{name}` has nothing yet of any feed: where it begins says its `start`");
    }
    let wanted = |source: &str, dry_run| v1::MoveCursorsRequest {
        source: source.to_owned(),
        sink: name.clone(),
        to: Some(to),
        allow_skip,
        dry_run,
        reason: reason.clone(),
        operator: operator(),
        ..v1::MoveCursorsRequest::default()
    };
    let mut operations = operate(&connection).await?;
    // What can't be moved of one source is to keep those of all others where they are.
    let mut changes = Vec::new();
    for source in &sources {
        changes.extend(
            operations.move_cursors(request(wanted(source, true))).await.map_err(refusal)?.into_inner().changes,
        );
    }
    let refused = changes.iter().any(|change| !change.refused.is_empty());
    if dry_run || refused {
        return report(&changes, true, format);
    }
    changes.clear();
    for source in &sources {
        changes.extend(
            operations.move_cursors(request(wanted(source, false))).await.map_err(refusal)?.into_inner().changes,
        );
    }
    report(&changes, false, format)
}
