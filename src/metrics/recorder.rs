//! The process's recorder: it collects what is counted, and renders it as Prometheus reads it.

use std::sync::{Mutex, OnceLock, PoisonError};

use metrics::Label;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::{ALL, BUILD, Kind, PROCESS_FILES, PROCESS_MEMORY, PROCESS_THREADS, gauge_of};

/// From a barrier on the same host to a sink that was suspended for an hour.
const LATENCY_BUCKETS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 600.0, 3600.0];

/// The process's recorder. Cheap to clone; renders the text that Prometheus reads.
#[derive(Clone)]
pub struct Recorder(PrometheusHandle);

impl Recorder {
    /// Makes metrics count from here on. Every call gives the same recorder, so tests and a demo may share a process.
    pub fn install() -> Self {
        static RECORDER: OnceLock<Recorder> = OnceLock::new();
        static MAKING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        RECORDER.get_or_init(Self::make).clone()
    }

    fn make() -> Self {
        let builder = ALL.iter().filter(|metric| metric.kind == Kind::Histogram).fold(
            PrometheusBuilder::new(),
            |builder, metric| {
                builder
                    .set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), LATENCY_BUCKETS)
                    .expect("the list of buckets is not empty")
            },
        );
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        // It fails only where an embedding program installed its own recorder; ours then renders what it was told: nothing.
        let _ = metrics::set_global_recorder(recorder);
        describe();
        gauge_of(BUILD, vec![Label::new("version", env!("CARGO_PKG_VERSION"))]).set(1.0);
        Self(handle)
    }

    /// The text of every series, with the process's own figures read now.
    pub fn render(&self) -> String {
        sample_process();
        self.0.run_upkeep();
        self.0.render()
    }

    /// Folds what histograms have collected. Called now and then, it keeps their memory bounded between scrapes.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

fn describe() {
    for metric in ALL {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.help),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            Kind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
}

/// Linux tells a process about itself in files; elsewhere these series stay away.
#[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
fn sample_process() {
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let field = |name: &str| -> Option<f64> {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_ascii_whitespace().nth(1)?.parse().ok()
        };
        if let Some(kibibytes) = field("VmRSS:") {
            gauge_of(PROCESS_MEMORY, Vec::new()).set(kibibytes * 1024.0);
        }
        if let Some(threads) = field("Threads:") {
            gauge_of(PROCESS_THREADS, Vec::new()).set(threads);
        }
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        gauge_of(PROCESS_FILES, Vec::new()).set(files.count() as f64);
    }
}

/// Takes out every series that names a tenant, for readers who haven't shown who they are.
pub fn without_tenants(text: &str) -> String {
    text.lines().filter(|line| line.starts_with('#') || !line.contains("tenant=\"")).fold(
        String::with_capacity(text.len()),
        |mut kept, line| {
            kept.push_str(line);
            kept.push('\n');
            kept
        },
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Feed, Raft};
    use super::*;
    use crate::ids::NodeId;

    #[test]
    fn what_is_counted_is_rendered_with_its_help() {
        let recorder = Recorder::install();
        let mut feed = Feed::new(&"metrics-a/hub/0".parse().unwrap());
        feed.read.tell(41);
        feed.read.tell(1);
        feed.freshness.set_span(Duration::from_millis(1500));
        Raft::new(NodeId(4711)).propose.record(0.2);

        let text = Recorder::install().render();
        let series = r#"{tenant="metrics-a",source="hub",part="0"}"#;
        assert!(text.contains(&format!("siemgate_feed_records_read_total{series} 42\n")), "{text}");
        assert!(text.contains(&format!("siemgate_feed_freshness_seconds{series} 1.5\n")), "{text}");
        assert!(text.contains("# HELP siemgate_feed_records_read_total Records read from upstream.\n"), "{text}");
        assert!(text.contains(r#"siemgate_raft_propose_seconds_bucket{node="4711",le="0.5"} 1"#), "{text}");
        assert!(text.contains("process_resident_memory_bytes "), "{text}");

        feed.fade();
        let faded = recorder.render();
        assert!(faded.contains(&format!("siemgate_feed_freshness_seconds{series} NaN\n")), "{faded}");
        feed.freshness.set(2.0);
        drop((feed, recorder));
        let after = Recorder::install().render();
        assert!(after.contains(&format!("siemgate_feed_freshness_seconds{series} NaN\n")), "{after}");
        assert!(after.contains(&format!("siemgate_feed_records_read_total{series} 42\n")), "{after}");
    }

    #[test]
    fn a_stranger_sees_no_tenant() {
        let text = "# TYPE a counter\na{tenant=\"contoso\",part=\"0\"} 1\nb{sink=\"siem\"} 2\n";
        assert_eq!(without_tenants(text), "# TYPE a counter\nb{sink=\"siem\"} 2\n");
    }
}
