//! Which node of which cluster this is: read from its data directory, made there where nothing is, or got by joining.
//!
//! The folder `pki` and Raft's data say the same name, or the node does not start. Raft's data that is gone is gone with
//! what the node had voted for; only a node that never started may make it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;

use super::keyring::{Keyring, binding};
use super::recovery::staging;
use crate::clock::Clock;
use crate::cluster::pki::authority::{Authority, MEMBER_LIFE, PublicKey, node_key};
use crate::cluster::pki::files::{Draft, Folder, Identity};
use crate::cluster::pki::joining::{Applicant, Attempt, Certificates};
use crate::cluster::pki::own::OwnFiles;
use crate::cluster::pki::token::{JoinToken, Pin};
use crate::cluster::pki::{Keyring as _, PkiError};
use crate::cluster::salvage::salvage;
use crate::cluster::{
    self, Begin, ClusterError, Command, ControlPlane, Credentials, Outcome, PeerName, Sealed, SecretCommand, SecretKey,
    Settings,
};
use crate::ids::{ClusterId, NodeId};
use crate::vault::{Kek, Ring, VaultError};

/// The id of the node that makes a cluster.
const FOUNDER: NodeId = NodeId(1);
pub(super) const RAFT: &str = "raft";

/// Why it can't be said which node this is, by cause.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("this is {name} already: nothing was changed")]
    Already { name: PeerName },
    #[error(
        "{} is {name}'s, but Raft's data is gone from it, and with it what the node had voted for: empty the directory, \
         join anew, and give the new node the place of node {} with `siemgate cluster replace`",
        dir.display(),
        name.node
    )]
    Wiped { dir: PathBuf, name: PeerName },
    #[error(
        "{} holds Raft's data of {name}, and no certificate of it: restore its folder `pki`, or remove node {} from the \
         cluster, empty the directory, and join anew",
        dir.display(),
        name.node
    )]
    NoCertificate { dir: PathBuf, name: PeerName },
    #[error(
        "{} holds the certificate of {certified} and Raft's data of {held}: it was put together from two; restore \
         either one",
        dir.display()
    )]
    Mixed { dir: PathBuf, certified: PeerName, held: PeerName },
    #[error(
        "the cluster's authority is another one than this node brings: restore the folder `pki` that belongs to the data"
    )]
    OtherAuthority,
    #[error(
        "the certificate that `[peers]` names is of {given}, and this is {needed}: have one signed with the URI `{needed}` \
         as its only one"
    )]
    OtherName { given: PeerName, needed: PeerName },
    #[error(
        "a recovery or a restore of {} was interrupted: run the same command again, which finishes it",
        dir.display()
    )]
    Unfinished { dir: PathBuf },
    #[error("the cluster does not take its authority, it answered {answer:?}: start the node again")]
    NotTaken { answer: Outcome },
}

/// Who a node is, and what it proves that with.
#[derive(Debug, Clone)]
pub struct Membership {
    pub name: PeerName,
    pub credentials: Credentials,
    pub keyring: Arc<Keyring>,
    pub(super) folder: Folder,
    pub(super) identity: Arc<watch::Sender<Identity>>,
    /// Where the certificate comes from, unless the cluster signs it.
    pub(super) own: Option<OwnFiles>,
    raft_dir: PathBuf,
    fresh: bool,
}

impl Membership {
    /// Reads who the node is. An empty directory becomes that of a cluster of one.
    pub fn open(data_dir: &Path, clock: &Clock) -> Result<Self, MembershipError> {
        Self::open_with(data_dir, None, clock)
    }

