//! What each thing that was looked at means, and what to do about it. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::{Finding, Seen, Verdict};
use crate::clock::Timestamp;
use crate::cluster::pki::renewal::{Standing, Validity};
use crate::cluster::probe::Found;
use crate::ids::NodeId;

/// Room enough, however small a part of the disk it is.
const FREE_BYTES: u64 = 1 << 30;
/// Below it, the next snapshot may not fit.
const FREE_BYTES_LEAST: u64 = 64 << 20;
/// A sync that takes longer than this delays every commit, and half of Raft's heartbeat is gone.
const SYNC_SLOW: Duration = Duration::from_millis(50);
/// Certificates that people renew are mentioned this long before they end.
const OWN_ENDS_SOON: Duration = Duration::from_secs(14 * 24 * 3_600);

pub(super) fn free(free: u64, total: u64) -> Finding {
    let says = format!("{} MiB of {} MiB are free", free >> 20, total >> 20);
    let remedy = "make room on the disk of the data directory, or give it one of its own";
    let verdict = if free < FREE_BYTES_LEAST {
        Verdict::Fail
    } else if free < FREE_BYTES && free < total / 10 {
        Verdict::Warn
    } else {
        Verdict::Ok
    };
    Finding::of("disk space", verdict, says, remedy)
}

/// `times` are of all syncs that were tried.
pub(super) fn syncs(mut times: Vec<Duration>) -> Finding {
    times.sort_unstable();
    let at = |part: usize| times.get((times.len() * part / 100).min(times.len().saturating_sub(1))).copied();
    let (Some(median), Some(slowest)) = (at(50), at(99)) else {
        return Finding::of("disk syncs", Verdict::Skip, "nothing was measured", "");
    };
    let millis = |span: Duration| span.as_secs_f64() * 1_000.0;
    let says = format!("a synced write takes {:.1} ms, at most {:.1} ms", millis(median), millis(slowest));
    let verdict = if median.max(slowest) > SYNC_SLOW { Verdict::Warn } else { Verdict::Ok };
    let remedy = "give the data directory a faster disk, or one that nothing else writes to: every commit waits for it";
    Finding::of("disk syncs", verdict, says, remedy)
}

/// `own` where people renew it, `running` where the node would.
pub(super) fn certificate(validity: Validity, now: Timestamp, own: bool, running: bool) -> Finding {
    let until = validity.until.to_microsoft();
    let of = |verdict, says: String, remedy: &str| Finding::of("certificate", verdict, says, remedy);
    let standing = validity.standing(now);
    let replace = "replace the files that `[peers]` names; they are read again within a minute";
    let early = || format!("it does not count before {}", validity.from.to_microsoft());
    match (own, standing) {
        (true, Standing::NotYet) => {
            of(Verdict::Fail, early(), "set this host's clock right, or replace the files that `[peers]` names")
        }
        (false, Standing::NotYet) if running => of(
            Verdict::Fail,
            early(),
            "set this host's clock right; the node has itself a new one signed within a minute, or its log says why not",
        ),
        (false, Standing::NotYet) => of(
            Verdict::Warn,
            early(),
            "set this host's clock right; if it is, the node has itself a new one signed at the next start",
        ),
        (true, Standing::Ended) => of(Verdict::Fail, format!("it ended at {until}"), replace),
        (true, _) if validity.until.since(now) < OWN_ENDS_SOON => {
            of(Verdict::Warn, format!("it ends at {until}"), replace)
        }
        (false, Standing::Ended) if running => of(
            Verdict::Fail,
            format!("it ended at {until}"),
            "members refuse this node: its log says why it has no new one",
        ),
        (false, Standing::Ended) => {
            of(Verdict::Ok, format!("it ended at {until}, and is renewed at the next start"), "")
        }
        (false, Standing::Late) if running => of(
            Verdict::Warn,
            format!("it ends at {until} and is overdue"),
            "look at the node's log for why it can't renew it",
        ),
        _ => of(Verdict::Ok, format!("it counts until {until}"), ""),
    }
}

