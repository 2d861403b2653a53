//! The login before a connection: which mechanisms are offered, and what each lets in.

use bytes::{Bytes, BytesMut};
use fe2o3_amqp_types::sasl::{SaslCode, SaslInit, SaslMechanisms, SaslOutcome};
use serde_amqp::primitives::{Array, Symbol};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::namespace::Namespace;
use super::refusal::Refusal;
use super::sas::Rights;
use super::serve::ConnectionError;
use super::wire::{AMQP_HEADER, Frame, FrameKind, PROTOCOL_HEADER_BYTES, SASL_HEADER, frame, next_frame, value_length};

const MSSBCBS: &str = "MSSBCBS";
const PLAIN: &str = "PLAIN";
const ANONYMOUS: &str = "ANONYMOUS";

/// How a login ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Login {
    /// Let in, to show its rights by tokens.
    Open,
    /// Let in with the rights of a rule.
    Rule(Rights),
    Refused,
}

/// Decides on a login.
fn decide(init: &SaslInit, namespace: &Namespace) -> Login {
    match init.mechanism.as_str() {
        MSSBCBS | ANONYMOUS => Login::Open,
        PLAIN => {
            let response = init.initial_response.as_deref().map(Vec::as_slice).unwrap_or_default();
            let mut parts = response.splitn(3, |&byte| byte == 0).skip(1);
            let (name, key) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            namespace.check_plain(name, key).map_or(Login::Refused, Login::Rule)
        }
        _ => Login::Refused,
    }
}

/// Greets and logs in a peer, up to both sides' AMQP headers. Returns the rights it logged in with, if any.
pub(super) async fn login<Stream: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut Stream,
    received: &mut BytesMut,
    namespace: &Namespace,
) -> Result<Option<Rights>, ConnectionError> {
    let greeting = header(stream, received).await?;
    stream.write_all(&SASL_HEADER).await?;
    if greeting != SASL_HEADER {
        // Answering with the header we expect, and leaving, is how AMQP says no to another one.
        stream.flush().await?;
        return Err(Refusal::Framing("the peer skipped the login".to_owned()).into());
    }
    let offered: Vec<Symbol> = [MSSBCBS, PLAIN, ANONYMOUS].map(Symbol::from).into();
    let mechanisms = SaslMechanisms { sasl_server_mechanisms: Array::from(offered) };
    stream.write_all(&frame(FrameKind::Sasl, 0, &mechanisms, 0)).await?;
    stream.flush().await?;

    let init = read_init(&read_frame(stream, received).await?)?;
    let login = decide(&init, namespace);
    let code = if login == Login::Refused { SaslCode::Auth } else { SaslCode::Ok };
    let outcome = SaslOutcome { code, additional_data: None };
    stream.write_all(&frame(FrameKind::Sasl, 0, &outcome, 0)).await?;
    stream.flush().await?;
    let rights = match login {
        Login::Refused => return Err(ConnectionError::LoginRefused { mechanism: init.mechanism.as_str().to_owned() }),
        Login::Open => None,
        Login::Rule(rights) => Some(rights),
    };
    if header(stream, received).await? != AMQP_HEADER {
        return Err(Refusal::Framing("no AMQP header came after the login".to_owned()).into());
    }
    stream.write_all(&AMQP_HEADER).await?;
    Ok(rights)
}

async fn fill<Stream: AsyncRead + Unpin>(stream: &mut Stream, received: &mut BytesMut) -> Result<(), ConnectionError> {
    if stream.read_buf(received).await? == 0 { Err(ConnectionError::Left) } else { Ok(()) }
}

async fn header<Stream: AsyncRead + Unpin>(
    stream: &mut Stream,
    received: &mut BytesMut,
) -> Result<[u8; PROTOCOL_HEADER_BYTES], ConnectionError> {
    loop {
        if let Some(&header) = received.first_chunk() {
            let _ = received.split_to(PROTOCOL_HEADER_BYTES);
            return Ok(header);
        }
        fill(stream, received).await?;
    }
}

async fn read_frame<Stream: AsyncRead + Unpin>(
    stream: &mut Stream,
    received: &mut BytesMut,
) -> Result<Bytes, ConnectionError> {
    loop {
        match next_frame(received)? {
            Some(Frame { kind: FrameKind::Sasl, body, .. }) => return Ok(body),
            Some(_) => return Err(Refusal::Framing("an AMQP frame in the login".to_owned()).into()),
            None => fill(stream, received).await?,
        }
    }
}

fn read_init(body: &Bytes) -> Result<SaslInit, Refusal> {
    let length = value_length(body).ok_or_else(|| Refusal::Framing("a login is cut short".to_owned()))?;
    serde_amqp::from_slice(&body[..length]).map_err(|error| Refusal::Undecodable(error.to_string()))
}