    /// The same for a node whose certificates people bring.
    pub fn open_with(data_dir: &Path, own: Option<OwnFiles>, clock: &Clock) -> Result<Self, MembershipError> {
        check_finished(data_dir)?;
        let folder = Folder::of(data_dir);
        let raft_dir = data_dir.join(RAFT);
        let held = cluster::owner_of(&raft_dir)?;
        if folder.read()?.is_none() {
            match held {
                None => drop(found(data_dir, clock)?),
                // Before there were certificates, every node was the first of its own cluster.
                Some(name) if name.node == FOUNDER && knows_no_other(&raft_dir)? => {
                    make(data_dir, name.cluster, clock, false)?;
                }
                Some(name) => return Err(MembershipError::NoCertificate { dir: data_dir.to_owned(), name }),
            }
        }
        let absent = || PkiError::Unusable { what: "the folder `pki`".into(), cause: "it has just gone".into() };
        let identity = folder.read()?.ok_or_else(absent)?;
        let credentials = Credentials::from_pem(&identity.chain, &identity.key, &identity.authority)?;
        let (name, fresh) = (credentials.name(), folder.is_fresh()?);
        match held {
            Some(held) if held != name => {
                return Err(MembershipError::Mixed { dir: data_dir.to_owned(), certified: name, held });
            }
            None if !fresh => return Err(MembershipError::Wiped { dir: data_dir.to_owned(), name }),
            _ => {}
        }
        let (identity, credentials) = match &own {
            None => (identity, credentials),
            Some(files) => {
                let identity = files.read()?;
                let credentials = Credentials::from_pem(&identity.chain, &identity.key, &identity.authority)?;
                if credentials.name() != name {
                    return Err(MembershipError::OtherName { given: credentials.name(), needed: name });
                }
                (identity, credentials)
            }
        };
        let keyring = Arc::new(Keyring::load(&folder.kek(), name.cluster, clock.clone())?);
        identity.pin()?;
        let identity = Arc::new(watch::Sender::new(identity));
        Ok(Self { name, credentials, keyring, folder, identity, own, raft_dir, fresh })
    }

    /// The authority that new nodes are to believe. It is another one once people have brought another.
    pub fn pin(&self) -> Result<Pin, PkiError> {
        self.identity.borrow().pin()
    }

    /// Reads one's own files again, and uses them from the next connection on if they changed. Returns whether they did.
    pub fn read_again(&self) -> Result<bool, MembershipError> {
        let Some(files) = &self.own else { return Ok(false) };
        let identity = files.read()?;
        if identity == *self.identity.borrow() {
            return Ok(false);
        }
        self.credentials.renew(&identity.chain, &identity.key, &identity.authority)?;
        self.identity.send_replace(identity);
        Ok(true)
    }

    /// What the control plane of this node starts with. A node that never started gets its Raft data here, and from
    /// then on can't do without it.
    pub fn settings(&self, listener: std::net::TcpListener, advertise: &str) -> Result<Settings, MembershipError> {
        let cluster = self.name.cluster;
        let begin = if self.name.node == FOUNDER {
            Begin::Form { cluster: Some(cluster), address: advertise.to_owned() }
        } else {
            Begin::Join { cluster }
        };
        let mut settings = Settings::member(&self.raft_dir, begin, listener, self.credentials.clone());
        settings.keyring = self.keyring.lent();
        if self.fresh {
            cluster::prepare(&settings)?;
            self.folder.started()?;
        }
        Ok(settings)
    }

    /// Another way to the other members, with connections of its own.
    pub fn remote(&self) -> cluster::Remote {
        cluster::Remote::for_conversations(self.credentials.clone())
    }

    /// Hands the authority over to the control state, if this node made it and has not yet.
    pub async fn settle(&self, control: &ControlPlane) -> Result<(), MembershipError> {
        let Some(sealed) = self.folder.sealed()? else { return Ok(()) };
        let (key, sealed, at) = (SecretKey::authority(), Sealed::new(sealed), self.keyring.now());
        let put = SecretCommand::Put { key, replaces: 0, sealed, at };
        match control.propose(Command::Secret(put)).await? {
            Outcome::Done => Ok(self.folder.handed_over()?),
            Outcome::Refused(cluster::Refusal::StaleSecret { .. }) => Err(MembershipError::OtherAuthority),
            answer => Err(MembershipError::NotTaken { answer }),
        }
    }
}

