//! What a sealed secret is bound to: whoever moves it elsewhere can't open it there. Pure.

use super::VaultError;
use super::kek::KekId;
use super::limits::NAME_BYTES_MAX;
use crate::ids::{ClusterId, TenantId};

/// The one place a sealed secret may stand in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    pub cluster: ClusterId,
    /// None for what belongs to the cluster itself.
    pub tenant: Option<TenantId>,
    /// Whatever the secret is for; secrets of two kinds never stand in for each other.
    pub kind: &'static str,
    pub name: String,
    /// Which content of that name it is. An older one can't be put back in its place.
    pub generation: u64,
}

/// What a piece of ciphertext or a digest is for, so that none can be taken for another.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Key = 1,
    Secret = 2,
    Digest = 3,
}

impl Binding {
    pub(super) fn check(&self) -> Result<(), VaultError> {
        if self.name.len() > NAME_BYTES_MAX || self.kind.len() > NAME_BYTES_MAX {
            return Err(VaultError::NameTooLong { limit: NAME_BYTES_MAX });
        }
        Ok(())
    }

    /// The associated data. No two bindings, purposes, versions or keys have the same: what is of variable length has
    /// its length before it.
    pub(super) fn associated(&self, purpose: Purpose, version: u32, kek: KekId) -> Vec<u8> {
        let mut data = self.place(purpose, version, kek);
        data.extend(self.generation.to_be_bytes());
        data
    }

    /// The same without the generation, for the digest by which two generations are compared.
    pub(super) fn place(&self, purpose: Purpose, version: u32, kek: KekId) -> Vec<u8> {
        let mut data = DOMAIN.to_vec();
        data.push(purpose as u8);
        data.extend(version.to_be_bytes());
        data.extend(kek.0);
        data.extend(self.cluster.0);
        match &self.tenant {
            None => data.push(0),
            Some(tenant) => {
                data.push(1);
                text(&mut data, tenant.as_str());
            }
        }
        text(&mut data, self.kind);
        text(&mut data, &self.name);
        data
    }
}

const DOMAIN: &[u8] = b"siemgate vault\0";

fn text(data: &mut Vec<u8>, text: &str) {
    data.extend((text.len() as u64).to_be_bytes());
    data.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_binding() -> impl Strategy<Value = Binding> {
        let tenant = prop::option::of("[a-c]{1,3}").prop_map(|name| name.map(|name| name.parse().unwrap()));
        let kind = prop::sample::select(vec!["", "a", "ab", "b"]);
        (0..2u8, tenant, kind, "[a-c]{0,3}", 0..3u64).prop_map(|(cluster, tenant, kind, name, generation)| Binding {
            cluster: ClusterId([cluster; 16]),
            tenant,
            kind,
            name,
            generation,
        })
    }

    proptest! {
        #[test]
        fn two_bindings_have_the_same_associated_data_only_if_they_are_the_same(
            one in any_binding(),
            other in any_binding(),
        ) {
            let data = |binding: &Binding| binding.associated(Purpose::Secret, 1, KekId([0; 8]));
            prop_assert_eq!(one == other, data(&one) == data(&other));
        }
    }
}
