//! An event in a sink's format, made to fit what its receiver takes: whole, shortened, in parts, or not at all. Pure.

use serde::{Deserialize, Serialize};

use crate::encode::Encoder;
use crate::event::Event;
use crate::event::reduce::STEPS;
use crate::event::text::start_of;
use crate::sinks::{Framed, Framing, Stamp};
use crate::units::ByteSize;

/// Smallest limit that can be set: below this not even a shortened event says anything.
pub const MESSAGE_BYTES_MIN: u64 = 480;
/// Parts of one event. More of them than this would flood a receiver with one record.
const PARTS_MAX: usize = 64;
/// Room for `siemgate-part 12/34 <id> ` before each part.
const PART_HEAD_BYTES: usize = 64;

/// How much a receiver takes in one message, and what becomes of an event that is longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizePolicy {
    /// Nothing: as long as it is.
    pub message_bytes_max: Option<ByteSize>,
    pub oversize: Oversize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Oversize {
    /// Long texts are cut, and the event says that they were, how long it would be, and the digest of its record. A
    /// format that passes records on untouched can't do that; there the record goes to quarantine.
    #[default]
    Truncate,
    /// Messages `siemgate-part 1/3 <event id> …`, to be put together by whoever reads them.
    Split,
    /// The record goes to quarantine, whole.
    Quarantine,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fitted {
    Whole,
    Shortened,
    Parts(u32),
    /// It can't be made to fit; nothing was written.
    Refused {
        bytes: usize,
    },
}

/// Appends the frames of `event` to `out`. `payload` is a buffer.
pub fn fit(
    event: &Event<'_>,
    encoder: &mut Encoder,
    (framing, stamp): (&mut Framing, &Stamp<'_>),
    policy: SizePolicy,
    payload: &mut Vec<u8>,
    out: &mut Framed,
) -> Fitted {
    payload.clear();
    encoder.encode(event, payload);
    let start = out.frames();
    let bytes = framing.frame(stamp, payload, out);
    let Some(most) = policy.message_bytes_max.and_then(|most| usize::try_from(most.get()).ok()) else {
        return Fitted::Whole;
    };
    if bytes <= most {
        return Fitted::Whole;
    }
    out.keep(start);
    match policy.oversize {
        Oversize::Quarantine => Fitted::Refused { bytes },
        Oversize::Split => split(payload, most, bytes, (framing, stamp), out),
        Oversize::Truncate => {
            for step in STEPS {
                payload.clear();
                encoder.encode(&event.reduced(*step, bytes as u64), payload);
                if framing.frame(stamp, payload, out) <= most {
                    return Fitted::Shortened;
                }
                out.keep(start);
            }
            Fitted::Refused { bytes }
        }
    }
}

fn split(
    payload: &[u8],
    most: usize,
    bytes: usize,
    (framing, stamp): (&mut Framing, &Stamp<'_>),
    out: &mut Framed,
) -> Fitted {
    let Ok(text) = std::str::from_utf8(payload) else { return Fitted::Refused { bytes } };
    let header = bytes - payload.len();
    let room = most.saturating_sub(header + PART_HEAD_BYTES);
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let part = start_of(rest, room);
        if part.is_empty() || parts.len() == PARTS_MAX {
            return Fitted::Refused { bytes };
        }
        parts.push(part);
        rest = &rest[part.len()..];
    }
    for (number, part) in parts.iter().enumerate() {
        let message = format!("siemgate-part {}/{} {} {part}", number + 1, parts.len(), stamp.id);
        framing.frame(stamp, message.as_bytes(), out);
    }
    Fitted::Parts(u32::try_from(parts.len()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::encode::{Format, Options};
    use crate::event::Label;
    use crate::event::batch::Shape;
    use crate::ids::Epoch;
    use crate::normalize::{Normalized, Normalizer, Origin};

    /// The lines of a record whose command line has so many letters, and what became of it.
    fn fitted(format: Format, letters: usize, most: u64, oversize: Oversize) -> (Fitted, Vec<String>) {
        let record = format!(
            r#"{{"category":"AdvancedHunting-DeviceProcessEvents","properties":{{"ActionType":"ProcessCreated","FileName":"cmd.exe","ProcessCommandLine":"{}"}}}}"#,
            "é".repeat(letters / 2)
        );
        let (tenant, source, feed) =
            ("contoso".parse().unwrap(), "hub".parse().unwrap(), "contoso/hub/0".parse().unwrap());
        let origin = Origin { tenant: &tenant, source: &source, coordinates: None, published: None };
        let policy = SizePolicy { message_bytes_max: Some(ByteSize::new(most)), oversize };
        let (mut out, mut result) = (Framed::default(), None);
        Normalizer::new().normalize(&origin, Shape::Streaming, record.as_bytes(), &mut |normalized| {
            let Normalized::Event(event) = normalized else { panic!("rejected") };
            let stamp = Stamp {
                tenant: "contoso",
                source: "hub",
                feed: &feed,
                epoch: Epoch(1),
                id: "00ff",
                record: 0,
                time: Timestamp::ZERO,
                label: Label::of("x"),
                finding: false,
                severity: 6,
            };
            let mut encoder = Encoder::new(format, Options::default());
            let framing = (&mut Framing::Line, &stamp);
            result = Some(fit(event, &mut encoder, framing, policy, &mut Vec::new(), &mut out));
        });
        let text = String::from_utf8(out.bytes).unwrap();
        (result.unwrap(), text.lines().map(str::to_owned).collect())
    }

    #[test]
    fn what_fits_is_left_alone() {
        for oversize in [Oversize::Truncate, Oversize::Split, Oversize::Quarantine] {
            let (what, lines) = fitted(Format::Cef, 20, 8192, oversize);
            assert_eq!((what, lines.len()), (Fitted::Whole, 1));
        }
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        for format in Format::ALL.iter().filter(|format| **format != Format::Microsoft) {
            let (what, lines) = fitted(*format, 3000, 1500, Oversize::Truncate);
            assert_eq!((what, lines.len()), (Fitted::Shortened, 1), "{format}");
            assert!(lines[0].len() <= 1500, "{format}: {}", lines[0].len());
            assert!(lines[0].to_lowercase().contains("truncated"), "{format}: {}", lines[0]);
        }
        assert!(matches!(fitted(Format::Microsoft, 3000, 1500, Oversize::Truncate).0, Fitted::Refused { .. }));
    }

    #[test]
    fn parts_are_put_together_again() {
        let (_, whole) = fitted(Format::Microsoft, 3000, 100_000, Oversize::Split);
        let (what, parts) = fitted(Format::Microsoft, 3000, 500, Oversize::Split);
        assert_eq!(what, Fitted::Parts(u32::try_from(parts.len()).unwrap()));
        let text: String = parts.iter().map(|part| part.splitn(4, ' ').nth(3).unwrap()).collect();
        assert_eq!(text, whole[0]);
        assert!(parts[0].starts_with(&format!("siemgate-part 1/{} 00ff {{", parts.len())));
        assert!(parts.iter().all(|part| part.len() <= 500));
        assert!(matches!(fitted(Format::Microsoft, 100_000, 500, Oversize::Split).0, Fitted::Refused { .. }));
    }

    #[test]
    fn a_record_for_the_quarantine_leaves_nothing_behind() {
        let (what, lines) = fitted(Format::Cef, 3000, 1500, Oversize::Quarantine);
        assert!(matches!(what, Fitted::Refused { bytes } if bytes > 3000) && lines.is_empty());
    }
}
