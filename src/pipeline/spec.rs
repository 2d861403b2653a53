//! A sink as an operator writes it: where it is, which format it takes, and which events it wants.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::route::Route;
use crate::encode::Format;
use crate::sinks;

/// The sink's own settings stand beside `format` and `routes` in one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SinkSpec {
    #[serde(flatten)]
    pub sink: sinks::Config,
    pub format: Format,
    pub routes: Route,
}

impl SinkSpec {
    /// What is wrong with the settings, if anything, in words for the person who wrote them.
    pub fn fault(&self) -> Option<String> {
        self.sink.fault()
    }
}

/// Taken apart by hand, because a flattened table could not refuse keys it does not know.
impl<'de> Deserialize<'de> for SinkSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = Map::<String, Value>::deserialize(deserializer)?;
        let format = table.remove("format").ok_or_else(|| D::Error::missing_field("format"))?;
        let routes = table.remove("routes").unwrap_or_else(|| Value::Object(Map::new()));
        Ok(Self {
            sink: serde_json::from_value(Value::Object(table)).map_err(D::Error::custom)?,
            format: serde_json::from_value(format).map_err(D::Error::custom)?,
            routes: serde_json::from_value(routes).map_err(D::Error::custom)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_reads_back_from_what_it_writes() {
        let text = r#"{"kind":"syslog","address":"siem:514","format":"cef","routes":{"tenants":["contoso"]}}"#;
        let spec: SinkSpec = serde_json::from_str(text).unwrap();
        let again: SinkSpec = serde_json::from_str(&serde_json::to_string(&spec).unwrap()).unwrap();
        assert_eq!(spec, again);
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let error = serde_json::from_str::<SinkSpec>(r#"{"kind":"stdout","format":"cef","adress":1}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `adress`"), "{error}");
    }
}
