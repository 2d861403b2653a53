//! Who may speak to whom: names of nodes as certificates carry them, and the check every call between members passes
//! before anything of it is read. Pure.

use std::fmt;
use std::str::FromStr;

use crate::ids::{ClusterId, NodeId};

/// The version of `peers.proto` this program speaks.
pub(super) const PROTOCOL: u32 = 1;

/// A node by its full name, `spiffe://<cluster>/node/<id>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerName {
    pub cluster: ClusterId,
    pub node: NodeId,
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/node/{}", self.cluster, self.node)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` does not name a node as `spiffe://<cluster>/node/<id>`")]
pub struct BadPeerName {
    given: String,
}

impl FromStr for PeerName {
    type Err = BadPeerName;
    fn from_str(text: &str) -> Result<Self, BadPeerName> {
        let parse = || {
            let (cluster, node) = text.strip_prefix("spiffe://")?.split_once("/node/")?;
            let digits = !node.is_empty() && node.bytes().all(|byte| byte.is_ascii_digit()) && !node.starts_with('0');
            let node = digits.then(|| node.parse().ok())??;
            Some(Self { cluster: cluster.parse().ok()?, node: NodeId(node) })
        };
        parse().ok_or_else(|| BadPeerName { given: text.chars().take(128).collect() })
    }
}

/// What a caller says of itself and of whom it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Envelope {
    pub protocol: u32,
    pub cluster: ClusterId,
    pub from: NodeId,
    pub to: NodeId,
}

/// Why a call is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotAdmitted {
    #[error("protocol version {theirs} is not spoken here, {ours} is: run matching versions of siemgate")]
    Protocol { theirs: u32, ours: u32 },
    #[error("this is cluster {ours}, and the call is for cluster {theirs}: check the addresses of the members")]
    Cluster { theirs: ClusterId, ours: ClusterId },
    #[error("this is node {ours}, and the call is for node {theirs}: check the addresses of the members")]
    Target { theirs: NodeId, ours: NodeId },
    #[error("the caller's certificate names {certified}, and the call says it is from node {claimed}")]
    Sender { claimed: NodeId, certified: PeerName },
}

/// Lets a call in, or says why not. `certified` is what the caller's certificate says.
pub(super) fn admit(me: PeerName, envelope: &Envelope, certified: PeerName) -> Result<(), NotAdmitted> {
    let Envelope { protocol, cluster, from, to } = *envelope;
    if protocol != PROTOCOL {
        return Err(NotAdmitted::Protocol { theirs: protocol, ours: PROTOCOL });
    }
    if cluster != me.cluster {
        return Err(NotAdmitted::Cluster { theirs: cluster, ours: me.cluster });
    }
    if to != me.node {
        return Err(NotAdmitted::Target { theirs: to, ours: me.node });
    }
    if certified != (PeerName { cluster: me.cluster, node: from }) {
        return Err(NotAdmitted::Sender { claimed: from, certified });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(cluster: u8, node: u64) -> PeerName {
        PeerName { cluster: ClusterId([cluster; 16]), node: NodeId(node) }
    }

    #[test]
    fn a_name_reads_back_from_what_it_prints_and_nothing_else_does() {
        let ours = name(7, 12);
        assert_eq!(ours.to_string(), format!("spiffe://{}/node/12", "07".repeat(16)));
        assert_eq!(ours.to_string().parse(), Ok(ours));
        let cluster = "07".repeat(16);
        for bad in [
            String::new(),
            format!("spiffe://{cluster}/node/"),
            format!("spiffe://{cluster}/node/0"),
            format!("spiffe://{cluster}/node/012"),
            format!("spiffe://{cluster}/node/+1"),
            format!("spiffe://{cluster}/node/1/"),
            format!("spiffe://{cluster}/sink/1"),
            format!("https://{cluster}/node/1"),
            format!("spiffe://{}/node/1", "0A".repeat(16)),
        ] {
            assert!(bad.parse::<PeerName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn each_thing_a_call_says_must_hold() {
        let (me, caller) = (name(7, 1), name(7, 2));
        let right = Envelope { protocol: PROTOCOL, cluster: me.cluster, from: NodeId(2), to: NodeId(1) };
        assert_eq!(admit(me, &right, caller), Ok(()));

        let newer = Envelope { protocol: PROTOCOL + 1, ..right };
        assert!(matches!(admit(me, &newer, caller), Err(NotAdmitted::Protocol { .. })));
        let elsewhere = Envelope { cluster: ClusterId([8; 16]), ..right };
        assert!(matches!(admit(me, &elsewhere, caller), Err(NotAdmitted::Cluster { .. })));
        let astray = Envelope { to: NodeId(3), ..right };
        assert!(matches!(admit(me, &astray, caller), Err(NotAdmitted::Target { .. })));
        let masked = Envelope { from: NodeId(3), ..right };
        assert!(matches!(admit(me, &masked, caller), Err(NotAdmitted::Sender { .. })));
        assert!(matches!(admit(me, &right, name(8, 2)), Err(NotAdmitted::Sender { .. })));
    }
}
