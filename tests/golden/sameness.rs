//! S5: the same record is the same event, whoever reads it and whatever was read before.

use std::fs;
use std::path::Path;

use siemgate::encode::{Encoder, Format, Options};
use siemgate::event::batch::{Coordinates, Shape, Version};
use siemgate::ids::Generation;
use siemgate::normalize::{Normalized, Normalizer, Origin};

use crate::files::shape_of;

const THREADS: usize = 4;

#[test]
fn s5_the_same_record_gives_the_same_id_and_bytes_on_every_run_and_thread() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/records");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let records: Vec<(Shape, Vec<u8>)> = paths
        .iter()
        .map(|path| (shape_of(path.file_stem().unwrap().to_str().unwrap()), fs::read(path).unwrap()))
        .collect();
    let alone: Vec<String> = records.iter().map(|(shape, record)| Writers::default().write(*shape, record)).collect();
    std::thread::scope(|threads| {
        for thread in 0..THREADS {
            let (records, alone, paths) = (&records, &alone, &paths);
            threads.spawn(move || {
                // Warm buffers, and another order on each thread.
                let mut writers = Writers::default();
                for round in 0..2 {
                    for step in 0..records.len() {
                        let place = (step * (2 * thread + 1) + 31 * round) % records.len();
                        let (shape, record) = &records[place];
                        assert_eq!(writers.write(*shape, record), alone[place], "{}", paths[place].display());
                    }
                }
            });
        }
    });
}

struct Writers {
    normalizer: Normalizer,
    encoders: Vec<Encoder>,
}

impl Default for Writers {
    fn default() -> Self {
        let encoders = Format::ALL.iter().map(|format| Encoder::new(*format, Options::default())).collect();
        Self { normalizer: Normalizer::new(), encoders }
    }
}

impl Writers {
    /// The id of each event of a record, and its line in each format.
    fn write(&mut self, shape: Shape, record: &[u8]) -> String {
        let (tenant, source) = ("contoso".parse().unwrap(), "hub".parse().unwrap());
        let coordinates = match shape {
            Shape::Streaming => Coordinates::Log { generation: Generation(1), partition: "0".into(), sequence: 7 },
            _ => {
                let updated = siemgate::clock::Timestamp::from_millis(1_893_492_125_007);
                Coordinates::Object { id: "4711".into(), version: Version { updated, digest: [7; 8] } }
            }
        };
        let origin = Origin { tenant: &tenant, source: &source, coordinates: Some(&coordinates), published: None };
        let mut lines = Vec::new();
        self.normalizer.normalize(&origin, shape, record, &mut |normalized| match normalized {
            Normalized::Event(event) => {
                lines.extend_from_slice(event.id.to_string().as_bytes());
                for encoder in &mut self.encoders {
                    lines.push(b'\n');
                    encoder.encode(event, &mut lines);
                }
            }
            Normalized::Rejected(rejected) => lines.extend_from_slice(rejected.id.to_string().as_bytes()),
        });
        String::from_utf8(lines).unwrap()
    }
}
