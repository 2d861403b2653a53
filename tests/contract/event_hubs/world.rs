//! A namespace with one hub named `logs`, served on a port of its own, and readers of it.

use std::time::Duration;

use bytes::Bytes;
use siemgate::clock::{Clock, Timestamp};
use siemgate::event::batch::{Batch, Content, Coordinates, Gap, Position};
use siemgate::ids::{Epoch, FeedPart, Generation};
use siemgate::secret::Secret;
use siemgate::simulator::event_hubs::{Namespace, Options, Rights, Rule, serve};
use siemgate::sources::event_hubs::{Authentication, Config, ConnectionString, EventHubSource, Hub};
use siemgate::sources::{Cursor, Resume, Source, SourceError};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub const KEY: &str = "aHVudGVyMg==";

/// Long enough that only something broken takes longer.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct World {
    pub namespace: Namespace,
    pub port: u16,
    _serving: JoinSet<std::io::Result<()>>,
}

impl World {
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Self {
        let rule = Rule { name: "listen".into(), key: Secret::new(KEY.into()), rights: Rights::LISTEN };
        let namespace = Namespace::new(Options { name: "n".into(), rules: vec![rule], ..options });
        namespace.create_hub("logs", 2).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut serving = JoinSet::new();
        serving.spawn(serve(namespace.clone(), listener, None, CancellationToken::new()));
        Self { namespace, port, _serving: serving }
    }

    pub fn write(&self, partition: u32, count: usize) {
        for _ in 0..count {
            let next = self.namespace.partition_state("logs", partition).unwrap();
            let sequence = next.last.map_or(0, |last| last.sequence + 1);
            self.namespace.append("logs", partition, body(sequence)).unwrap();
        }
    }

    pub fn string(&self, key: &str) -> String {
        let port = self.port;
        format!(
            "Endpoint=sb://127.0.0.1:{port}/;SharedAccessKeyName=listen;SharedAccessKey={key};EntityPath=logs;\
             UseDevelopmentEmulator=true"
        )
    }

    pub fn hub_with(&self, config: &str, key: &str) -> Hub {
        let string = ConnectionString::parse(&self.string(key)).unwrap();
        Hub::new(&settings(config), Authentication::SharedAccess(string)).unwrap()
    }

    pub fn hub(&self) -> Hub {
        self.hub_with("", KEY)
    }

    pub fn reader(&self, epoch: u64) -> Reader {
        self.reader_from(epoch, None)
    }

    pub fn reader_from(&self, epoch: u64, cursor: Option<Cursor>) -> Reader {
        Reader::of(self.hub(), epoch, cursor)
    }
}

pub fn settings(text: &str) -> Config {
    toml::from_str(&format!("credential = \"c\"\n{text}")).unwrap()
}

/// The body of the message with this number.
pub fn body(sequence: u64) -> Bytes {
    Bytes::from(format!("{{\"records\":[{{\"n\":{sequence}}}]}}"))
}

/// One owner of partition 0, and all it has been given.
pub struct Reader {
    pub source: EventHubSource,
    pub sequences: Vec<i64>,
    pub bodies: Vec<Bytes>,
    pub gaps: Vec<Gap>,
    pub cursor: Option<Cursor>,
    pub last: Option<Batch>,
}

impl Reader {
    pub fn of(hub: Hub, epoch: u64, cursor: Option<Cursor>) -> Self {
        let resume = Resume { epoch: Epoch(epoch), cursor, ..Resume::default() };
        let part: FeedPart = "0".parse().unwrap();
        let source = EventHubSource::new(hub, &part, resume, Clock::System);
        Self { source, sequences: vec![], bodies: vec![], gaps: vec![], cursor: None, last: None }
    }

    /// One batch, within our patience.
    pub async fn batch(&mut self) -> Result<(), SourceError> {
        let batch = tokio::time::timeout(PATIENCE, self.source.next_batch()).await.expect("no batch in time")?;
        self.take(batch);
        Ok(())
    }

    pub fn take(&mut self, batch: Batch) {
        for entry in &batch.entries {
            let Coordinates::Log { generation, sequence, partition } = &entry.coordinates else { panic!("no log") };
            assert_eq!((*generation, &**partition), (batch.generation, "0"));
            match &entry.content {
                Content::Records { bytes, .. } => {
                    self.sequences.push(*sequence);
                    self.bodies.push(bytes.clone());
                }
                Content::Gap(gap) => self.gaps.push(gap.clone()),
                Content::Unreadable { reason, .. } => panic!("unreadable: {reason}"),
            }
        }
        let position = batch.after.clone();
        self.cursor = Some(Cursor { generation: batch.generation, position, seen: vec![] });
        self.last = Some(batch);
    }

    /// Reads on, whatever fails on the way, until `count` messages have come in all.
    pub async fn until(&mut self, count: usize) {
        let reading = async {
            while self.sequences.len() < count {
                if self.batch().await.is_err() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("not all came in time");
    }

    pub fn sequence(&self) -> i64 {
        match &self.last.as_ref().unwrap().after {
            Position::Log(position) => position.sequence,
            Position::Objects(_) => panic!("no log"),
        }
    }

    pub fn generation(&self) -> Generation {
        self.last.as_ref().unwrap().generation
    }

    /// That the messages are these, once each and in order, each with the body that was written under its number.
    pub fn holds(&self, expected: std::ops::Range<i64>) {
        assert_eq!(self.sequences, expected.collect::<Vec<_>>());
        for (sequence, bytes) in self.sequences.iter().zip(&self.bodies) {
            assert_eq!(*bytes, body(u64::try_from(*sequence).unwrap()));
        }
    }
}

pub fn in_an_hour() -> Timestamp {
    Clock::System.now().plus(Duration::from_secs(3600))
}
