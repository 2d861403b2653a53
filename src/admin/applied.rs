//! Resources and their secrets as a call of the admin API brings them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::convert::{self, BadWire};
use super::plan::Wanted;
use super::sealing::{Fetched, Secrets, as_written};
use crate::cluster::{ControlPlane, ResourceKey, ResourceKind};
use crate::config::resources;
use crate::secret::Secret;
use crate::wire::v1;

/// The secrets of a call, by the resources they belong to.
pub(super) fn read_secrets(values: Vec<v1::SecretValue>) -> Result<BTreeMap<ResourceKey, Secrets>, BadWire> {
    let mut secrets: BTreeMap<ResourceKey, Secrets> = BTreeMap::new();
    for value in values {
        // Taken first, so that the text is wiped whatever is wrong with its key.
        let secret = Secret::new(value.value);
        let key = convert::key_from_wire(value.key)?;
        secrets.entry(key).or_default().insert(value.field, Fetched::Value(secret));
    }
    Ok(secrets)
}

/// Takes the resource's secrets along, which must be those that it refers to.
pub(super) fn read_resource(
    resource: v1::Resource,
    secrets: &mut BTreeMap<ResourceKey, Secrets>,
    control: &ControlPlane,
) -> Result<Wanted, Vec<String>> {
    let key = convert::key_from_wire(resource.key).map_err(|error| vec![error.to_string()])?;
    let body: Map<String, Value> =
        serde_json::from_str(&resource.body).map_err(|_| vec![format!("{key}: the body is not a JSON object")])?;
    let told = |complaints: Vec<crate::config::fault::Complaint>| {
        complaints.into_iter().map(|it| format!("{key}: {}", it.problem)).collect::<Vec<_>>()
    };
    let checked = resources::check(&key, &body).map_err(told)?;
    let mut secrets = secrets.remove(&key).unwrap_or_default();
    if only_paused(control, &key, &body) {
        let kept = checked.secrets.iter().map(|(field, _)| ((*field).to_owned(), Fetched::Unread));
        secrets = kept.chain(std::mem::take(&mut secrets)).collect();
    }
    let absent = checked.secrets.iter().filter(|(field, _)| !secrets.contains_key(*field));
    let mut faults: Vec<String> = absent
        .map(|(field, _)| {
            format!("{key}: what `{field}` refers to did not come along: apply with this version's `siemgate`")
        })
        .collect();
    let unknown = secrets.keys().filter(|given| checked.secrets.iter().all(|(field, _)| field != given));
    faults.extend(unknown.map(|_| format!("{key}: a secret came along that it does not refer to: leave it out")));
    if faults.is_empty() { Ok(Wanted { key, body: checked.body, uses: checked.uses, secrets }) } else { Err(faults) }
}

/// Whether nothing changes of a sink but that it is held back or let go. Then its secrets need not come along: what is
/// sealed stays. Whoever changes more must bring them, so that nobody sends to another place what they do not know.
fn only_paused(control: &ControlPlane, key: &ResourceKey, body: &Map<String, Value>) -> bool {
    let standing = control.read(|state| state.resource(key).map(|resource| as_written(&resource.body).0));
    let standing = standing.and_then(|body| serde_json::from_str::<Map<String, Value>>(&body).ok());
    let but_paused = |body: &Map<String, Value>| {
        let mut body = body.clone();
        body.remove("paused");
        body
    };
    key.kind == ResourceKind::Sink && standing.is_some_and(|standing| but_paused(&standing) == but_paused(body))
}
