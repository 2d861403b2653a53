//! How fast records become lines, on one core: streaming records of the mapped tables, of others, and alerts.
//! `cargo bench --bench normalize`; under `cargo test --benches` each case runs once.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use siemgate::encode::{Encoder, Format, Options};
use siemgate::event::batch::{Coordinates, Shape};
use siemgate::ids::{Generation, SourceId, TenantId};
use siemgate::normalize::{Normalized, Normalizer, Origin};

/// Case, kind of record, and one record; the golden files serve as samples of real shape.
const CASES: &[(&str, Shape, &str)] = &[
    ("process", Shape::Streaming, include_str!("../tests/golden/records/process-created.json")),
    ("network", Shape::Streaming, include_str!("../tests/golden/records/network-outbound.json")),
    ("logon", Shape::Streaming, include_str!("../tests/golden/records/logon-failed.json")),
    ("unmapped", Shape::Streaming, include_str!("../tests/golden/records/unknown-table.json")),
    ("alert", Shape::GraphAlert, include_str!("../tests/golden/records/alert-evidence.json")),
    ("incident", Shape::GraphIncident, include_str!("../tests/golden/records/incident-expanded.json")),
];

/// Records in one message of the batch case: a typical Event Hubs body.
const BATCH_RECORDS: usize = 85;

fn compact(record: &str) -> String {
    serde_json::from_str::<serde_json::Value>(record).expect("golden records are JSON").to_string()
}

fn normalize(criterion: &mut Criterion) {
    for format in Format::ALL {
        let mut group = criterion.benchmark_group(format!("normalize/{format}"));
        let process = compact(CASES[0].2);
        let batch = format!("{{\"records\":[{}]}}", vec![process; BATCH_RECORDS].join(","));
        let singles = CASES.iter().map(|(name, shape, record)| (*name, *shape, compact(record)));
        for (name, shape, record) in singles.chain([("batch", Shape::Streaming, batch)]) {
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
    let record = compact(CASES[0].2);
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
    config = Criterion::default().sample_size(20);
    targets = normalize, beside
}
criterion_main!(benches);
