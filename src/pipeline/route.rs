//! Which events a sink wants. Pure.

use serde::{Deserialize, Serialize};

use crate::event::{Class, Event, Severity};
use crate::ids::{SourceId, TenantId};

/// A sink's filter. Each list left empty lets everything through; `severity` is a minimum that only findings have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<TenantId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassName>,
    /// Incidents and alerts below this are filtered out. Telemetry has no severity and passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<SeverityName>,
}

/// A class as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClassName(pub Class);

/// A severity as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SeverityName(pub Severity);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRoute {
    #[error("`{given}` is not a class: use one of {}", names(Class::ALL.iter().map(|class| class.name())))]
    Class { given: String },
    #[error("`{given}` is not a severity: use one of {}", names(Severity::ALL.iter().map(|severity| severity.name())))]
    Severity { given: String },
}

fn names<'a>(all: impl Iterator<Item = &'a str>) -> String {
    all.collect::<Vec<_>>().join(", ")
}

impl TryFrom<String> for ClassName {
    type Error = BadRoute;
    fn try_from(given: String) -> Result<Self, BadRoute> {
        Class::parse(&given).map(Self).ok_or(BadRoute::Class { given })
    }
}
impl From<ClassName> for String {
    fn from(class: ClassName) -> Self {
        class.0.name().to_owned()
    }
}
impl TryFrom<String> for SeverityName {
    type Error = BadRoute;
    fn try_from(given: String) -> Result<Self, BadRoute> {
        match Severity::parse(&given) {
            Severity::Unknown => Err(BadRoute::Severity { given }),
            severity => Ok(Self(severity)),
        }
    }
}
impl From<SeverityName> for String {
    fn from(severity: SeverityName) -> Self {
        severity.0.name().to_owned()
    }
}

impl Route {
    pub fn wants(&self, event: &Event<'_>) -> bool {
        let finding = matches!(event.class, Class::Incident | Class::Alert);
        // A statement that events were lost concerns whoever would have got them, so no class filter hides it.
        let class_fits = event.class == Class::Gap
            || self.classes.is_empty()
            || self.classes.iter().any(|class| class.0 == event.class);
        let severe_enough = !finding || self.severity.is_none_or(|least| event.severity >= least.0);
        self.serves(event.tenant, event.source) && class_fits && severe_enough
    }

    /// Whether any event of this source could be wanted.
    pub fn serves(&self, tenant: &TenantId, source: &SourceId) -> bool {
        (self.tenants.is_empty() || self.tenants.contains(tenant))
            && (self.sources.is_empty() || self.sources.contains(source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_names_what_it_does_not_know() {
        let error = serde_json::from_str::<Route>(r#"{"classes":["mail"]}"#).unwrap_err().to_string();
        assert!(error.contains("`mail` is not a class: use one of incident, alert"), "{error}");
        let error = serde_json::from_str::<Route>(r#"{"severity":"loud"}"#).unwrap_err().to_string();
        assert!(error.contains("`loud` is not a severity"), "{error}");
    }

    #[test]
    fn an_empty_list_lets_everything_through() {
        let route = Route { tenants: vec!["a".parse().unwrap()], ..Route::default() };
        assert!(route.serves(&"a".parse().unwrap(), &"any".parse().unwrap()));
        assert!(!route.serves(&"b".parse().unwrap(), &"any".parse().unwrap()));
    }
}
