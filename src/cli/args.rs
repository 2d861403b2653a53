//! Arguments that several commands share.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cluster::ResourceKind;
use crate::config::STANDARD_PATH;

/// How a node is reached. Without any of these, the node's own configuration says it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Node")]
pub struct Connection {
    /// Address of the node's API [default: as configured, or 127.0.0.1:7443]
    #[arg(long, value_name = "ADDRESS", env = "SIEMGATE_API")]
    pub api: Option<SocketAddr>,
    /// File with the token to show [default: `admin.token` in the node's data directory]
    #[arg(long, value_name = "FILE", env = "SIEMGATE_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    #[command(flatten)]
    pub node: NodeFile,
}

#[derive(Debug, Clone, Args)]
pub struct NodeFile {
    /// The node's configuration
    #[arg(long, value_name = "FILE", env = "SIEMGATE_CONFIG", default_value = STANDARD_PATH)]
    pub config: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct Format {
    /// Text for people, or JSON for programs
    #[arg(long, short, value_enum, value_name = "FORMAT", default_value_t = Output::Table)]
    pub output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Table,
    Json,
}

/// Why something is changed by hand.
#[derive(Debug, Clone, Args)]
pub struct Reason {
    /// Why, for the audit
    #[arg(long, default_value = "", hide_default_value = true)]
    pub reason: String,
}

/// A kind of resource as people type it, one or many.
pub fn kind(text: &str) -> Result<ResourceKind, String> {
    let singular = text.strip_suffix('s').unwrap_or(text);
    ResourceKind::ALL.into_iter().find(|kind| kind.as_str() == singular).ok_or_else(|| {
        let known = ResourceKind::ALL.map(ResourceKind::as_str).join(", ");
        format!("use one of {known}")
    })
}
