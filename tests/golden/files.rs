//! Golden files: each record in `records/` beside what every format makes of it. `UPDATE_EXPECT=1` accepts a change.

use std::fs;
use std::path::Path;

use serde_json::value::RawValue;
use siemgate::clock::Timestamp;
use siemgate::encode::{
    CefOptions, CefVersion, Encoder, Facility, Format, Header, LeefOptions, LeefVersion, Options, UnmappedKeys,
};
use siemgate::event::batch::{Gap, GapReason, Shape};
use siemgate::ids::Generation;
use siemgate::normalize::{Origin, gap};

use crate::{Item, normalize};

#[test]
fn every_format_of_every_record_is_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/records");
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    names.sort();
    assert!(names.len() >= 9, "only {} records found", names.len());
    for path in names {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let record = fs::read_to_string(&path).unwrap();
        let shape = shape_of(name);
        let mut text = rendered(shape, record.as_bytes());
        for alert in alerts_of(shape, &record) {
            text.push_str(&rendered(shape.of_alerts().unwrap(), alert.get().as_bytes()));
        }
        check(&path.with_extension("txt"), &text);
    }
}

/// By the beginning of a file's name; streaming is everything else.
pub fn shape_of(name: &str) -> Shape {
    const PREFIXES: &[(&str, Shape)] = &[
        ("incident-", Shape::GraphIncident),
        ("alert-", Shape::GraphAlert),
        ("xdr-incident-", Shape::XdrIncident),
        ("xdr-alert-", Shape::XdrAlert),
        ("endpoint-alert-", Shape::EndpointAlert),
        ("siem-detection-", Shape::SiemDetection),
    ];
    PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix)).map_or(Shape::Streaming, |(_, shape)| *shape)
}

/// The alerts inside an incident, which travel as records of their own.
fn alerts_of(shape: Shape, record: &str) -> Vec<&RawValue> {
    #[derive(serde::Deserialize)]
    struct Incident<'r> {
        #[serde(borrow, default)]
        alerts: Vec<&'r RawValue>,
    }
    match shape.of_alerts() {
        Some(_) => serde_json::from_str::<Incident<'_>>(record).unwrap().alerts,
        None => Vec::new(),
    }
}

/// Every event in every format; the second CEF and the second LEEF are those with all options on.
fn rendered(shape: Shape, record: &[u8]) -> String {
    let full = CefOptions { version: CefVersion::One, unmapped: UnmappedKeys::Always };
    let strict = LeefOptions { version: LeefVersion::Two, unmapped: UnmappedKeys::Always, strict: true };
    let mut variants: Vec<_> = Format::ALL.iter().map(|format| (format.name(), *format, Options::default())).collect();
    variants.insert(1, ("cef 1, with unmapped", Format::Cef, Options { cef: full, ..Options::default() }));
    variants.insert(3, ("leef 2, strict, with unmapped", Format::Leef, Options { leef: strict, ..Options::default() }));
    let mut text = String::new();
    let encoders = variants.into_iter().map(|(name, format, options)| (name, Encoder::new(format, options)));
    let mut encoders: Vec<_> = encoders.collect();
    let outcome = normalize(shape, record, |event| {
        let mut all = String::new();
        for (name, encoder) in &mut encoders {
            let mut line = Vec::new();
            encoder.encode(event, &mut line);
            all.push_str(&format!("— {name}\n{}\n", String::from_utf8(line).unwrap()));
        }
        let unmapped: Vec<_> = event.unmapped.iter().map(|member| member.key.to_string()).collect();
        all.push_str(&format!("— unmapped\n{}\n", unmapped.join(", ")));
        all
    });
    for item in outcome.items {
        match item {
            Item::Event { seen, .. } => text.push_str(&seen),
            Item::Rejected { reason, .. } => text.push_str(&format!("— rejected\n{reason}\n")),
        }
    }
    text
}

#[test]
fn a_gap_reaches_the_siem_in_every_format() {
    let (tenant, source, part) = ("contoso".parse().unwrap(), "hub".parse().unwrap(), "0".parse().unwrap());
    let published = Timestamp::parse("2030-01-01T10:02:05.1234567Z");
    let origin = Origin { tenant: &tenant, source: &source, coordinates: None, published };
    let lost = Gap {
        reason: GapReason::Expired,
        lost: Some(41),
        after_sequence: Some(100),
        before_sequence: Some(142),
        passed: None,
    };
    let mut text = String::new();
    gap(&origin, &part, Generation(7), &lost, |event| {
        for format in Format::ALL {
            let mut line = Vec::new();
            Encoder::new(*format, Options::default()).encode(event, &mut line);
            text.push_str(&format!("— {format}\n{}\n", String::from_utf8(line).unwrap()));
        }
        let header = Header::of(event);
        assert_eq!((header.facility, header.severity, header.label.as_str()), (Facility::Alert, 2, "Gap"));
        assert_eq!(header.time, published);
    });
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/records/gap.txt"), &text);
}

fn check(path: &Path, actual: &str) {
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(path, actual).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert!(
        expected == actual,
        "{} differs; run with UPDATE_EXPECT=1 if this is right:\n{actual}",
        path.file_name().unwrap().display()
    );
}
