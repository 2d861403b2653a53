//! `init`: makes a cluster of one, which others may join.

use clap::Args;
use serde_json::json;

use super::args::{Format, NodeFile, Output};
use super::join::own_certificate;
use super::output;
use super::run::make_data_dir;
use crate::admin::first_code;
use crate::clock::Clock;
use crate::config::Config;
use crate::node::membership::{self, NewMember};
use crate::secret::Secret;

/// Makes a new cluster with this node as its first member
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    siemgate init\n  \
    siemgate init --config ./siemgate.toml -o json\n  \
    siemgate init --new-code         for another administrator\n\n\
    It makes the cluster's id, its authority, this node's certificate and the key that seals its secrets. `siemgate run`\n\
    does the same in an empty data directory. Where a node is a member already, it says so and changes nothing.\n\n\
    The code it shows makes an administrator of whoever types it at `siemgate login`, once and within an hour.")]
pub struct Init {
    /// Draws another code for an administrator, on a node that is a member already
    #[arg(long)]
    new_code: bool,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    node: NodeFile,
}

pub fn init(args: &Init) -> anyhow::Result<()> {
    let config = Config::load(&args.node.config)?;
    make_data_dir(&config.node.data_dir)?;
    let already = membership::known(&config.node.data_dir)?;
    let made = match already {
        Some(member) => member,
        None => membership::found(&config.node.data_dir, &Clock::System)?,
    };
    let code = match already {
        Some(_) if !args.new_code => None,
        _ => Some(first_code::draw(&config.first_code(), Clock::System.now())?),
    };
    let text = match args.format.output {
        Output::Table => told(&config, made, already.is_some(), code.as_ref()),
        Output::Json => output::json(&json!({
            "made": already.is_none(),
            "cluster": made.name.cluster.to_string(),
            "node": made.name.node.0,
            "name": made.name.to_string(),
            "pin": made.pin.to_string(),
            "data_dir": config.node.data_dir,
            "admin_token": config.admin_token(),
            "code": code.as_ref().map(Secret::expose),
        }))?,
    };
    Ok(output::print(&text)?)
}

fn told(config: &Config, made: NewMember, already: bool, code: Option<&Secret>) -> String {
    let first = match (already, code) {
        (false, _) => "Made a new cluster.",
        (true, None) => "This node is a member already; nothing was changed.",
        (true, Some(_)) => "This node is a member already. Codes drawn before are void now.",
    };
    let code = code.map_or_else(String::new, |code| {
        format!(
            "  code     {} (once, within an hour: `siemgate login` makes an administrator of who has it)\n",
            code.expose()
        )
    });
    format!(
        "{first}\n\n  \
         cluster  {}\n  \
         node     {}\n  \
         pin      {}\n  \
         data     {}\n  \
         token    {} (made at the first start; it proves an administrator)\n\
         {code}\n\
         {}Next: `siemgate run`, then `siemgate cluster invite` for each further node.\n",
        made.name.cluster,
        made.name.node,
        made.pin,
        config.node.data_dir.display(),
        config.admin_token().display(),
        own_certificate(config, made.name),
    )
}
