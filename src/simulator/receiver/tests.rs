//! The receiver over real sockets: what it counts, when it closes, and how it misbehaves when told to.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const BOUND: Duration = Duration::from_secs(10);

fn frame(feed: &str, event: u64, text: &str) -> Vec<u8> {
    let mut names = feed.split('/');
    let (tenant, source) = (names.next().unwrap(), names.next().unwrap());
    let message = format!(
        "<134>1 2030-01-01T10:02:05.123Z siemgate defender - Alert [gw@32473 tenant=\"{tenant}\" source=\"{source}\" \
         feed=\"{feed}\" epoch=\"1\" id=\"{event:032x}\" record=\"0\"] {text}"
    );
    [format!("{} ", message.len()).as_bytes(), message.as_bytes()].concat()
}

async fn started() -> Receiver {
    Receiver::start(Options::default()).await.unwrap()
}

async fn connected(receiver: &Receiver) -> TcpStream {
    TcpStream::connect(receiver.address()).await.unwrap()
}

/// What the receiver answers until it closes.
async fn end_of(stream: &mut TcpStream) -> io::Result<usize> {
    let mut answer = Vec::new();
    tokio::time::timeout(BOUND, stream.read_to_end(&mut answer)).await.unwrap()
}

#[tokio::test]
async fn a_frame_split_at_every_byte_is_counted_once() {
    let receiver = started().await;
    let mut stream = connected(&receiver).await;
    stream.set_nodelay(true).unwrap();
    for byte in frame("contoso/hub/0", 1, "split\nin the middle") {
        stream.write_all(&[byte]).await.unwrap();
    }
    let tally = receiver.wait_until(BOUND, |tally| tally.total.received == 1).await.unwrap();
    assert_eq!((tally.source("contoso/hub").distinct, tally.malformed), (1, 0));
}

#[tokio::test]
async fn many_frames_in_one_segment_are_counted_one_by_one() {
    let receiver = started().await;
    let mut stream = connected(&receiver).await;
    let mut all = Vec::new();
    for event in [1, 2, 3, 2, 2] {
        all.extend(frame("contoso/hub/0", event, "x"));
    }
    all.extend(b"<13>1 - - - - - - a line that nobody counted\n");
    stream.write_all(&all).await.unwrap();
    let tally = receiver.wait_until(BOUND, |tally| tally.total.received == 6).await.unwrap();
    assert_eq!(tally.feed("contoso/hub/0"), Counts { received: 5, distinct: 3, duplicates: 2 });
    assert_eq!(tally.source("-/-").received, 1);
}

#[tokio::test]
async fn the_end_of_stream_answers_a_half_close_only_after_everything_is_counted() {
    let receiver = started().await;
    let mut stream = connected(&receiver).await;
    let mut all = Vec::new();
    for event in 0..20_000 {
        all.extend(frame("contoso/hub/0", event, "a text of some length to fill more than one segment"));
    }
    stream.write_all(&all).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(end_of(&mut stream).await.unwrap(), 0);
    assert_eq!(receiver.tally().total.distinct, 20_000, "counted before the end of stream was sent");
}

#[tokio::test]
async fn a_frozen_receiver_neither_reads_nor_answers_and_catches_up_afterwards() {
    let receiver = started().await;
    receiver.behave(Behaviour::Freeze);
    let mut stream = connected(&receiver).await;
    stream.write_all(&frame("contoso/hub/0", 1, "x")).await.unwrap();
    stream.shutdown().await.unwrap();
    let early = receiver.wait_until(Duration::from_millis(200), |tally| tally.total.received > 0).await;
    assert!(matches!(early, Err(ReceiverError::Waited { .. })));
    receiver.behave(Behaviour::Read);
    assert_eq!(end_of(&mut stream).await.unwrap(), 0);
    assert_eq!(receiver.tally().total.received, 1);
}

#[tokio::test]
async fn a_refusing_receiver_drops_its_connections_and_comes_back_at_the_same_address() {
    let receiver = started().await;
    let mut stream = connected(&receiver).await;
    stream.write_all(&frame("contoso/hub/0", 1, "x")).await.unwrap();
    receiver.wait_until(BOUND, |tally| tally.total.received == 1).await.unwrap();

    receiver.behave(Behaviour::Refuse);
    receiver.wait_until(BOUND, |tally| tally.open_connections == 0).await.unwrap();
    end_of(&mut stream).await.ok();
    assert!(TcpStream::connect(receiver.address()).await.is_err());

    receiver.behave(Behaviour::Read);
    let again = tokio::time::timeout(BOUND, async {
        loop {
            match TcpStream::connect(receiver.address()).await {
                Ok(stream) => return stream,
                Err(_) => tokio::time::sleep(REBIND_EVERY).await,
            }
        }
    });
    let mut again = again.await.unwrap();
    again.write_all(&frame("contoso/hub/0", 2, "x")).await.unwrap();
    receiver.wait_until(BOUND, |tally| tally.total.distinct == 2).await.unwrap();
}

