//! Trust that nobody has to set up: the cluster's own authority, tokens by which nodes join, and what each node keeps.
//!
//! `renewal` and `token` are pure. The authority's key is nowhere in the open: it is sealed in the control state, and
//! opened for the moment in which something is signed.

pub mod authority;
pub(super) mod enrolment;
pub mod files;
pub mod joining;
pub mod own;
pub mod renewal;
pub mod token;

use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::secret_record::{SecretKey, SecretRecord};
use crate::clock::Timestamp;
use crate::ids::ClusterId;

/// A key-encryption key as it travels to a node that joins.
pub type RawKey = Zeroizing<[u8; 32]>;

/// What the node lends to the control plane, so that it can sign for others: keys live outside of it.
pub trait Keyring: fmt::Debug + Send + Sync {
    fn now(&self) -> Timestamp;
    /// Opens a sealed secret of this cluster, or says why it can't.
    fn open(&self, cluster: ClusterId, key: &SecretKey, record: &SecretRecord) -> Result<Zeroizing<Vec<u8>>, String>;
    /// All keys, the newest first, for a node that joins.
    fn keys(&self) -> Vec<RawKey>;
}

/// Why a certificate can't be had, by cause. None of these holds a part of a token or a key.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("the token can't be read: give it whole, as `siemgate cluster invite` printed it")]
    BadToken,
    #[error("can't make a certificate: {cause}. Report it; nothing was changed")]
    Unsigned { cause: String },
    #[error("{what} can't be used: {cause}. Restore it, or remove this node and join anew")]
    Unusable { what: String, cause: String },
    #[error("can't {action} {}: {cause}. The data directory must belong to the service's user", path.display())]
    File { action: &'static str, path: PathBuf, cause: std::io::Error },
    #[error("can't read {}: {cause}. Correct `[peers]`, or let the service's user read it", path.display())]
    OwnFile { path: PathBuf, cause: std::io::Error },
    #[error("{} may be read by others: run `chmod 600` on it, and consider the key known", path.display())]
    Exposed { path: PathBuf },
    #[error("{} is there already: this node is a member, or is about to be one", path.display())]
    AlreadyThere { path: PathBuf },
    #[error("no member answers at {address}: {cause}. Give the members' address of a running node, and open its port")]
    Unreachable { address: String, cause: String },
    #[error(
        "{address} is not of the cluster that gave the token, or somebody is in between; the token was not sent. Check \
         the address and the token"
    )]
    WrongPin { address: String },
    #[error("{why}")]
    Refused { why: String },
    #[error("the member's answer can't be trusted: {cause}. Check the address and the token")]
    Untrue { cause: String },
}
