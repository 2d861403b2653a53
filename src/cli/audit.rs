//! `audit list`: what was changed by hand, by whom and why.

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::json;

use super::args::{Connection, Format, Output};
use super::client::{operate, question, refusal};
use super::output;
use crate::admin::convert::time_from_wire;
use crate::wire::v1;

/// Shows what was changed by hand: cursors that were moved, records that were dropped
#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
}

/// Lists the records, the newest last, and checks that the chain of them is whole
#[derive(Debug, Args)]
#[command(after_help = "Exit code: 1 if a record was altered or taken out.")]
struct List {
    /// Only the newest so many
    #[arg(long, short = 'n', default_value_t = 0, hide_default_value = true)]
    limit: u32,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

pub async fn audit(args: AuditArgs) -> anyhow::Result<()> {
    let Command::List(List { limit, format, connection }) = args.command;
    let mut operations = operate(&connection).await?;
    let answer = operations.audit(question(v1::AuditRequest { limit })).await.map_err(refusal)?.into_inner();
    let at = |entry: &v1::AuditEntry| entry.at.as_ref().map_or_else(String::new, |at| time_from_wire(at).to_string());
    let text = match format.output {
        Output::Table if answer.entries.is_empty() => "Nothing was changed by hand yet.".to_owned(),
        Output::Table => {
            let row = |entry: &v1::AuditEntry| {
                let (by, action, reason) = (entry.by.clone(), entry.action.clone(), entry.reason.clone());
                vec![entry.number.to_string(), at(entry), by, action, reason]
            };
            let rows = answer.entries.iter().map(row).collect();
            output::table(&["NUMBER", "AT", "BY", "WHAT", "WHY"], &[0], rows)
        }
        Output::Json => {
            let entry = |entry: &v1::AuditEntry| {
                json!({
                    "number": entry.number, "at": at(entry), "by": entry.by, "action": entry.action,
                    "reason": entry.reason,
                })
            };
            let entries: Vec<_> = answer.entries.iter().map(entry).collect();
            output::json(&json!({"entries": entries, "broken_at": answer.broken_at}))?
        }
    };
    output::print(&text)?;
    if let Some(number) = answer.broken_at {
        bail!("record {number} does not go with the one before it: somebody altered the audit");
    }
    Ok(())
}
