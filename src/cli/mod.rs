//! The command tree: what people type, and the one function that each command is. No logic lives here.

mod apply;
mod args;
mod audit;
mod client;
mod cluster;
mod cursor;
pub mod demo;
mod doctor;
mod init;
mod join;
mod login;
mod members;
pub mod normalize;
mod output;
mod quarantine;
mod recovery;
mod replay;
mod replay_view;
mod run;
mod signal;
pub mod simulator;
mod sink;
mod status;
mod subscribe;
mod subscription;
mod tap;
mod typed;
mod validate;

use std::future::Future;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde_json::json;

use crate::config::fault::Faults;
use args::{Format, Output};

/// A high-availability gateway between Microsoft's security clouds and the SIEMs that watch them
#[derive(Debug, Parser)]
#[command(name = "siemgate", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Start here:\n  \
    siemgate demo                      a simulated cloud, a node and a receiver, on this machine alone\n  \
    siemgate normalize < records.json  Microsoft records in, CEF out\n  \
    siemgate config validate           is my configuration right?\n  \
    siemgate run                       run the node\n  \
    siemgate cluster invite            let another node join\n  \
    siemgate status                    how is it doing?\n\n\
    Exit codes: 0 it worked, 1 it failed, 2 it was typed wrong.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Init(init::Init),
    Join(join::Join),
    Login(login::Login),
    Cluster(cluster::ClusterArgs),
    Demo(demo::Args),
    Simulator(simulator::Args),
    Sink(sink::SinkArgs),
    Status(status::StatusArgs),
    Tap(tap::Tap),
    Cursor(cursor::CursorArgs),
    Quarantine(quarantine::QuarantineArgs),
    Audit(audit::AuditArgs),
    Replay(Box<replay::ReplayArgs>),
    Subscribe(subscribe::Subscribe),
    Subscription(subscription::SubscriptionArgs),
    Normalize(normalize::Args),
    Apply(apply::Apply),
    Get(apply::Get),
    Delete(apply::Delete),
    Config(validate::ConfigArgs),
    Version(Version),
}

/// Shows the version of this program
#[derive(Debug, Args)]
struct Version {
    #[command(flatten)]
    format: Format,
}

/// What was typed can't be meant. Clap finds the rest of these.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

const FAILED: u8 = 1;
const USAGE: u8 = 2;

/// Runs the one command that was typed and says how it ended.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    crate::tls::install();
    match command(cli.command) {
        Ok(code) => code,
        Err(error) => explain(&error),
    }
}

