//! Incidents and alerts as readers see them: the visible version of each, in order of update, and those that are late.
//! Pure; the caller says what time it is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::clock::Timestamp;

/// Objects kept in a collection. Past it the one updated longest ago goes, as the service's own retention removes it.
pub const OBJECTS_MAX: usize = 200_000;

pub type Body = Map<String, Value>;

/// One version of one object.
#[derive(Debug, Clone)]
pub struct Object {
    pub id: Arc<str>,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub body: Arc<Body>,
}

/// What is wrong with an object that was to be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the object has no usable `{field}`: give it one")]
pub struct BadObject {
    pub field: &'static str,
}

impl Object {
    /// Takes an object as it goes over the wire.
    pub fn new(body: Body) -> Result<Self, BadObject> {
        let text = |field| body.get(field).and_then(Value::as_str).ok_or(BadObject { field });
        let time = |field| Timestamp::parse(text(field)?).ok_or(BadObject { field });
        Ok(Self {
            id: Arc::from(text("id")?),
            created: time("createdDateTime")?,
            updated: time("lastUpdateDateTime")?,
            body: Arc::new(body),
        })
    }

    pub fn text(&self, property: &str) -> Option<&str> {
        self.body.get(property).and_then(Value::as_str)
    }
}

/// One collection of one tenant.
///
/// Invariant: `by_update` and `by_incident` hold exactly the objects of `visible`.
#[derive(Debug, Default)]
pub struct Shelf {
    visible: HashMap<Arc<str>, Object>,
    by_update: BTreeSet<(Timestamp, Arc<str>)>,
    by_incident: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// Versions nobody sees yet, by the time from which they are seen and then by arrival.
    late: BTreeMap<(Timestamp, u64), Object>,
    arrivals: u64,
}

impl Shelf {
    /// Stores a version that readers see from `visible_after` on.
    pub fn put(&mut self, object: Object, visible_after: Timestamp) {
        self.arrivals += 1;
        self.late.insert((visible_after, self.arrivals), object);
    }

    /// Lets everything become visible that is due at `now`. A late version never replaces a newer one.
    pub fn settle(&mut self, now: Timestamp) {
        while let Some(entry) = self.late.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let object = entry.remove();
            self.show(object);
        }
    }

    fn show(&mut self, object: Object) {
        if self.visible.get(&object.id).is_some_and(|shown| shown.updated > object.updated) {
            return;
        }
        self.remove(&object.id);
        self.by_update.insert((object.updated, Arc::clone(&object.id)));
        if let Some(incident) = object.text("incidentId") {
            self.by_incident.entry(Arc::from(incident)).or_default().insert(Arc::clone(&object.id));
        }
        self.visible.insert(Arc::clone(&object.id), object);
        if self.visible.len() > OBJECTS_MAX
            && let Some((_, oldest)) = self.by_update.first().cloned()
        {
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, id: &Arc<str>) {
        let Some(object) = self.visible.remove(id) else { return };
        self.by_update.remove(&(object.updated, Arc::clone(id)));
        if let Some(incident) = object.text("incidentId")
            && let Some(alerts) = self.by_incident.get_mut(incident)
        {
            alerts.remove(id);
            if alerts.is_empty() {
                self.by_incident.remove(incident);
            }
        }
    }

    pub fn find(&self, id: &str) -> Option<&Object> {
        self.visible.get(id)
    }

    pub fn len(&self) -> usize {
        self.visible.len()
    }

    /// How many versions are still hidden.
    pub fn hidden(&self) -> usize {
        self.late.len()
    }

    /// The visible objects updated at `since` or later, least recently updated first; ties by id.
    pub fn updated_since(&self, since: Timestamp) -> impl Iterator<Item = &Object> {
        let from = (since, Arc::from(""));
        self.by_update.range(from..).filter_map(|(_, id)| self.visible.get(id))
    }

    /// The visible object updated last.
    pub fn newest(&self) -> Option<&Object> {
        self.by_update.last().and_then(|(_, id)| self.visible.get(id))
    }

    /// The alerts that point to this incident, by id.
    pub fn of_incident(&self, incident: &str) -> impl Iterator<Item = &Object> {
        self.by_incident.get(incident).into_iter().flatten().filter_map(|id| self.visible.get(id))
    }
}

#[cfg(test)]
pub(super) mod fixture {
    use serde_json::json;

    use super::*;

    /// A time so many seconds into the day of the tests.
    pub fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_893_456_000_000 + seconds * 1_000)
    }

    pub fn object(id: &str, updated: i64, more: Value) -> Object {
        let mut body = json!({
            "id": id,
            "createdDateTime": at(0).to_microsoft(),
            "lastUpdateDateTime": at(updated).to_microsoft(),
        });
        let body = body.as_object_mut().unwrap();
        body.extend(more.as_object().cloned().unwrap_or_default());
        Object::new(body.clone()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::fixture::{at, object};
    use super::*;

    fn ids(shelf: &Shelf) -> Vec<&str> {
        shelf.updated_since(Timestamp::ZERO).map(|object| &*object.id).collect()
    }

    #[test]
    fn a_late_object_appears_behind_readers_who_have_passed_its_time() {
        let mut shelf = Shelf::default();
        shelf.put(object("late", 1, json!({})), at(10));
        shelf.put(object("on-time", 2, json!({})), at(2));
        shelf.settle(at(2));
        assert_eq!(ids(&shelf), ["on-time"]);
        shelf.settle(at(9));
        assert_eq!((shelf.len(), shelf.hidden()), (1, 1));
        shelf.settle(at(10));
        assert_eq!(ids(&shelf), ["late", "on-time"]);
    }

    #[test]
    fn a_late_version_never_replaces_a_newer_one() {
        let mut shelf = Shelf::default();
        shelf.put(object("a", 1, json!({"status": "new"})), at(10));
        shelf.put(object("a", 2, json!({"status": "resolved"})), at(2));
        shelf.settle(at(10));
        assert_eq!(shelf.find("a").unwrap().text("status"), Some("resolved"));
        assert_eq!(shelf.len(), 1);
    }

    #[test]
    fn an_update_moves_an_object_to_its_new_place_and_its_new_incident() {
        let mut shelf = Shelf::default();
        for (id, updated, incident) in [("a", 1, "7"), ("b", 2, "7"), ("a", 3, "8")] {
            shelf.put(object(id, updated, json!({"incidentId": incident})), at(updated));
        }
        shelf.settle(at(3));
        assert_eq!(ids(&shelf), ["b", "a"]);
        let of = |incident| shelf.of_incident(incident).map(|object| &*object.id).collect::<Vec<_>>();
        assert_eq!((of("7"), of("8")), (vec!["b"], vec!["a"]));
    }
}
