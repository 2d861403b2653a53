//! A sink as an operator writes it: where it is, which format it takes, and which events it wants.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::fit::{MESSAGE_BYTES_MIN, Oversize, SizePolicy};
use super::limits::{EXPIRE_AFTER_MAX, EXPIRE_AFTER_MIN};
use super::route::Route;
use crate::encode::{self, Format};
use crate::sinks;
use crate::units::{ByteSize, Span};

/// The sink's own settings stand beside `format` and `routes` in one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SinkSpec {
    #[serde(flatten)]
    pub sink: sinks::Config,
    pub format: Format,
    /// What the format leaves to choose.
    pub options: encode::Options,
    pub routes: Route,
    /// The longest message the receiver takes; left out, what its kind of sink is known to take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_message_bytes: Option<ByteSize>,
    /// What becomes of an event that is longer.
    pub oversize: Oversize,
    /// Events that it has not acknowledged this long after upstream published them are passed over for this sink alone, and
    /// a gap record says how many. Default: never; it holds them. From 5m to 90d.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expire_after: Option<Span>,
    /// Whether an operator holds it back. Nothing is sent then; it goes on where it stopped. Default: no.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

impl SinkSpec {
    /// What is wrong with the settings, if anything, in words for the person who wrote them.
    pub fn fault(&self) -> Option<String> {
        let is_too_small = self.max_message_bytes.is_some_and(|most| most.get() < MESSAGE_BYTES_MIN);
        let fault = is_too_small.then(|| {
            format!(
                "max_message_bytes must be at least {MESSAGE_BYTES_MIN}B: less holds no event; most receivers take 8KiB"
            )
        });
        fault
            .or_else(|| self.expires_wrongly())
            .or_else(|| self.too_large())
            .or_else(|| self.no_text())
            .or_else(|| self.sink.fault())
    }

    fn expires_wrongly(&self) -> Option<String> {
        let after = self.expire_after?;
        let (least, most) = (EXPIRE_AFTER_MIN.as_secs() / 60, EXPIRE_AFTER_MAX.as_secs() / 86_400);
        match after.get() {
            span if span < EXPIRE_AFTER_MIN => Some(format!(
                "`expire_after` is {after}; at least {least}m are needed, or a receiver that restarts would lose events. \
                 Without it the sink holds all of them"
            )),
            span if span > EXPIRE_AFTER_MAX => Some(format!(
                "`expire_after` is {after}; at most {most}d mean anything, because no upstream keeps events longer. \
                 Without it the sink holds all of them"
            )),
            _ => None,
        }
    }

    /// One format is protobuf: nothing that takes lines takes it, and nobody could put parts of it together.
    fn no_text(&self) -> Option<String> {
        let is_subscription = matches!(self.sink, sinks::Config::Subscription(_));
        match (self.format, is_subscription, self.oversize) {
            (Format::Typed, false, _) => Some(
                "`format = \"typed\"` is protobuf, which only a subscription carries: choose one that is text"
                    .to_owned(),
            ),
            (Format::Typed, true, Oversize::Split) => {
                Some("`oversize = \"split\"` cuts text, and `format = \"typed\"` is none: leave it out".to_owned())
            }
            _ => None,
        }
    }

    fn too_large(&self) -> Option<String> {
        let (most, why) = self.sink.message_bytes_possible()?;
        let asked = self.max_message_bytes.filter(|asked| asked.get() > most.get())?;
        Some(format!("`max_message_bytes` is {asked}; at most {}B are possible, because {why}", most.get()))
    }

    pub fn size_policy(&self) -> SizePolicy {
        let message_bytes_max = self.max_message_bytes.or(self.sink.message_bytes_max());
        SizePolicy { message_bytes_max, oversize: self.oversize }
    }
}

