//! What is sealed opens where it was sealed, with the key it was sealed under, and nowhere else.

use std::path::Path;

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::envelope::{self, Chance};
use super::*;
use crate::ids::ClusterId;

fn kek(seed: u8) -> Kek {
    Kek::from_key(Zeroizing::new([seed; KEY_BYTES]))
}

fn binding() -> Binding {
    Binding {
        cluster: ClusterId([1; 16]),
        tenant: Some("contoso".parse().unwrap()),
        kind: "credential",
        name: "app/secret".into(),
        generation: 3,
    }
}

fn elsewhere() -> [(&'static str, Binding); 6] {
    [
        ("cluster", Binding { cluster: ClusterId([2; 16]), ..binding() }),
        ("tenant", Binding { tenant: Some("fabrikam".parse().unwrap()), ..binding() }),
        ("no tenant", Binding { tenant: None, ..binding() }),
        ("kind", Binding { kind: "refresh-token", ..binding() }),
        ("name", Binding { name: "app/private_key".into(), ..binding() }),
        ("generation", Binding { generation: 2, ..binding() }),
    ]
}

const SECRET: &[u8] = b"hunter2";

#[test]
fn a_secret_opens_where_it_was_sealed_and_nowhere_else() {
    let sealed = seal(&kek(1), &binding(), SECRET).unwrap();
    assert_eq!(**open(&kek(1), &binding(), &sealed).unwrap(), *SECRET);
    for (what, other) in elsewhere() {
        assert!(matches!(open(&kek(1), &other, &sealed), Err(VaultError::Forged)), "another {what}");
    }
}

#[test]
fn another_key_is_named_and_does_not_open() {
    let sealed = seal(&kek(1), &binding(), SECRET).unwrap();
    let told = open(&kek(2), &binding(), &sealed).unwrap_err();
    assert!(matches!(told, VaultError::OtherKey { needed } if needed == kek(1).id()), "{told}");
    assert_eq!(sealed_under(&sealed).unwrap(), kek(1).id());
}

#[test]
fn no_bit_can_be_flipped_and_no_byte_left_out_or_added() {
    let sealed = seal(&kek(1), &binding(), SECRET).unwrap();
    for at in 0..sealed.len() * 8 {
        let mut flipped = sealed.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        assert!(open(&kek(1), &binding(), &flipped).is_err(), "bit {at}");
    }
    for cut in 0..sealed.len() {
        assert!(open(&kek(1), &binding(), &sealed[..cut]).is_err(), "cut at {cut}");
    }
    for more in [&[0u8][..], &[0x38, 1], &sealed] {
        assert!(open(&kek(1), &binding(), &[&*sealed, more].concat()).is_err(), "{more:?}");
    }
}

#[test]
fn the_same_secret_sealed_twice_shows_nothing_of_it_but_its_digest() {
    let one = seal(&kek(1), &binding(), SECRET).unwrap();
    let two = seal(&kek(1), &Binding { generation: 4, ..binding() }, SECRET).unwrap();
    let common = |length: usize| one.windows(length).filter(|part| two.windows(length).any(|it| it == *part)).count();
    // The digest of 32 bytes is last; no other run of that length may be in both.
    assert_eq!(common(32), 1 + 2, "only the digest and the two bytes that announce it");
    assert!(!one.windows(SECRET.len()).any(|part| part == SECRET));
}

#[test]
fn a_digest_tells_a_change_without_opening_and_nothing_across_places_or_keys() {
    let sealed = seal(&kek(1), &binding(), SECRET).unwrap();
    let next = Binding { generation: 4, ..binding() };
    assert!(holds(&kek(1), &next, &sealed, SECRET).unwrap(), "a digest is of no generation");
    assert!(!holds(&kek(1), &next, &sealed, b"hunter3").unwrap());
    for (what, other) in elsewhere().into_iter().filter(|(what, _)| *what != "generation") {
        assert!(!holds(&kek(1), &other, &sealed, SECRET).unwrap(), "another {what}");
    }
    assert!(!holds(&kek(2), &next, &sealed, SECRET).unwrap());
}

#[test]
fn secrets_and_names_have_bounds() {
    let long = vec![0; limits::SECRET_BYTES_MAX];
    let sealed = seal(&kek(1), &binding(), &long).unwrap();
    assert!(sealed.len() <= long.len() + limits::ENVELOPE_OVERHEAD_BYTES);
    assert_eq!(open(&kek(1), &binding(), &sealed).unwrap().len(), long.len());
    assert!(matches!(seal(&kek(1), &binding(), &[&*long, &[0]].concat()), Err(VaultError::TooLong { .. })));
    let named = Binding { name: "x".repeat(limits::NAME_BYTES_MAX + 1), ..binding() };
    assert!(matches!(seal(&kek(1), &named, SECRET), Err(VaultError::NameTooLong { .. })));
}

/// Bytes that were written once must open for ever. `SIEMGATE_FIXTURES=write` adds what is not there yet.
#[test]
fn the_first_envelope_ever_written_still_opens() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/vault/fixtures/envelope.v1.bin");
    let chance = Chance { key: Zeroizing::new([9; KEY_BYTES]), key_nonce: [4; 12], secret_nonce: [5; 12] };
    let now = envelope::seal(&kek(7), &binding(), SECRET, &chance).unwrap();
    if std::env::var("SIEMGATE_FIXTURES").is_ok_and(|it| it == "write") && !path.exists() {
        std::fs::write(&path, &now).unwrap();
    }
    let kept = std::fs::read(&path).unwrap();
    assert_eq!(**open(&kek(7), &binding(), &kept).unwrap(), *SECRET);
    assert_eq!(kept, now, "the same chance makes the same bytes");
}

