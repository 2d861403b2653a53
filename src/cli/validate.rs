//! `config validate`: everything that is wrong with the files, before a node or a cluster meets them.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::args::{Format, NodeFile, Output};
use super::output;
use crate::config::fault::Faults;
use crate::config::{Config, STANDARD_PATH, resources};

/// Checks configuration files
#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    Validate(Validate),
}

/// Checks the node's configuration and resource files, and names every fault at once
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    siemgate config validate\n  \
    siemgate config validate --config ./siemgate.toml resources.d/\n  \
    siemgate config validate resources.toml    on a machine without a node\n\n\
    Nothing is connected to and nothing changes. References in the node's file are resolved; those in resources are\n\
    not, because they mean the node that reads them.")]
struct Validate {
    /// More resource files or folders, beside those the configuration names
    #[arg(value_name = "RESOURCES")]
    resources: Vec<PathBuf>,
    #[command(flatten)]
    node: NodeFile,
    #[command(flatten)]
    format: Format,
}

pub fn config(args: ConfigArgs) -> anyhow::Result<()> {
    let ConfigCommand::Validate(Validate { resources: mut files, node, format }) = args.command;
    let mut faults = Faults::default();
    let mut checked = Vec::new();
    // Whoever writes resources on another machine has no node's file there.
    let elsewhere = !files.is_empty() && node.config == Path::new(STANDARD_PATH) && !node.config.exists();
    if !elsewhere {
        checked.push(node.config.display().to_string());
        match Config::load(&node.config) {
            Ok(config) => files.splice(0..0, config.node.resources).for_each(drop),
            Err(found) => faults.0.extend(found.0),
        }
    }
    checked.extend(files.iter().map(|path| path.display().to_string()));
    let count = match resources::load(&files) {
        Ok(declared) => declared.len(),
        Err(found) => {
            faults.0.extend(found.0);
            0
        }
    };
    match format.output {
        Output::Json => output::print(&output::json(&faults)?)?,
        Output::Table if faults.0.is_empty() => {
            output::print(&format!("{}: no fault, {count} resources", checked.join(", ")))?;
        }
        Output::Table => {}
    }
    faults.or(Some(())).map_err(Into::into)
}
