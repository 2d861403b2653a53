//! Several key-encryption keys at once, as while one takes over from another: the newest seals, any of them opens.

use zeroize::Zeroizing;

use super::binding::Binding;
use super::kek::{Kek, KekId};
use super::limits::KEKS_MAX;
use super::{VaultError, envelope};

/// The keys a node holds, the newest first. Invariant: there is at least one, and no key is in it twice.
#[derive(Debug)]
pub struct Ring {
    keys: Vec<Kek>,
}

impl Ring {
    pub fn of(kek: Kek) -> Self {
        Self { keys: vec![kek] }
    }

    /// From the newest to the oldest.
    pub(super) fn from_newest(keys: Vec<Kek>) -> Result<Self, VaultError> {
        let twice = keys.iter().enumerate().any(|(at, kek)| keys[..at].iter().any(|other| other.id() == kek.id()));
        if keys.is_empty() || keys.len() > KEKS_MAX || twice {
            return Err(VaultError::BadRing { limit: KEKS_MAX });
        }
        Ok(Self { keys })
    }

    /// From here on this key seals.
    pub fn add(&mut self, kek: Kek) -> Result<(), VaultError> {
        if self.key(kek.id()).is_some() || self.keys.len() == KEKS_MAX {
            return Err(VaultError::BadRing { limit: KEKS_MAX });
        }
        self.keys.insert(0, kek);
        Ok(())
    }

    /// Forgets a key that nothing is sealed under any more. The newest stays.
    pub fn forget(&mut self, id: KekId) -> Result<(), VaultError> {
        if self.newest().id() == id {
            return Err(VaultError::Newest);
        }
        self.keys.retain(|kek| kek.id() != id);
        Ok(())
    }

    pub fn newest(&self) -> &Kek {
        self.keys.first().expect("a ring holds at least one key")
    }
    pub fn ids(&self) -> impl Iterator<Item = KekId> {
        self.keys.iter().map(Kek::id)
    }
    pub fn keys(&self) -> impl Iterator<Item = &Kek> {
        self.keys.iter()
    }
    fn key(&self, id: KekId) -> Option<&Kek> {
        self.keys.iter().find(|kek| kek.id() == id)
    }
    /// The key an envelope needs.
    fn needed(&self, bytes: &[u8]) -> Result<&Kek, VaultError> {
        self.named(envelope::sealed_under(bytes)?)
    }
    fn named(&self, needed: KekId) -> Result<&Kek, VaultError> {
        self.key(needed).ok_or(VaultError::OtherKey { needed })
    }

    pub fn seal(&self, binding: &Binding, secret: &[u8]) -> Result<Vec<u8>, VaultError> {
        super::seal(self.newest(), binding, secret)
    }
    pub fn open(&self, binding: &Binding, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        envelope::open(self.needed(bytes)?, binding, bytes)
    }
    /// The same for what is larger than any secret.
    pub(super) fn seal_bulk(&self, binding: &Binding, plain: &[u8], limit: usize) -> Result<Vec<u8>, VaultError> {
        envelope::seal_within(self.newest(), binding, plain, &super::chance()?, limit)
    }
    pub(super) fn open_bulk(
        &self,
        binding: &Binding,
        bytes: &[u8],
        limit: usize,
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let kek = self.named(envelope::sealed_under_within(bytes, limit)?)?;
        envelope::open_within(kek, binding, bytes, limit)
    }
    /// Whether what is sealed there is this secret.
    pub fn holds(&self, binding: &Binding, bytes: &[u8], secret: &[u8]) -> Result<bool, VaultError> {
        envelope::holds(self.needed(bytes)?, binding, bytes, secret)
    }

    /// The same secret sealed under the newest key as the generation that follows; nothing where it is already under it.
    pub fn rewrap(&self, binding: &Binding, bytes: &[u8]) -> Result<Option<(Binding, Vec<u8>)>, VaultError> {
        if envelope::sealed_under(bytes)? == self.newest().id() {
            return Ok(None);
        }
        let next = Binding { generation: binding.generation + 1, ..binding.clone() };
        let sealed = self.seal(&next, &self.open(binding, bytes)?)?;
        Ok(Some((next, sealed)))
    }
}
