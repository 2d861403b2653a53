//! `cluster doctor`: one line for each thing that may be wrong, and what to do about it.

use clap::Args;
use serde_json::json;

use super::args::{Connection, Format, Output};
use super::client::{connect, request};
use super::output;
use crate::clock::Clock;
use crate::config::Config;
use crate::ids::NodeId;
use crate::node::doctor::{self, Finding, Report, Seen, Verdict};
use crate::wire::v1;

/// Looks at this node and its cluster, and says what is wrong and what to do
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    siemgate cluster doctor\n  \
    siemgate cluster doctor -o json | jq '.[] | select(.verdict == \"fail\")'\n\n\
    Run it as root or as the service's user, whether the node runs or not; what needs a running node is skipped otherwise.\n\
    Exit code: 1 if anything has failed, else 0.")]
pub struct DoctorArgs {
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Whether nothing has failed.
pub async fn doctor(args: DoctorArgs) -> anyhow::Result<bool> {
    let config = Config::load(&args.connection.node.config);
    let findings = match config {
        Ok(config) => {
            let file = args.connection.node.config.display();
            let mut findings = vec![Finding::of("configuration", Verdict::Ok, format!("{file} has no fault"), "")];
            findings.extend(doctor::examine(&config, members(&args.connection).await, &Clock::System).await);
            findings
        }
        Err(faults) => {
            let remedy = "correct it; `siemgate config validate` looks again";
            vec![Finding::of("configuration", Verdict::Fail, faults.to_string(), remedy)]
        }
    };
    let text = match args.format.output {
        Output::Table => told(&findings),
        Output::Json => output::json(&findings.iter().map(as_json).collect::<Vec<_>>())?,
    };
    output::print(&text)?;
    Ok(findings.iter().all(|finding| finding.verdict != Verdict::Fail))
}

/// The members as the running node shows them.
async fn members(connection: &Connection) -> Option<Vec<Seen>> {
    let mut admin = connect(connection).await.ok()?;
    let cluster = admin.cluster(request(v1::ClusterRequest {})).await.ok()?.into_inner();
    let seen = |member: v1::Member| Seen {
        node: NodeId(member.id),
        witness: member.role() == v1::MemberRole::Witness,
        address: member.address,
        voter: member.voter,
        report: member.report.map(|report| Report {
            applied: report.applied,
            digest: report.state_digest,
            version: report.version,
        }),
    };
    Some(cluster.members.into_iter().map(seen).collect())
}

fn told(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let says = output::visible(&finding.says);
        text.push_str(&format!("{:<5} {:<14} {says}\n", word(finding.verdict), finding.check));
        if !finding.remedy.is_empty() {
            text.push_str(&format!("{:>20} {}\n", "→", finding.remedy));
        }
    }
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    text.push_str(&format!("\n{} failed, {} to look at\n", count(Verdict::Fail), count(Verdict::Warn)));
    text
}

fn as_json(finding: &Finding) -> serde_json::Value {
    let remedy = Some(&finding.remedy).filter(|remedy| !remedy.is_empty());
    let verdict = word(finding.verdict).to_lowercase();
    json!({"check": finding.check, "verdict": verdict, "says": finding.says, "remedy": remedy})
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Skip => "skip",
        Verdict::Warn => "warn",
        Verdict::Fail => "FAIL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_stands_out_and_has_its_remedy_below_it() {
        let findings = [
            Finding::of("data", Verdict::Ok, "whole", ""),
            Finding::of("peer", Verdict::Fail, "node 2\u{1b}[2J", "open its port"),
        ];
        let text = told(&findings);
        assert!(text.contains("ok    data           whole\n"), "{text}");
        assert!(
            text.contains("FAIL  peer           node 2\u{fffd}[2J\n") && text.contains("→ open its port"),
            "{text}"
        );
        assert!(text.ends_with("1 failed, 0 to look at\n"), "{text}");
    }
}
