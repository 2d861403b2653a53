//! How fast records become lines, on one core: streaming records of the mapped tables, of others, and alerts.
//! `cargo bench --bench normalize`; under `cargo test --benches` each case runs once.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use siemgate::encode::{Encoder, Format, Options};
use siemgate::event::batch::{Coordinates, Shape};
use siemgate::ids::{Generation, SourceId, TenantId};
use siemgate::normalize::{Normalized, Normalizer, Origin};

/// One golden record of each table and kind: they serve as samples of real shape.
fn cases() -> Vec<(String, Shape, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/records");
    let mut names: Vec<String> = fs::read_dir(folder.clone())
        .expect("golden records")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".json").map(str::to_owned))
        .filter(|name| name.ends_with("-full") || OTHERS.contains(&name.as_str()))
        .collect();
    names.sort();
    let read = |name: &str| fs::read_to_string(folder.join(format!("{name}.json"))).expect("it reads");
    names.into_iter().map(|name| (name.clone(), shape_of(&name), compact(&read(&name)))).collect()
}

/// Records without all columns of a table that are worth a case of their own.
const OTHERS: &[&str] = &[
    "alert-evidence",
    "device-file-events-created",
    "device-registry-events-value-set",
    "endpoint-alert-evidence",
    "incident-expanded",
    "process-created",
    "siem-detection-file",
    "table-alert-evidence-process",
    "unknown-table",
    "xdr-incident-expanded",
];

fn shape_of(name: &str) -> Shape {
    const SHAPES: &[(&str, Shape)] = &[
        ("incident-", Shape::GraphIncident),
        ("alert-", Shape::GraphAlert),
        ("xdr-incident-", Shape::XdrIncident),
        ("xdr-alert-", Shape::XdrAlert),
        ("endpoint-alert-", Shape::EndpointAlert),
        ("siem-detection-", Shape::SiemDetection),
    ];
    SHAPES.iter().find(|(start, _)| name.starts_with(start)).map_or(Shape::Streaming, |(_, shape)| *shape)
}

/// Records in one message of the batch case: a typical Event Hubs body.
const BATCH_RECORDS: usize = 85;

fn process() -> String {
    compact(include_str!("../tests/golden/records/process-created.json"))
}

fn compact(record: &str) -> String {
    serde_json::from_str::<serde_json::Value>(record).expect("golden records are JSON").to_string()
}

fn normalize(criterion: &mut Criterion) {
    for format in Format::ALL {
        let mut group = criterion.benchmark_group(format!("normalize/{format}"));
        let batch = format!("{{\"records\":[{}]}}", vec![process(); BATCH_RECORDS].join(","));
        for (name, shape, record) in cases().into_iter().chain([("batch".to_owned(), Shape::Streaming, batch)]) {
            group.throughput(Throughput::Bytes(record.len() as u64));
            group.bench_function(name, |bencher| {
                let mut way = Way::new(*format);
                bencher.iter(|| way.run(shape, black_box(record.as_bytes())));
            });
        }
        group.finish();
    }
}

/// A limit to measure beside: what building a tree of the same record costs.
fn beside(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("normalize/beside");
    let record = process();
    group.throughput(Throughput::Bytes(record.len() as u64));
    group.bench_function("serde_json value", |bencher| {
        bencher.iter(|| serde_json::from_str::<serde_json::Value>(black_box(&record)).expect("JSON"));
    });
    group.finish();
}

/// Normaliser, encoder and buffer as a feed holds them.
struct Way {
    tenant: TenantId,
    source: SourceId,
    coordinates: Coordinates,
    normalizer: Normalizer,
    encoder: Encoder,
    out: Vec<u8>,
}

impl Way {
    fn new(format: Format) -> Self {
        Self {
            tenant: "contoso".parse().expect("a name"),
            source: "hub".parse().expect("a name"),
            coordinates: Coordinates::Log { generation: Generation(1), partition: "0".into(), sequence: 7 },
            normalizer: Normalizer::new(),
            encoder: Encoder::new(format, Options::default()),
            out: Vec::new(),
        }
    }

    fn run(&mut self, shape: Shape, record: &[u8]) -> usize {
        let coordinates = Some(&self.coordinates);
        let origin = Origin { tenant: &self.tenant, source: &self.source, coordinates, published: None };
        self.out.clear();
        self.normalizer.normalize(&origin, shape, record, &mut |normalized| {
            if let Normalized::Event(event) = normalized {
                self.encoder.encode(event, &mut self.out);
            }
        });
        self.out.len()
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(1)).warm_up_time(Duration::from_millis(300));
    targets = normalize, beside
}
criterion_main!(benches);
