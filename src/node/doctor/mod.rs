//! Looks at a node and its cluster as somebody would who was called because something is wrong. Nothing is changed but a
//! file that is written to measure the disk, and a tail of the log that was never acknowledged, which any start would cut.

mod judge;
mod look;

use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;

use super::keyring::binding;
use super::membership::RAFT;
use super::recovery::staging;
use crate::clock::Clock;
use crate::cluster::peers::{Peer, Peers as _, Request};
use crate::cluster::pki::authority::validity_of;
use crate::cluster::pki::files::{Folder, Identity};
use crate::cluster::pki::own::OwnFiles;
use crate::cluster::probe::{Found, probe};
use crate::cluster::salvage::{Kept, newest_snapshot, salvage};
use crate::cluster::{ClusterError, Credentials, Remote, Role, SecretKey, owner_of};
use crate::config::Config;
use crate::ids::{ClusterId, NodeId};
use crate::vault::Ring;

/// How long each step of reaching a member may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Ok,
    /// It could not be looked at, which says nothing against it.
    Skip,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone)]
pub struct Finding {
    pub check: &'static str,
    pub verdict: Verdict,
    pub says: String,
    /// Empty where nothing is to be done.
    pub remedy: String,
}

impl Finding {
    pub fn of(check: &'static str, verdict: Verdict, says: impl Into<String>, remedy: &str) -> Self {
        let needed = matches!(verdict, Verdict::Warn | Verdict::Fail);
        let remedy = if needed { remedy.to_owned() } else { String::new() };
        Self { check, verdict, says: says.into(), remedy }
    }

    /// Errors of ours name their remedy themselves.
    fn failed(check: &'static str, error: &impl ToString) -> Self {
        Self::of(check, Verdict::Fail, error.to_string(), "")
    }
}

/// A member, and what it says of itself.
#[derive(Debug, Clone)]
pub struct Seen {
    pub node: NodeId,
    pub address: String,
    pub voter: bool,
    pub witness: bool,
    pub report: Option<Report>,
}

#[derive(Debug, Clone)]
pub struct Report {
    pub applied: u64,
    pub digest: String,
    pub version: String,
}

/// Looks at everything. `running` are the members as this node itself shows them, if it runs.
pub async fn examine(config: &Config, running: Option<Vec<Seen>>, clock: &Clock) -> Vec<Finding> {
    let data_dir = &config.node.data_dir;
    let mut findings = look::directory(data_dir);
    if !data_dir.is_dir() {
        return findings;
    }
    if staging::is_unfinished(data_dir) {
        let remedy = "run the same `siemgate cluster recover` or `restore` again, which finishes it";
        findings.push(Finding::of("recovery", Verdict::Fail, "it was interrupted", remedy));
        return findings;
    }
    let (kept, runs) = match data(data_dir, &mut findings) {
        Some(found) => found,
        None => return findings,
    };
    let own = config.peers.own();
    let Some(identity) = identity(data_dir, own.as_ref(), &mut findings) else { return findings };
    let credentials = match Credentials::from_pem(&identity.chain, &identity.key, &identity.authority) {
        Ok(credentials) => credentials,
        Err(error) => {
            findings.push(Finding::failed("certificate", &error));
            return findings;
        }
    };
    let validity = validity_of(&identity.chain);
    let counts = validity.as_ref().is_ok_and(|validity| validity.seconds_left(clock.now()) > 0.0);
    match validity {
        Ok(validity) => findings.push(judge::certificate(validity, clock.now(), own.is_some(), runs)),
        Err(error) => findings.push(Finding::failed("certificate", &error)),
    }
    let me = credentials.name();
    findings.push(name(data_dir, &credentials));
    findings.push(key(data_dir, me.cluster, kept.as_ref()));
    let mut members = running.unwrap_or_else(|| kept.as_ref().map(members_in).unwrap_or_default());
    let known = members.iter().find(|member| member.node == me.node).map(|member| member.address.clone());
    let others: Vec<&str> =
        members.iter().filter(|member| member.node != me.node).map(|member| member.address.as_str()).collect();
    findings.push(judge::advertised(config.advertised().as_deref(), known.as_deref(), &others));
    let alone = others.is_empty();
    around(&credentials, counts, &mut members, &mut findings).await;
    if !alone {
        findings.push(judge::digests(&members));
        findings.push(Finding::of("clocks", Verdict::Skip, "members do not tell each other the time; use NTP", ""));
    }
    findings.push(judge::versions(&members, env!("CARGO_PKG_VERSION")));
    if runs {
        findings.extend(judge::quorum(&members));
    } else {
        findings.push(Finding::of("quorum", Verdict::Skip, "this node does not run; ask one that does", ""));
    }
    findings
}

