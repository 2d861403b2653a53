//! Joining that does not go as it should: the answer is lost, or the member that was asked can't sign.

use std::net::SocketAddr;

use siemgate::cluster::ControlPlane;
use siemgate::cluster::pki::PkiError;
use siemgate::node::membership::MembershipError;
use siemgate::vault::Kek;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::enrolment::{Member, join, port};

/// A way to a member that breaks once the cluster has let a node in, so that nobody hears of it. It ends with the set.
async fn loses_the_answer(control: ControlPlane, member: &str) -> (SocketAddr, JoinSet<()>) {
    let (listener, member) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), member.to_owned());
    let address = listener.local_addr().unwrap();
    let mut way = JoinSet::new();
    way.spawn(async move {
        loop {
            let (asks, _) = listener.accept().await.unwrap();
            let (from, to) = asks.into_split();
            let (answers, asked) = TcpStream::connect(&member).await.unwrap().into_split();
            let nobody_let_in = || control.read(|state| state.members().count() == 1);
            tokio::join!(passed_on(from, asked, || true), passed_on(answers, to, nobody_let_in));
        }
    });
    (address, way)
}

async fn passed_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, whole: impl Fn() -> bool) {
    let mut bytes = [0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if !whole() || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_join_whose_answer_was_lost_is_taken_up_again_with_the_same_token() {
    let (founder, dir) = (Member::founder().await, tempfile::tempdir().unwrap());
    let text = founder.invites(1).await;
    let (through, _way) = loses_the_answer(founder.control.clone(), &founder.address).await;
    let lost = join(dir.path(), &through.to_string(), &text, "second", "127.0.0.1:2").await.unwrap_err();
    assert!(matches!(lost, MembershipError::Pki(PkiError::Unreachable { .. })), "{lost}");
    assert_eq!(founder.control.read(|state| state.members().count()), 2, "it was let in");

    let named = join(dir.path(), &founder.address, &text, "second", "127.0.0.1:2").await.unwrap();
    assert_eq!(named.node.0, 2);
    assert_eq!(founder.control.read(|state| state.members().count()), 2, "and only once");
    assert!(!dir.path().join("pki.new").exists());
}

#[tokio::test]
async fn a_member_that_cannot_sign_uses_no_token_up() {
    let (founder, dir) = (Member::founder().await, tempfile::tempdir().unwrap());
    let listener = port();
    let peer = listener.local_addr().unwrap().to_string();
    join(dir.path(), &founder.address, &founder.invites(1).await, "second", &peer).await.unwrap();
    let kek = dir.path().join("pki/kek");
    std::fs::remove_file(&kek).unwrap();
    Kek::generate().unwrap().save(&kek).unwrap();
    let second = Member::start(dir, listener).await;
    founder.control.add_learner(second.membership.name.node, peer).await.unwrap();
    second.control.current_within(crate::harness::LONG).await.unwrap();

    let (dir, text) = (tempfile::tempdir().unwrap(), founder.invites(2).await);
    let refused = join(dir.path(), &second.address, &text, "third", "127.0.0.1:3").await.unwrap_err();
    assert!(matches!(&refused, MembershipError::Pki(PkiError::Refused { why }) if why.contains("ask another")));
    assert_eq!(founder.control.read(|state| state.open_invitations().count()), 1);
    assert_eq!(join(dir.path(), &founder.address, &text, "third", "127.0.0.1:3").await.unwrap().node.0, 3);
}
