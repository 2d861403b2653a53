//! A cluster that begins anew: from the one node that is left, and from a backup. Over sockets, with certificates.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use siemgate::clock::Clock;
use siemgate::cluster::peers::{Peer, Peers as _, Request};
use siemgate::cluster::pki::Keyring as _;
use siemgate::cluster::{
    Command, MoveOutcome, NodeCommand, NodeSpec, Outcome, Remote, ResourceKey, ResourceKind, Role, Sealed,
    SecretCommand, SecretKey, SecretKind,
};
use siemgate::config::Config;
use siemgate::ids::{Epoch, FeedId, Incarnation, NodeId};
use siemgate::node::doctor::{self, Finding, Verdict};
use siemgate::node::membership::{Membership, MembershipError};
use siemgate::node::recovery::{self, RecoveryError, staging};
use siemgate::vault::{Binding, Kek, Ring, VaultError};

use crate::enrolment::{Member, join, now, port, spec};
use crate::harness::{LONG, until};

const SECRET: &[u8] = b"correct horse battery staple";

fn feed() -> FeedId {
    "contoso/hub/0".parse().unwrap()
}
fn secret_key() -> SecretKey {
    SecretKey { kind: SecretKind::Credential, tenant: Some("contoso".parse().unwrap()), name: "app".into() }
}

/// Three voters; the founder is the first.
pub async fn three() -> [Member; 3] {
    let founder = Member::founder().await;
    let mut joined = Vec::new();
    for (chance, name) in [(1, "second"), (2, "third")] {
        let (dir, listener) = (tempfile::tempdir().unwrap(), port());
        let peer = listener.local_addr().unwrap().to_string();
        let named = join(dir.path(), &founder.address, &founder.invites(chance).await, name, &peer).await.unwrap();
        joined.push(Member::start(dir, listener).await);
        founder.control.add_learner(named.node, peer).await.unwrap();
    }
    until("both have caught up", async || (founder.control.promotable().await.ok()?.len() == 2).then_some(())).await;
    founder.control.promote([NodeId(2), NodeId(3)]).await.unwrap();
    let third = joined.pop().unwrap();
    [founder, joined.pop().unwrap(), third]
}

/// The body of a resource with a secret of the first generation.
const SEALED_AS_1: &str = r#"{"sealed":{"it":1}}"#;

/// A feed that `node` owns, under the second epoch, and a secret.
async fn fill(member: &Member, node: NodeId) {
    let put = async |key: ResourceKey, uses| {
        let ResourceKey { kind, tenant, name } = key;
        let (body, at) = (SEALED_AS_1.into(), now());
        member.does(Command::PutResource { kind, tenant, name, body, uses, at }).await;
    };
    let (tenant, source) = ("contoso".parse().unwrap(), "hub".parse().unwrap());
    put(ResourceKey { kind: ResourceKind::Tenant, tenant: None, name: "contoso".into() }, vec![]).await;
    let credential = ResourceKey::credential(&tenant, "app");
    put(credential.clone(), vec![ResourceKey::tenant(&tenant)]).await;
    put(ResourceKey::source(&tenant, &source), vec![ResourceKey::tenant(&tenant), credential]).await;
    member.does(Command::DeclareFeeds { tenant, source, parts: vec!["0".parse().unwrap()] }).await;
    for epoch in [1, 2] {
        member.does(Command::Node(NodeCommand::Start { node, knows: 99, at: now() })).await;
        assert_eq!(gives(member, node).await, Epoch(epoch));
    }
    let cluster = member.membership.name.cluster;
    let binding =
        Binding { cluster, tenant: secret_key().tenant, kind: "credential", name: "app".into(), generation: 1 };
    let ring = Ring::load(&member.dir.path().join("pki/kek")).unwrap();
    let sealed = Sealed::new(ring.seal(&binding, SECRET).unwrap());
    member.does(Command::Secret(SecretCommand::Put { key: secret_key(), replaces: 0, sealed, at: now() })).await;
}

