//! What keeps the spool closed to readers of the disk: the data key of a tenant, and the key of one segment. Pure.
//!
//! Each segment has a key of its own, derived from the tenant's with a random salt and with all that its header says, so
//! that a segment opens only as what it was written for. Within a segment each sealing has a number that never comes back,
//! also when the record it was for could not be written and is written anew.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use zeroize::Zeroizing;

/// What a sealed part is longer than what is in it.
pub(super) const TAG_BYTES: usize = 16;
pub(super) const SALT_BYTES: usize = 16;
/// Tells one data key from another without telling anything of either.
pub(super) type KeyId = [u8; 8];

/// The key under which all of a tenant's spool on this node is sealed.
#[derive(Clone)]
pub struct DataKey {
    derive: Prk,
    id: KeyId,
}

impl DataKey {
    pub fn new(key: &Zeroizing<[u8; 32]>) -> Self {
        let derive = Salt::new(HKDF_SHA256, DOMAIN).extract(&**key);
        let mut id = KeyId::default();
        derive
            .expand(&[b"id"], IdBytes)
            .and_then(|bytes| bytes.fill(&mut id))
            .expect("eight bytes can be derived from any key");
        Self { derive, id }
    }

    pub(super) fn id(&self) -> KeyId {
        self.id
    }

    /// The key of the segment with this header.
    pub(super) fn of_segment(&self, salt: &[u8; SALT_BYTES], header: &[u8]) -> SegmentKey {
        let info = [&b"segment"[..], salt, header];
        let bytes = self.derive.expand(&info, &AES_256_GCM).expect("one key can be derived from any other");
        SegmentKey { key: LessSafeKey::new(UnboundKey::from(bytes)) }
    }

    /// Seals what `buffer` holds from `head` on, bound to what stands before it, under a key that the salt makes its own.
    pub(in crate::pipeline) fn seal_line(&self, salt: &[u8; SALT_BYTES], buffer: &mut Vec<u8>, head: usize) {
        let key = self.of_line(salt);
        let bound = buffer[..head].to_vec();
        key.seal(Part::Body, 0, &bound, buffer, head);
    }

    /// Opens the same in place, and tells how long that is which was sealed.
    pub(in crate::pipeline) fn open_line(
        &self,
        salt: &[u8; SALT_BYTES],
        buffer: &mut [u8],
        head: usize,
    ) -> Option<usize> {
        let (bound, sealed) = buffer.split_at_mut(head);
        self.of_line(salt).open(Part::Body, 0, bound, sealed)
    }

    fn of_line(&self, salt: &[u8; SALT_BYTES]) -> SegmentKey {
        let info = [&b"line"[..], salt];
        let bytes = self.derive.expand(&info, &AES_256_GCM).expect("one key can be derived from any other");
        SegmentKey { key: LessSafeKey::new(UnboundKey::from(bytes)) }
    }
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKey")
    }
}

const DOMAIN: &[u8] = b"siemgate spool\0";

struct IdBytes;

impl KeyType for IdBytes {
    fn len(&self) -> usize {
        size_of::<KeyId>()
    }
}

/// The two parts of a record, which are sealed under one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Mark = 1,
    Body = 2,
}

pub(super) struct SegmentKey {
    key: LessSafeKey,
}

impl SegmentKey {
    /// Seals what `buffer` holds from `from` on. `head` is bound to it.
    pub(super) fn seal(&self, part: Part, number: u64, head: &[u8], buffer: &mut Vec<u8>, from: usize) {
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce(part, number), Aad::from(head), &mut buffer[from..])
            .expect("a batch is shorter than the longest that can be sealed");
        buffer.extend_from_slice(tag.as_ref());
    }

    /// Opens in place, and tells how long that is which was sealed.
    pub(super) fn open(&self, part: Part, number: u64, head: &[u8], sealed: &mut [u8]) -> Option<usize> {
        let opened = self.key.open_in_place(nonce(part, number), Aad::from(head), sealed);
        opened.ok().map(|plain| plain.len())
    }
}

fn nonce(part: Part, number: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[3] = part as u8;
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}
