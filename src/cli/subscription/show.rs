//! `subscription list` and `subscription show`: what there is to subscribe to, who reads it, and how far it has got.

use std::collections::BTreeMap;

use anyhow::anyhow;
use serde_json::{Value, json};

use crate::admin::convert::{self, time_from_wire};
use crate::cli::args::{Connection, Format, Output};
use crate::cli::client::{connect, operate, question, refusal, request};
use crate::cli::cursor::places::{self, place};
use crate::cli::output;
use crate::cluster::ResourceKind;
use crate::wire::v1;

/// What is said of one, in the order of the columns.
const COLUMNS: [(&str, &str); 8] = [
    ("name", "NAME"),
    ("format", "FORMAT"),
    ("start", "START"),
    ("tokens", "TOKENS"),
    ("readers", "READERS"),
    ("state", "STATE HERE"),
    ("acknowledged", "ACKED HERE"),
    ("in_flight", "IN FLIGHT"),
];

pub(super) async fn list(format: Format, connection: &Connection) -> anyhow::Result<()> {
    let subscriptions = all(connection).await?;
    let text = match format.output {
        Output::Json => output::json(&subscriptions)?,
        Output::Table => {
            let cell = |value: &Value| match value {
                Value::Array(values) => values.len().to_string(),
                other => other.as_str().map_or_else(|| other.to_string(), str::to_owned),
            };
            let row = |one: &Value| COLUMNS.iter().map(|(key, _)| output::visible(&cell(&one[key]))).collect();
            output::table(&COLUMNS.map(|(_, heading)| heading), &[3, 4, 6, 7], subscriptions.iter().map(row).collect())
        }
    };
    Ok(output::print(&text)?)
}

pub(super) async fn show(name: &str, format: Format, connection: &Connection) -> anyhow::Result<()> {
    let found = all(connection).await?.into_iter().find(|one| one["name"] == name);
    let mut shown =
        found.ok_or_else(|| anyhow!("there is no subscription `{name}`: see `siemgate subscription list`"))?;
    let feeds = feeds_of(name, connection).await?;
    let text = match format.output {
        Output::Json => {
            let feed = |feed: &v1::FeedCursors| {
                let at = feed.sinks.first().and_then(|sink| sink.position.as_ref()).map(places::as_json);
                json!({"feed": feed.feed, "owner": feed.owner, "position": at})
            };
            shown["feeds"] = feeds.iter().map(feed).collect();
            output::json(&shown)?
        }
        Output::Table => table(&shown, &feeds),
    };
    Ok(output::print(&text)?)
}

