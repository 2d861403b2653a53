//! The section `[peers]` of the node's file.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cluster::pki::own::OwnFiles;

/// One's own certificates for the members' port: all three, on every member, or none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Peers {
    /// PEM file of the node's certificate. Default: none, the cluster signs its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// PEM file of its key. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key: Option<PathBuf>,
    /// PEM file of who signs for members. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<PathBuf>,
}

impl Peers {
    pub fn own(&self) -> Option<OwnFiles> {
        let Self { certificate, private_key, authority } = self.clone();
        Some(OwnFiles { certificate: certificate?, private_key: private_key?, authority: authority? })
    }

    /// What is wrong with them, and at which key.
    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        let all = [
            ("certificate", self.certificate.is_some()),
            ("private_key", self.private_key.is_some()),
            ("authority", self.authority.is_some()),
        ];
        let (given, missing): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, given)| *given);
        let ((given, _), (missing, _)) = (given.first()?, missing.first()?);
        Some((*given, format!("`{missing}` is missing beside it: give all three files, or none")))
    }
}
