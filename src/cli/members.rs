//! `cluster status` and the changes of who the members are.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tonic::Request;

use super::args::{Connection, Format, Output};
use super::client::{connect, refusal};
use super::output::{self, span, visible};
use crate::wire::v1;
use v1::change_cluster_request::Change;

/// A node hands over what its sinks still have to acknowledge before it leaves.
const PATIENCE: Duration = Duration::from_secs(90);

/// Shows the members: who leads, who votes, who lives, and how far each is
#[derive(Debug, Args)]
#[command(after_help = "Exit code: 0 if a majority of the voters answers and a leader is known, else 1.")]
pub struct StatusArgs {
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Hands a node's feeds over to others, and gives it none until told otherwise
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    siemgate cluster drain 2          # before maintenance; the node goes on voting\n  \
    siemgate cluster drain 2 --off    # it takes feeds again")]
pub struct DrainArgs {
    /// The node's id, as `siemgate cluster status` shows it
    node: u64,
    /// Let it have feeds again
    #[arg(long)]
    off: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Removes a node for good, after its feeds were handed over
#[derive(Debug, Args)]
#[command(
    after_help = "Its id is never used again: to come back it joins anew, with an empty data directory. Voters must be\n\
    1, 3 or 5, so that one of three is replaced rather than removed: see `siemgate cluster replace --help`."
)]
pub struct RemoveArgs {
    node: u64,
    #[command(flatten)]
    connection: Connection,
}

/// Gives a voter's place to a node that joined and caught up, such as a dead one's
#[derive(Debug, Args)]
pub struct ReplaceArgs {
    /// The voter that leaves for good
    old: u64,
    /// The learner that votes in its place
    new: u64,
    #[command(flatten)]
    connection: Connection,
}

/// Lets another voter lead
#[derive(Debug, Args)]
pub struct TransferArgs {
    to: u64,
    #[command(flatten)]
    connection: Connection,
}

/// Writes a snapshot of the agreed state on this node, now
#[derive(Debug, Args)]
pub struct SnapshotArgs {
    #[command(flatten)]
    connection: Connection,
}

/// Whether a majority answers and somebody leads.
pub async fn status(args: StatusArgs) -> anyhow::Result<bool> {
    let mut admin = connect(&args.connection).await?;
    let mut asking = Request::new(v1::ClusterRequest {});
    asking.set_timeout(PATIENCE);
    let cluster = admin.cluster(asking).await.map_err(refusal)?.into_inner();
    let text = match args.format.output {
        Output::Table => table(&cluster),
        Output::Json => output::json(&as_json(&cluster))?,
    };
    output::print(&text)?;
    Ok(has_quorum(&cluster))
}

pub async fn drain(args: DrainArgs) -> anyhow::Result<()> {
    let DrainArgs { node, off, connection } = args;
    change(&connection, Change::Drain(v1::DrainMember { node, on: !off })).await?;
    Ok(output::print(&if off {
        format!("Node {node} takes feeds again. It gets its share bit by bit.")
    } else {
        format!("Node {node} hands over its feeds: `siemgate cluster status` shows how many it still has.")
    })?)
}

pub async fn remove(args: RemoveArgs) -> anyhow::Result<()> {
    change(&args.connection, Change::Remove(args.node)).await?;
    Ok(output::print(&format!("Node {} is removed. Stop it and empty its data directory.", args.node))?)
}

pub async fn replace(args: ReplaceArgs) -> anyhow::Result<()> {
    let ReplaceArgs { old, new, connection } = args;
    change(&connection, Change::Replace(v1::ReplaceMember { old, new })).await?;
    Ok(output::print(&format!("Node {new} votes in place of node {old}, which is removed."))?)
}

pub async fn transfer(args: TransferArgs) -> anyhow::Result<()> {
    change(&args.connection, Change::TransferTo(args.to)).await?;
    Ok(output::print(&format!("Node {} leads.", args.to))?)
}

pub async fn snapshot(args: SnapshotArgs) -> anyhow::Result<()> {
    change(&args.connection, Change::Snapshot(v1::TakeSnapshot {})).await?;
    Ok(output::print("A snapshot is being written.")?)
}

async fn change(connection: &Connection, change: Change) -> anyhow::Result<()> {
    let mut admin = connect(connection).await?;
    let mut asking = Request::new(v1::ChangeClusterRequest { change: Some(change) });
    asking.set_timeout(PATIENCE);
    admin.change_cluster(asking).await.map(drop).map_err(refusal)
}

fn has_quorum(cluster: &v1::ClusterResponse) -> bool {
    let voters = cluster.members.iter().filter(|member| member.voter);
    let answering = voters.clone().filter(|member| member.report.is_some()).count();
    cluster.leader.is_some() && answering > voters.count() / 2
}

