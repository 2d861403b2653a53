//! Certificates that did not last: of a cluster that was off for long, of a host whose clock was wrong, and of a node that
//! lacks the key.

use std::time::Duration;

use siemgate::clock::{Clock, Timestamp};
use siemgate::cluster::SecretKey;
use siemgate::cluster::pki::Keyring as _;
use siemgate::cluster::pki::authority::{Authority, MEMBER_LIFE, PublicKey, validity_of};
use siemgate::cluster::pki::files::Folder;
use siemgate::ids::NodeId;
use siemgate::node::{Node, NodeSettings, Spooling, Wires};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::enrolment::{Member, now};
use crate::harness::{LONG, until};
use crate::recovery::three;

const HOUR: Duration = Duration::from_secs(3_600);

/// Ends a member, and leaves it a certificate that the cluster's authority signed at some other time.
async fn stopped(member: Member, signed_at: Timestamp) -> (TempDir, String) {
    let (name, authority) = (member.membership.name, SecretKey::authority());
    let record = member.control.read(|state| state.secret(&authority).cloned()).unwrap();
    let bundle = member.membership.keyring.open(name.cluster, &authority, &record).unwrap();
    let folder = Folder::of(member.dir.path());
    let key = PublicKey::of(&folder.read().unwrap().unwrap().key).unwrap();
    let signed = Authority::open(name.cluster, &bundle).unwrap().sign(&key, name, signed_at, MEMBER_LIFE);
    let address = member.address.clone();
    let dir = member.stop().await;
    folder.renew(&signed.unwrap()).unwrap();
    (dir, address)
}

/// Three voters, each of whom knows the authority.
async fn all_current() -> [Member; 3] {
    let members = three().await;
    for member in &members {
        member.control.current_within(LONG).await.unwrap();
    }
    members
}

async fn node((dir, address): &(TempDir, String)) -> Node {
    let wires = Wires::Tls { listen: address.parse().unwrap(), advertise: None, own: None };
    let (name, data_dir, clock) = ("test".into(), dir.path().to_owned(), Clock::System);
    let settings = NodeSettings {
        name,
        data_dir,
        wires,
        api: String::new(),
        extra_ca: vec![],
        clock,
        history: None,
        spooling: Spooling::default(),
    };
    timeout(LONG, Node::start(settings)).await.expect("it must not wait for ever").unwrap()
}

/// Whether what the node has on disk counts now.
fn counts(dir: &TempDir) -> bool {
    let validity = validity_of(&Folder::of(dir.path()).read().unwrap().unwrap().chain).unwrap();
    validity.from <= now() && now() < validity.until
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_was_off_until_all_its_certificates_had_ended_forms_again_by_itself() {
    let [first, second, third] = all_current().await;
    let long_ago = now().minus(72 * HOUR);
    let first = stopped(first, long_ago).await;
    // One was signed while its host's clock was ahead.
    let (second, third) = (stopped(second, long_ago).await, stopped(third, now().plus(5 * HOUR)).await);
    assert!([&first, &second, &third].iter().all(|(dir, _)| !counts(dir)));

    let nodes = tokio::join!(node(&first), node(&second), node(&third));
    for (node, (dir, _)) in [&nodes.0, &nodes.1, &nodes.2].into_iter().zip([&first, &second, &third]) {
        node.control().current_within(LONG).await.unwrap();
        assert_eq!(node.control().view().voters, [NodeId(1), NodeId(2), NodeId(3)]);
        assert!(counts(dir));
    }
    tokio::join!(nodes.0.drain(), nodes.1.drain(), nodes.2.drain()).0.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lacks_the_key_has_its_certificate_signed_by_another() {
    let [_founder, second, _third] = all_current().await;
    let due = now().minus(17 * HOUR);
    let second = stopped(second, due).await;
    let folder = Folder::of(second.0.path());
    std::fs::remove_file(folder.kek()).unwrap();
    let node = node(&second).await;
    assert!(node.locked());
    until("it has a new one", async || {
        (validity_of(&folder.read().unwrap().unwrap().chain).unwrap().from > due).then_some(())
    })
    .await;
    node.drain().await.unwrap();
}
