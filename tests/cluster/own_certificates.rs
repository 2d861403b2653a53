//! Members that prove themselves with certificates that people bring: over sockets, and replaced while they run.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use siemgate::clock::Clock;
use siemgate::cluster::peers::{CallFailed, Peer, Peers as _, Request};
use siemgate::cluster::pki::PkiError;
use siemgate::cluster::pki::authority::pin_of;
use siemgate::cluster::pki::files::Folder;
use siemgate::cluster::pki::joining::{Applicant, Certificates};
use siemgate::cluster::pki::own::OwnFiles;
use siemgate::cluster::{Credentials, PeerName, Remote};
use siemgate::ids::NodeId;
use siemgate::node::membership::{self, Membership, MembershipError};
use siemgate::node::recovery;
use tempfile::TempDir;

use crate::enrolment::{Member, port, token};
use crate::harness::authority::Authority;
use crate::harness::{LONG, until};

/// A folder of PEM files.
struct Brought(TempDir);

impl Brought {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn files(&self) -> OwnFiles {
        let path = |name: &str| self.0.path().join(name);
        OwnFiles { certificate: path("node.pem"), private_key: path("node.key"), authority: path("ca.pem") }
    }
    /// Puts a new certificate for a name there.
    fn put(&self, authority: &Authority, name: PeerName) {
        let (chain, key) = authority.issue(&name.to_string(), time::Duration::HOUR);
        let files = self.files();
        std::fs::write(&files.certificate, chain).unwrap();
        std::fs::write(&files.authority, authority.pem()).unwrap();
        std::fs::write(&files.private_key, key.expose()).unwrap();
        self.mode(0o600);
    }
    fn mode(&self, mode: u32) {
        std::fs::set_permissions(self.files().private_key, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

fn open(dir: &Path, brought: &Brought) -> Result<Membership, MembershipError> {
    Membership::open_with(dir, Some(brought.files()), &Clock::System)
}
async fn asks(credentials: Credentials, node: u64, address: &str) -> Result<(), CallFailed> {
    let peer = Peer { node: NodeId(node), address: address.to_owned() };
    Remote::new(credentials).ask(&peer, Request::status(), Duration::from_secs(5)).await.map(drop)
}
fn signed_by_the_cluster(dir: &Path) -> Credentials {
    let identity = Folder::of(dir).read().unwrap().unwrap();
    Credentials::from_pem(&identity.chain, &identity.key, &identity.authority).unwrap()
}

#[tokio::test]
async fn members_take_ones_own_certificates_and_new_ones_while_they_run() {
    let (dir, brought) = (tempfile::tempdir().unwrap(), Brought::new());
    let name = membership::found(dir.path(), &Clock::System).unwrap().name;
    let authority = Authority::new(name.cluster);
    brought.put(&authority, authority.name(2));
    let told = open(dir.path(), &brought).unwrap_err();
    assert!(matches!(told, MembershipError::OtherName { needed, .. } if needed == name), "{told}");
    assert!(told.to_string().contains(&format!("the URI `{name}`")), "{told}");
    brought.put(&authority, name);
    brought.mode(0o640);
    assert!(matches!(open(dir.path(), &brought), Err(MembershipError::Pki(PkiError::Exposed { .. }))));
    brought.mode(0o600);
    let founder = Member::start_with(dir, port(), Some(brought.files())).await;
    founder.founds().await;

    let (dir, listener) = (tempfile::tempdir().unwrap(), port());
    let peer = listener.local_addr().unwrap().to_string();
    let applicant = Applicant { name: "second".into(), peer: peer.clone(), api: String::new(), weight: 100 };
    let (text, through) = (founder.invites(1).await, founder.address.as_str());
    let joined = membership::join(dir.path(), through, token(&text), applicant, Certificates::Own).await.unwrap();
    let second_brought = Brought::new();
    second_brought.put(&authority, joined.name);
    let second = Member::start_with(dir, listener, Some(second_brought.files())).await;
    founder.control.add_learner(joined.name.node, peer).await.unwrap();
    second.control.current_within(LONG).await.unwrap();

    // What the cluster signs for itself proves nothing here.
    let refused = asks(signed_by_the_cluster(second.dir.path()), 1, &founder.address).await;
    assert!(matches!(refused, Err(CallFailed::Unreachable { .. })), "{refused:?}");

    assert!(!second.membership.read_again().unwrap(), "nothing has changed");
    let before = second.membership.credentials.clone();
    second_brought.put(&authority, authority.name(7));
    assert!(second.membership.read_again().is_err(), "not under another name");
    std::fs::write(second_brought.files().certificate, "-----BEGIN").unwrap();
    assert!(second.membership.read_again().is_err(), "half a file");
    assert_eq!(asks(before.clone(), 1, &founder.address).await, Ok(()), "the old one stays");

    // Another authority takes over: until the others believe it, a new certificate of it proves nothing.
    let next = Authority::new(name.cluster);
    second_brought.put(&next, joined.name);
    assert!(second.membership.read_again().unwrap());
    assert!(asks(before.clone(), 1, &founder.address).await.is_err(), "clones share what was renewed last");
    std::fs::write(brought.files().authority, authority.pem() + &next.pem()).unwrap();
    std::fs::write(second_brought.files().authority, next.pem() + &authority.pem()).unwrap();
    assert!(founder.membership.read_again().unwrap() && second.membership.read_again().unwrap());
    assert_eq!(
        second.membership.pin().unwrap(),
        pin_of(&next.pem()).unwrap(),
        "invitations pin whom new nodes are to believe now"
    );
    until("it is let in", async || asks(before.clone(), 1, &founder.address).await.ok()).await;
}

#[tokio::test]
async fn a_recovered_node_needs_a_certificate_of_its_new_name() {
    let (dir, brought) = (tempfile::tempdir().unwrap(), Brought::new());
    let name = membership::found(dir.path(), &Clock::System).unwrap().name;
    brought.put(&Authority::new(name.cluster), name);
    let founder = Member::start_with(dir, TcpListener::bind("127.0.0.1:0").unwrap(), Some(brought.files())).await;
    founder.founds().await;
    let dir = founder.stop().await;
    let begun = recovery::recover(dir.path(), Some(brought.files()), &Clock::System, false).await.unwrap();
    let told = open(dir.path(), &brought).unwrap_err();
    assert!(matches!(told, MembershipError::OtherName { needed, .. } if needed == begun.now), "{told}");
    brought.put(&Authority::new(begun.now.cluster), begun.now);
    let again = Member::start_with(dir, port(), Some(brought.files())).await;
    again.control.current_within(LONG).await.unwrap();
}
