//! What the process says about itself: logs on standard error, spans to a collector, and an end after a panic.

use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{self, BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use tracing::Subscriber;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::config::{Log, LogFormat, Tracing};
use crate::pipeline::spans;

/// The exit code after a panic, as sysexits calls an internal error.
pub const EXIT_PANIC: i32 = 70;
/// Letters of a panic's message that are logged: it may quote what somebody sent us.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// Spans that wait to be sent; what comes while they are as many is dropped, so that a slow collector slows nothing.
const SPANS_QUEUED_MAX: usize = 8_192;
/// Spans in one message. A collector takes 4 MiB at least, and a span of ours has about 300 bytes.
const SPANS_SENT_MAX: usize = 1_024;
/// How often spans are sent although they are few.
const EXPORT_INTERVAL: Duration = Duration::from_secs(2);
/// How long a collector may take for one message. It also bounds how long a collector that is gone delays our end.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);

/// Libraries that tell their inner life at `info`. What the operator states for them comes later and wins. openraft calls
/// every failed call to a member an error, ten a second; what matters of that, `cluster` says once.
const QUIET: &str = "openraft=off,fe2o3_amqp=warn,sled=warn";

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("`{level}` is not a log level: {cause}")]
    Level { level: String, cause: String },
    #[error("can't prepare sending spans to {endpoint}: {cause}; check `[tracing] otlp_endpoint`")]
    Exporter { endpoint: String, cause: String },
    #[error("logging is set up already")]
    Twice,
}

/// Keeps spans flowing. Shut it down last, so that the last ones still leave.
#[must_use]
#[derive(Debug)]
pub struct Telemetry {
    spans: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Sets up logs and, where configured, spans. Needs the runtime, because spans leave over gRPC.
    pub fn install(log: &Log, tracing: &Tracing, node: &str) -> Result<Self, TelemetryError> {
        let filter = EnvFilter::try_new(format!("{QUIET},{}", log.level))
            .map_err(|error| TelemetryError::Level { level: log.level.clone(), cause: error.to_string() })?;
        let lines = match log.format {
            LogFormat::Text => fmt::layer().with_writer(std::io::stderr).with_ansi(false).boxed(),
            LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).boxed(),
        };
        let spans = tracing.otlp_endpoint.as_deref().map(|endpoint| provider(endpoint, node)).transpose()?;
        // Each layer has a filter of its own: a collector gets our spans whatever the log's level, and the log none.
        tracing_subscriber::registry()
            .with(lines.with_filter(filter).with_filter(filter_fn(|metadata| metadata.is_event())))
            .with(spans.as_ref().map(layer))
            .try_init()
            .map_err(|_| TelemetryError::Twice)?;
        Ok(Self { spans })
    }

    /// Sends what is still held back. A collector that is gone costs its timeout and no more.
    pub fn shut_down(self) {
        if let Some(spans) = self.spans
            && let Err(error) = spans.shutdown()
        {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

fn layer<S: Subscriber + for<'span> LookupSpan<'span>>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S> {
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("siemgate"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(|metadata| metadata.is_span() && metadata.target() == spans::TARGET))
}

fn provider(endpoint: &str, node: &str) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .map_err(|error| TelemetryError::Exporter { endpoint: endpoint.to_owned(), cause: error.to_string() })?;
    let exporter = Watched { exporter, endpoint: endpoint.to_owned(), failing: AtomicBool::new(false) };
    let limits = BatchConfigBuilder::default()
        .with_max_queue_size(SPANS_QUEUED_MAX)
        .with_max_export_batch_size(SPANS_SENT_MAX)
        .with_scheduled_delay(EXPORT_INTERVAL)
        .build();
    let resource = Resource::builder()
        .with_service_name("siemgate")
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(opentelemetry::KeyValue::new("service.instance.id", node.to_owned()))
        .build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(limits).build();
    Ok(SdkTracerProvider::builder().with_span_processor(processor).with_resource(resource).build())
}

/// An exporter that says when its collector goes and comes; by itself it would drop spans in silence.
#[derive(Debug)]
struct Watched {
    exporter: SpanExporter,
    endpoint: String,
    failing: AtomicBool,
}

impl trace::SpanExporter for Watched {
    async fn export(&self, batch: Vec<trace::SpanData>) -> OTelSdkResult {
        let result = self.exporter.export(batch).await;
        let failing = self.failing.swap(result.is_err(), Ordering::Relaxed);
        match &result {
            Err(error) if !failing => tracing::warn!(
                endpoint = self.endpoint, %error, remedy = "check that an OTLP collector listens there for gRPC",
                "spans can't be sent and are dropped; records are not affected"
            ),
            Ok(()) if failing => tracing::info!(endpoint = self.endpoint, "spans are sent again"),
            Ok(()) | Err(_) => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Makes a panic anywhere the end of the process: in a cluster, a clean death beats a limping node.
pub fn end_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(place = place(panic), message = message(panic), "panic: ending the process");
        std::process::exit(EXIT_PANIC);
    }));
}

fn place(panic: &PanicHookInfo<'_>) -> String {
    panic.location().map_or_else(|| "unknown".to_owned(), |at| format!("{}:{}", at.file(), at.line()))
}

fn message(panic: &PanicHookInfo<'_>) -> String {
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").chars().take(MESSAGE_CHARS_MAX).collect()
}
