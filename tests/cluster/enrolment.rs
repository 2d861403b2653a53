//! Becoming a member with nothing but a token: over sockets, with the certificates the cluster makes for itself.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::TLS13;
use siemgate::clock::{Clock, Timestamp};
use siemgate::cluster::pki::PkiError;
use siemgate::cluster::pki::authority::validity_of;
use siemgate::cluster::pki::files::Folder;
use siemgate::cluster::pki::joining::{self, Applicant, Certificates};
use siemgate::cluster::pki::own::OwnFiles;
use siemgate::cluster::pki::token::JoinToken;
use siemgate::cluster::{
    Command, ControlPlane, InviteCommand, Level, NodeCommand, NodeSpec, OnFatal, Outcome, PeerName, Role, Settings,
};
use siemgate::ids::NodeId;
use siemgate::node::membership::{self, Membership, MembershipError};
use siemgate::node::{Node, NodeError, NodeSettings, Spooling, Wires};
use siemgate::secret::Secret;
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use tonic::Code;
use zeroize::Zeroizing;

use crate::harness::authority::Authority;
use crate::harness::stranger::{Says, Stranger};
use crate::harness::{CLUSTER, LONG, until};

/// A member with a directory, a port and certificates of its own.
pub struct Member {
    pub dir: TempDir,
    pub address: String,
    pub membership: Membership,
    pub control: ControlPlane,
}

impl Member {
    /// Starts whoever the directory says.
    pub async fn start(dir: TempDir, listener: TcpListener) -> Self {
        Self::start_with(dir, listener, None).await
    }
    /// The same with certificates that were brought.
    pub async fn start_with(dir: TempDir, listener: TcpListener, own: Option<OwnFiles>) -> Self {
        let address = listener.local_addr().unwrap().to_string();
        let membership = Membership::open_with(dir.path(), own, &Clock::System).unwrap();
        let on_fatal = OnFatal::new(|error| panic!("{error}"));
        let settings = Settings { on_fatal, ..membership.settings(listener, &address).unwrap() };
        let control = ControlPlane::start(settings).await.unwrap();
        Self { dir, address, membership, control }
    }

    /// A cluster of one that takes nodes in.
    pub async fn founder() -> Self {
        let member = Self::start(tempfile::tempdir().unwrap(), port()).await;
        member.founds().await;
        member
    }
    /// Does what a node does that made its cluster.
    pub async fn founds(&self) {
        self.control.current().await.unwrap();
        self.does(Command::RaiseLevel { level: Level::NEWEST }).await;
        let spec = spec("founder", &self.address);
        self.does(Command::Node(NodeCommand::Admit { spec, at: now() })).await;
        self.does(Command::Node(NodeCommand::Start { node: NodeId(1), knows: 99, at: now() })).await;
        self.membership.settle(&self.control).await.unwrap();
    }

    /// Ends it, and keeps what it has on disk.
    pub async fn stop(self) -> TempDir {
        self.control.shutdown().await.unwrap();
        self.dir
    }