#[test]
fn a_newer_envelope_is_told_from_a_broken_one() {
    let mut sealed = seal(&kek(1), &binding(), SECRET).unwrap();
    assert_eq!(sealed[..2], [8, 1], "the version stands first");
    sealed[1] = 2;
    assert!(matches!(open(&kek(1), &binding(), &sealed), Err(VaultError::Newer { version: 2 })));
}

#[test]
fn while_keys_are_rotated_the_newest_seals_and_any_opens() {
    let mut ring = Ring::of(kek(1));
    let old = ring.seal(&binding(), SECRET).unwrap();
    assert!(ring.rewrap(&binding(), &old).unwrap().is_none());
    ring.add(kek(2)).unwrap();
    assert_eq!(**ring.open(&binding(), &old).unwrap(), *SECRET);
    assert!(ring.holds(&binding(), &old, SECRET).unwrap());

    let (next, new) = ring.rewrap(&binding(), &old).unwrap().unwrap();
    assert_eq!((next.generation, sealed_under(&new).unwrap()), (4, kek(2).id()));
    assert!(matches!(ring.forget(kek(2).id()), Err(VaultError::Newest)));
    ring.forget(kek(1).id()).unwrap();
    assert_eq!(**ring.open(&next, &new).unwrap(), *SECRET);
    assert!(matches!(ring.open(&binding(), &old), Err(VaultError::OtherKey { .. })));
}

#[test]
fn a_ring_is_bounded_and_holds_no_key_twice() {
    let mut ring = Ring::of(kek(0));
    assert!(matches!(ring.add(kek(0)), Err(VaultError::BadRing { .. })));
    (1..limits::KEKS_MAX as u8).for_each(|seed| ring.add(kek(seed)).unwrap());
    assert!(matches!(ring.add(kek(99)), Err(VaultError::BadRing { .. })));
}

proptest! {
    #[test]
    fn whatever_is_sealed_opens_again(secret in prop::collection::vec(any::<u8>(), 0..300), generation in any::<u64>()) {
        let binding = Binding { generation, ..binding() };
        let sealed = seal(&kek(1), &binding, &secret).unwrap();
        prop_assert_eq!(&**open(&kek(1), &binding, &sealed).unwrap(), &secret);
    }

    #[test]
    fn arbitrary_bytes_are_refused_quietly(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(open(&kek(1), &binding(), &bytes).is_err());
    }
}