/// `known` is where the cluster has this node.
pub(super) fn advertised(told: Option<&str>, known: Option<&str>, others: &[&str]) -> Finding {
    let of = |verdict, says: String, remedy: &str| Finding::of("address", verdict, says, remedy);
    let Some(told) = told else {
        return of(Verdict::Warn, "members are told a port that changes".into(), "give `[listen] peers` a port");
    };
    // A node that is alone takes what it is told.
    if let Some(known) = known.filter(|known| *known != told && !others.is_empty()) {
        let remedy = "addresses never change in place: set it back, or remove the node and let it join anew";
        return of(Verdict::Fail, format!("the others know this node at `{known}`, and it is set to `{told}`"), remedy);
    }
    if !others.is_empty() && is_loopback(told) {
        let remedy = "set `[listen] peers` or `advertise` under `[node]` to an address that other hosts reach";
        // All on one host may be meant so.
        let verdict = if others.iter().all(|other| is_loopback(other)) { Verdict::Warn } else { Verdict::Fail };
        return of(
            verdict,
            format!("`{told}` reaches no other host, and there are {} members more", others.len()),
            remedy,
        );
    }
    of(Verdict::Ok, format!("members reach this node at `{told}`"), "")
}

fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// What was found where another member should be.
pub(super) fn peer(member: &Seen, found: &Found) -> Finding {
    let whom = format!("node {} at `{}`", member.node, member.address);
    let (verdict, says, remedy) = match found {
        Found::Member(name) if name.node == member.node => (Verdict::Ok, format!("{whom} answers"), ""),
        Found::Member(name) => {
            (Verdict::Fail, format!("{whom} is node {}", name.node), "check which host has that address")
        }
        Found::Nobody { why } if member.voter => {
            (Verdict::Fail, format!("{whom}: {why}"), "see that it runs, and that its port is open from here")
        }
        Found::Nobody { why } => (Verdict::Warn, format!("{whom}: {why}"), "see that it runs, or remove it"),
        Found::Unsure { why } => (Verdict::Fail, format!("{whom}: {why}"), "look at its log, and compare the clocks"),
        Found::Stranger { why } => {
            (Verdict::Fail, format!("{whom}: {why}"), "check the address; a node of before a recovery joins anew")
        }
    };
    Finding::of("peer", verdict, says, remedy)
}

/// Members that applied the same entry last must have the same state.
pub(super) fn digests(members: &[Seen]) -> Finding {
    let of = |verdict, says: String, remedy: &str| Finding::of("state", verdict, says, remedy);
    let mut by_index: BTreeMap<u64, Vec<(NodeId, &str)>> = BTreeMap::new();
    for (node, report) in members.iter().filter_map(|member| Some((member.node, member.report.as_ref()?))) {
        by_index.entry(report.applied).or_default().push((node, &report.digest));
    }
    let differs = |nodes: &&Vec<(NodeId, &str)>| nodes.iter().any(|(_, digest)| *digest != nodes[0].1);
    if let Some((index, nodes)) = by_index.iter().find(|(_, nodes)| differs(nodes)) {
        let nodes = nodes.iter().map(|(node, _)| node.to_string()).collect::<Vec<_>>().join(", ");
        let remedy = "report it: this must never be. Replace the node that differs from the majority";
        return of(Verdict::Fail, format!("nodes {nodes} differ at entry {index}"), remedy);
    }
    match by_index.values().map(Vec::len).max() {
        None | Some(1) => of(Verdict::Skip, "no two members stand at the same entry just now".into(), ""),
        Some(same) => of(Verdict::Ok, format!("{same} members have the same state at the same entry"), ""),
    }
}

pub(super) fn versions(members: &[Seen], here: &str) -> Finding {
    let mut versions: Vec<&str> = members.iter().filter_map(|it| Some(it.report.as_ref()?.version.as_str())).collect();
    versions.push(here);
    versions.sort_unstable();
    versions.dedup();
    match versions.as_slice() {
        [one] => Finding::of("versions", Verdict::Ok, format!("all that answer run {one}"), ""),
        several => {
            let says = format!("{} run side by side", several.join(" and "));
            let remedy = "finish the upgrade: until then nothing new is used";
            Finding::of("versions", Verdict::Warn, says, remedy)
        }
    }
}

