//! What the process says about itself: logs on standard error, spans to a collector, and an end after a panic.

use std::panic::PanicHookInfo;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::config::{Log, LogFormat, Tracing};

/// The exit code after a panic, as sysexits calls an internal error.
pub const EXIT_PANIC: i32 = 70;
/// Letters of a panic's message that are logged: it may quote what somebody sent us.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// Libraries that tell their inner life at `info`. What the operator states for them comes later and wins.
const QUIET: &str = "openraft=warn,fe2o3_amqp=warn,sled=warn";

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
        let spans = tracing.otlp_endpoint.as_deref().map(|endpoint| exporter(endpoint, node)).transpose()?;
        let layer =
            spans.as_ref().map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("siemgate")));
        tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .with(layer)
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

fn exporter(endpoint: &str, node: &str) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .map_err(|error| TelemetryError::Exporter { endpoint: endpoint.to_owned(), cause: error.to_string() })?;
    let resource = Resource::builder()
        .with_service_name("siemgate")
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(opentelemetry::KeyValue::new("service.instance.id", node.to_owned()))
        .build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
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
