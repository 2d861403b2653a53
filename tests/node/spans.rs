//! What a collector gets of the real binary, and that one that doesn't answer costs nothing but its spans.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use siemgate::simulator::Settings;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use super::stage::{Process, Stage};

const BOUND: Duration = Duration::from_secs(60);
/// Draining takes a barrier and a commit, and a collector that is gone its timeouts.
const END_BOUND: Duration = Duration::from_secs(15);

type Received = Arc<std::sync::Mutex<Vec<ExportTraceServiceRequest>>>;

struct Collector(Received);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn collector() -> (SocketAddr, Received, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, received) = (listener.local_addr().unwrap(), Received::default());
    let service = TraceServiceServer::new(Collector(received.clone()));
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let incoming = TcpListenerStream::new(listener);
        Server::builder().add_service(service).serve_with_incoming(incoming).await.unwrap();
    });
    (address, received, serving)
}

/// A stage whose nodes send their spans to `collector`, and log nothing below a warning.
async fn stage(collector: SocketAddr) -> Stage {
    let mut settings = Settings::new(4, 1).unwrap();
    settings.workload.records_per_second = 1_000;
    settings.graph.requests_per_minute = 100_000;
    let stage = Stage::set(settings, false).await;
    stage.configure(true);
    let config = fs::read_to_string(stage.path("siemgate.toml")).unwrap();
    let tracing = format!("{config}[tracing]\notlp_endpoint = \"http://{collector}\"\n");
    fs::write(stage.path("siemgate.toml"), tracing).unwrap();
    stage
}

/// Lets some thousand records through; the node then ends in order.
async fn pass_records(stage: &mut Stage) {
    let mut node = stage.start_node(false);
    let deadline = Instant::now() + BOUND;
    while stage.streamed() < 3_000 {
        alive(&mut node, stage, deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stage.cloud.pause();
    while stage.streamed() < stage.produced() {
        alive(&mut node, stage, deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let started = Instant::now();
    let id = rustix::process::Pid::from_child(&node.0);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let ended = tokio::task::spawn_blocking(move || node.0.wait()).await.unwrap().unwrap();
    assert!(ended.success(), "{ended}\n{}", stage.log());
    assert!(started.elapsed() < END_BOUND, "it took {:?} to end\n{}", started.elapsed(), stage.log());
}

fn alive(node: &mut Process, stage: &Stage, deadline: Instant) {
    assert!(Instant::now() < deadline, "{} of {} arrived\n{}", stage.streamed(), stage.produced(), stage.log());
    assert!(node.0.try_wait().unwrap().is_none(), "the node ended by itself\n{}", stage.log());
}

fn attribute<'s>(span: &'s Span, name: &str) -> &'s Value {
    let found = span.attributes.iter().find(|attribute| attribute.key == name);
    found.and_then(|it| it.value.as_ref()?.value.as_ref()).unwrap_or_else(|| panic!("no {name}: {span:?}"))
}

fn number(span: &Span, name: &str) -> u64 {
    match attribute(span, name) {
        Value::IntValue(number) => u64::try_from(*number).unwrap(),
        other => panic!("{name} is {other:?}"),
    }
}

/// One batch: read, prepared, delivered and committed, in this order.
fn check_trace(trace: &[Span]) -> &Span {
    let named = |name: &str| {
        let mut spans = trace.iter().filter(|span| span.name == name);
        let span = spans.next().unwrap_or_else(|| panic!("no {name}: {trace:?}"));
        assert!(spans.next().is_none(), "two of {name}: {trace:?}");
        span
    };
    let (batch, commit) = (named("batch"), named("commit"));
    let mut steps = vec![named("prepare"), commit];
    if trace.iter().any(|span| span.name == "deliver") {
        let deliver = named("deliver");
        assert_eq!(*attribute(deliver, "sink"), Value::StringValue("siem".into()));
        assert!(number(deliver, "events") > 0 && number(deliver, "bytes") > 0, "{deliver:?}");
        steps.insert(1, deliver);
    }
    assert_eq!(trace.len(), steps.len() + 1, "{trace:?}");
    assert!(batch.parent_span_id.is_empty(), "{batch:?}");
    for step in &steps {
        assert_eq!(step.parent_span_id, batch.span_id, "{step:?}");
        assert!(batch.start_time_unix_nano <= step.start_time_unix_nano, "{trace:?}");
        assert!(step.end_time_unix_nano <= batch.end_time_unix_nano, "{trace:?}");
    }
    let ordered = |pair: &[&Span]| pair[0].end_time_unix_nano <= pair[1].start_time_unix_nano;
    assert!(steps.windows(2).all(ordered), "{trace:?}");
    batch
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_gets_one_trace_for_each_batch_and_no_secret() {
    let (address, received, _serving) = collector().await;
    let mut stage = stage(address).await;
    pass_records(&mut stage).await;

    let requests = received.lock().unwrap().clone();
    let spans = requests.iter().flat_map(|it| &it.resource_spans).flat_map(|it| &it.scope_spans);
    let mut traces: BTreeMap<Vec<u8>, Vec<Span>> = BTreeMap::new();
    for span in spans.flat_map(|it| &it.spans) {
        traces.entry(span.trace_id.clone()).or_default().push(span.clone());
    }
    let access = &stage.cloud.access.tenants[0];
    let streaming = format!("{}/streaming/", access.name);
    let (mut batches, mut records) = (0, 0);
    for batch in traces.values().map(|trace| check_trace(trace)) {
        let Value::StringValue(feed) = attribute(batch, "feed") else { panic!("{batch:?}") };
        if feed.starts_with(&streaming) {
            (batches, records) = (batches + 1, records + number(batch, "records"));
        }
    }
    assert_eq!(records, stage.produced(), "every record was in one batch, and every batch has its trace");
    assert!(batches > 10 && batches * 3 < records, "{batches} batches of {records} records");

    let bytes: Vec<u8> = requests.iter().flat_map(Message::encode_to_vec).collect();
    let key = access.connection_string.split(';').find_map(|part| part.strip_prefix("SharedAccessKey=")).unwrap();
    let token = fs::read_to_string(stage.path("data").join("admin.token")).unwrap();
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds(&access.name) && holds("service.instance.id"), "it would be found");
    for secret in [key, access.client_secret.as_str(), token.trim()] {
        assert!(!holds(secret), "a secret left with a span");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_gone_or_silent_stops_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    for collector in [gone, silent.local_addr().unwrap()] {
        let mut stage = stage(collector).await;
        pass_records(&mut stage).await;
        let log = stage.log();
        assert_eq!(log.matches("spans can't be sent").count(), 1, "it is said once\n{log}");
        assert!(log.contains("check that an OTLP collector listens there"), "{log}");
    }
}
