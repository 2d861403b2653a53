//! `subscription`: what there is to subscribe to, and tokens for those who do.

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::args::{Connection, Format, Output};
use super::client::{connect, refusal, request};
use super::output;
use crate::admin::convert;
use crate::admin::token_file::any_token;
use crate::cluster::ResourceKind;
use crate::sinks::subscription::TokenHash;
use crate::wire::v1;

/// Shows subscriptions, and makes tokens for their readers
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
}

pub async fn subscription(args: SubscriptionArgs) -> anyhow::Result<()> {
    match args.what {
        What::Token { format } => token(format),
        What::List { format, connection } => list(format, &connection).await,
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

async fn list(format: Format, connection: &Connection) -> anyhow::Result<()> {
    let mut admin = connect(connection).await?;
    let wanted = v1::ListRequest { kind: convert::kind_to_wire(ResourceKind::Sink).into(), tenant: String::new() };
    let resources = admin.list(request(wanted)).await.map_err(refusal)?.into_inner().resources;
    let status = admin.status(request(v1::StatusRequest::default())).await.map_err(refusal)?.into_inner();
    let read = |resource: v1::Resource| {
        let body: Value = serde_json::from_str(&resource.body).ok()?;
        let name = resource.key?.name;
        let here = status.sinks.iter().find(|sink| sink.name == name);
        (body["kind"] == "subscription").then(|| {
            json!({
                "name": name, "format": body["format"], "start": body["start"].as_str().unwrap_or("latest"),
                "tokens": body["tokens"].as_array().map_or(0, Vec::len),
                "state": here.map(|sink| sink.state.clone()), "acknowledged": here.map(|sink| sink.acknowledged),
                "in_flight": here.map(|sink| sink.in_flight),
            })
        })
    };
    let subscriptions: Vec<Value> = resources.into_iter().filter_map(read).collect();
    let text = match format.output {
        Output::Json => output::json(&subscriptions)?,
        Output::Table => {
            let columns = ["name", "format", "start", "tokens", "state", "acknowledged", "in_flight"];
            let cell = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let rows =
                subscriptions.iter().map(|row| columns.iter().map(|it| output::visible(&cell(&row[it]))).collect());
            output::table(
                &["NAME", "FORMAT", "START", "TOKENS", "STATE HERE", "ACKED HERE", "IN FLIGHT"],
                &[3, 5, 6],
                rows.collect(),
            )
        }
    };
    Ok(output::print(&text)?)
}