fn table(cluster: &v1::ClusterResponse) -> String {
    let leader = cluster.leader.map_or_else(|| "nobody leads".to_owned(), |leader| format!("node {leader} leads"));
    let newest = cluster.members.iter().filter_map(|member| Some(member.report.as_ref()?.last_log)).max().unwrap_or(0);
    let mut text = format!(
        "Cluster {}, level {}, incarnation {}: {leader}, term {}\n{}\n\n",
        cluster.cluster,
        cluster.level,
        cluster.incarnation,
        cluster.term,
        tolerance(cluster),
    );
    let rows = cluster.members.iter().map(|member| row(cluster, member, newest)).collect();
    let headings = ["ID", "NAME", "ADDRESS", "VOTE", "STANDING", "LIFE", "FEEDS", "BEHIND", "SILENT", "VERSION"];
    text.push_str(&output::table(&headings, &[0, 5, 6, 7, 8], rows));
    for member in cluster.members.iter().filter(|member| !member.problem.is_empty()) {
        text.push_str(&format!("\nnode {} does not answer: {}", member.id, visible(&member.problem)));
    }
    text
}

fn row(cluster: &v1::ClusterResponse, member: &v1::Member, newest: u64) -> Vec<String> {
    let vote = match (member.voter, cluster.leader == Some(member.id), member.role()) {
        (true, true, _) => "leader",
        (true, false, v1::MemberRole::Witness) => "witness",
        (true, false, _) => "voter",
        (false, ..) => "learner",
    };
    let report = member.report.as_ref();
    let silent = member.silent.and_then(|silent| Duration::try_from(silent).ok());
    vec![
        member.id.to_string(),
        member.name.clone(),
        member.address.clone(),
        vote.to_owned(),
        if member.standing.is_empty() { "-".to_owned() } else { member.standing.clone() },
        member.life.to_string(),
        member.feeds.to_string(),
        report.map_or_else(|| "-".to_owned(), |report| newest.saturating_sub(report.applied).to_string()),
        span(silent),
        report.map_or_else(|| "-".to_owned(), |report| report.version.clone()),
    ]
}

/// What the cluster may lose, in words.
fn tolerance(cluster: &v1::ClusterResponse) -> String {
    let voters = cluster.members.iter().filter(|member| member.voter).count();
    let answering = cluster.members.iter().filter(|member| member.voter && member.report.is_some()).count();
    let needed = voters / 2 + 1;
    match answering.checked_sub(needed) {
        None => format!("NO QUORUM: {answering} of {voters} voters answer, and {needed} are needed"),
        Some(0) if voters < 3 => {
            format!("{answering} of {voters} voters answer; not highly available: join two more nodes")
        }
        Some(0) => format!("{answering} of {voters} voters answer; not one more may fail: bring the others back"),
        Some(spare) => format!("{answering} of {voters} voters answer; {spare} more may fail"),
    }
}

fn as_json(cluster: &v1::ClusterResponse) -> Value {
    let members = cluster.members.iter().map(|member| {
        let report = member.report.as_ref().map(|report| {
            json!({
                "term": report.term, "last_log": report.last_log, "applied": report.applied,
                "snapshot": report.snapshot, "state_digest": report.state_digest, "version": report.version,
            })
        });
        let silent = member.silent.and_then(|silent| Duration::try_from(silent).ok());
        json!({
            "id": member.id, "name": member.name, "address": member.address,
            "role": if member.role() == v1::MemberRole::Witness { "witness" } else { "data" },
            "standing": member.standing, "voter": member.voter, "life": member.life, "feeds": member.feeds,
            "silent_seconds": silent.map(|silent| silent.as_secs_f64()), "report": report,
            "problem": Some(&member.problem).filter(|problem| !problem.is_empty()),
        })
    });
    json!({
        "cluster": cluster.cluster, "node": cluster.node, "leader": cluster.leader, "term": cluster.term,
        "leadership": cluster.leadership, "incarnation": cluster.incarnation, "level": cluster.level,
        "quorum": has_quorum(cluster), "members": members.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(answering: &[bool]) -> v1::ClusterResponse {
        let member = |(n, answers): (usize, &bool)| v1::Member {
            id: n as u64 + 1,
            name: format!("n{}", n + 1),
            address: format!("10.0.0.{}:7444", n + 1),
            role: v1::MemberRole::Data.into(),
            standing: "live".into(),
            voter: true,
            report: answers.then(|| v1::MemberReport { last_log: 9, applied: 7, ..Default::default() }),
            problem: if *answers { String::new() } else { "connection\u{1b} refused".into() },
            ..Default::default()
        };
        let members = answering.iter().enumerate().map(member).collect();
        v1::ClusterResponse { leader: Some(1), members, ..Default::default() }
    }

    #[test]
    fn a_person_sees_what_may_still_fail_and_who_does_not_answer() {
        assert!(tolerance(&cluster(&[true])).contains("not highly available"));
        assert!(tolerance(&cluster(&[true, true, true])).ends_with("1 more may fail"));
        assert!(tolerance(&cluster(&[true, true, false])).contains("not one more may fail"));
        assert!(tolerance(&cluster(&[true, false, false])).starts_with("NO QUORUM"));
        let text = table(&cluster(&[true, true, false]));
        assert!(text.contains("node 3 does not answer: connection\u{fffd} refused"), "{text}");
        assert!(text.contains("leader") && text.contains("voter"), "{text}");
    }

    #[test]
    fn the_exit_code_tells_whether_the_cluster_can_agree() {
        assert!(has_quorum(&cluster(&[true, true, false])));
        assert!(!has_quorum(&cluster(&[true, false, false])));
        assert!(!has_quorum(&v1::ClusterResponse { leader: None, ..cluster(&[true, true, true]) }));
    }
}