    pub async fn does(&self, command: Command) -> Outcome {
        let outcome = self.control.propose(command).await.unwrap();
        assert!(!matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
        outcome
    }

    pub async fn invites(&self, chance: u8) -> String {
        self.invites_until(chance, now().plus(Duration::from_secs(600)), now()).await
    }
    async fn invites_until(&self, chance: u8, expires: Timestamp, at: Timestamp) -> String {
        let token = JoinToken::new(self.membership.pin().unwrap(), &Zeroizing::new([chance; 32]));
        let (token_hash, role) = (token.hash(), Role::Data);
        self.does(Command::Invite(InviteCommand::Create { token_hash, role, expires, at })).await;
        token.whole().expose().to_owned()
    }
}

pub fn now() -> Timestamp {
    Clock::System.now()
}
pub fn port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}
pub fn spec(name: &str, peer: &str) -> NodeSpec {
    NodeSpec { name: name.into(), peer: peer.into(), api: String::new(), weight: 100, role: Role::Data }
}
pub fn token(text: &str) -> JoinToken {
    JoinToken::parse(&Secret::new(text.to_owned())).unwrap()
}
pub async fn join(dir: &Path, through: &str, text: &str, name: &str, peer: &str) -> Result<PeerName, MembershipError> {
    let applicant = Applicant { name: name.into(), peer: peer.into(), api: String::new(), weight: 100 };
    membership::join(dir, through, token(text), applicant, Certificates::Ours).await.map(|member| member.name)
}
fn refused(result: Result<PeerName, MembershipError>) -> String {
    match result.unwrap_err() {
        MembershipError::Pki(PkiError::Refused { why }) => why,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn nodes_join_by_token_and_become_voters_that_can_let_others_in() {
    let founder = Member::founder().await;
    let mut joined = Vec::new();
    for (chance, name) in [(1, "second"), (2, "third")] {
        let (dir, listener) = (tempfile::tempdir().unwrap(), port());
        let peer = listener.local_addr().unwrap().to_string();
        let text = founder.invites(chance).await;
        let named = join(dir.path(), &founder.address, &text, name, &peer).await.unwrap();
        assert_eq!((named.cluster, named.node.0), (founder.membership.name.cluster, u64::from(chance) + 1));
        let member = Member::start(dir, listener).await;
        assert_eq!(member.membership.name, named);
        founder.control.add_learner(named.node, peer).await.unwrap();
        joined.push(member);
    }
    until("both have caught up", async || {
        (founder.control.promotable().await.ok()? == [NodeId(2), NodeId(3)].into()).then_some(())
    })
    .await;
    founder.control.promote([NodeId(2), NodeId(3)]).await.unwrap();
    for member in &joined {
        member.control.current_within(LONG).await.unwrap();
        assert_eq!(member.control.view().voters.len(), 3);
    }

    // Another member than the one that invited can sign too, because it has the keys.
    let (dir, text) = (tempfile::tempdir().unwrap(), founder.invites(3).await);
    let named = join(dir.path(), &joined[0].address, &text, "fourth", "127.0.0.1:1").await.unwrap();
    assert_eq!(named.node, NodeId(4));
    let key = Folder::of(joined[0].dir.path()).read().unwrap().unwrap().key;
    let chain = joining::renew(&joined[0].membership.credentials, &key, &joined[1].address).await.unwrap();
    assert!(validity_of(&chain).unwrap().until > now());
}

#[tokio::test]
async fn a_token_works_once_for_a_while_and_only_if_the_cluster_gave_it() {
    let founder = Member::founder().await;
    let dirs: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let text = founder.invites(1).await;
    join(dirs[0].path(), &founder.address, &text, "second", "127.0.0.1:2").await.unwrap();
    let again = refused(join(dirs[1].path(), &founder.address, &text, "other", "127.0.0.1:3").await);
    assert!(again.contains("used already") && again.contains("siemgate cluster invite"), "{again}");

    let past = now().minus(Duration::from_secs(60));
    let text = founder.invites_until(2, past, past.minus(Duration::from_secs(60))).await;
    let late = refused(join(dirs[1].path(), &founder.address, &text, "other", "127.0.0.1:3").await);
    assert!(late.contains("has expired"), "{late}");

    let made_up = JoinToken::new(founder.membership.pin().unwrap(), &Zeroizing::new([9; 32]));
    let made_up = made_up.whole().expose().to_owned();
    let unknown = refused(join(dirs[1].path(), &founder.address, &made_up, "other", "127.0.0.1:3").await);
    assert!(unknown.contains("unknown"), "{unknown}");
    assert!(!Folder::of(dirs[1].path()).path().exists(), "nothing is kept of what failed");

    let twice = join(dirs[0].path(), &founder.address, &founder.invites(3).await, "x", "127.0.0.1:4").await;
    assert!(matches!(twice, Err(MembershipError::Already { name }) if name.node == NodeId(2)));
    assert_eq!(founder.control.read(|state| state.members().count()), 2);
}

#[tokio::test]
async fn a_token_is_not_sent_to_who_is_not_of_its_cluster() {
    let founder = Member::founder().await;
    let text = founder.invites(1).await;
    let impostor = Authority::new(CLUSTER);
    let (chain, key) = impostor.issue(&impostor.name(1).to_string(), time::Duration::HOUR);
    // It shows the right authority's certificate too, which anybody can have.
    let real = Folder::of(founder.dir.path()).read().unwrap().unwrap().authority;
    for shown in [chain.clone() + &impostor.pem(), chain.clone() + &real, chain] {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(shown.as_bytes()).collect();
        let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificates.unwrap(), key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, dir) = (listener.local_addr().unwrap().to_string(), tempfile::tempdir().unwrap());
        let serving = async { TlsAcceptor::from(Arc::new(config)).accept(listener.accept().await.unwrap().0).await };
        let (served, joined) = tokio::join!(serving, join(dir.path(), &address, &text, "second", "127.0.0.1:2"));
        assert!(served.is_err(), "the handshake must not come to its end");
        assert!(matches!(joined, Err(MembershipError::Pki(PkiError::WrongPin { .. }))), "{joined:?}");
    }
    assert_eq!(founder.control.read(|state| state.open_invitations().count()), 1);
}

#[tokio::test]
async fn a_guest_may_ask_to_join_and_nothing_else() {
    let founder = Member::founder().await;
    let cluster = founder.membership.name.cluster.to_string();
    let guest = Stranger::with(None, &TLS13);
    for from in ["1", "2"] {
        let says = Says { protocol: "1".into(), cluster: cluster.clone(), from: from.into(), to: "1".into() };
        let refused = guest.asks(&founder.address, &says).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
        assert!(refused.message().contains("proves nobody"), "{refused}");
    }
    let refused = guest.renews(&founder.address).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");

    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(guest.connect(&founder.address).await.unwrap());
    }
    until("guests beyond their number are sent away", async || {
        guest.renews(&founder.address).await.err().filter(|status| status.code() != Code::PermissionDenied)
    })
    .await;
    drop(held);
    until("others are let in again", async || {
        guest.renews(&founder.address).await.err().filter(|status| status.code() == Code::PermissionDenied)
    })
    .await;
}

