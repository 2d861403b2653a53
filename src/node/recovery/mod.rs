//! Beginning anew with one node: after the quorum was lost for good, or from a backup. And the backup itself.
//!
//! The node does not run meanwhile. What it is to be is made beside what it is, under a new cluster id and the next
//! incarnation, and moved into place when it is whole; see [`staging`].

mod backup;
mod give;
mod reseal;
pub mod staging;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;

use super::membership::{MembershipError, RAFT};
use crate::clock::Clock;
use crate::cluster::peers::Peer;
use crate::cluster::pki::PkiError;
use crate::cluster::pki::authority::{MEMBER_LIFE, PublicKey, node_key};
use crate::cluster::pki::files::{Draft, Folder, Identity};
use crate::cluster::pki::own::OwnFiles;
use crate::cluster::probe::{Found, probe};
use crate::cluster::recovery::{Anew, CannotBegin, Survivor};
use crate::cluster::salvage::{Kept, plant, salvage};
use crate::cluster::{ClusterError, Credentials, NodeSpec, PeerName, Role};
use crate::ids::{ClusterId, Incarnation, NodeId};
use crate::secret::Secret;
use crate::vault::{Ring, VaultError};
pub use backup::{Taken, backup, read};
use reseal::{Resealed, applied_anew, reseal};
use staging::Staging;

/// How long each step of looking for an old voter may take: a living one answers in milliseconds.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// Why a cluster could not begin anew, or be backed up, by cause.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    #[error(transparent)]
    Membership(#[from] MembershipError),
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    CannotBegin(#[from] CannotBegin),
    #[error("{} holds no node: name the configuration of one that was a member", dir.display())]
    NoNode { dir: PathBuf },
    #[error(
        "other members of the cluster are there, or may be: {who}. Two clusters would go on from one. If a majority of the \
         voters runs, nothing has to be recovered; otherwise turn these off for good, then try again"
    )]
    OthersAnswer { who: String },
    #[error("{} holds `{name}` already: restore into a data directory that no node has used", dir.display())]
    NotEmpty { dir: PathBuf, name: &'static str },
    #[error("the node runs and has written no snapshot yet: run `siemgate cluster snapshot`, then try again")]
    NoSnapshot,
    #[error("can't {action} {}: {cause}. Run as the service's user, and check the disk", path.display())]
    File { action: &'static str, path: PathBuf, cause: std::io::Error },
    #[error("another recovery of {} is under way: wait until it has ended", dir.display())]
    UnderWay { dir: PathBuf },
}

/// What there is after a cluster began anew.
#[derive(Debug)]
pub struct Begun {
    pub was: ClusterId,
    pub now: PeerName,
    pub incarnation: Incarnation,
    /// The last entry of the log that was taken over.
    pub index: u64,
    pub role: Role,
    pub removed: Vec<NodeId>,
    /// At addresses of old members: somebody else.
    pub strangers: Vec<String>,
    /// Where the data of before are now.
    pub aside: Vec<PathBuf>,
}

/// Makes a cluster of one of what a survivor has. Refuses while another member answers. With `dry_run` it looks at all
/// and changes nothing. `own` is where the node has its certificate from, if people
/// bring it.
pub async fn recover(
    data_dir: &Path,
    own: Option<OwnFiles>,
    clock: &Clock,
    dry_run: bool,
) -> Result<Begun, RecoveryError> {
    let folder = Folder::of(data_dir);
    let identity = folder.read()?.ok_or_else(|| RecoveryError::NoNode { dir: data_dir.to_owned() })?;
    let proof = own.map_or_else(|| Ok(identity.clone()), |files| files.read())?;
    let credentials = Credentials::from_pem(&proof.chain, &proof.key, &proof.authority)?;
    let ring = Ring::load(&folder.kek())?;
    let salvaged = salvage(&data_dir.join(RAFT))?;
    let was = salvaged.name;
    if was != credentials.name() {
        let certified = credentials.name();
        return Err(MembershipError::Mixed { dir: data_dir.to_owned(), certified, held: was }.into());
    }
    let strangers = nobody_else(&credentials, salvaged.kept.peers()).await?;
    let old = Old { cluster: was.cluster, kept: &salvaged.kept, term: salvaged.term, bundle: folder.sealed()? };
    let who = Who { survivor: Survivor::Member(was.node), key: identity.key, address: salvaged.kept.address(was.node) };
    let staging = Staging::begin(data_dir)?;
    let begun = begin(&staging, old, who, None, &ring, clock)?;
    let aside = if dry_run { Vec::new() } else { staging.commit(begun.incarnation)? };
    Ok(Begun { strangers, aside, ..begun })
}

/// Makes a cluster of one of a backup, in a data directory that nobody has used. The node gets an id of its own.
pub fn restore(
    data_dir: &Path,
    bytes: &[u8],
    kek: &Path,
    spec: NodeSpec,
    incarnation: Option<Incarnation>,
    clock: &Clock,
) -> Result<Begun, RecoveryError> {
    for name in [RAFT, "pki"] {
        if data_dir.join(name).exists() {
            return Err(RecoveryError::NotEmpty { dir: data_dir.to_owned(), name });
        }
    }
    let ring = Ring::load(kek)?;
    let (cluster, kept) = read(&ring, bytes)?;
    let old = Old { cluster, kept: &kept, term: kept.term(), bundle: None };
    let who = Who { address: spec.peer.clone(), survivor: Survivor::Newcomer(spec), key: node_key()? };
    let staging = Staging::begin(data_dir)?;
    let begun = begin(&staging, old, who, incarnation, &ring, clock)?;
    let aside = staging.commit(begun.incarnation)?;
    Ok(Begun { aside, ..begun })
}

/// What a cluster was.
struct Old<'a> {
    cluster: ClusterId,
    kept: &'a Kept,
    term: u64,
    /// The sealed authority, while the state had not taken it yet.
    bundle: Option<Vec<u8>>,
}

