//! A probe event, sent the way a sink would send it: it says how far events come without waiting for one.

use crate::clock::{Clock, Timestamp};
use crate::encode::{Encoder, Facility, Header};
use crate::event::batch::Shape;
use crate::ids::{Epoch, FeedId, SourceId, TenantId};
use crate::normalize::{Normalized, Normalizer, Origin};
use crate::pipeline::spec::SinkSpec;
pub use crate::sinks::journey::Journey;
use crate::sinks::{Config, Framed, Stamp, hec, syslog};

/// How far it comes to each receiver; nothing where there is none to reach.
pub async fn travel(spec: &SinkSpec) -> Vec<Journey> {
    match &spec.sink {
        Config::Syslog(config) => syslog::journey::travel(config, &probe(spec).bytes).await,
        Config::Hec(config) => hec::journey::travel(config, &probe(spec).bytes).await,
        // They end on the node itself: whether it can write there its status says.
        Config::File(_) | Config::Stdout(_) | Config::Subscription(_) => Vec::new(),
    }
}

/// What an acknowledgement would mean, at the weakest of the receivers; nothing where one did not take the event.
pub fn weakest(journeys: &[Journey]) -> Option<&'static str> {
    let levels = journeys.iter().map(Journey::assurance).collect::<Option<Vec<_>>>();
    levels.and_then(|levels| levels.into_iter().min())
}

const PROBE: &str = r#"{"category":"AdvancedHunting-DeviceEvents","properties":{"ActionType":"SiemgateSinkTest","DeviceName":"siemgate","ReportId":1}}"#;

/// A probe event in the sink's format and frame.
fn probe(spec: &SinkSpec) -> Framed {
    let feed: FeedId = "siemgate/sink-test/0".parse().expect("the constant is a feed");
    let (tenant, source): (TenantId, SourceId) = (feed.tenant.clone(), feed.source.clone());
    let now = Clock::System.now();
    let origin = Origin { tenant: &tenant, source: &source, coordinates: None, published: Some(now) };
    let mut framed = Framed::default();
    let mut encoder = Encoder::new(spec.format, spec.options.clone());
    Normalizer::new().normalize(&origin, Shape::Streaming, PROBE.as_bytes(), &mut |normalized| {
        if let Normalized::Event(event) = normalized {
            let hex = event.id.to_hex();
            let id = std::str::from_utf8(&hex).unwrap_or_default();
            let mut payload = Vec::new();
            encoder.encode(event, &mut payload);
            let stamp = stamp(&Header::of(event), (&feed, id), now);
            spec.sink.framing().frame(&stamp, &payload, &mut framed);
        }
    });
    framed
}

fn stamp<'a>(head: &Header, (feed, id): (&'a FeedId, &'a str), now: Timestamp) -> Stamp<'a> {
    Stamp {
        tenant: feed.tenant.as_str(),
        source: feed.source.as_str(),
        feed,
        epoch: Epoch(1),
        id,
        record: 0,
        time: head.time.unwrap_or(now),
        label: head.label,
        finding: head.facility == Facility::Alert,
        severity: head.severity,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(body: &str) -> SinkSpec {
        serde_json::from_str(body).unwrap()
    }

    #[test]
    fn a_probe_is_one_event_in_the_sinks_own_format_and_frame() {
        for (body, expected) in [
            (r#"{"kind":"syslog","address":"siem:514","format":"cef","framing":"lf"}"#, "CEF:0|"),
            (r#"{"kind":"syslog","address":"siem:514","format":"leef","transport":"relp"}"#, "LEEF:1.0|"),
            (r#"{"kind":"stdout","format":"microsoft"}"#, "SiemgateSinkTest"),
        ] {
            let framed = probe(&spec(body));
            let text = String::from_utf8(framed.bytes).unwrap();
            assert!(framed.ends.len() == 1 && text.contains(expected) && text.contains("SiemgateSinkTest"), "{text}");
        }
    }
}