/// Raft's data: read to their end where the node does not run, else the newest snapshot. And whether it runs.
fn data(data_dir: &Path, findings: &mut Vec<Finding>) -> Option<(Option<Kept>, bool)> {
    let raft = data_dir.join(RAFT);
    match owner_of(&raft) {
        Ok(Some(_)) => {}
        Ok(None) => {
            let remedy = "`siemgate init` makes a cluster, `siemgate join` a member of one that is there";
            findings.push(Finding::of("data", Verdict::Warn, "no node has started here yet", remedy));
            return None;
        }
        Err(error) => {
            findings.push(Finding::failed("data", &error));
            return None;
        }
    }
    match salvage(&raft) {
        Ok(salvaged) => {
            let says = format!("the node does not run; its data are whole, up to entry {}", salvaged.kept.index());
            findings.push(Finding::of("data", Verdict::Ok, says, ""));
            Some((Some(salvaged.kept), false))
        }
        Err(ClusterError::Locked { .. }) => {
            findings.push(Finding::of("data", Verdict::Ok, "the node runs and holds its data", ""));
            Some((newest_snapshot(&raft).ok().flatten(), true))
        }
        Err(error) => {
            findings.push(Finding::failed("data", &error));
            None
        }
    }
}

fn identity(data_dir: &Path, own: Option<&OwnFiles>, findings: &mut Vec<Finding>) -> Option<Identity> {
    match own.map_or_else(|| Folder::of(data_dir).read(), |files| files.read().map(Some)) {
        Ok(Some(identity)) => Some(identity),
        Ok(None) => {
            let remedy = "start the node once, or restore its folder `pki`";
            findings.push(Finding::of("certificate", Verdict::Fail, "there is none", remedy));
            None
        }
        Err(error) => {
            findings.push(Finding::failed("certificate", &error));
            None
        }
    }
}

fn name(data_dir: &Path, credentials: &Credentials) -> Finding {
    let (certified, held) = (credentials.name(), owner_of(&data_dir.join(RAFT)).ok().flatten());
    if held == Some(certified) {
        return Finding::of("name", Verdict::Ok, format!("this is {certified}"), "");
    }
    let held = held.map_or_else(|| "nobody's".to_owned(), |held| format!("those of {held}"));
    let remedy = "restore the folder that belongs to the other, or give a certificate with the right name";
    Finding::of("name", Verdict::Fail, format!("the certificate names {certified}, and the data are {held}"), remedy)
}

/// Whether the key opens what is sealed under it.
fn key(data_dir: &Path, cluster: ClusterId, kept: Option<&Kept>) -> Finding {
    let folder = Folder::of(data_dir);
    let ring = match Ring::load(&folder.kek()) {
        Ok(ring) => ring,
        Err(error) => return Finding::failed("key", &error),
    };
    let authority = SecretKey::authority();
    let record = kept.and_then(|kept| kept.state.secret(&authority));
    let (generation, sealed) = match (record, folder.sealed()) {
        (Some(record), _) => (record.generation, record.sealed.as_bytes().to_vec()),
        (None, Ok(Some(sealed))) => (1, sealed),
        _ => return Finding::of("key", Verdict::Skip, "it is there; nothing sealed is on disk to try it on yet", ""),
    };
    match ring.open(&binding(cluster, &authority, generation), &sealed) {
        Ok(_) => {
            Finding::of("key", Verdict::Ok, format!("key {} opens the cluster's authority", ring.newest().id()), "")
        }
        Err(error) => Finding::failed("key", &error),
    }
}

fn members_in(kept: &Kept) -> Vec<Seen> {
    let voters: Vec<NodeId> = kept.voters().into_iter().map(|peer| peer.node).collect();
    let seen = |node: NodeId, witness| Seen {
        node,
        address: kept.address(node),
        voter: voters.contains(&node),
        witness,
        report: None,
    };
    kept.state.members().map(|(node, member)| seen(node, member.spec.role == Role::Witness)).collect()
}

/// Reaches for every other member from here. Only with a certificate that still counts does any of them say more than its
/// name.
async fn around(credentials: &Credentials, counts: bool, members: &mut [Seen], findings: &mut Vec<Finding>) {
    let me = credentials.name().node;
    let remote = Remote::new(credentials.clone());
    let asked = members.iter().map(async |member| {
        if member.node == me {
            return None;
        }
        let found = probe(credentials, &member.address, ANSWERS_WITHIN).await;
        if !counts || !matches!(found, Found::Member(_)) {
            return Some((found, None));
        }
        let peer = Peer { node: member.node, address: member.address.clone() };
        let status = remote.ask(&peer, Request::status(), ANSWERS_WITHIN).await;
        Some((found, Some(status)))
    });
    let answers = join_all(asked).await;
    for (member, answer) in members.iter_mut().zip(answers) {
        let Some((found, status)) = answer else { continue };
        findings.push(judge::peer(member, &found));
        match status {
            Some(Ok(answer)) => {
                member.report = answer.status().map(|status| Report {
                    applied: status.applied,
                    digest: format!("{:032x}", status.state_digest),
                    version: status.version,
                });
            }
            Some(Err(refused)) => findings.push(Finding::failed("peer", &refused)),
            None if matches!(found, Found::Member(_)) => {}
            None => member.report = None,
        }
    }
}