#[tokio::test]
async fn a_directory_that_was_wiped_or_put_together_from_two_does_not_start() {
    let open = |dir: &Path| Membership::open(dir, &Clock::System);
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [&one, &two] {
        membership::found(dir.path(), &Clock::System).unwrap();
        assert!(matches!(membership::found(dir.path(), &Clock::System), Err(MembershipError::Already { .. })));
        open(dir.path()).unwrap().settings(port(), "127.0.0.1:1").unwrap();
    }
    let mine = open(one.path()).unwrap().name;
    let raft = |dir: &TempDir| dir.path().join("raft");
    std::fs::rename(raft(&one), one.path().join("aside")).unwrap();
    assert!(matches!(open(one.path()), Err(MembershipError::Wiped { name, .. }) if name == mine));
    std::fs::create_dir(raft(&one)).unwrap();
    assert!(matches!(open(one.path()), Err(MembershipError::Wiped { .. })), "an empty folder is no data");
    std::fs::remove_dir(raft(&one)).unwrap();

    std::fs::rename(raft(&two), raft(&one)).unwrap();
    assert!(matches!(open(one.path()), Err(MembershipError::Mixed { certified, .. }) if certified == mine));
    std::fs::remove_dir_all(raft(&one)).unwrap();
    std::fs::rename(one.path().join("aside"), raft(&one)).unwrap();
    assert_eq!(open(one.path()).unwrap().name, mine);
}

#[tokio::test]
async fn a_founder_whose_folder_is_gone_makes_no_second_authority() {
    let founder = Member::founder().await;
    let dir = founder.stop().await;
    std::fs::remove_dir_all(dir.path().join("pki")).unwrap();
    let told = Membership::open(dir.path(), &Clock::System).unwrap_err();
    assert!(matches!(&told, MembershipError::NoCertificate { name, .. } if name.node == NodeId(1)), "{told}");
    assert!(!dir.path().join("pki").exists());

    // One of before there were certificates has nothing that is sealed, and nobody who believes another authority.
    let older = tempfile::tempdir().unwrap();
    let settings = Settings::new(older.path().join("raft"), NodeId(1));
    ControlPlane::open(settings).await.unwrap().shutdown().await.unwrap();
    assert_eq!(Membership::open(older.path(), &Clock::System).unwrap().name.node, NodeId(1));
}

#[tokio::test]
async fn a_node_whose_certificate_has_ended_renews_it_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let long_ago = Clock::manual(now().minus(Duration::from_secs(7 * 24 * 3_600)));
    membership::found(dir.path(), &long_ago).unwrap();
    let folder = Folder::of(dir.path());
    let until_when = || validity_of(&folder.read().unwrap().unwrap().chain).unwrap().until;
    assert!(until_when() < now());
    let node = Node::start(settings(dir.path(), "127.0.0.1:0", None)).await.unwrap();
    until("it has a new one", async || (until_when() > now()).then_some(())).await;
    assert!(folder.sealed().unwrap().is_none() && !folder.is_fresh().unwrap());
    let member = Membership::open(dir.path(), &Clock::System).unwrap();
    assert!(joining::renew(&member.credentials, &folder.read().unwrap().unwrap().key, "127.0.0.1:1").await.is_err());
    node.drain().await.unwrap();
}

pub fn settings(dir: &Path, listen: &str, advertise: Option<&str>) -> NodeSettings {
    let wires = Wires::Tls { listen: listen.parse().unwrap(), advertise: advertise.map(str::to_owned), own: None };
    let (name, data_dir, clock) = ("test".into(), dir.to_owned(), Clock::System);
    NodeSettings {
        name,
        data_dir,
        wires,
        api: String::new(),
        extra_ca: Vec::new(),
        clock,
        history: None,
        spooling: Spooling::default(),
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, to) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_a_data_directory_does_not_start_while_the_original_runs() {
    let (dir, copied) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let address = port().local_addr().unwrap().to_string();
    Node::start(settings(dir.path(), &address, None)).await.unwrap().drain().await.unwrap();
    copy(dir.path(), copied.path());
    let original = Node::start(settings(dir.path(), &address, None)).await.unwrap();
    // Another host has the same configuration, or one that was edited.
    for advertise in [Some(address.as_str()), None] {
        let refused = Node::start(settings(copied.path(), "127.0.0.1:0", advertise)).await.err();
        assert!(matches!(&refused, Some(NodeError::Twin { name, .. }) if name.node == NodeId(1)), "{refused:?}");
    }
    original.drain().await.unwrap();
    Node::start(settings(copied.path(), "127.0.0.1:0", None)).await.unwrap().drain().await.unwrap();
}