fn command(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => on_all_cores(run::run(args))?,
        Command::Init(args) => init::init(&args)?,
        Command::Join(args) => on_this_thread(join::join(args))?,
        Command::Login(args) => on_this_thread(login::login(args))?,
        Command::Cluster(args) => return on_this_thread(cluster::cluster(args)).map(verdict),
        Command::Demo(args) => on_all_cores(demo::run(args))?,
        Command::Simulator(args) => on_all_cores(simulator::run(args))?,
        Command::Sink(args) => return on_this_thread(sink::sink(args)).map(verdict),
        Command::Status(args) => return on_this_thread(status::status(args)).map(verdict),
        Command::Tap(args) => on_this_thread(tap::tap(args))?,
        Command::Cursor(args) => on_this_thread(cursor::cursor(args))?,
        Command::Quarantine(args) => return on_this_thread(quarantine::quarantine(args)).map(verdict),
        Command::Audit(args) => on_this_thread(audit::audit(args))?,
        Command::Replay(args) => return on_this_thread(replay::replay(*args)).map(verdict),
        Command::Subscribe(args) => on_this_thread(subscribe::subscribe(args))?,
        Command::Subscription(args) => on_this_thread(subscription::subscription(args))?,
        Command::Normalize(args) => return normalize::main(&args),
        Command::Apply(args) => on_this_thread(apply::apply(args))?,
        Command::Get(args) => on_this_thread(apply::get(args))?,
        Command::Delete(args) => on_this_thread(apply::delete(args))?,
        Command::Config(args) => validate::config(args)?,
        Command::Version(args) => version(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn verdict(well: bool) -> ExitCode {
    if well { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

fn on_all_cores<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(future)
}

fn on_this_thread<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

fn version(args: &Version) -> anyhow::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let text = match args.format.output {
        Output::Table => format!("siemgate {version}"),
        Output::Json => output::json(&json!({"name": "siemgate", "version": version}))?,
    };
    Ok(output::print(&text)?)
}

/// Says what went wrong and because of what. A reader that closed its pipe has seen enough.
fn explain(error: &anyhow::Error) -> ExitCode {
    if error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(is_broken_pipe)) {
        return ExitCode::SUCCESS;
    }
    if let Some(faults) = error.downcast_ref::<Faults>() {
        let plural = if faults.0.len() == 1 { "fault" } else { "faults" };
        say(&format!("{faults}\nerror: {} {plural} in the configuration; nothing was done", faults.0.len()));
        return ExitCode::from(FAILED);
    }
    let mut text = String::new();
    for (n, cause) in error.chain().map(ToString::to_string).enumerate() {
        // Some errors print their cause themselves; once is enough.
        if !text.contains(&cause) {
            text.push_str(if n == 0 { "error: " } else { "\n  because: " });
            text.push_str(&cause.replace('\n', "\n  "));
        }
    }
    say(&text);
    ExitCode::from(if error.is::<Usage>() { USAGE } else { FAILED })
}

fn is_broken_pipe(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// A line to the person at the terminal. Nobody can be told that telling them failed.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{}", text.trim_end());
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }

    const GOOD: &[&str] = &[
        "run",
        "run --config x.toml",
        "status -o json",
        "status --tenant contoso",
        "tap -n 5 --class alert",
        "replay --tenant a --source b --from 2026-11-01T00:00:00Z --sink s --rate 9 --dry-run",
        "replay start --tenant a --source b --from 2026-11-01T00:00:00Z --to 2026-11-02T00:00:00Z --sink s --wait",
        "replay list -o json",
        "replay show 3 --wait",
        "replay cancel 3 --reason x",
        "subscribe soc --member a -n 3 --keep -o json",
        "subscription token -o json",
        "subscription list",
        "subscription show soc",
        "subscription reset soc --earliest --dry-run",
        "subscription reset soc --time 2026-11-01T00:00:00Z --allow-skip --reason x -o json",
        "quarantine retry a b",
        "quarantine retry --all --sink s --dry-run -o json",
        "quarantine drop a --reason x",
        "quarantine drop --all --dry-run",
        "apply a.toml b.d --dry-run",
        "apply -",
        "get",
        "get sources",
        "get source contoso/hub -o toml",
        "delete sink a b",
        "config validate",
        "config validate --config x.toml r.d -o json",
        "version -o json",
        "init -o json",
        "join siem-1:7444 --token -",
        "join siem-1:7444 --token-file -",
        "join siem-1:7444 --token-file /run/token",
        "cluster invite --role witness --expires 90s",
        "cluster recover --dry-run -o json",
        "cluster backup b",
        "cluster doctor -o json",
        "cluster restore b --kek k --incarnation 3",
        "simulator --seed 7",
        "sink test siem",
        "sink test --all -o json",
        "sink test --file r.toml siem",
        "normalize",
        "status --api 127.0.0.1:1 --token-file t",
    ];
    const BAD: &[(&str, ErrorKind)] = &[
        ("", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
        ("apply", ErrorKind::MissingRequiredArgument),
        ("delete tenant", ErrorKind::MissingRequiredArgument),
        ("get widget", ErrorKind::ValueValidation),
        ("tap -n 0", ErrorKind::ValueValidation),
        ("replay", ErrorKind::MissingRequiredArgument),
        ("replay --tenant a", ErrorKind::MissingRequiredArgument),
        ("replay --from noon", ErrorKind::ValueValidation),
        ("replay show", ErrorKind::MissingRequiredArgument),
        ("subscription show", ErrorKind::MissingRequiredArgument),
        ("subscription reset soc --reason x", ErrorKind::MissingRequiredArgument),
        ("subscription reset soc --earliest", ErrorKind::MissingRequiredArgument),
        ("subscription reset soc --earliest --latest --dry-run", ErrorKind::ArgumentConflict),
        ("quarantine retry", ErrorKind::MissingRequiredArgument),
        ("quarantine retry a --all", ErrorKind::ArgumentConflict),
        ("quarantine drop a", ErrorKind::MissingRequiredArgument),
        ("quarantine drop --reason x", ErrorKind::MissingRequiredArgument),
        ("status -o yaml", ErrorKind::InvalidValue),
        ("status --api localhost", ErrorKind::ValueValidation),
        ("join", ErrorKind::MissingRequiredArgument),
        ("join siem-1:7444", ErrorKind::MissingRequiredArgument),
        ("join siem-1:7444 --token - --token-file -", ErrorKind::ArgumentConflict),
        ("sink test", ErrorKind::MissingRequiredArgument),
        ("sink test --all siem", ErrorKind::ArgumentConflict),
        ("cluster", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
        ("cluster restore b", ErrorKind::MissingRequiredArgument),
        ("cluster invite --expires 10", ErrorKind::ValueValidation),
        ("statsu", ErrorKind::InvalidSubcommand),
    ];

    #[test]
    fn what_is_typed_is_understood_or_refused() {
        for good in GOOD {
            let typed = std::iter::once("siemgate").chain(good.split(' '));
            assert!(Cli::try_parse_from(typed).is_ok(), "{good}");
        }
        for (bad, kind) in BAD {
            let typed = std::iter::once("siemgate").chain(bad.split_whitespace());
            let error = Cli::try_parse_from(typed).unwrap_err();
            assert_eq!(error.kind(), *kind, "{bad}: {error}");
            assert_eq!(error.exit_code(), i32::from(USAGE), "{bad}");
        }
    }
}
