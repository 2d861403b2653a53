//! The command tree: what people type, and the one function that each command is. No logic lives here.

pub mod normalize;
mod signal;
pub mod simulator;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A high-availability gateway between Microsoft's security clouds and the SIEMs that watch them.
#[derive(Debug, Parser)]
#[command(name = "siemgate", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows the version of this program.
    Version,
    /// Turns Microsoft security records into lines for a SIEM.
    Normalize(normalize::Args),
}

/// Runs the one command that was typed and says how it ended: 0 it worked, 1 it failed, 2 it was typed wrong.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Command::Version => ExitCode::SUCCESS,
        Command::Normalize(args) => normalize::main(&args).unwrap_or(ExitCode::FAILURE),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }
}
