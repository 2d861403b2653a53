//! The key-encryption key: under it every secret's own key is wrapped. It is in a file of each node, never in the log.
//! Pure.

use std::fmt;

use ring::{digest, hmac};
use zeroize::Zeroizing;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;

/// A key-encryption key. It has no `Clone` and no `Serialize`, its `Debug` shows its id alone, and it is wiped when
/// dropped.
pub struct Kek {
    key: Zeroizing<[u8; KEY_BYTES]>,
    id: KekId,
}

/// Names a key without telling anything of it. Written as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KekId(pub [u8; 8]);

impl Kek {
    /// A key that came from elsewhere: from a file, or from the member that let this node join.
    pub fn from_key(key: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(ID_DOMAIN);
        context.update(&*key);
        let mut id = [0; 8];
        id.copy_from_slice(&context.finish().as_ref()[..8]);
        Self { key, id: KekId(id) }
    }

    pub fn id(&self) -> KekId {
        self.id
    }

    /// The key itself, for the one call that writes or sends it.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.key
    }

    /// A key for one purpose, so that none is used for two.
    pub(super) fn derived(&self, purpose: &[u8]) -> Zeroizing<[u8; KEY_BYTES]> {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &*self.key), purpose);
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        key.copy_from_slice(tag.as_ref());
        key
    }
}

/// Keeps the id apart from every other digest of the same key.
const ID_DOMAIN: &[u8] = b"siemgate kek id 1\0";

impl fmt::Debug for Kek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kek({})", self.id)
    }
}
impl fmt::Display for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}
impl fmt::Debug for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_shows_its_id_and_nothing_else() {
        let kek = Kek::from_key(Zeroizing::new([7; KEY_BYTES]));
        // Written down once: files and envelopes hold it.
        assert_eq!(kek.id().to_string(), "1e08ed60a45daf35");
        assert_eq!(format!("{kek:?}"), format!("Kek({})", kek.id()));
        assert_ne!(kek.id(), Kek::from_key(Zeroizing::new([8; KEY_BYTES])).id());
        assert_ne!(*kek.derived(b"a"), *kek.derived(b"b"));
    }
}
