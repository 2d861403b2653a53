//! Talks to a node as its administrator, and puts its refusals in words.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::args::Connection;
use super::login;
use crate::admin::limits::{ANSWER_BYTES_MAX, CALL_TIMEOUT};
use crate::admin::token_file::read_token;
use crate::config::{Config, STANDARD_PATH};
use crate::wire::v1::admin_client::AdminClient;
use crate::wire::v1::events_client::EventsClient;
use crate::wire::v1::operations_client::OperationsClient;
use crate::wire::v1::replays_client::ReplaysClient;

/// A node on this host answers at once, or isn't there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longer than a node waits for upstream.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(30);

pub type Admin = AdminClient<InterceptedService<Channel, Bearer>>;
pub type Operations = OperationsClient<InterceptedService<Channel, Bearer>>;
pub type Replays = ReplaysClient<InterceptedService<Channel, Bearer>>;
pub type Events = EventsClient<InterceptedService<Channel, Bearer>>;

/// Puts the token on every call.
#[derive(Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// Connects, or says what to look at.
pub async fn connect(connection: &Connection) -> anyhow::Result<Admin> {
    let (channel, bearer) = reach(connection).await?;
    Ok(AdminClient::with_interceptor(channel, bearer).max_decoding_message_size(ANSWER_BYTES_MAX))
}

/// The same, for what operators do by hand.
pub async fn operate(connection: &Connection) -> anyhow::Result<Operations> {
    let (channel, bearer) = reach(connection).await?;
    Ok(OperationsClient::with_interceptor(channel, bearer).max_decoding_message_size(ANSWER_BYTES_MAX))
}

/// The same, for replays.
pub async fn replays(connection: &Connection) -> anyhow::Result<Replays> {
    let (channel, bearer) = reach(connection).await?;
    Ok(ReplaysClient::with_interceptor(channel, bearer).max_decoding_message_size(ANSWER_BYTES_MAX))
}

/// Connects as a subscriber.
pub async fn connect_events(connection: &Connection) -> anyhow::Result<Events> {
    let (channel, bearer) = reach(connection).await?;
    Ok(EventsClient::with_interceptor(channel, bearer).max_decoding_message_size(ANSWER_BYTES_MAX))
}

async fn reach(connection: &Connection) -> anyhow::Result<(Channel, Bearer)> {
    let (address, token_file) = place(connection)?;
    let token = match (read_token(&token_file), login::own_token_file()) {
        // Who may not read the node's files may have a token of his own.
        (Err(_), Some(own)) if connection.token_file.is_none() && own.exists() => read_token(&own)?,
        (read, _) => read?,
    };
    let mut header: MetadataValue<Ascii> =
        format!("Bearer {}", token.expose()).parse().map_err(|_| anyhow!("{} is damaged", token_file.display()))?;
    header.set_sensitive(true);
    Ok((channel(address).await?, Bearer(header)))
}

pub(super) async fn channel(address: SocketAddr) -> anyhow::Result<Channel> {
    Endpoint::from_shared(format!("http://{address}"))
        .context("make the address of the node")?
        .connect_timeout(CONNECT_TIMEOUT)
        .connect()
        .await
        .map_err(|error| anyhow!(root(&error).to_string()))
        .with_context(|| {
            format!("no node answers at {address}; is it running? `systemctl status siemgate` and its log tell")
        })
}

/// Where the node's API is.
pub(super) fn address(connection: &Connection) -> anyhow::Result<SocketAddr> {
    Ok(place(connection)?.0)
}

/// Address and token file: as given, otherwise as the node's configuration says.
fn place(connection: &Connection) -> anyhow::Result<(SocketAddr, PathBuf)> {
    let path = &connection.node.config;
    let config = match (&connection.api, &connection.token_file) {
        (Some(_), Some(_)) => Config::default(),
        _ if path == Path::new(STANDARD_PATH) && !path.exists() => Config::default(),
        _ => Config::load(path)?,
    };
    let address = connection.api.unwrap_or(config.listen.api);
    if !address.ip().is_loopback() {
        bail!(
            "{address} is another host, and the token would travel in the open; run this on the node, or use a tunnel"
        );
    }
    let token_file = connection.token_file.clone().unwrap_or_else(|| config.admin_token());
    Ok((address, token_file))
}

/// A call with the time it may take.
pub fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_TIMEOUT);
    request
}

/// A call of somebody who waits at a terminal; upstream is asked within it.
pub fn question<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(QUESTION_TIMEOUT);
    request
}

/// The node's own words. What the transport adds to them helps nobody.
#[expect(clippy::needless_pass_by_value, reason = "made to stand in map_err")]
pub fn refusal(status: Status) -> anyhow::Error {
    match status.code() {
        Code::Unimplemented => anyhow!("the node is of an older version that can't do this; upgrade it"),
        Code::OutOfRange => anyhow!("too much at once: {}", status.message()),
        Code::DeadlineExceeded | Code::Cancelled => anyhow!("the node did not answer in time; look at its log"),
        _ if status.message().is_empty() => anyhow!("the node failed: {:?}", status.code()),
        _ => anyhow!("{}", status.message().to_owned()),
    }
}

fn root<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    std::iter::successors(Some(error), |error| error.source()).last().unwrap_or(error)
}
