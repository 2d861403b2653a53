//! `join`: makes this node a member of a cluster that is there.

use std::convert::Infallible;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;
use zeroize::Zeroizing;

use super::args::{Format, NodeFile, Output};
use super::run::make_data_dir;
use super::{Usage, output, say};
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
    siemgate join siem-1.example:7444 --token-file -             # and paste it\n  \
    siemgate join siem-1.example:7444 --token-file /run/token\n\n\
    A token lets its owner into the cluster. What is typed as an argument is visible to everyone on this host, so give it\n\
    in a file or on standard input. Before it is sent, the member that answers has proven that it belongs to the cluster the token is of.")]
pub struct Join {
    /// Where a member is reached by other members, as `host:port`
    address: String,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    node: NodeFile,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Given {
    /// File with the token, or `-` to read it from standard input
    #[arg(long, value_name = "FILE|-", env = "SIEMGATE_JOIN_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// The token itself, which everyone on this host can see meanwhile; or `-`
    #[arg(long, value_name = "TOKEN|-", value_parser = secret)]
    token: Option<Secret>,
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
    let token = JoinToken::parse(&args.given.read(std::io::stdin())?)?;
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

const SHOWN: &str = "warning: a token that is typed as an argument shows in `ps` and in the shell's history. Give it with \
                     `--token-file FILE`, or `--token-file -` for standard input.";

impl Given {
    /// Reads the token from where it is. `input` is standard input.
    fn read(self, input: impl Read) -> anyhow::Result<Secret> {
        match self {
            Self { token: Some(token), .. } if token.expose() != "-" => {
                say(SHOWN);
                Ok(token)
            }
            Self { token_file: Some(path), .. } if path != Path::new("-") => {
                let reading = || format!("read the token from {}", path.display());
                text_of(File::open(&path).with_context(reading)?).with_context(reading)
            }
            _ => text_of(input).context("read the token from standard input"),
        }
    }
}

/// Reads a secret that somebody was given, to the end of its input.
pub(super) fn text_of(from: impl Read) -> std::io::Result<Secret> {
    // Room for all of it at once: growing would leave copies behind that nothing wipes.
    let mut text = Zeroizing::new(String::with_capacity(TOKEN_BYTES_MAX as usize));
    from.take(TOKEN_BYTES_MAX).read_to_string(&mut text)?;
    Ok(Secret::new(text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_from_a_file_or_from_standard_input() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "sg1.file\n").unwrap();
        let read = |token_file: Option<&Path>, token: Option<&str>| {
            let token = token.map(|text| Secret::new(text.to_owned()));
            let given = Given { token_file: token_file.map(Path::to_owned), token };
            given.read(&b" sg1.input\n"[..]).map(|token| token.expose().to_owned())
        };
        assert_eq!(read(Some(&file), None).unwrap(), "sg1.file");
        assert_eq!(read(Some(Path::new("-")), None).unwrap(), "sg1.input");
        assert_eq!(read(None, Some("-")).unwrap(), "sg1.input");
        assert_eq!(read(None, Some("sg1.typed")).unwrap(), "sg1.typed");
        let absent = read(Some(&dir.path().join("absent")), None).unwrap_err().to_string();
        assert!(absent.contains("absent"), "{absent}");
    }
}