/// What the cluster may lose.
pub(super) fn quorum(members: &[Seen]) -> Vec<Finding> {
    let voters: Vec<&Seen> = members.iter().filter(|member| member.voter).collect();
    let answering = voters.iter().filter(|voter| voter.report.is_some()).count();
    let needed = voters.len() / 2 + 1;
    let says = format!("{answering} of {} voters answer, {needed} are needed", voters.len());
    let of = |verdict, says: String, remedy: &str| Finding::of("quorum", verdict, says, remedy);
    let mut findings = vec![match answering.checked_sub(needed) {
        None => of(
            Verdict::Fail,
            says,
            "bring voters back; if they are gone for good, see `siemgate cluster recover --help`",
        ),
        Some(0) if voters.len() > 1 => of(Verdict::Warn, says, "not one more may fail: bring the others back"),
        Some(_) => of(Verdict::Ok, says, ""),
    }];
    let data = members.iter().filter(|member| !member.witness).count();
    findings.push(match (voters.len(), data) {
        (1, 1) => {
            of(Verdict::Warn, "one node is not highly available".into(), "join two more: `siemgate cluster invite`")
        }
        (_, 2) if voters.len() < 3 => of(
            Verdict::Warn,
            "two data nodes alone survive no failure".into(),
            "join a third that only votes: `siemgate cluster invite --role witness`",
        ),
        (1 | 3 | 5, _) => of(Verdict::Ok, format!("{} voters, {data} data nodes", voters.len()), ""),
        (count, _) => {
            of(Verdict::Warn, format!("{count} voters tolerate no more than {} would", count - 1), "have 1, 3 or 5")
        }
    });
    findings
}

#[cfg(test)]
mod tests {
    use super::super::Report;
    use super::*;
    use crate::cluster::PeerName;
    use crate::ids::ClusterId;

    fn seen(node: u64, applied: Option<u64>) -> Seen {
        let report = applied.map(|applied| Report { applied, digest: format!("d{applied}"), version: "1.0.0".into() });
        Seen { node: NodeId(node), address: format!("10.0.0.{node}:7444"), voter: true, witness: false, report }
    }
    fn day(day: i64) -> Timestamp {
        Timestamp::from_millis(day * 86_400_000)
    }
    fn verdicts(findings: &[Finding]) -> Vec<Verdict> {
        findings.iter().map(|finding| finding.verdict).collect()
    }

    #[test]
    fn a_small_part_of_a_large_disk_is_enough_and_nothing_is_not() {
        let gib = 1 << 30;
        assert_eq!(free(2 * gib, 1_000 * gib).verdict, Verdict::Ok);
        assert_eq!(free(gib / 2, 4 * gib).verdict, Verdict::Ok);
        assert_eq!(free(gib / 2, 100 * gib).verdict, Verdict::Warn);
        assert_eq!(free(1 << 20, 2 << 20).verdict, Verdict::Fail);
    }

    #[test]
    fn a_disk_is_slow_also_if_only_its_worst_syncs_are() {
        let millis = Duration::from_millis;
        assert_eq!(syncs(vec![millis(4); 20]).verdict, Verdict::Ok);
        assert_eq!(syncs([vec![millis(4); 19], vec![millis(51)]].concat()).verdict, Verdict::Warn);
        assert_eq!(syncs(vec![]).verdict, Verdict::Skip);
    }

    #[test]
    fn a_certificate_that_the_node_renews_is_judged_otherwise_than_one_that_people_renew() {
        let validity = |from, until| Validity { from: day(from), until: day(until) };
        for (own, running, until, verdict) in [
            (false, true, 100, Verdict::Ok),
            (false, true, 51, Verdict::Warn),
            (false, true, 49, Verdict::Fail),
            (false, false, 49, Verdict::Ok),
            (true, false, 49, Verdict::Fail),
            (true, true, 60, Verdict::Warn),
            (true, true, 90, Verdict::Ok),
        ] {
            let finding = certificate(validity(0, until), day(50), own, running);
            assert_eq!(finding.verdict, verdict, "own {own}, running {running}, until {until}");
            assert_eq!(finding.remedy.is_empty(), verdict == Verdict::Ok);
        }
        // A wrong clock made it so: this host's now, or this one's or another's when it was signed.
        for (own, running, verdict, advice) in [
            (true, true, Verdict::Fail, "replace the files"),
            (false, true, Verdict::Fail, "within a minute"),
            (false, false, Verdict::Warn, "at the next start"),
        ] {
            let finding = certificate(validity(51, 60), day(50), own, running);
            assert_eq!(finding.verdict, verdict, "{finding:?}");
            assert!(finding.remedy.contains("clock") && finding.remedy.contains(advice), "{finding:?}");
        }
    }

