//! `status`: how the node, its feeds, sinks and credentials are doing.

use clap::Args;

use super::args::{Connection, Format, Output};
use super::client::{connect, refusal, request};
use super::output::{self, count, span, visible};
use crate::admin::convert::status_from_wire;
use crate::admin::urgency::Urgency;
use crate::admin::view::{CredentialStatus, FeedStatus, NodeStatus, Problem, SinkStatus, SourceStatus, Status};
use crate::clock::Timestamp;
use crate::wire::v1;

/// Shows how the node, its feeds, sinks and credentials are doing
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    siemgate status\n  \
    siemgate status --tenant contoso\n  \
    siemgate status -o json | jq '.feeds[] | select(.state == \"held\")'\n\n\
    Exit code: 0 if the node is ready, else 1.")]
pub struct StatusArgs {
    /// Only what belongs to this tenant
    #[arg(long)]
    tenant: Option<String>,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Whether the node is ready.
pub async fn status(args: StatusArgs) -> anyhow::Result<bool> {
    let status = ask(&args.connection, args.tenant).await?;
    let text = match args.format.output {
        Output::Table => table(&status),
        Output::Json => output::json(&status)?,
    };
    output::print(&text)?;
    Ok(status.node.health.ready)
}

pub(super) async fn ask(connection: &Connection, tenant: Option<String>) -> anyhow::Result<Status> {
    let mut admin = connect(connection).await?;
    let wanted = v1::StatusRequest { tenant: tenant.unwrap_or_default() };
    Ok(status_from_wire(admin.status(request(wanted)).await.map_err(refusal)?.into_inner())?)
}

fn table(status: &Status) -> String {
    let mut text = node(&status.node, status.at);
    if status.sources.is_empty() && status.sinks.is_empty() && status.faults.is_empty() {
        text.push_str("\nNothing is configured yet. `siemgate apply FILE` makes tenants, sources and sinks.\n");
        return text;
    }
    text.push_str(&section(sources(&status.sources)));
    text.push_str(&section(feeds(&status.feeds)));
    text.push_str(&section(sinks(&status.sinks)));
    text.push_str(&section(credentials(&status.credentials, status.at)));
    text.push_str(&section(problems(status)));
    text
}

fn section(table: Option<String>) -> String {
    table.map(|table| format!("\n{table}")).unwrap_or_default()
}

fn node(node: &NodeStatus, at: Timestamp) -> String {
    let ready = if node.health.ready { "ready" } else { "NOT READY" };
    let leader = node.leader.map_or_else(|| "nobody".to_owned(), |id| format!("node {id}"));
    let up = span(Some(at.since(node.started)));
    let (name, id, version, role) = (visible(&node.name), node.id, &node.version, node.role);
    let (voters, term, applied) = (node.voters.len(), node.term, node.applied);
    let plural = if voters == 1 { "voter" } else { "voters" };
    let mut text = format!(
        "Node {name} ({id}), version {version}: {ready}, up {up}\n\
         Raft: {role}, {leader} leads {voters} {plural}, term {term}, applied {applied}\n"
    );
    for reason in &node.health.reasons {
        text.push_str(&format!("  not ready: {}\n", visible(reason)));
    }
    text
}

/// Those that have no feeds yet: all others are seen by their feeds.
fn sources(sources: &[SourceStatus]) -> Option<String> {
    let row = |source: &SourceStatus| {
        let state = if source.problem.is_some() { "see below" } else { "looking for feeds" };
        vec![format!("{}/{}", source.tenant, source.source), source.kind.clone(), state.to_owned()]
    };
    let rows: Vec<_> = sources.iter().filter(|source| source.feeds == 0).map(row).collect();
    (!rows.is_empty()).then(|| output::table(&["SOURCE WITHOUT FEEDS", "KIND", "STATE"], &[], rows))
}

fn feeds(feeds: &[FeedStatus]) -> Option<String> {
    let row = |feed: &FeedStatus| {
        vec![
            feed.feed.to_string(),
            feed.kind.clone(),
            feed.owner.map_or_else(|| "-".to_owned(), |id| id.to_string()),
            feed.epoch.to_string(),
            feed.state.to_string(),
            span(feed.freshness),
            span(feed.lag),
            count(feed.lag_messages),
            feed.read.to_string(),
            feed.delivered().to_string(),
            feed.filtered().to_string(),
            feed.in_flight().to_string(),
            feed.quarantined.to_string(),
            span(feed.cursor_age),
        ]
    };
    let headings = [
        "FEED",
        "KIND",
        "OWNER",
        "EPOCH",
        "STATE",
        "FRESH",
        "LAG",
        "UNREAD",
        "READ",
        "DELIVERED",
        "FILTERED",
        "IN FLIGHT",
        "QUARANTINED",
        "COMMITTED",
    ];
    let numbers = [2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13];
    (!feeds.is_empty()).then(|| output::table(&headings, &numbers, feeds.iter().map(row).collect()))
}

pub(super) fn sinks(sinks: &[SinkStatus]) -> Option<String> {
    let row = |sink: &SinkStatus| {
        let assurance = if sink.assurance.is_empty() { "-".to_owned() } else { sink.assurance.clone() };
        vec![
            sink.sink.to_string(),
            sink.kind.clone(),
            sink.format.clone(),
            sink.state.to_string(),
            assurance,
            sink.sent.to_string(),
            sink.acknowledged.to_string(),
            sink.in_flight.to_string(),
            sink.retries.to_string(),
            sink.perhaps_lost.to_string(),
        ]
    };
    let headings = [
        "SINK",
        "KIND",
        "FORMAT",
        "STATE",
        "ASSURANCE",
        "SENT",
        "ACKNOWLEDGED",
        "IN FLIGHT",
        "RETRIES",
        "PERHAPS LOST",
    ];
    (!sinks.is_empty()).then(|| output::table(&headings, &[5, 6, 7, 8, 9], sinks.iter().map(row).collect()))
}

fn credentials(credentials: &[CredentialStatus], at: Timestamp) -> Option<String> {
    let row = |credential: &CredentialStatus| {
        let note = match credential.urgency(at) {
            Urgency::None if credential.grant == CLIENT_SECRET && credential.expires.is_none() => {
                "set `expires` to be warned"
            }
            Urgency::None => "",
            Urgency::Soon => "renew within 30 days",
            Urgency::Urgent => "RENEW WITHIN 14 DAYS",
            Urgency::Now => "RENEW NOW",
            Urgency::Over => "HAS ENDED",
        };
        let left = |expires: Timestamp| if expires > at { span(Some(expires.since(at))) } else { "0".to_owned() };
        vec![
            format!("{}/{}", credential.tenant, credential.credential),
            credential.grant.clone(),
            credential.expires.map_or_else(|| "-".to_owned(), left),
            span(credential.last_success.map(|time| at.since(time))),
            note.to_owned(),
        ]
    };
    let headings = ["CREDENTIAL", "GRANT", "EXPIRES IN", "LAST TOKEN", "NOTE"];
    (!credentials.is_empty()).then(|| output::table(&headings, &[2, 3], credentials.iter().map(row).collect()))
}

/// The one grant whose end nobody but the operator can know.
const CLIENT_SECRET: &str = "client-secret";

/// Each problem in full below the tables, where there is room for what to do.
fn problems(status: &Status) -> Option<String> {
    let faults = status.faults.iter().map(|it| (it.resource.clone(), Some(&it.problem)));
    let sources = status.sources.iter().map(|it| (format!("source {}/{}", it.tenant, it.source), it.problem.as_ref()));
    let feeds = status.feeds.iter().map(|it| (format!("feed {}", it.feed), it.problem.as_ref()));
    let sinks = status.sinks.iter().map(|it| (format!("sink {}", it.sink), it.problem.as_ref()));
    let credentials = status
        .credentials
        .iter()
        .map(|it| (format!("credential {}/{}", it.tenant, it.credential), it.problem.as_ref()));
    let all = faults.chain(sources).chain(feeds).chain(sinks).chain(credentials);
    let text: String = all.filter_map(|(whose, problem)| problem.map(|it| told(&whose, it, status.at))).collect();
    (!text.is_empty()).then_some(text)
}

fn told(whose: &str, problem: &Problem, at: Timestamp) -> String {
    let when = if problem.at < at { format!("{} ago", span(Some(at.since(problem.at)))) } else { "now".to_owned() };
    let mut text = format!("{}, {when}: {}\n", visible(whose), visible(&problem.error));
    if !problem.remedy.is_empty() {
        text.push_str(&format!("  → {}\n", visible(&problem.remedy)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::view;

    #[test]
    fn a_status_fits_one_screen_and_says_what_to_do() {
        let text = table(&view::tests::status());
        for expected in [
            "Node gw1 (1), version 0.1.0: ready, up 3d",
            "Raft: leader, node 1 leads 1 voter, term 3, applied 1042",
            "contoso/defender/0           event-hub      1      7  reading   1.2s   5m      12  1234567    1234000",
            "contoso/archive       event-hub  see below",
            "source contoso/archive, 24h ago: login.microsoftonline.com refused our credential: AADSTS7000222",
            "source `contoso/newer`, 24h ago: ",
            "siem  syslog  cef     healthy  A2           10             9          1        0",
            "contoso/app  client-secret         10d         90s  RENEW WITHIN 14 DAYS",
            "feed contoso/incidents/incidents, 24h ago: login.microsoftonline.com refused our credential: AADSTS7000222",
            "  → make a new client secret",
        ] {
            assert!(text.contains(expected), "{expected}\nin\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 150 && !line.ends_with(' ')), "{text}");
    }

    #[test]
    fn an_empty_node_tells_what_comes_next() {
        let mut status = view::tests::status();
        status.sources.clear();
        status.sinks.clear();
        status.faults.clear();
        status.node.health = view::Health::of(None, 0, 0, false);
        let text = table(&status);
        assert!(text.contains("NOT READY") && text.contains("not ready: no node leads the cluster"), "{text}");
        assert!(text.contains("siemgate apply FILE"), "{text}");
    }
}
