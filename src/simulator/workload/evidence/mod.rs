//! What an alert found: the kinds of evidence the REST interface knows, filled from the tenant's people and devices.

mod cloud;
mod endpoint;
mod people;

use serde_json::{Value, json};

use super::alerts::Alert;
use super::columns;
use super::random::Random;
use super::world::{Device, User, World};

/// Evidence of one alert at most; real ones have more, but rarely.
const ENTRIES_MAX: u64 = 6;
/// How often an alert holds a kind of evidence that readers can't know yet.
const UNKNOWN_SHARE: f64 = 0.01;

/// Writes the members that a kind of evidence has beside those of every evidence.
type Kind = (&'static str, fn(&mut Facts<'_>) -> Value);

/// The evidence of `alert`: always the same for one alert, but for how far its remediation has come.
pub fn of(world: &World, alert: &Alert, remediation: &str, created: &str) -> Value {
    let mut facts = Facts { world, alert, random: alert.random.clone(), created };
    let kinds = match alert.kind.product.service {
        "microsoftDefenderForEndpoint" => endpoint::KINDS,
        "microsoftDefenderForOffice365" => people::MAIL,
        "microsoftDefenderForCloud" => cloud::KINDS,
        "microsoftDefenderForCloudApps" => people::APPS,
        _ => people::IDENTITY,
    };
    let mut entries = Vec::new();
    // The first kind is the impacted asset, which every alert of a product names.
    entries.push(facts.entry(kinds[0], remediation));
    for _ in 0..facts.random.below(ENTRIES_MAX) {
        let kind = *facts.random.pick(kinds);
        entries.push(facts.entry(kind, remediation));
    }
    if facts.random.chance(UNKNOWN_SHARE) {
        entries.push(facts.entry(("quantumKeyEvidence", |_| json!({ "qubits": 3, "entangled": true })), remediation));
    }
    Value::Array(entries)
}

/// What the members are drawn from.
struct Facts<'a> {
    world: &'a World,
    alert: &'a Alert,
    random: Random,
    created: &'a str,
}

impl<'a> Facts<'a> {
    fn entry(&mut self, (name, members): Kind, remediation: &str) -> Value {
        let verdict = self.random.one_of(&["unknown", "suspicious", "malicious", "noThreatsFound"]);
        let roles = *self.random.pick(&[&[][..], &["compromised"], &["attacker", "source"]]);
        let base = json!({
            "@odata.type": format!("#microsoft.graph.security.{name}"),
            "createdDateTime": self.created,
            "verdict": verdict,
            "remediationStatus": remediation,
            "remediationStatusDetails": null,
            "roles": roles,
            "detailedRoles": [],
            "tags": [],
        });
        joined(base, members(self))
    }

    /// An entry inside another one.
    fn nested(&mut self, kind: Kind) -> Value {
        self.entry(kind, "none")
    }

    fn device(&self) -> &'a Device {
        &self.world.devices[self.alert.device]
    }

    fn user(&self) -> &'a User {
        &self.world.users[self.alert.user]
    }

    fn ip(&self) -> String {
        let [a, b, c, d] = self.alert.remote;
        format!("{a}.{b}.{c}.{d}")
    }

    fn user_account(&self) -> Value {
        let user = self.user();
        json!({
            "accountName": user.name,
            "activeDirectoryObjectGuid": null,
            "azureAdUserId": user.object,
            "displayName": user.display,
            "domainName": self.world.netbios,
            "resourceAccessEvents": [],
            "tenantId": self.world.tenant.directory,
            "userPrincipalName": user.principal,
            "userSid": user.sid,
        })
    }

    fn file_details(&self) -> Value {
        let program = &super::catalogue::PROGRAMS[self.alert.program];
        let image = &self.world.images[self.alert.program];
        let path = columns::path(program, &self.user().name);
        let folder = path.trim_end_matches(program.file).trim_end_matches(['\\', '/']);
        json!({
            "fileName": program.file,
            "filePath": folder,
            "filePublisher": program.vendor,
            "fileSize": image.bytes,
            "issuer": null,
            "md5": image.md5,
            "sha1": image.sha1,
            "sha256": image.sha256,
            "sha256Ac": null,
            "signer": program.vendor,
        })
    }
}

fn joined(mut base: Value, members: Value) -> Value {
    if let (Some(base), Value::Object(members)) = (base.as_object_mut(), members) {
        base.extend(members);
    }
    base
}