    #[test]
    fn an_address_must_be_the_known_one_and_reach_further_than_this_host() {
        let there = ["10.0.0.2:7444"];
        assert_eq!(advertised(Some("10.0.0.1:7444"), Some("10.0.0.1:7444"), &there).verdict, Verdict::Ok);
        assert_eq!(advertised(Some("10.0.0.1:7444"), Some("10.0.0.9:7444"), &there).verdict, Verdict::Fail);
        assert_eq!(advertised(Some("127.0.0.1:7444"), None, &[]).verdict, Verdict::Ok);
        for loopback in ["127.0.0.1:7444", "[::1]:7444", "localhost:7444"] {
            assert_eq!(advertised(Some(loopback), None, &there).verdict, Verdict::Fail, "{loopback}");
            assert_eq!(advertised(Some(loopback), None, &["127.0.0.1:7445"]).verdict, Verdict::Warn, "{loopback}");
        }
        assert_eq!(advertised(None, None, &[]).verdict, Verdict::Warn);
    }

    #[test]
    fn whoever_is_not_where_a_member_should_be_is_a_failure() {
        let name = |node| Found::Member(PeerName { cluster: ClusterId([1; 16]), node: NodeId(node) });
        assert_eq!(peer(&seen(2, None), &name(2)).verdict, Verdict::Ok);
        assert_eq!(peer(&seen(2, None), &name(3)).verdict, Verdict::Fail);
        let nobody = Found::Nobody { why: "refused".into() };
        assert_eq!(peer(&seen(2, None), &nobody).verdict, Verdict::Fail);
        assert_eq!(peer(&Seen { voter: false, ..seen(2, None) }, &nobody).verdict, Verdict::Warn);
    }

    #[test]
    fn states_are_compared_only_where_they_stand_at_the_same_entry() {
        assert_eq!(digests(&[seen(1, Some(5)), seen(2, Some(5)), seen(3, Some(4))]).verdict, Verdict::Ok);
        assert_eq!(digests(&[seen(1, Some(5)), seen(2, Some(6))]).verdict, Verdict::Skip);
        let mut other = seen(2, Some(5));
        other.report.as_mut().unwrap().digest = "x".into();
        assert_eq!(digests(&[seen(1, Some(5)), other]).verdict, Verdict::Fail);
        assert_eq!(versions(&[seen(1, Some(5))], "1.0.0").verdict, Verdict::Ok);
        assert_eq!(versions(&[seen(1, Some(5))], "1.1.0").verdict, Verdict::Warn);
    }

    #[test]
    fn what_may_still_fail_is_told_with_advice() {
        let of = |answering: &[bool]| -> Vec<Seen> {
            (1..).zip(answering).map(|(node, answers)| seen(node, answers.then_some(5))).collect()
        };
        assert_eq!(verdicts(&quorum(&of(&[true, true, true]))), [Verdict::Ok, Verdict::Ok]);
        assert_eq!(verdicts(&quorum(&of(&[true, true, false]))), [Verdict::Warn, Verdict::Ok]);
        assert_eq!(verdicts(&quorum(&of(&[true, false, false]))), [Verdict::Fail, Verdict::Ok]);
        assert_eq!(verdicts(&quorum(&of(&[true]))), [Verdict::Ok, Verdict::Warn]);
        let mut two = of(&[true, true]);
        two[1].voter = false;
        assert!(quorum(&two)[1].remedy.contains("--role witness"));
        let mut with_witness = of(&[true, true, true]);
        with_witness[2].witness = true;
        assert_eq!(verdicts(&quorum(&with_witness)), [Verdict::Ok, Verdict::Ok]);
    }
}
