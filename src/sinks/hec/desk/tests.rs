use bytes::Bytes;
use tokio::sync::mpsc;

use super::*;
use crate::sinks::{Ack, Stretch};

/// A desk before one collector, and the acknowledgements of the one parcel that lies on it.
fn desk() -> (Desk, mpsc::Receiver<Ack>) {
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "12345678-1234-1234-1234-123456789012").unwrap();
    let token = format!("${{file:{}}}", token.path().display());
    let config = serde_json::json!({"url": "http://127.0.0.1:9", "token": token});
    let config: HecConfig = serde_json::from_value(config).unwrap();
    let client = Client::new(&config).unwrap();
    let mut desk = Desk::new(config, client, Arc::default());
    let (acks, acknowledged) = mpsc::channel(1);
    let receipt = Some(Receipt::new(Stretch::sample(), 0, 0, 1, acks));
    let (frames, lease) = (Bytes::from_static(b"{}"), Lease::unlimited());
    desk.take(Parcel { frames, ends: vec![2], events: 1, permit: None, receipt, lease });
    (desk, acknowledged)
}

#[tokio::test]
async fn s3_an_answer_that_is_not_the_collectors_own_ends_the_channel() {
    for (status, body, keeps) in [
        (403, "<html>blocked</html>", false),
        (404, "", false),
        (302, "moved", false),
        (200, "<html>please sign in</html>", false),
        (200, r#"{"text":"HEC is healthy","code":17}"#, false),
        (503, r#"{"text":"Success","code":0,"ackId":7}"#, false),
        (403, r#"{"text":"Invalid token","code":4}"#, true),
        (503, r#"{"text":"Server is busy","code":9}"#, true),
    ] {
        let (mut desk, _acknowledged) = desk();
        let load = desk.outbox.cut(desk.bounds, |_| true).unwrap();
        desk.targets.sending(0);
        let (channel, guid) = desk.channels[0];
        let sent = Sent { load, channel, guid, floor: None, gzip: true, channelled: true };
        let reply = Reply::Answer { status, retry_after: None, body: body.into() };
        desk.returned(Returned { target: 0, what: What::Events(sent), reply });
        assert_eq!(desk.channels[0].1 == guid, keeps, "{status} {body}");
        assert!(!desk.is_empty(), "it is sent again");
    }
}