#[tokio::test]
async fn a_slow_receiver_holds_back_what_it_has_not_read() {
    let receiver = started().await;
    receiver.behave(Behaviour::Slow { bytes_per_second: 40_000 });
    let mut stream = connected(&receiver).await;
    let one = frame("contoso/hub/0", 1, &"x".repeat(20_000));
    stream.write_all(&one.repeat(4)).await.unwrap();
    let started = std::time::Instant::now();
    receiver.wait_until(BOUND, |tally| tally.total.received >= 2).await.unwrap();
    assert!(started.elapsed() > Duration::from_millis(500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_lost_framing_is_reported_with_a_sample_and_ends_the_connection() {
    let receiver = started().await;
    let mut stream = connected(&receiver).await;
    let mut all = frame("contoso/hub/0", 1, "x");
    all.extend(b"torn|frame");
    stream.write_all(&all).await.unwrap();
    end_of(&mut stream).await.ok();
    let tally = receiver.wait_until(BOUND, |tally| tally.open_connections == 0).await.unwrap();
    assert_eq!((tally.total.received, tally.malformed), (1, 1));
    assert!(tally.malformed_sample.unwrap().contains("torn|frame"));

    let mut stream = connected(&receiver).await;
    stream.write_all(b"100 <13>1 cut").await.unwrap();
    stream.shutdown().await.unwrap();
    end_of(&mut stream).await.unwrap();
    assert_eq!(receiver.tally().malformed, 2, "a connection that ends within a frame tore it");
}

#[tokio::test]
async fn a_frame_of_a_megabyte_and_more_arrives_whole() {
    let receiver = started().await;
    let mut tail = receiver.tail();
    let mut stream = connected(&receiver).await;
    let large = frame("contoso/hub/0", 1, &"é".repeat(1 << 20));
    stream.write_all(&large).await.unwrap();
    receiver.wait_until(BOUND, |tally| tally.total.received == 1).await.unwrap();
    let line = tail.recv().await.unwrap();
    assert!(large.ends_with(&line.message));
    assert_eq!(line.connection, 1);
}

#[tokio::test]
async fn the_history_tells_of_every_frame_before_the_sender_hears_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("received.jsonl");
    let options = Options { history: Some(path.clone()), ..Options::default() };
    let receiver = Receiver::start(options).await.unwrap();
    let mut stream = connected(&receiver).await;
    for event in [7, 8, 7] {
        stream.write_all(&frame("contoso/hub/3", event, "text")).await.unwrap();
    }
    stream.shutdown().await.unwrap();
    end_of(&mut stream).await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<&str> = lines.iter().map(|line| line["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [7, 8, 7].map(|event| format!("{event:032x}")));
    assert_eq!(lines[0]["feed"], "contoso/hub/3");
    assert_eq!(lines[0]["kind"], "received");
    assert_eq!(
        lines[0]["sha256"].as_str().unwrap(),
        "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1"
    );
    assert_eq!(receiver.stop().await.total, Counts { received: 3, distinct: 2, duplicates: 1 });
}

#[tokio::test]
async fn a_folder_that_does_not_exist_and_an_address_in_use_are_named() {
    let history = Some(PathBuf::from("/nonexistent/received.jsonl"));
    let failed = Receiver::start(Options { history, ..Options::default() }).await.err().unwrap();
    assert!(failed.to_string().contains("/nonexistent/received.jsonl"));
    let receiver = started().await;
    let options = Options { listen: receiver.address(), ..Options::default() };
    assert!(matches!(Receiver::start(options).await, Err(ReceiverError::Listen { .. })));
}

/// Measures the rate, and fails only where something is badly wrong: tests run unoptimised and beside other work.
#[tokio::test]
async fn tens_of_thousands_of_frames_a_second_are_taken() {
    let receiver = started().await;
    let mut stream = connected(&receiver).await;
    let frames = 20_000;
    let text = "x".repeat(1_500);
    let all: Vec<u8> = (0..frames).flat_map(|event| frame("contoso/hub/0", event, &text)).collect();
    let begun = std::time::Instant::now();
    stream.write_all(&all).await.unwrap();
    receiver.wait_until(BOUND, |tally| tally.total.distinct == frames).await.unwrap();
    let rate = frames as f64 / begun.elapsed().as_secs_f64();
    println!("{rate:.0} frames a second");
    assert!(rate > 2_000.0, "{rate}");
}
