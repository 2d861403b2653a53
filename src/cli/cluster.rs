//! `cluster`: who the members are, and who may become one.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::args::{Connection, Format, Output};
use super::client::{connect, refusal, request};
use super::{doctor, members, output, recovery};
use crate::clock::Timestamp;
use crate::wire::v1;

/// Looks after the members of the cluster
#[derive(Debug, Args)]
pub struct ClusterArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(visible_alias = "members")]
    Status(members::StatusArgs),
    Invite(Invite),
    Drain(members::DrainArgs),
    Remove(members::RemoveArgs),
    Replace(members::ReplaceArgs),
    TransferLeader(members::TransferArgs),
    Snapshot(members::SnapshotArgs),
    Doctor(doctor::DoctorArgs),
    Backup(recovery::BackupArgs),
    Restore(recovery::RestoreArgs),
    Recover(recovery::RecoverArgs),
}

/// Prints a token by which one more node may join
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    siemgate cluster invite\n  \
    siemgate cluster invite --role witness --expires 10m\n\n\
    The token works once. It lets its bearer be a member and read every secret of the cluster: hand it over as you would\n\
    a key.")]
struct Invite {
    /// What the node is to be: one that reads feeds, or one that only votes
    #[arg(long, value_enum, default_value_t = RoleName::Data)]
    role: RoleName,
    /// How long the token is good, such as `10m`; at most `30m`
    #[arg(long, value_name = "SPAN", default_value = "30m", value_parser = span)]
    expires: Duration,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleName {
    Data,
    Witness,
}

/// Whether all is well, where the command asks for that.
pub async fn cluster(args: ClusterArgs) -> anyhow::Result<bool> {
    match args.command {
        Command::Status(args) => return members::status(args).await,
        Command::Invite(args) => invite(args).await?,
        Command::Drain(args) => members::drain(args).await?,
        Command::Remove(args) => members::remove(args).await?,
        Command::Replace(args) => members::replace(args).await?,
        Command::TransferLeader(args) => members::transfer(args).await?,
        Command::Snapshot(args) => members::snapshot(args).await?,
        Command::Doctor(args) => return doctor::doctor(args).await,
        Command::Backup(args) => recovery::backup(args).await?,
        Command::Restore(args) => recovery::restore(&args)?,
        Command::Recover(args) => recovery::recover(args).await?,
    }
    Ok(true)
}

async fn invite(args: Invite) -> anyhow::Result<()> {
    let mut admin = connect(&args.connection).await?;
    let role = match args.role {
        RoleName::Data => v1::MemberRole::Data,
        RoleName::Witness => v1::MemberRole::Witness,
    };
    let life = prost_types::Duration { seconds: args.expires.as_secs().cast_signed(), nanos: 0 };
    let wanted = v1::InviteRequest { role: role.into(), life: Some(life) };
    let answer = admin.invite(request(wanted)).await.map_err(refusal)?.into_inner();
    let seconds = answer.expires.map_or(0, |at| at.seconds);
    let expires = Timestamp::from_millis(seconds.saturating_mul(1_000)).to_microsoft();
    let command = format!("siemgate join {} --token-file -", answer.address);
    let text = match args.format.output {
        Output::Table => format!(
            "{}\n\nIt works once, until {expires}. On the new node, paste it into:\n\n  {command}\n",
            answer.token
        ),
        Output::Json => output::json(&json!({
            "token": answer.token, "expires": expires, "address": answer.address, "pin": answer.pin, "join": command,
        }))?,
    };
    Ok(output::print(&text)?)
}

/// Reads `90s`, `10m` or `1h`.
fn span(text: &str) -> Result<Duration, String> {
    let bad = || "give a number with `s`, `m` or `h`, such as `10m`".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(bad)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(bad()),
    };
    let number: u64 = number.parse().map_err(|_| bad())?;
    number.checked_mul(seconds).filter(|seconds| *seconds > 0).map(Duration::from_secs).ok_or_else(bad)
}
