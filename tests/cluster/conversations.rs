//! Conversations between members over real sockets: what is said arrives whole and in order, from whom the certificate
//! names, and none of it on Raft's thread.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use parking_lot::Mutex;
use siemgate::cluster::peers::{CallFailed, Peer, Peers as _, Request, Visited, Words};
use siemgate::cluster::{Credentials, Remote};
use siemgate::ids::NodeId;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;

use crate::harness::Cluster;
use crate::harness::authority::Authority;

const PATIENCE: Duration = Duration::from_secs(20);
/// The thread that Raft runs on.
const RAFT: &str = "raft";

/// Says back whatever it hears, and notes from whom it was and on which thread.
#[derive(Default)]
struct Echo {
    heard: Arc<Mutex<Vec<(NodeId, String)>>>,
}

impl Visited for Echo {
    fn visited(&self, from: NodeId, words: Words) -> Words {
        let heard = self.heard.clone();
        words
            .inspect(move |_| {
                let thread = std::thread::current().name().unwrap_or_default().to_owned();
                heard.lock().push((from, thread));
            })
            .boxed()
    }
}

async fn begin(as_whom: Credentials, cluster: &Cluster, words: Words) -> Result<(Remote, Words), CallFailed> {
    let peer = Peer { node: NodeId(1), address: cluster.address(1) };
    let remote = Remote::for_conversations(as_whom);
    let heard = remote.converse(&peer, words).await?;
    Ok((remote, heard))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b3_what_members_say_to_each_other_arrives_in_order_and_keeps_off_rafts_thread() {
    let cluster = Cluster::over_tls(1).await;
    let echo = Arc::new(Echo::default());
    let host: Arc<dyn Visited> = echo.clone();
    cluster.node(1).is_visited_by(Arc::downgrade(&host));
    // A megabyte a word, many times the window of a stream and of a connection.
    let word = |n: u8| Bytes::from(vec![n; 1 << 20]);
    let said = stream::iter((0..40).map(word)).boxed();
    let (_remote, mut heard) = begin(cluster.authority().credentials(2), &cluster, said).await.unwrap();
    for n in 0..40 {
        let answer = timeout(PATIENCE, heard.next()).await.expect("it is answered").expect("it goes on");
        assert!(answer == word(n), "word {n} is another");
    }
    assert!(timeout(PATIENCE, heard.next()).await.expect("it ends").is_none());
    let noted = echo.heard.lock().clone();
    assert_eq!(noted.len(), 40);
    for (from, thread) in noted {
        assert_eq!(from, NodeId(2));
        assert_ne!(thread, RAFT, "events must not delay a heartbeat");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_that_stands_still_holds_up_no_other_and_no_call() {
    let cluster = Cluster::over_tls(1).await;
    let host: Arc<dyn Visited> = Arc::new(Echo::default());
    cluster.node(1).is_visited_by(Arc::downgrade(&host));
    let peer = Peer { node: NodeId(1), address: cluster.address(1) };
    let remote = Remote::for_conversations(cluster.authority().credentials(2));
    let endless = stream::repeat_with(|| Bytes::from(vec![7; 64 << 10])).boxed();
    let unheard = remote.converse(&peer, endless).await.unwrap();
    let (say, words) = mpsc::channel(1);
    let mut heard = remote.converse(&peer, ReceiverStream::new(words).boxed()).await.unwrap();
    for n in 0..20 {
        say.send(Bytes::from(vec![n])).await.unwrap();
        let answer = timeout(PATIENCE, heard.next()).await.expect("it is answered").expect("it goes on");
        assert_eq!(answer, vec![n]);
        let asked = Remote::new(cluster.authority().credentials(2)).ask(&peer, Request::status(), PATIENCE).await;
        assert!(asked.is_ok(), "{asked:?}");
    }
    drop((unheard, say));
    assert!(timeout(PATIENCE, heard.next()).await.expect("it ends").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s9_nobody_converses_but_a_member_of_this_cluster() {
    let cluster = Cluster::over_tls(1).await;
    let host: Arc<dyn Visited> = Arc::new(Echo::default());
    cluster.node(1).is_visited_by(Arc::downgrade(&host));
    let word = || stream::iter([Bytes::from_static(b"word")]).boxed();
    let foreign = Authority::new(crate::harness::CLUSTER).credentials(2);
    assert!(matches!(begin(foreign, &cluster, word()).await, Err(CallFailed::Unreachable { .. })));
    let expired = cluster.authority().expired(2);
    assert!(begin(expired, &cluster, word()).await.is_err());
    let (_remote, mut heard) = begin(cluster.authority().credentials(2), &cluster, word()).await.unwrap();
    assert_eq!(timeout(PATIENCE, heard.next()).await.unwrap(), Some(Bytes::from_static(b"word")));
}
