//! `tap`: events as they pass.

use clap::Args;
use serde_json::{Value, json};

use super::args::{Connection, Format, Output};
use super::client::{connect, refusal};
use super::output::{self, visible};
use crate::admin::convert::event_from_wire;
use crate::admin::view::TapEvent;
use crate::wire::v1;
use v1::tap_response::Item;

/// Shows events as they pass; it never slows delivery
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    siemgate tap --tenant contoso --class alert\n  \
    siemgate tap --count 1 -o json | jq .record\n\n\
    A reader that is too slow misses events; how many is said on standard error.")]
pub struct Tap {
    /// Only this tenant's events
    #[arg(long)]
    tenant: Option<String>,
    /// Only events of sources by this name
    #[arg(long)]
    source: Option<String>,
    /// Only this class (`alert`, `incident`, `process`, …) or table (`DeviceProcessEvents`, …)
    #[arg(long)]
    class: Option<String>,
    /// End after this many events
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

pub async fn tap(args: Tap) -> anyhow::Result<()> {
    let mut admin = connect(&args.connection).await?;
    let wanted = v1::TapRequest {
        tenant: args.tenant.unwrap_or_default(),
        source: args.source.unwrap_or_default(),
        class: args.class.unwrap_or_default(),
        limit: args.count.unwrap_or(0),
    };
    let mut events = admin.tap(wanted).await.map_err(refusal)?.into_inner();
    let stop = super::signal::stop();
    tokio::pin!(stop);
    loop {
        let answer = tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            answer = events.message() => answer.map_err(refusal)?,
        };
        match answer.map(|answer| answer.item) {
            None => return Ok(()),
            Some(None) => {}
            Some(Some(Item::Missed(missed))) => super::say(&format!("{missed} events passed too fast to be shown")),
            Some(Some(Item::Event(event))) => {
                let cut = event.record_cut;
                let event = event_from_wire(event)?;
                let text = match args.format.output {
                    Output::Table => line(&event),
                    Output::Json => document(&event, cut).to_string(),
                };
                output::print(&text)?;
            }
        }
    }
}

fn line(event: &TapEvent) -> String {
    let time = event.time.map_or_else(|| "-".to_owned(), |time| time.to_microsoft());
    format!(
        "{time:<28}  {:<13}  {:<24}  {}  {}",
        visible(&event.severity),
        visible(&event.kind),
        event.feed,
        visible(&event.id)
    )
}

/// The record as it is where it is JSON and whole, otherwise as text.
fn document(event: &TapEvent, cut: bool) -> Value {
    let text = String::from_utf8_lossy(&event.record);
    let record = match serde_json::from_str::<Value>(&text) {
        Ok(record) if !cut => record,
        _ => json!(text),
    };
    json!({
        "id": event.id,
        "feed": event.feed,
        "kind": event.kind,
        "class": event.class,
        "time": event.time.map(|time| time.to_microsoft()),
        "severity": event.severity,
        "record_cut": cut,
        "record": record,
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn an_event_is_one_line_whoever_wrote_it() {
        let mut event = TapEvent {
            id: "0123".into(),
            feed: "contoso/hub/0".parse().unwrap(),
            kind: "Alert\n\u{1b}[2J".into(),
            class: "alert".into(),
            time: Some(Timestamp::from_millis(1_900_000_000_000)),
            severity: "high".into(),
            record: Bytes::from_static(br#"{"n":9007199254740993}"#),
        };
        let text = line(&event);
        assert!(!text.contains(['\n', '\u{1b}']), "{text:?}");
        assert!(document(&event, false).to_string().contains(r#""record":{"n":9007199254740993}"#));
        event.record = Bytes::from_static(b"{\"cut");
        assert_eq!(document(&event, true)["record"], "{\"cut");
    }
}