fn table(shown: &Value, feeds: &[v1::FeedCursors]) -> String {
    let word = |value: &Value| output::visible(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    let mut text = String::new();
    for key in ["name", "format", "start", "tokens", "state", "problem"].iter().filter(|key| !shown[**key].is_null()) {
        text.push_str(&format!("{key:<8}{}\n", word(&shown[*key])));
    }
    let readers = shown["readers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let reader = |one: &Value| ["member", "node", "since"].iter().map(|key| word(&one[key])).collect();
    text.push('\n');
    if readers.is_empty() {
        text.push_str("Nobody reads it.\n");
    } else {
        text.push_str(&output::table(&["READER", "NODE", "SINCE"], &[1], readers.iter().map(reader).collect()));
    }
    let row = |feed: &v1::FeedCursors| {
        let owner = feed.owner.map_or_else(|| "-".to_owned(), |owner| owner.to_string());
        vec![feed.feed.clone(), place(feed.sinks.first().and_then(|sink| sink.position.as_ref())), owner]
    };
    text.push('\n');
    text.push_str(&output::table(&["FEED", "ACKNOWLEDGED UP TO", "OWNER"], &[2], feeds.iter().map(row).collect()));
    text
}

/// The feeds of which it has something.
pub(super) async fn feeds_of(name: &str, connection: &Connection) -> anyhow::Result<Vec<v1::FeedCursors>> {
    let wanted = v1::CursorsRequest { sink: name.to_owned(), ..v1::CursorsRequest::default() };
    let mut feeds = operate(connection).await?.cursors(question(wanted)).await.map_err(refusal)?.into_inner().feeds;
    feeds.retain(|feed| !feed.sinks.is_empty());
    Ok(feeds)
}

/// Every subscription, with its settings, its readers, and how it fares on the node that is asked.
async fn all(connection: &Connection) -> anyhow::Result<Vec<Value>> {
    let mut admin = connect(connection).await?;
    let wanted = v1::ListRequest { kind: convert::kind_to_wire(ResourceKind::Sink).into(), tenant: String::new() };
    let resources = admin.list(request(wanted)).await.map_err(refusal)?.into_inner().resources;
    let status = admin.status(request(v1::StatusRequest::default())).await.map_err(refusal)?.into_inner();
    let asked = operate(connection).await?.subscriptions(request(v1::SubscriptionsRequest::default())).await;
    let readers = asked.map_err(refusal)?.into_inner().subscriptions.into_iter();
    let readers: BTreeMap<String, Vec<Value>> =
        readers.map(|one| (one.name, one.members.iter().map(reader).collect())).collect();
    let read = |resource: v1::Resource| {
        let body: Value = serde_json::from_str(&resource.body).ok()?;
        let name = resource.key?.name;
        let here = status.sinks.iter().find(|sink| sink.name == name);
        (body["kind"] == "subscription").then(|| {
            json!({
                "name": name, "format": body["format"], "start": body["start"].as_str().unwrap_or("latest"),
                "positions": body["positions"], "idle_ttl": body["idle_ttl"],
                "tokens": body["tokens"].as_array().map_or(0, Vec::len),
                "readers": readers.get(&name).cloned().unwrap_or_default(),
                "state": here.map(|sink| sink.state.clone()), "acknowledged": here.map(|sink| sink.acknowledged),
                "in_flight": here.map(|sink| sink.in_flight),
                "problem": here.and_then(|sink| sink.problem.as_ref()).map(|problem| &problem.error),
            })
        })
    };
    Ok(resources.into_iter().filter_map(read).collect())
}

fn reader(member: &v1::SubscriptionMember) -> Value {
    json!({
        "member": member.member, "node": member.node, "subscription_epoch": member.subscription_epoch,
        "since": member.since.as_ref().map(|since| time_from_wire(since).to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(sequence: Option<i64>, owner: Option<u64>) -> v1::FeedCursors {
        let position = sequence.map(|sequence| v1::CursorPosition { sequence: Some(sequence), time: None });
        let sinks = vec![v1::SinkCursor { position, ..v1::SinkCursor::default() }];
        v1::FeedCursors { feed: "contoso/hub/0".into(), sinks, owner, ..v1::FeedCursors::default() }
    }

    #[test]
    fn one_subscription_is_shown_with_its_trouble_its_readers_and_its_places() {
        let mut shown = json!({
            "name": "soc", "format": "ocsf", "start": "latest", "tokens": 2, "state": "waiting", "problem": null,
            "readers": [],
        });
        let text = table(&shown, &[feed(Some(41), Some(3)), feed(None, None)]);
        assert!(text.starts_with("name    soc\nformat  ocsf\nstart   latest\ntokens  2\nstate   waiting\n"), "{text}");
        assert!(text.contains("Nobody reads it.") && !text.contains("problem"), "{text}");
        let lines: Vec<&str> = text.lines().rev().take(2).collect();
        assert!(lines[1].contains("41") && lines[1].ends_with('3'), "{text}");
        assert!(lines[0].ends_with('-'), "nobody owns it: {text}");

        shown["problem"] = "nobody reads it\u{1b}[2J".into();
        let since = "2030-01-31T08:00:00Z";
        shown["readers"] = json!([{"member": "a", "node": 2, "subscription_epoch": 7, "since": since}]);
        let text = table(&shown, &[]);
        assert!(text.contains("problem nobody reads it") && !text.contains('\u{1b}'), "{text}");
        assert!(!text.contains("Nobody reads it.") && text.contains(since), "{text}");
    }
}