/// What a node that has just become a member tells.
#[derive(Debug, Clone, Copy)]
pub struct NewMember {
    pub name: PeerName,
    pub pin: Pin,
}

/// Whether a founder's data have nothing sealed and nobody who would have to believe another authority.
fn knows_no_other(raft_dir: &Path) -> Result<bool, ClusterError> {
    let kept = salvage(raft_dir)?.kept;
    Ok(kept.state.secrets().next().is_none() && kept.peers().iter().all(|(node, _)| *node == FOUNDER))
}

fn check_finished(data_dir: &Path) -> Result<(), MembershipError> {
    if staging::is_unfinished(data_dir) {
        return Err(MembershipError::Unfinished { dir: data_dir.to_owned() });
    }
    Ok(())
}

/// Who the node is already, if anybody.
pub fn known(data_dir: &Path) -> Result<Option<NewMember>, MembershipError> {
    check_finished(data_dir)?;
    let Some(identity) = Folder::of(data_dir).read()? else {
        return match cluster::owner_of(&data_dir.join(RAFT))? {
            Some(name) => Err(MembershipError::Already { name }),
            None => Ok(None),
        };
    };
    let name = Credentials::from_pem(&identity.chain, &identity.key, &identity.authority)?.name();
    Ok(Some(NewMember { name, pin: identity.pin()? }))
}

/// Makes a cluster of one in an empty data directory. It begins to run when its node starts.
pub fn found(data_dir: &Path, clock: &Clock) -> Result<NewMember, MembershipError> {
    if let Some(NewMember { name, .. }) = known(data_dir)? {
        return Err(MembershipError::Already { name });
    }
    make(data_dir, ClusterId(rand::random()), clock, true)?;
    known(data_dir)?.ok_or_else(|| {
        let cause = "it has just gone".into();
        PkiError::Unusable { what: "the folder `pki`".into(), cause }.into()
    })
}

fn make(data_dir: &Path, cluster: ClusterId, clock: &Clock, fresh: bool) -> Result<(), MembershipError> {
    let (name, now) = (PeerName { cluster, node: FOUNDER }, clock.now());
    let draft = Draft::begin(data_dir)?;
    let kek = Kek::generate()?;
    kek.save(&draft.kek())?;
    let authority = Authority::make(cluster, now)?;
    let sealed = crate::vault::seal(&kek, &binding(cluster, &SecretKey::authority(), 1), &authority.bundle())?;
    let key = node_key()?;
    let chain = authority.sign(&PublicKey::of(&key)?, name, now, MEMBER_LIFE)?;
    draft.write(&Identity { authority: authority.pem().to_owned(), chain, key }, fresh, Some(&sealed))?;
    draft.commit()?;
    Ok(())
}

/// Joins a cluster through the first of the addresses that answers, and keeps what it got.
pub async fn join(
    data_dir: &Path,
    address: &str,
    token: JoinToken,
    applicant: Applicant,
    certificates: Certificates,
) -> Result<NewMember, MembershipError> {
    if let Some(NewMember { name, .. }) = known(data_dir)? {
        return Err(MembershipError::Already { name });
    }
    let (draft, key) = Draft::begin_joining(data_dir)?;
    let pin = token.pin;
    let attempt = Attempt::new(token, applicant, certificates, key);
    let joined = match attempt.ask(address).await {
        // It may have been let in and not heard of it: the same key may ask again.
        Err(PkiError::Unreachable { .. }) => attempt.ask(address).await?,
        asked => asked?,
    };
    let mut oldest_first = joined.keys.into_iter().rev().map(Kek::from_key);
    let none = || PkiError::Untrue { cause: "it has no key".into() };
    let mut ring = Ring::of(oldest_first.next().ok_or_else(none)?);
    for kek in oldest_first {
        ring.add(kek)?;
    }
    ring.save(&draft.kek())?;
    draft.write(&joined.identity, true, None)?;
    draft.commit()?;
    Ok(NewMember { name: joined.name, pin })
}
