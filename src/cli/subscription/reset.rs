//! `subscription reset`: lets a subscription begin elsewhere, in all of its feeds.

use std::collections::BTreeSet;

use anyhow::bail;
use clap::{ArgGroup, Args};

use super::show::feeds_of;
use crate::admin::convert::time_to_wire;
use crate::cli::client::{operate, refusal, request};
use crate::cli::cursor::moving::{Doing, operator, report, time};
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
    #[command(flatten)]
    doing: Doing,
}

pub(super) async fn reset(args: Reset) -> anyhow::Result<()> {
    let Reset { name, time, earliest, allow_skip, doing, .. } = args;
    let Doing { reason, dry_run, format, connection } = doing;
    let to = match time {
        Some(time) => To::Time(time_to_wire(time)),
        None if earliest => To::Earliest(true),
        None => To::Latest(true),
    };
    let feeds = feeds_of(&name, &connection).await?;
    let sources = sources_of(&feeds);
    if sources.is_empty() {
        bail!("subscription `{name}` has nothing yet of any feed: where it begins says its `start`");
    }
    let operations = operate(&connection).await?;
    let moved = async |dry_run| {
        let mut changes = Vec::new();
        for source in &sources {
            let wanted = v1::MoveCursorsRequest {
                source: (*source).to_owned(),
                sink: name.clone(),
                to: Some(to),
                allow_skip,
                dry_run,
                reason: reason.clone(),
                operator: operator(),
                ..v1::MoveCursorsRequest::default()
            };
            let answer = operations.clone().move_cursors(request(wanted)).await.map_err(refusal)?;
            changes.extend(answer.into_inner().changes);
        }
        anyhow::Ok(changes)
    };
    // What can't be moved of one source is to keep those of all others where they are.
    let planned = moved(true).await?;
    if dry_run || planned.iter().any(|change| !change.refused.is_empty()) {
        return report(&planned, true, format);
    }
    report(&moved(false).await?, false, format)
}

/// Where cursors are moved: a source at a time.
fn sources_of(feeds: &[v1::FeedCursors]) -> BTreeSet<&str> {
    feeds.iter().filter_map(|feed| Some(feed.feed.rsplit_once('/')?.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_moved_once_however_many_feeds_it_has() {
        let feeds = ["contoso/hub/0", "contoso/hub/1", "contoso/alerts/all", "fabrikam/hub/0"];
        let feeds = feeds.map(|feed| v1::FeedCursors { feed: feed.into(), ..v1::FeedCursors::default() });
        let sources: Vec<_> = sources_of(&feeds).into_iter().collect();
        assert_eq!(sources, ["contoso/alerts", "contoso/hub", "fabrikam/hub"]);
        assert!(sources_of(&[]).is_empty(), "it has nothing yet of any feed");
    }
}
