//! Whether what a source gave can be delivered to a sink once more, as both are configured.

use crate::ids::{SourceId, TenantId};
use crate::pipeline::spec::SinkSpec;
use crate::sources;

const UNREADABLE: &str = "the sink can't be read by this version: apply it again";

/// Why a sink gets nothing of this source, if it gets nothing.
pub fn unserved(tenant: &TenantId, source: &SourceId, sink_body: &str) -> Option<String> {
    match serde_json::from_str::<SinkSpec>(sink_body) {
        Ok(sink) => shut_out(tenant, source, &sink),
        Err(_) => Some(UNREADABLE.to_owned()),
    }
}

fn shut_out(tenant: &TenantId, source: &SourceId, sink: &SinkSpec) -> Option<String> {
    let told = || {
        format!(
            "the sink's `routes` let nothing of source `{tenant}/{source}` pass: choose another sink, or change its routes"
        )
    };
    (!sink.routes.serves(tenant, source)).then(told)
}

/// Why there can be no replay of this source to this sink; nothing when there can. Bodies are as they were applied.
pub fn obstacle(tenant: &TenantId, source: &SourceId, source_body: &str, sink_body: &str) -> Option<String> {
    let Ok(sink) = serde_json::from_str::<SinkSpec>(sink_body) else { return Some(UNREADABLE.to_owned()) };
    if let Some(why) = shut_out(tenant, source, &sink) {
        return Some(why);
    }
    match serde_json::from_str::<sources::Config>(source_body) {
        Err(_) => Some("the source can't be read by this version: apply it again".to_owned()),
        Ok(sources::Config::EventHub(hub)) if hub.second().is_none() => Some(format!(
            "source `{tenant}/{source}` has one consumer group, under which a second reader would displace the first: make \
             another group for this cluster in the event hub, set `catch_up_consumer_group` of the source to its name, and \
             apply it"
        )),
        Ok(sources::Config::EventHub(_) | sources::Config::GraphIncidents(_) | sources::Config::GraphAlerts(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_needs_a_second_group_and_a_sink_that_takes_its_events() {
        let (tenant, source) = ("contoso".parse().unwrap(), "hub".parse().unwrap());
        let sink = r#"{"kind":"file","path":"/x","format":"cef"}"#;
        let told = |body: &str| obstacle(&tenant, &source, body, sink);
        let one = told(r#"{"kind":"event-hub","credential":"c"}"#).unwrap();
        assert!(one.contains("set `catch_up_consumer_group`"), "{one}");
        assert_eq!(told(r#"{"kind":"event-hub","credential":"c","catch_up_consumer_group":"two"}"#), None);
        assert_eq!(told(r#"{"kind":"graph-alerts","credential":"c"}"#), None, "objects can be asked for twice");
        let other = r#"{"kind":"file","path":"/x","format":"cef","routes":{"tenants":["fabrikam"]}}"#;
        let told = obstacle(&tenant, &source, r#"{"kind":"graph-alerts","credential":"c"}"#, other).unwrap();
        assert!(told.contains("`routes`"), "{told}");
        let fetched = r#"{"kind":"subscription","format":"ocsf","tokens":[]}"#;
        assert_eq!(obstacle(&tenant, &source, r#"{"kind":"graph-alerts","credential":"c"}"#, fetched), None);
    }
}
