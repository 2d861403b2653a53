//! Why the control plane could not do something, by cause.

use std::path::PathBuf;

use crate::ids::NodeId;

/// Why the control plane could not do something, by cause. Each message ends with what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    #[error("{dir} is in use by another process: stop that one, or give this node a data directory of its own", dir = dir.display())]
    Locked { dir: PathBuf },
    #[error("{dir} is not this node's data directory: {why}", dir = dir.display())]
    Foreign { dir: PathBuf, why: String },
    #[error("{file} is damaged at byte {offset}: {what}. Nothing was changed; restore the disk, or replace the node")]
    Damaged { file: String, offset: u64, what: String },
    #[error("{what} was written by a newer version: run that version again, or a newer one")]
    Newer { what: String },
    #[error("can't {action}: {cause}. Check the disk; the node must be restarted before it can be trusted again")]
    Storage { action: String, cause: String },
    #[error("this node does not lead the cluster{}: propose at the leader", leader.map(|id| format!(", node {id} does")).unwrap_or_default())]
    NotLeader { leader: Option<NodeId> },
    #[error("no majority of the voters could be had ({why}): see that they run and reach each other")]
    NoQuorum { why: String },
    #[error("the change is refused: {why}")]
    Refused { why: String },
    #[error(
        "a certificate is refused: {why}. Give certificates that `init` or `join` made, or your own with the same names"
    )]
    Certificate { why: String },
    #[error("can't listen for the other members: {cause}. Give another address, or stop who uses this one")]
    Listen { cause: String },
    #[error("too many proposals are waiting: try again a moment later")]
    Busy,
    #[error("the command has {bytes} bytes, more than the limit of {limit}: split it")]
    TooLarge { bytes: usize, limit: usize },
    #[error("not every node of the cluster knows this command yet: upgrade the nodes that run an older version")]
    NotYet,
    #[error("the outcome is unknown ({why}): propose the same command again")]
    Unknown { why: String },
    #[error("the control plane has stopped: start the node again")]
    Stopped,
}
