//! What a cursor means, in words. Pure.

use std::fmt::Write as _;

use super::places::{place, time};
use crate::admin::convert::span_from_wire;
use crate::cli::output::{count, some, span, table as columns};
use crate::wire::v1;
use v1::upstream_extent::Kind;

pub(super) fn table(feed: &v1::FeedCursors) -> String {
    let row = |sink: &v1::SinkCursor| {
        let beyond = match (kind(feed), sequence(sink)) {
            (Some(Kind::Log(log)), Some(at)) => u64::try_from(log.newest.saturating_sub(at)).ok(),
            _ => None,
        };
        vec![sink.sink.clone(), place(sink.position.as_ref()), count(beyond), count(sink.in_flight)]
    };
    let rows = feed.sinks.iter().map(row).collect();
    format!("{}\n{}", head(feed), columns(&["SINK", "DONE UP TO", "BEYOND", "IN FLIGHT"], &[2, 3], rows))
}

pub(super) fn in_words(feed: &v1::FeedCursors) -> String {
    let mut text = head(feed);
    for sink in &feed.sinks {
        let _ = write!(text, "\nSink {}\n", sink.sink);
        for line in of_sink(feed, sink) {
            let _ = writeln!(text, "  {line}");
        }
    }
    if feed.sinks.is_empty() {
        text.push_str("\nNo sink has committed anything of it.\n");
    }
    text
}

fn head(feed: &v1::FeedCursors) -> String {
    let owner = match feed.owner {
        Some(owner) => format!("node {owner} reads it under epoch {}", feed.epoch),
        None => format!("nobody reads it now; its last epoch was {}", feed.epoch),
    };
    let mut text = format!("{} ({}): {owner}, generation {}.\n", feed.feed, feed.kind, feed.generation);
    let upstream = match kind(feed) {
        Some(Kind::Log(log)) if !log.same_generation && feed.generation == 0 => {
            format!("Upstream has messages {} to {}. Nobody has read it yet.", log.oldest, log.newest)
        }
        Some(Kind::Log(log)) if !log.same_generation => {
            "Upstream was recreated: none of these positions means anything there. The owner will find out and record \
             the gap."
                .to_owned()
        }
        Some(Kind::Log(log)) if log.oldest > log.newest => {
            format!("Upstream has nothing now; its next message is {}.", log.oldest)
        }
        Some(Kind::Log(log)) => {
            let newest = log.newest_time.as_ref().map_or_else(String::new, |at| format!(", which came {}", time(at)));
            format!("Upstream has messages {} to {}{newest}.", log.oldest, log.newest)
        }
        Some(Kind::Collection(_)) => {
            "Upstream is a collection: its objects are not numbered, so that what it has beyond is not known."
                .to_owned()
        }
        Some(Kind::Unknown(why)) => format!("Upstream can't be asked: {why}."),
        None => String::new(),
    };
    let _ = writeln!(text, "{upstream}");
    if feed.gaps > 0 {
        let _ = writeln!(text, "{} gap records say that {} messages were lost or skipped.", feed.gaps, feed.lost);
    }
    text
}

fn of_sink(feed: &v1::FeedCursors, sink: &v1::SinkCursor) -> Vec<String> {
    let Some(position) = &sink.position else {
        return vec![
            "It has committed nothing: its reading begins where the source's `start` says, or joins the other sinks."
                .to_owned(),
        ];
    };
    let mut lines = vec![match (position.sequence, &position.time) {
        (Some(_), _) => format!("It has acknowledged everything up to {}.", place(Some(position))),
        (None, Some(at)) => format!("It has acknowledged everything that changed or came before {}.", time(at)),
        (None, None) => "It stands at the beginning.".to_owned(),
    }];
    lines.extend(beyond(feed, position));
    if let Some(ago) = &sink.committed {
        lines.push(format!("That was committed {} ago.", span(Some(span_from_wire(ago)))));
    }
    lines.push(again(feed, sink));
    lines
}

/// What upstream has beyond, and whether the position can still be read from.
fn beyond(feed: &v1::FeedCursors, position: &v1::CursorPosition) -> Option<String> {
    let (Some(Kind::Log(log)), Some(at)) = (kind(feed), position.sequence) else { return None };
    if !log.same_generation {
        return None;
    }
    let lost = log.oldest.saturating_sub(at).saturating_sub(1);
    Some(match (log.newest.saturating_sub(at), lost) {
        (_, 1..) => {
            let lost = some(u64::try_from(lost).unwrap_or_default(), "message");
            format!("Upstream no longer has the {lost} after it: they are lost, and a gap record will say so.")
        }
        (0, _) => "Upstream has nothing beyond it.".to_owned(),
        (..0, _) => {
            "Upstream's newest lies before it: a tail was lost there, and the owner will record the gap.".to_owned()
        }
        (1.., _) => {
            let kept = at.saturating_add(1).saturating_sub(log.oldest);
            let beyond = some(u64::try_from(log.newest.saturating_sub(at)).unwrap_or_default(), "message");
            format!("Upstream has {beyond} beyond it, and still keeps the {kept} before.")
        }
    })
}

fn again(feed: &v1::FeedCursors, sink: &v1::SinkCursor) -> String {
    let begins = match feed.sinks.iter().filter_map(sequence).min() {
        Some(least) if feed.sinks.len() > 1 => {
            format!("reading would go on after message {least}, where the last sink is")
        }
        Some(_) | None => "reading would go on from here".to_owned(),
    };
    let since = "what it acknowledged since that commit";
    let twice = match sink.in_flight {
        Some(0) => format!("nothing is in flight, so that this sink would get again at most {since}."),
        Some(in_flight) => {
            format!("this sink might get again the {} in flight, and {since}.", some(in_flight, "event"))
        }
        None => "how much is in flight, only its owner knows: ask there.".to_owned(),
    };
    format!("If the feed moved to another node now, {begins}; {twice}")
}

fn kind(feed: &v1::FeedCursors) -> Option<&Kind> {
    feed.upstream.as_ref()?.kind.as_ref()
}

fn sequence(sink: &v1::SinkCursor) -> Option<i64> {
    sink.position.as_ref()?.sequence
}
