//! What a node says of itself, asked over its API as the command line asks.

use std::path::Path;
use std::time::Duration;

use siemgate::admin::convert::status_from_wire;
use siemgate::admin::limits::ANSWER_BYTES_MAX;
use siemgate::admin::view::Status;
use siemgate::wire::v1;
use siemgate::wire::v1::admin_client::AdminClient;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Endpoint;

/// A node that is well answers at once; one that is frozen or cut off should not hold up the test.
const PATIENCE: Duration = Duration::from_millis(700);

/// Nothing, when the node does not answer.
pub async fn status(address: &str, token_file: &Path) -> Option<Status> {
    tokio::time::timeout(PATIENCE, asked(address, token_file)).await.ok()?
}

async fn asked(address: &str, token_file: &Path) -> Option<Status> {
    let token = std::fs::read_to_string(token_file).ok()?;
    let bearer: MetadataValue<Ascii> = format!("Bearer {}", token.trim()).parse().ok()?;
    let channel = Endpoint::from_shared(format!("http://{address}")).ok()?.connect().await.ok()?;
    let mut request = Request::new(v1::StatusRequest::default());
    request.metadata_mut().insert("authorization", bearer);
    let mut admin = AdminClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
    status_from_wire(admin.status(request).await.ok()?.into_inner()).ok()
}
