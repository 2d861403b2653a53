//! The rules of sealed secrets and of invitations.

use super::commands::{
    admit, credential_key, delete, delete_secret, invite, members, put_secret, redeem, refresh_token, remove, sink_key,
    start, withdraw, world,
};
use crate::clock::Timestamp;
use crate::cluster::command::{Command, Outcome, Refusal, ResourceKey, ResourceKind};
use crate::cluster::invitation::{InviteCommand, NotInvited};
use crate::cluster::level::Level;
use crate::cluster::limits::{INVITATION_LIFE_MAX, INVITATIONS_MAX, SEALED_BYTES_MAX, SECRET_NAME_BYTES_MAX};
use crate::cluster::member::Role;
use crate::cluster::secret_record::{SecretKey, SecretKind};
use crate::cluster::state::{ControlState, Part, Touched};
use crate::ids::NodeId;

fn settled() -> ControlState {
    let mut state = ControlState::default();
    for command in world().into_iter().chain(members()) {
        state.apply(command);
    }
    state
}
fn refusal(outcome: Outcome) -> Refusal {
    match outcome {
        Outcome::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}
fn not_invited(outcome: Outcome) -> NotInvited {
    match refusal(outcome) {
        Refusal::NotInvited { why } => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_secret_is_replaced_only_by_who_knows_the_generation_it_has() {
    let mut state = settled();
    let key = SecretKey::authority;
    let stale = |current| Refusal::StaleSecret { what: key().to_string(), current };
    assert_eq!(refusal(state.apply(put_secret(key(), 1, b"early"))), stale(0));
    assert_eq!(state.apply(put_secret(key(), 0, b"one")), Outcome::Done);
    assert_eq!(state.apply(put_secret(key(), 0, b"one")), Outcome::Done, "proposed again, it is one proposal");
    assert_eq!(refusal(state.apply(put_secret(key(), 0, b"other"))), stale(1));
    assert_eq!(state.apply(put_secret(key(), 1, b"two")), Outcome::Done);
    assert_eq!(refusal(state.apply(put_secret(key(), 0, b"one"))), stale(2), "a late proposal brings nothing back");
    let record = state.secret(&key()).unwrap();
    assert_eq!((record.sealed.as_bytes(), record.generation), (b"two".as_slice(), 2));
    assert_eq!(state.apply(delete_secret(key())), Outcome::Done);
    assert_eq!(state.apply(delete_secret(key())), Outcome::Done);
    assert_eq!(state.secret(&key()), None);
}

#[test]
fn a_secret_has_a_name_an_owner_and_a_size_within_bounds() {
    let mut state = settled();
    let bad = [
        SecretKey { name: String::new(), ..refresh_token() },
        SecretKey { name: "x".repeat(SECRET_NAME_BYTES_MAX + 1), ..refresh_token() },
        SecretKey { tenant: None, ..refresh_token() },
        SecretKey { kind: SecretKind::Authority, ..refresh_token() },
        SecretKey { kind: SecretKind::Sink, ..refresh_token() },
    ];
    for key in bad {
        assert!(matches!(refusal(state.apply(put_secret(key.clone(), 0, b"x"))), Refusal::Malformed { .. }), "{key}");
    }
    assert!(matches!(refusal(state.apply(put_secret(refresh_token(), 0, b""))), Refusal::Malformed { .. }));
    let long = vec![1; SEALED_BYTES_MAX + 1];
    assert!(matches!(refusal(state.apply(put_secret(refresh_token(), 0, &long))), Refusal::OverLimit { .. }));
    assert_eq!(state.apply(put_secret(refresh_token(), 0, &long[1..])), Outcome::Done);
    assert!(!format!("{:?}", put_secret(refresh_token(), 1, b"hunter2")).contains("104"), "bytes are not printed");
}

#[test]
fn a_token_lets_one_node_in_as_what_the_invitation_says() {
    let mut state = settled();
    assert_eq!(state.apply(invite(1, Role::Witness, 100)), Outcome::Done);
    assert_eq!(state.apply(invite(1, Role::Witness, 100)), Outcome::Done, "proposed again, it is one invitation");
    assert_eq!(state.apply(redeem(1, 7, "d", 101)), Outcome::Node(NodeId(4)));
    assert_eq!(state.member(NodeId(4)).unwrap().spec.role, Role::Witness);
    let joined = state.clone();
    assert_eq!(state.apply(redeem(1, 7, "d", 102)), Outcome::Node(NodeId(4)), "its answer was lost");
    assert_eq!(not_invited(state.apply(redeem(1, 8, "d", 102))), NotInvited::Used, "another key is another node");
    assert_eq!(not_invited(state.apply(redeem(1, 7, "e", 102))), NotInvited::Used);
    assert_eq!(state, joined);
    state.apply(start(4));
    assert_eq!(not_invited(state.apply(redeem(1, 7, "d", 103))), NotInvited::Used, "it has started");
    state.apply(remove(4));
    assert_eq!(not_invited(state.apply(redeem(1, 7, "d", 103))), NotInvited::Used, "it was removed");
}

#[test]
fn an_unknown_a_withdrawn_and_an_expired_token_let_nobody_in() {
    let mut state = settled();
    assert_eq!(not_invited(state.apply(redeem(1, 7, "d", 0))), NotInvited::Unknown);
    state.apply(invite(1, Role::Data, 100));
    state.apply(withdraw(1));
    assert_eq!(state.apply(withdraw(1)), Outcome::Done);
    assert_eq!(not_invited(state.apply(redeem(1, 7, "d", 101))), NotInvited::Unknown);
    state.apply(invite(2, Role::Data, 100));
    assert_eq!(not_invited(state.apply(redeem(2, 7, "d", 160))), NotInvited::Expired);
    assert_eq!(state.members().count(), 3);
    assert_eq!(state.apply(redeem(2, 7, "d", 159)), Outcome::Node(NodeId(4)));
}

#[test]
fn a_name_that_never_started_is_not_given_to_a_second_key() {
    let mut state = settled();
    state.apply(admit("d"));
    state.apply(invite(1, Role::Data, 100));
    assert_eq!(refusal(state.apply(redeem(1, 7, "d", 101))), Refusal::NameTaken { name: "d".into() });
    assert_eq!(state.open_invitations().count(), 1, "a refused use does not use it up");
    assert_eq!(state.apply(redeem(1, 7, "e", 101)), Outcome::Node(NodeId(5)));
}

#[test]
fn invitations_live_briefly_are_few_and_are_swept_when_they_end() {
    let mut state = settled();
    let create = |expires| {
        let (token_hash, role) = ([9; 32], Role::Data);
        Command::Invite(InviteCommand::Create { token_hash, role, expires, at: Timestamp::from_millis(0) })
    };
    let longest = INVITATION_LIFE_MAX.as_millis() as i64;
    for millis in [longest + 1, 0, -1] {
        let refused = refusal(state.apply(create(Timestamp::from_millis(millis))));
        assert!(matches!(refused, Refusal::Malformed { .. }), "{millis}");
    }
    assert_eq!(state.apply(create(Timestamp::from_millis(longest))), Outcome::Done);
    assert!(matches!(refusal(state.apply(invite(9, Role::Data, 0))), Refusal::Malformed { .. }), "given out already");
    state.apply(withdraw(9));
    for token in 0..INVITATIONS_MAX {
        assert_eq!(state.apply(invite(token as u8, Role::Data, 100)), Outcome::Done);
    }
    assert!(matches!(refusal(state.apply(invite(200, Role::Data, 159))), Refusal::OverLimit { .. }));
    assert_eq!(state.apply(invite(200, Role::Data, 160)), Outcome::Done);
    assert_eq!(state.open_invitations().count(), 1, "those that ended are gone");
}

#[test]
fn the_secrets_of_a_credential_go_with_it_and_those_of_others_stay() {
    let mut state = settled();
    let of = |tenant: &str, name: &str| SecretKey {
        kind: SecretKind::Credential,
        tenant: Some(tenant.parse().unwrap()),
        name: name.into(),
    };
    let credential = credential_key();
    let (tenant, name) = (credential.tenant.clone().unwrap(), credential.name.clone());
    let mine = [of(tenant.as_str(), &format!("{name}/secret")), of(tenant.as_str(), &name)];
    let others = [
        of(tenant.as_str(), &format!("{name}-2/secret")),
        of("somebody-else", &format!("{name}/secret")),
        SecretKey::authority(),
    ];
    for key in mine.iter().chain(&others) {
        assert_eq!(state.apply(put_secret(key.clone(), 0, b"sealed")), Outcome::Done);
    }
    let before = state.clone();
    let users = [ResourceKind::Sink, ResourceKind::Source].into_iter().flat_map(|kind| before.resources(kind));
    for (user, _) in users {
        assert_eq!(state.apply(delete(user.clone())), Outcome::Done);
    }
    let mut touched = Touched::new();
    assert_eq!(state.apply_noting(delete(credential), &mut touched), Outcome::Done);
    for key in &mine {
        assert_eq!(state.secret(key), None);
        assert!(touched.contains(&Part::Secret(key.clone())), "{key} is forgotten on the disk too");
    }
    assert!(others.iter().all(|key| state.secret(key).is_some()));

    assert_eq!(state.apply(delete(ResourceKey::tenant(&tenant))), Outcome::Done);
    assert!(state.secrets().all(|(key, _)| key.tenant.as_ref() != Some(&tenant)));
    assert!(state.secret(&others[1]).is_some() && state.secret(&others[2]).is_some());
}

#[test]
fn the_secrets_of_a_sink_go_with_it_and_are_of_a_level_of_their_own() {
    let mut state = settled();
    let token = |sink: u8| SecretKey::of(&sink_key(sink), "token").unwrap();
    let put = |sink| put_secret(token(sink), 0, b"sealed");
    assert_eq!((put(0).level(), delete_secret(token(0)).level()), (Level::SINK_SECRETS, Level::SINK_SECRETS));
    assert_eq!(put_secret(refresh_token(), 0, b"sealed").level(), Level::TRUST);
    let alike = SecretKey { kind: SecretKind::Credential, name: token(0).name, ..refresh_token() };
    for command in [put(0), put(1), put_secret(alike.clone(), 0, b"sealed")] {
        assert_eq!(state.apply(command), Outcome::Done);
    }
    assert_eq!(state.apply(delete(sink_key(0))), Outcome::Done);
    assert_eq!(state.secret(&token(0)), None);
    assert!(state.secret(&token(1)).is_some() && state.secret(&alike).is_some(), "those of others stay");
}