/// Who goes on.
struct Who {
    survivor: Survivor,
    key: Secret,
    address: String,
}

/// Makes all of it in the staging folder.
fn begin(
    staging: &Staging,
    old: Old<'_>,
    who: Who,
    incarnation: Option<Incarnation>,
    ring: &Ring,
    clock: &Clock,
) -> Result<Begun, RecoveryError> {
    let (cluster, now) = (ClusterId(rand::random()), clock.now());
    let Resealed { secrets, authority } =
        reseal(ring, &old.kept.state, old.bundle.as_deref(), old.cluster, cluster, now)?;
    let mut state = old.kept.state.clone();
    let before: Vec<NodeId> = state.members().map(|(node, _)| node).collect();
    let resources = applied_anew(&state, now);
    let node = state.begin_anew(Anew { survivor: who.survivor, incarnation, secrets, resources, at: now })?;
    let name = PeerName { cluster, node };
    plant(&staging.folder().join(RAFT), name, &who.address, &state, old.kept, old.term)?;

    let chain = authority.sign(&PublicKey::of(&who.key)?, name, now, MEMBER_LIFE)?;
    let draft = Draft::begin(staging.folder())?;
    ring.save(&draft.kek())?;
    draft.write(&Identity { authority: authority.pem().to_owned(), chain, key: who.key }, false, None)?;
    draft.commit()?;
    Ok(Begun {
        was: old.cluster,
        now: name,
        incarnation: state.counters().incarnation,
        index: old.kept.index(),
        role: state.member(node).map_or(Role::Data, |member| member.spec.role),
        removed: before.into_iter().filter(|other| state.member(*other).is_none()).collect(),
        strangers: Vec::new(),
        aside: Vec::new(),
    })
}

/// Looks for the other members, all at once. Answers who else was found where they were.
async fn nobody_else(
    credentials: &Credentials,
    members: BTreeSet<(NodeId, String)>,
) -> Result<Vec<String>, RecoveryError> {
    let me = credentials.name().node;
    let others = members.into_iter().filter(|(node, _)| *node != me);
    let others: Vec<Peer> = others.map(|(node, address)| Peer { node, address }).collect();
    let found = join_all(others.iter().map(|peer| probe(credentials, &peer.address, ANSWERS_WITHIN))).await;
    let (mut there, mut strangers) = (Vec::new(), Vec::new());
    for (peer, found) in others.iter().zip(found) {
        match found {
            Found::Nobody { .. } => {}
            Found::Member(name) => there.push(format!("{peer} answers as {name}")),
            Found::Unsure { why } => there.push(format!("{peer}: {why}")),
            Found::Stranger { why } => strangers.push(format!("{peer}: {why}")),
        }
    }
    if there.is_empty() { Ok(strangers) } else { Err(RecoveryError::OthersAnswer { who: there.join("; ") }) }
}
