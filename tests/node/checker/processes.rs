//! The lines that a receiver really writes, judged by the checker: the two must never drift apart.

use std::error::Error;
use std::fs::read_to_string;
use std::time::Duration;

use siemgate::clock::{Clock, Timestamp};
use siemgate::simulator::receiver::{Options, Receiver};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::history::identity::record_id;
use crate::history::{History, Rule, Setup, assert_holds, check};

const FEED: &str = "contoso/hub/0";
const BOUND: Duration = Duration::from_secs(10);

fn frame(record: u64) -> String {
    let id = record_id(FEED, 7, "0", 0, record);
    let message = format!(
        "<134>1 - siemgate defender - Alert [gw@32473 tenant=\"contoso\" source=\"hub\" feed=\"{FEED}\" epoch=\"1\" \
         id=\"{id}\" record=\"{record}\"] text of {record}"
    );
    format!("{} {message}", message.len())
}

/// Sends the frames to a receiver and gathers what it wrote, beside what simulator and node would.
async fn judged(frames: &[String]) -> Result<(History, Setup), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let received = folder.path().join("received.jsonl");
    let now = Clock::System.now();

    let options = Options { history: Some(received.clone()), ..Options::default() };
    let receiver = Receiver::start(options).await?;
    let mut stream = TcpStream::connect(receiver.address()).await?;
    stream.write_all(frames.concat().as_bytes()).await?;
    stream.shutdown().await?;
    let mut answer = Vec::new();
    tokio::time::timeout(BOUND, stream.read_to_end(&mut answer)).await??;
    let committed = Clock::System.now();
    receiver.stop().await;

    let (produced, node) = (simulator(now), node(now, committed));
    let received = read_to_string(received)?;
    let history = History::parse(&[("", &produced), ("siem", &received), ("", &node)])?;
    let setup = Setup {
        feeds: [("hub/0".to_owned(), FEED.to_owned())].into(),
        sinks: vec!["siem".to_owned()],
        drained: true,
        ..Setup::default()
    };
    Ok((history, setup))
}

/// What the simulator tells of a message of three records.
fn simulator(produced: Timestamp) -> String {
    let at = produced.nanos();
    format!(
        "{{\"kind\":\"produced\",\"at\":{at},\"stream\":\"hub/0\",\"generation\":7,\"partition\":\"0\",\
         \"sequence\":0,\"records\":3}}\n"
    )
}

/// What a node would tell: it owns the feed, and commits after the receiver's end of stream.
fn node(assigned: Timestamp, committed: Timestamp) -> String {
    let (assigned, committed) = (assigned.nanos(), committed.nanos());
    format!(
        "{{\"kind\":\"epoch\",\"at\":{assigned},\"feed\":\"{FEED}\",\"epoch\":1}}\n\
         {{\"kind\":\"committed\",\"at\":{committed},\"feed\":\"{FEED}\",\"sink\":\"siem\",\"epoch\":1,\
         \"generation\":7,\"sequence\":0}}\n"
    )
}

#[tokio::test]
async fn a_run_of_real_processes_passes() {
    let (history, setup) = judged(&[frame(0), frame(1), frame(2)]).await.unwrap();
    assert_holds(&history, &setup);
}

#[tokio::test]
async fn what_goes_wrong_in_a_run_of_real_processes_is_found() {
    let (history, setup) = judged(&[frame(0), frame(2), frame(2)]).await.unwrap();
    let rules: Vec<Rule> = check(&history, &setup).into_iter().map(|violation| violation.rule).collect();
    for rule in [Rule::NoLoss, Rule::Duplicates, Rule::Order, Rule::CommitAfterReceipt] {
        assert!(rules.contains(&rule), "{rule:?} is missing from {rules:?}");
    }
}
