//! `join`: makes this node a member of a cluster that is there.

use std::convert::Infallible;
use std::io::Read;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;
use zeroize::Zeroizing;

use super::args::{Format, NodeFile, Output};
use super::run::make_data_dir;
use super::{Usage, output};
use crate::cluster::PeerName;
use crate::cluster::pki::joining::{Applicant, Certificates};
use crate::cluster::pki::token::JoinToken;
use crate::config::Config;
use crate::node::membership;
use crate::secret::Secret;

/// Tokens have 133 letters; what is much longer is something else.
const TOKEN_BYTES_MAX: u64 = 1_024;

/// Makes this node a member of a cluster, by a token that `siemgate cluster invite` printed
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    siemgate join siem-1.example:7444 --token - < token\n  \
    SIEMGATE_JOIN_TOKEN=sg1.… siemgate join siem-1.example:7444\n\n\
    What is typed as an argument is visible to everyone on this host, so give the token on standard input or in the\n\
    environment. Before it is sent, the member that answers has proven that it belongs to the cluster the token is of.")]
pub struct Join {
    /// Where a member is reached by other members, as `host:port`
    address: String,
    /// The token, or `-` to read it from standard input
    #[arg(long, value_name = "TOKEN|-", env = "SIEMGATE_JOIN_TOKEN", hide_env_values = true, value_parser = secret)]
    token: Secret,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    node: NodeFile,
}

/// A parser, so that the text is never kept as anything else.
#[expect(clippy::unnecessary_wraps, reason = "what clap takes")]
fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text.to_owned()))
}

pub async fn join(args: Join) -> anyhow::Result<()> {
    let config = Config::load(&args.node.config)?;
    let Some(peer) = config.advertised() else {
        bail!(Usage("give `[listen] peers` a port, so that members can reach this node".into()));
    };
    let token = JoinToken::parse(&given(args.token)?)?;
    make_data_dir(&config.node.data_dir)?;
    let applicant =
        Applicant { name: config.node.name.clone(), peer, api: config.listen.api.to_string(), weight: WEIGHT };
    let certificates = if config.peers.own().is_some() { Certificates::Own } else { Certificates::Ours };
    let made = membership::join(&config.node.data_dir, &args.address, token, applicant, certificates)
        .await
        .with_context(|| format!("join the cluster through {}", args.address))?;
    let text = match args.format.output {
        Output::Table => format!(
            "Joined cluster {} as node {}.\n\n{}Next: `siemgate run`. The node is given feeds once it has caught up.\n",
            made.name.cluster,
            made.name.node,
            own_certificate(&config, made.name),
        ),
        Output::Json => output::json(&json!({
            "cluster": made.name.cluster.to_string(), "node": made.name.node.0, "name": made.name.to_string(),
        }))?,
    };
    Ok(output::print(&text)?)
}

/// What is to be done first where people bring the certificates.
pub(super) fn own_certificate(config: &Config, name: PeerName) -> String {
    let Some(files) = config.peers.own() else { return String::new() };
    format!(
        "First put the node's certificate into {}: it must carry the URI `{name}`, and no other.\n",
        files.certificate.display()
    )
}

/// An ordinary node's share.
const WEIGHT: u32 = 100;

fn given(token: Secret) -> anyhow::Result<Secret> {
    if token.expose() != "-" {
        return Ok(token);
    }
    let mut text = Zeroizing::new(String::with_capacity(TOKEN_BYTES_MAX as usize));
    std::io::stdin().take(TOKEN_BYTES_MAX).read_to_string(&mut text).context("read the token from standard input")?;
    Ok(Secret::new(text.trim().to_owned()))
}
