//! Where a sink's token, its private key and the certificates that go with them are kept.
//!
//! A path alone is a file of the nodes: each reads its own, whenever it needs it, and it is never sealed. A reference,
//! `${file:/path}` or `${env:NAME}`, is read where the sink is applied, and from then on stands sealed in the control state.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::secret::{Secret, SecretError, SecretRef};
use crate::tls::{Identity, Roots, TlsError};

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Place {
    /// A file of each node.
    OfNodes(PathBuf),
    /// Read where it is applied. On a node it is sealed, unless a version without such seals applied it.
    Applied(SecretRef),
}

/// Why a text is no place. It is not repeated: it may be the secret itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a secret must not be written out here: give `${{file:/path}}` or `${{env:NAME}}`, which is read where it is applied, \
     or a path, which must be absolute, of a file on every node"
)]
pub struct NoPlace;

/// Why what stands in a place can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    #[error(transparent)]
    Unread(#[from] SecretError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Place {
    /// What stands there, now.
    pub fn read(&self) -> Result<Secret, SecretError> {
        match self {
            Self::OfNodes(path) => SecretRef::File(path.clone()).read(),
            Self::Applied(reference) => reference.read(),
        }
    }

    /// The reference that is read where it is applied; nothing for a file of the nodes.
    pub fn reference(&self) -> Option<&SecretRef> {
        match self {
            Self::OfNodes(_) => None,
            Self::Applied(reference) => Some(reference),
        }
    }

    pub fn reference_mut(&mut self) -> Option<&mut SecretRef> {
        match self {
            Self::OfNodes(_) => None,
            Self::Applied(reference) => Some(reference),
        }
    }

    /// The authorities whose certificates stand there, and no others.
    pub(super) fn roots(&self) -> Result<Roots, PlaceError> {
        Ok(match self {
            // A file of the node may hold every authority there is.
            Self::OfNodes(path) => Roots::only(std::slice::from_ref(path))?,
            Self::Applied(reference) => Roots::only_of(&reference.read()?, &self.shown())?,
        })
    }

    /// The certificate chain that stands there, with its key from another place.
    pub(super) fn identity(&self, key: &Self) -> Result<Identity, PlaceError> {
        let key = key.read()?;
        Ok(match self {
            Self::OfNodes(path) => Identity::new(path, &key)?,
            Self::Applied(reference) => Identity::of(&reference.read()?, &self.shown(), &key)?,
        })
    }

    /// As it was written, where errors name a file.
    fn shown(&self) -> PathBuf {
        Path::new(&self.to_string()).to_owned()
    }
}

impl TryFrom<String> for Place {
    type Error = NoPlace;
    fn try_from(text: String) -> Result<Self, NoPlace> {
        match text.starts_with('/') && !text.contains('\0') {
            true => Ok(Self::OfNodes(PathBuf::from(text))),
            false => SecretRef::try_from(text).map(Self::Applied).map_err(|_| NoPlace),
        }
    }
}
impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.to_string()
    }
}
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OfNodes(path) => write!(f, "{}", path.display()),
            Self::Applied(reference) => write!(f, "{reference}"),
        }
    }
}
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_alone_is_the_nodes_and_a_reference_is_read_where_it_is_applied() {
        let place = |text: &str| Place::try_from(text.to_owned());
        for text in ["/etc/siemgate/key.pem", "${file:/etc/siemgate/key.pem}", "${env:KEY}"] {
            assert_eq!(place(text).unwrap().to_string(), text, "it stays what it was written as");
        }
        assert_eq!(place("/etc/siemgate/key.pem").unwrap().reference(), None);
        assert_eq!(place("${env:KEY}").unwrap().reference(), Some(&SecretRef::Env("KEY".into())));
        for bad in ["hunter2", "-----BEGIN PRIVATE KEY-----hunter2", "hunter2.pem", ""] {
            let told = place(bad).unwrap_err().to_string();
            assert!(told.contains("must not be written out") && told.contains("must be absolute"), "{told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn certificates_are_the_same_from_a_file_of_the_node_and_from_what_was_applied() {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
        std::fs::write(&chain, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let applied = |path: &Path| Place::Applied(SecretRef::File(path.to_owned()));
        for (chain, key) in
            [(Place::OfNodes(chain.clone()), Place::OfNodes(key.clone())), (applied(&chain), applied(&key))]
        {
            assert_eq!(chain.roots().unwrap().count(), 1);
            chain.identity(&key).unwrap();
            let told = key.roots().unwrap_err().to_string();
            assert!(told.contains("key.pem") && told.contains("holds no certificate"), "{told}");
        }
    }
}