/// Taken apart by hand, because a flattened table could not refuse keys it does not know.
impl<'de> Deserialize<'de> for SinkSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = Map::<String, Value>::deserialize(deserializer)?;
        let format = table.remove("format").ok_or_else(|| D::Error::missing_field("format"))?;
        Ok(Self {
            format: serde_json::from_value(format).map_err(D::Error::custom)?,
            options: taken(&mut table, "options").map_err(D::Error::custom)?,
            routes: taken(&mut table, "routes").map_err(D::Error::custom)?,
            max_message_bytes: taken(&mut table, "max_message_bytes").map_err(D::Error::custom)?,
            oversize: taken(&mut table, "oversize").map_err(D::Error::custom)?,
            expire_after: taken(&mut table, "expire_after").map_err(D::Error::custom)?,
            paused: taken(&mut table, "paused").map_err(D::Error::custom)?,
            sink: serde_json::from_value(Value::Object(table)).map_err(D::Error::custom)?,
        })
    }
}

/// A key's value; what is usual where it isn't given.
fn taken<T: DeserializeOwned + Default>(table: &mut Map<String, Value>, key: &str) -> Result<T, serde_json::Error> {
    table.remove(key).map_or_else(|| Ok(T::default()), serde_json::from_value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_reads_back_from_what_it_writes() {
        let text = r#"{"kind":"syslog","address":"siem:514","format":"cef","routes":{"tenants":["contoso"]},
            "options":{"cef":{"version":"1"}},"max_message_bytes":"64KiB","oversize":"split"}"#;
        let spec: SinkSpec = serde_json::from_str(text).unwrap();
        let again: SinkSpec = serde_json::from_str(&serde_json::to_string(&spec).unwrap()).unwrap();
        assert_eq!(spec, again);
        assert_eq!(spec.size_policy().message_bytes_max, Some(ByteSize::new(64 << 10)));
        assert_eq!(spec.options.cef.version, encode::CefVersion::One);
        let plain: SinkSpec = serde_json::from_str(r#"{"kind":"syslog","address":"siem:514","format":"cef"}"#).unwrap();
        assert_eq!(plain.size_policy().message_bytes_max, Some(ByteSize::new(8192)));
        let tight = SinkSpec { max_message_bytes: Some(ByteSize::new(100)), ..plain };
        assert!(tight.fault().unwrap().contains("at least 480B"));
        let udp =
            r#"{"kind":"syslog","address":"siem:514","transport":"udp","format":"cef","max_message_bytes":"64KiB"}"#;
        let udp: SinkSpec = serde_json::from_str(udp).unwrap();
        assert!(udp.fault().unwrap().contains("at most 65507B"));
        let udp = SinkSpec { max_message_bytes: None, ..udp };
        assert_eq!((udp.fault(), udp.size_policy().message_bytes_max), (None, Some(ByteSize::new(1472))));
    }

    #[test]
    fn a_format_that_is_no_text_goes_to_subscribers_only() {
        let fault = |text: &str| serde_json::from_str::<SinkSpec>(text).unwrap().fault();
        assert_eq!(fault(r#"{"kind":"subscription","format":"typed"}"#), None);
        assert!(fault(r#"{"kind":"stdout","format":"typed"}"#).unwrap().contains("only a subscription"));
        let split = fault(r#"{"kind":"subscription","format":"typed","oversize":"split"}"#).unwrap();
        assert!(split.contains("cuts text"), "{split}");
    }

    #[test]
    fn how_long_a_sink_holds_events_has_sane_bounds() {
        let spec = |after: &str| {
            let text = format!(r#"{{"kind":"stdout","format":"cef","expire_after":"{after}"}}"#);
            serde_json::from_str::<SinkSpec>(&text)
        };
        for (after, expected) in [("0s", "at least 5m"), ("4m", "is 4m; at least 5m"), ("91d", "is 91d; at most 90d")] {
            let fault = spec(after).unwrap().fault().unwrap();
            assert!(fault.contains(expected), "{fault}");
        }
        let week = spec("7d").unwrap();
        assert_eq!((week.fault(), week.expire_after), (None, Some(Span::from_secs(7 * 86_400))));
        let again: SinkSpec = serde_json::from_str(&serde_json::to_string(&week).unwrap()).unwrap();
        assert_eq!(again, week);
        assert!(spec("soon").unwrap_err().to_string().contains("is not a duration"));
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let error = serde_json::from_str::<SinkSpec>(r#"{"kind":"stdout","format":"cef","adress":1}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `adress`"), "{error}");
    }
}
