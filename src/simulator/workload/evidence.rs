//! What an alert found: the kinds of evidence the REST interface knows, filled from the tenant's people and devices.

use serde_json::{Value, json};

use super::alerts::Alert;
use super::catalogue::PROGRAMS;
use super::world::World;

/// The evidence of `alert`, by the product that raised it.
pub fn of(world: &World, alert: &Alert, remediation: &str, created: &str) -> Value {
    let facts = Facts { world, alert };
    let kinds: [(&str, Value); 2] = [("device", facts.device()), ("process", facts.process())];
    let list = kinds.into_iter().map(|(name, members)| {
        let mut entry = json!({
            "@odata.type": format!("#microsoft.graph.security.{name}Evidence"),
            "createdDateTime": created,
            "verdict": if name == "device" { "unknown" } else { "suspicious" },
            "remediationStatus": remediation,
            "remediationStatusDetails": null,
            "roles": [],
            "detailedRoles": [],
            "tags": [],
        });
        if let (Some(entry), Value::Object(members)) = (entry.as_object_mut(), members) {
            entry.extend(members);
        }
        entry
    });
    list.collect()
}

struct Facts<'a> {
    world: &'a World,
    alert: &'a Alert,
}

impl Facts<'_> {
    fn device(&self) -> Value {
        let device = &self.world.devices[self.alert.device];
        json!({ "mdeDeviceId": device.id, "deviceDnsName": device.dns, "hostName": device.host })
    }

    fn process(&self) -> Value {
        json!({ "processCommandLine": self.alert.command(self.world), "imageFile": { "fileName": PROGRAMS[self.alert.program].file } })
    }
}
