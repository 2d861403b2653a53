//! Sealing and opening: the secret under a key of its own, that key under the key-encryption key, both bound to where
//! the secret stands. Pure: chance is drawn by the caller.

use prost::Message as _;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use zeroize::Zeroizing;

use super::VaultError;
use super::binding::{Binding, Purpose};
use super::kek::{KEY_BYTES, Kek, KekId};
use super::limits::{ENVELOPE_OVERHEAD_BYTES, SECRET_BYTES_MAX};
use crate::wire::vault::v1 as pb;

/// The version that is written.
const VERSION: u32 = 1;
/// What the wrapping key is derived for; the digest's has another name.
const WRAP: &[u8] = b"siemgate vault wrap 1";
const DIGEST: &[u8] = b"siemgate vault digest 1";

/// Tells whether two secrets of one name are the same. Without the key it tells nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

/// What must never be used twice, fresh from the system's randomness.
pub(super) struct Chance {
    pub key: Zeroizing<[u8; KEY_BYTES]>,
    pub key_nonce: [u8; NONCE_LEN],
    pub secret_nonce: [u8; NONCE_LEN],
}

/// A keyed digest of a secret, bound to its place but to no generation.
pub fn digest(kek: &Kek, binding: &Binding, secret: &[u8]) -> Digest {
    let (key, message) = digested(kek, binding, secret);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hmac::sign(&key, &message).as_ref());
    Digest(bytes)
}

/// The place comes first and tells its own length, so that no secret can pass for a part of it.
fn digested(kek: &Kek, binding: &Binding, secret: &[u8]) -> (hmac::Key, Zeroizing<Vec<u8>>) {
    let place = binding.place(Purpose::Digest, VERSION, kek.id());
    let mut message = Zeroizing::new(Vec::with_capacity(place.len() + secret.len()));
    message.extend(place);
    message.extend(secret);
    (hmac::Key::new(hmac::HMAC_SHA256, &*kek.derived(DIGEST)), message)
}

pub(super) fn seal(kek: &Kek, binding: &Binding, secret: &[u8], chance: &Chance) -> Result<Vec<u8>, VaultError> {
    seal_within(kek, binding, secret, chance, SECRET_BYTES_MAX)
}

pub(super) fn seal_within(
    kek: &Kek,
    binding: &Binding,
    secret: &[u8],
    chance: &Chance,
    limit: usize,
) -> Result<Vec<u8>, VaultError> {
    binding.check()?;
    if secret.len() > limit {
        return Err(VaultError::TooLong { limit });
    }
    let id = kek.id();
    let wrapped =
        encrypt(&kek.derived(WRAP), chance.key_nonce, &binding.associated(Purpose::Key, VERSION, id), &*chance.key);
    let sealed = encrypt(&chance.key, chance.secret_nonce, &binding.associated(Purpose::Secret, VERSION, id), secret);
    let envelope = pb::Envelope {
        version: VERSION,
        kek: id.0.to_vec().into(),
        wrapped_key: wrapped.into(),
        sealed: sealed.into(),
        digest: digest(kek, binding, secret).0.to_vec().into(),
    };
    Ok(envelope.encode_to_vec())
}

pub fn open(kek: &Kek, binding: &Binding, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    open_within(kek, binding, bytes, SECRET_BYTES_MAX)
}

pub(super) fn open_within(
    kek: &Kek,
    binding: &Binding,
    bytes: &[u8],
    limit: usize,
) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let envelope = read(bytes, limit)?;
    let sealed_under = kek_of(&envelope)?;
    if sealed_under != kek.id() {
        return Err(VaultError::OtherKey { needed: sealed_under });
    }
    let associated = |purpose| binding.associated(purpose, VERSION, sealed_under);
    let key = decrypt(&kek.derived(WRAP), &associated(Purpose::Key), &envelope.wrapped_key)?;
    let key = Zeroizing::new(<[u8; KEY_BYTES]>::try_from(&**key).map_err(|_| VaultError::Forged)?);
    let secret = decrypt(&key, &associated(Purpose::Secret), &envelope.sealed)?;
    // A digest that belongs to another secret would make a change pass for none.
    if has_digest(kek, binding, &envelope, &secret) { Ok(secret) } else { Err(VaultError::Forged) }
}

/// The key an envelope needs.
pub fn sealed_under(bytes: &[u8]) -> Result<KekId, VaultError> {
    sealed_under_within(bytes, SECRET_BYTES_MAX)
}

pub(super) fn sealed_under_within(bytes: &[u8], limit: usize) -> Result<KekId, VaultError> {
    kek_of(&read(bytes, limit)?)
}

/// Whether an envelope under this key holds this secret, as its digest says. Nothing is opened.
pub fn holds(kek: &Kek, binding: &Binding, bytes: &[u8], secret: &[u8]) -> Result<bool, VaultError> {
    let envelope = read(bytes, SECRET_BYTES_MAX)?;
    Ok(kek_of(&envelope)? == kek.id() && has_digest(kek, binding, &envelope, secret))
}

fn has_digest(kek: &Kek, binding: &Binding, envelope: &pb::Envelope, secret: &[u8]) -> bool {
    let (key, message) = digested(kek, binding, secret);
    hmac::verify(&key, &message, &envelope.digest).is_ok()
}

/// Accepts what `seal` writes and nothing else, so that no two byte strings are the same envelope.
fn read(bytes: &[u8], limit: usize) -> Result<pb::Envelope, VaultError> {
    if bytes.len() > limit + ENVELOPE_OVERHEAD_BYTES {
        return Err(VaultError::Malformed);
    }
    let envelope = pb::Envelope::decode(bytes).map_err(|_| VaultError::Malformed)?;
    if envelope.version > VERSION {
        return Err(VaultError::Newer { version: envelope.version });
    }
    if envelope.version == 0 || envelope.encode_to_vec() != bytes {
        return Err(VaultError::Malformed);
    }
    Ok(envelope)
}

fn kek_of(envelope: &pb::Envelope) -> Result<KekId, VaultError> {
    Ok(KekId(envelope.kek.as_ref().try_into().map_err(|_| VaultError::Malformed)?))
}

fn cipher(key: &[u8; KEY_BYTES]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("the key has the length that AES-256 needs"))
}

/// The nonce, the ciphertext and its tag.
fn encrypt(key: &[u8; KEY_BYTES], nonce: [u8; NONCE_LEN], associated: &[u8], plain: &[u8]) -> Vec<u8> {
    // Room for the whole: growing would leave copies of the plain text behind that nothing wipes.
    let mut bytes = Vec::with_capacity(NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
    bytes.extend(nonce);
    bytes.extend(plain);
    let tag = cipher(key)
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(associated), &mut bytes[NONCE_LEN..])
        .expect("what is sealed is far shorter than AES-GCM can take");
    bytes.extend(tag.as_ref());
    bytes
}

fn decrypt(key: &[u8; KEY_BYTES], associated: &[u8], bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN).ok_or(VaultError::Malformed)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| VaultError::Malformed)?;
    let mut plain = Zeroizing::new(sealed.to_vec());
    let length =
        cipher(key).open_in_place(nonce, Aad::from(associated), &mut plain).map_err(|_| VaultError::Forged)?.len();
    plain.truncate(length);
    Ok(plain)
}