async fn gives(member: &Member, node: NodeId) -> Epoch {
    match member.does(Command::AssignFeeds { moves: vec![(feed(), node)], at: now() }).await {
        Outcome::Assigned(moved) => match &moved[..] {
            [MoveOutcome::Epoch(epoch)] => *epoch,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// What every cluster that began anew must be.
async fn check(member: &Member, node: NodeId) {
    let control = &member.control;
    control.current_within(LONG).await.unwrap();
    let alone = control.read(|state| state.members().map(|(node, member)| (node, member.draining)).collect::<Vec<_>>());
    assert_eq!(alone, [(node, true)]);
    assert_eq!(control.view().voters, [node]);
    let cluster = member.membership.name.cluster;
    for (key, plain) in [(secret_key(), Some(SECRET)), (SecretKey::authority(), None)] {
        let record = control.read(|state| state.secret(&key).cloned()).unwrap();
        let opened = member.membership.keyring.open(cluster, &key, &record).unwrap();
        assert_eq!(record.generation, 2);
        assert!(plain.is_none_or(|plain| **opened == *plain));
    }
    let body = control.read(|state| state.resources(ResourceKind::Credential).map(|(_, it)| it.body.clone()).next());
    assert_eq!(body, Some(SEALED_AS_1.replace('1', "2")), "it says that it was applied with what is sealed there now");
    member.does(Command::Node(NodeCommand::Start { node, knows: 99, at: now() })).await;
    let kept = member.control.propose(Command::AssignFeeds { moves: vec![(feed(), node)], at: now() }).await.unwrap();
    assert_eq!(kept, Outcome::Assigned(vec![MoveOutcome::Unfit { node }]), "an operator has to confirm first");
    member.does(Command::Node(NodeCommand::Drain { node, on: false, at: now() })).await;
    assert_eq!(gives(member, node).await, Epoch::floor_of(Incarnation(1)).next());
    // Its authority signs for new members.
    let dir = tempfile::tempdir().unwrap();
    let text = member.invites(77).await;
    join(dir.path(), &member.address, &text, "newcomer", "127.0.0.1:1").await.unwrap();
}

async fn recover(dir: &Path) -> Result<recovery::Begun, RecoveryError> {
    recovery::recover(dir, None, &Clock::System, false).await
}

async fn asks(from: &Membership, node: u64, address: &str) -> bool {
    let peer = Peer { node: NodeId(node), address: address.to_owned() };
    Remote::new(from.credentials.clone()).ask(&peer, Request::status(), Duration::from_secs(5)).await.is_ok()
}

#[tokio::test]
async fn a_survivor_goes_on_alone_and_those_who_come_back_are_refused() {
    let [founder, second, third] = three().await;
    fill(&founder, NodeId(3)).await;
    second.control.current_within(LONG).await.unwrap();
    let second_dir = second.stop().await;
    let told = recover(second_dir.path()).await.unwrap_err();
    assert!(
        matches!(&told, RecoveryError::OthersAnswer { who } if who.contains("node 1") && who.contains("node 3")),
        "{told}"
    );
    let (third_address, founder_dir) = (third.address.clone(), founder.stop().await);
    let third_dir = third.stop().await;
    {
        // What a process that was stopped for a moment looks like.
        let _frozen = TcpListener::bind(&third_address).unwrap();
        let told = recover(second_dir.path()).await.unwrap_err();
        assert!(matches!(&told, RecoveryError::OthersAnswer { who } if who.contains("says nothing")), "{told}");
    }
    assert!(!staging::is_unfinished(second_dir.path()));
    let dry = recovery::recover(second_dir.path(), None, &Clock::System, true).await.unwrap();
    assert_eq!(dry.removed, [NodeId(1), NodeId(3)]);
    let old = Membership::open(second_dir.path(), &Clock::System).unwrap();

    let begun = recover(second_dir.path()).await.unwrap();
    assert_eq!((begun.now.node, begun.incarnation, begun.was), (NodeId(2), Incarnation(1), old.name.cluster));
    assert_ne!(begun.now.cluster, old.name.cluster);
    assert_eq!(begun.aside.len(), 2);
    let second = Member::start(second_dir, port()).await;
    assert_eq!(second.membership.name, begun.now);
    assert_eq!(second.membership.pin().unwrap(), old.pin().unwrap(), "operators know the authority by its pin");
    check(&second, NodeId(2)).await;

    // One that comes back finds no majority, and is not let in.
    let third = Member::start(third_dir, port()).await;
    assert!(!asks(&third.membership, 2, &second.address).await, "by its old certificate");
    assert!(!asks(&second.membership, 3, &third.address).await);
    assert!(third.control.current_within(Duration::from_secs(1)).await.is_err());
    drop(founder_dir);
}

#[tokio::test]
async fn whoever_may_be_a_member_stands_in_the_way_of_a_recovery() {
    let (founder, dir, listener) = (Member::founder().await, tempfile::tempdir().unwrap(), port());
    let peer = listener.local_addr().unwrap().to_string();
    let named = join(dir.path(), &founder.address, &founder.invites(1).await, "second", &peer).await.unwrap();
    let second = Member::start(dir, listener).await;
    let founder_dir = founder.stop().await;
    // Here it is not known to vote. It may have been made a voter since.
    let told = recover(founder_dir.path()).await.unwrap_err();
    assert!(matches!(&told, RecoveryError::OthersAnswer { who } if who.contains("node 2")), "{told}");
    second.stop().await;

    let busy = TcpListener::bind(&peer).unwrap();
    let hangs_up = std::thread::spawn(move || drop(busy.accept().unwrap()));
    let told = recover(founder_dir.path()).await.unwrap_err();
    assert!(matches!(&told, RecoveryError::OthersAnswer { who } if who.contains("node 2")), "{told}");
    hangs_up.join().unwrap();

    let dry = recovery::recover(founder_dir.path(), None, &Clock::System, true).await.unwrap();
    assert_eq!(dry.removed, [named.node]);
    assert!(!founder_dir.path().join("recovery.new").exists(), "a dry run leaves no keys behind");
}

#[tokio::test]
async fn a_backup_becomes_a_cluster_that_outranks_the_one_it_was_taken_of() {
    let founder = Member::founder().await;
    fill(&founder, NodeId(1)).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    let none = recovery::backup(founder.dir.path(), &file).unwrap_err();
    assert!(matches!(none, RecoveryError::NoSnapshot), "{none}");
    let applied = founder.control.view().applied;
    founder.control.snapshot().await.unwrap();
    until("there is a snapshot", async || (founder.control.view().snapshot >= applied).then_some(())).await;
    let taken = recovery::backup(founder.dir.path(), &file).unwrap();
    assert!(taken.running && taken.index >= applied, "{taken:?}");
    assert!(
        matches!(recovery::backup(founder.dir.path(), &file), Err(RecoveryError::File { .. })),
        "never over another"
    );

    let bytes = std::fs::read(&file).unwrap();
    let (listener, dir) = (port(), tempfile::tempdir().unwrap());
    let address = listener.local_addr().unwrap().to_string();
    let restore = |kek: &Path| {
        let spec: NodeSpec = spec("restored", &address);
        recovery::restore(dir.path(), &bytes, kek, spec, None, &Clock::System)
    };
    let other = folder.path().join("other");
    Kek::generate().unwrap().save(&other).unwrap();
    let told = restore(&other).unwrap_err();
    assert!(matches!(told, RecoveryError::Vault(VaultError::OtherKey { .. })), "{told}");
    let kek = founder.dir.path().join("pki/kek");
    let begun = restore(&kek).unwrap();
    assert_eq!((begun.now.node, begun.role), (NodeId(2), Role::Data));
    let told = restore(&kek).unwrap_err();
    assert!(matches!(told, RecoveryError::NotEmpty { .. }), "{told}");

    // The old node lives on beside it, and can't be taken for one of it.
    let restored = Member::start(dir, listener).await;
    check(&restored, NodeId(2)).await;
    let old = founder.control.read(|state| state.feed(&feed()).unwrap().epoch);
    assert!(restored.control.read(|state| state.feed(&feed()).unwrap().epoch) > old);
    assert!(!asks(&founder.membership, 2, &restored.address).await);
    assert!(!asks(&restored.membership, 1, &founder.address).await);
}

#[tokio::test]
async fn a_node_whose_recovery_was_interrupted_does_not_start_and_can_be_finished() {
    let founder = Member::founder().await;
    fill(&founder, NodeId(1)).await;
    let dir = founder.stop().await;
    recover(dir.path()).await.unwrap();
    // As a crash leaves it after the first folder was put aside.
    let decided = dir.path().join("recovery");
    std::fs::create_dir(&decided).unwrap();
    std::fs::write(decided.join("number"), "1").unwrap();
    for part in ["raft", "pki"] {
        std::fs::rename(dir.path().join(part), decided.join(part)).unwrap();
        std::fs::rename(dir.path().join(format!("{part}.before-recovery-1")), dir.path().join(part)).unwrap();
    }
    std::fs::rename(dir.path().join("raft"), dir.path().join("raft.before-recovery-1")).unwrap();
    let told = Membership::open(dir.path(), &Clock::System).unwrap_err();
    assert!(matches!(told, MembershipError::Unfinished { .. }), "{told}");
    assert_eq!(staging::finish(dir.path()).unwrap().len(), 2);
    check(&Member::start(dir, port()).await, NodeId(1)).await;
}

fn failed(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().filter(|finding| finding.verdict == Verdict::Fail).map(|finding| finding.check).collect()
}

#[tokio::test]
async fn the_doctor_finds_what_is_wrong_and_nothing_where_all_is_well() {
    let [founder, second, third] = three().await;
    second.control.current_within(LONG).await.unwrap();
    let (address, dir) = (second.address.clone(), second.stop().await);
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut config = Config::default();
    config.node.data_dir = dir.path().to_owned();
    config.listen.peers = address.parse().unwrap();
    let well = doctor::examine(&config, None, &Clock::System).await;
    assert_eq!(failed(&well), Vec::<&str>::new(), "{well:#?}");
    let checks: Vec<_> = well.iter().filter(|it| it.verdict == Verdict::Ok).map(|it| it.check).collect();
    for check in ["directory", "data", "certificate", "name", "key"] {
        assert!(checks.contains(&check), "{check}: {well:#?}");
    }
    assert_eq!(checks.iter().filter(|check| **check == "peer").count(), 2, "{well:#?}");

    config.listen.peers = "127.0.0.1:1".parse().unwrap();
    assert_eq!(failed(&doctor::examine(&config, None, &Clock::System).await), ["address"]);
    config.listen.peers = address.parse().unwrap();
    let third_dir = third.stop().await;
    assert_eq!(failed(&doctor::examine(&config, None, &Clock::System).await), ["peer"]);

    let kek = dir.path().join("pki/kek");
    std::fs::remove_file(&kek).unwrap();
    Kek::generate().unwrap().save(&kek).unwrap();
    std::fs::copy(third_dir.path().join("pki/node.pem"), dir.path().join("pki/node.pem")).unwrap();
    std::fs::copy(third_dir.path().join("pki/node.key"), dir.path().join("pki/node.key")).unwrap();
    let told = doctor::examine(&config, None, &Clock::System).await;
    assert!(failed(&told).contains(&"name") && failed(&told).contains(&"key"), "{told:#?}");
    founder.stop().await;
}
