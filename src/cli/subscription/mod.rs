//! `subscription`: what there is to subscribe to, who does, and tokens for those who may.

mod reset;
mod show;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::json;

use super::args::{Connection, Format, Output};
use super::output;
use crate::admin::token_file::any_token;
use crate::sinks::subscription::TokenHash;

/// Shows subscriptions, lets them begin elsewhere, and makes tokens for their readers
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct SubscriptionArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Makes a token: give it to the reader, and its hash to the subscription's `tokens`
    Token {
        #[command(flatten)]
        format: Format,
    },
    /// Lists the subscriptions
    List {
        #[command(flatten)]
        format: Format,
        #[command(flatten)]
        connection: Connection,
    },
    /// Shows one subscription: its settings, its readers, and how far it has got in each feed
    Show {
        /// The subscription's name
        name: String,
        #[command(flatten)]
        format: Format,
        #[command(flatten)]
        connection: Connection,
    },
    Reset(reset::Reset),
}

pub async fn subscription(args: SubscriptionArgs) -> anyhow::Result<()> {
    match args.what {
        What::Token { format } => token(format),
        What::List { format, connection } => show::list(format, &connection).await,
        What::Show { name, format, connection } => show::show(&name, format, &connection).await,
        What::Reset(args) => reset::reset(args).await,
    }
}

/// The one place where a token is shown. The cluster keeps only its hash.
fn token(format: Format) -> anyhow::Result<()> {
    let token = any_token().context("make a token")?;
    let hash = TokenHash::of(token.expose().as_bytes()).to_string();
    let text = match format.output {
        Output::Table => format!("token  {}\nhash   {hash}", token.expose()),
        Output::Json => output::json(&json!({"token": token.expose(), "hash": hash}))?,
    };
    Ok(output::print(&text)?)
}
