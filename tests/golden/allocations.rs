//! The way of a streaming record takes no memory: once its buffers have grown, no record allocates, in any format.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use siemgate::encode::{Encoder, Format, Options};
use siemgate::event::batch::{Coordinates, Shape};
use siemgate::ids::{Generation, SourceId, TenantId};
use siemgate::normalize::{Normalized, Normalizer, Origin};

/// File names of other kinds of records than streaming ones begin so.
const OTHERS: &[&str] = &["incident-", "alert-", "xdr-", "endpoint-", "siem-"];

#[test]
fn no_field_of_a_streaming_record_costs_an_allocation() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/records");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.ends_with(".json") && !OTHERS.iter().any(|other| name.starts_with(other))
    });
    paths.sort();
    assert!(paths.len() > 4);
    let mut faults = Vec::new();
    for format in Format::ALL {
        for path in &paths {
            let record = fs::read(path).unwrap();
            let allocations = allocations(*format, &record);
            if allocations > 0 {
                faults.push(format!("{format} {}: {allocations}", path.file_stem().unwrap().display()));
            }
        }
    }
    assert!(faults.is_empty(), "allocations per record:\n{}", faults.join("\n"));
}

/// How many allocations a record takes when the same one has come twice before.
fn allocations(format: Format, record: &[u8]) -> u64 {
    let tenant: TenantId = "contoso".parse().unwrap();
    let source: SourceId = "hub".parse().unwrap();
    let coordinates = Coordinates::Log { generation: Generation(1), partition: "0".into(), sequence: 7 };
    let origin = Origin { tenant: &tenant, source: &source, coordinates: Some(&coordinates), published: None };
    let (mut normalizer, mut encoder) = (Normalizer::new(), Encoder::new(format, Options::default()));
    let mut out = Vec::new();
    let mut pass = || {
        out.clear();
        normalizer.normalize(&origin, Shape::Streaming, record, &mut |normalized| {
            if let Normalized::Event(event) = normalized {
                encoder.encode(event, &mut out);
            }
        });
    };
    pass();
    pass();
    allocation_counter::measure(pass).count_total
}
