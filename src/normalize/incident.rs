//! Incidents of every interface: an incident, and what its expanded alerts say about it.

use crate::clock::Timestamp;
use crate::event::json::{Fault, Scanner};
use crate::event::{Activity, Class, Event, EvidenceKind, Field, Fields, List, Severity, Text, Value};
use crate::normalize::alert::{Times, read_severity, revision};
use crate::normalize::convert::{Converted, convert};
use crate::normalize::evidence::Place;
use crate::normalize::kinds::Incidents;
use crate::normalize::object::{Special, document, each_element, each_member};
use crate::normalize::tables::evidence::Pieces;
use crate::normalize::{Input, Origin, Reason};

/// How deep an incident's alerts lie, and the evidence of these.
const ALERT_DEPTH: u32 = 3;
const PIECE_DEPTH: u32 = 5;

pub(super) fn event<'r>(
    origin: &Origin<'r>,
    input: Input<'r>,
    incidents: &Incidents,
    pieces: &Pieces,
) -> Result<Event<'r>, Reason> {
    let (mut fields, mut unmapped) = (Fields::default(), Vec::new());
    let mut severity = Severity::Unknown;
    let mut alerts = None;
    let place = Place { text: input.text, pieces, depth: PIECE_DEPTH, are_devices: false };
    let index = &incidents.incident.index;
    let object = document(input.text, index, &mut fields, &mut unmapped, |special, scanner| match special {
        Special::Severity => read_severity(scanner, &mut severity),
        Special::Alerts if alerts.is_none() => {
            scanner.skip_blanks();
            if scanner.peek() != Some(b'[') {
                return Ok(scanner.value(ALERT_DEPTH - 1)?.is_absent());
            }
            alerts.insert(Gathered::default()).read(scanner, incidents, place)
        }
        // A second array of alerts is kept, and says nothing more of the incident.
        _ => scanner.value(ALERT_DEPTH - 1).map(|_| false),
    })?;
    if !fields.has(Field::IncidentId) {
        return Err(Reason::NoId);
    }
    for (field, word) in incidents.incident.kind.means {
        fields.insert(*field, Value::plain(word));
    }
    if let Some(alerts) = alerts {
        alerts.conclude(&mut fields);
    }
    let times = Times { updated: fields.time(Field::IncidentUpdated), created: fields.time(Field::IncidentCreated) };
    let revision = revision(origin, times, fields.text(Field::IncidentStatus));
    Ok(Event {
        id: origin.id(0, input.raw),
        tenant: origin.tenant,
        source: origin.source,
        class: Class::Incident,
        activity: revision.map_or(Activity::Other, |revision| revision.change.activity()),
        kind: Text::plain("Incident"),
        action: None,
        time: times.updated.or(times.created).or(origin.published),
        severity,
        revision,
        fields,
        evidence: Vec::new(),
        unmapped,
        index: 0,
        record: object,
        raw: input.raw,
        repaired: input.repaired,
        reduced: None,
    })
}

/// How many alerts, which, and the union of what they say. Without `$expand` none of it is known, and none is claimed.
#[derive(Default)]
struct Gathered<'r> {
    count: i64,
    ids: Vec<Text<'r>>,
    techniques: Vec<Text<'r>>,
    services: Vec<Text<'r>>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    device: Device<'r>,
}

impl<'r> Gathered<'r> {
    /// Reads the array of alerts that is next. Whether it holds nothing else.
    fn read(&mut self, scanner: &mut Scanner<'r>, incidents: &Incidents, place: Place<'r, '_>) -> Result<bool, Fault> {
        let mut all = true;
        each_element(scanner, |scanner| {
            if scanner.peek() != Some(b'{') {
                all &= scanner.value(ALERT_DEPTH)?.is_absent();
                return Ok(());
            }
            self.count += 1;
            let mut names_device = false;
            each_member(scanner, |scanner, key| {
                let (field, special) = incidents.alerts.member(key);
                let are_devices = special == Some(Special::Devices);
                if are_devices || special == Some(Special::Evidence) {
                    let is_open = !matches!(self.device, Device::Several);
                    let wanted = |kind| is_open && kind == EvidenceKind::Device;
                    Place { are_devices, ..place }.read_some(scanner, wanted, |piece| {
                        names_device = true;
                        self.device.see(piece.fields);
                    })?;
                    return Ok(());
                }
                let value = scanner.value(ALERT_DEPTH + 1)?;
                if let Some(field) = field
                    && let Converted::Value(value) = convert(field.kind(), value)
                {
                    self.take(field, value);
                }
                Ok(())
            })?;
            if !names_device {
                self.device = Device::Several;
            }
            Ok(())
        })?;
        Ok(all)
    }

    fn take(&mut self, field: Field, value: Value<'r>) {
        match (field, value) {
            (Field::AlertId, Value::Text(id)) => self.ids.push(id),
            (Field::AlertServiceSource, Value::Text(service)) => self.services.push(service),
            (Field::Techniques, Value::List(list)) => self.techniques.extend(list.iter()),
            (Field::AlertFirstActivity, Value::Time(time)) => {
                self.first = Some(self.first.map_or(time, |first| first.min(time)));
            }
            (Field::AlertLastActivity, Value::Time(time)) => self.last = self.last.max(Some(time)),
            _ => {}
        }
    }

    fn conclude(mut self, fields: &mut Fields<'r>) {
        fields.insert(Field::IncidentAlertCount, Value::Integer(self.count));
        // The service lists the same alerts in another order from one answer to the next; the event says the same.
        for list in [&mut self.ids, &mut self.techniques, &mut self.services] {
            list.sort_by(|one, other| match (one.as_plain(), other.as_plain()) {
                (Some(one), Some(other)) => one.cmp(other),
                _ => one.to_cow().cmp(&other.to_cow()),
            });
        }
        self.techniques.dedup();
        self.services.dedup();
        for (field, list) in [
            (Field::IncidentAlertIds, self.ids),
            (Field::Techniques, self.techniques),
            (Field::IncidentServices, self.services),
        ] {
            if !list.is_empty() {
                fields.insert(field, Value::List(List::of(list)));
            }
        }
        for (field, time) in [(Field::IncidentFirstActivity, self.first), (Field::IncidentLastActivity, self.last)] {
            if let Some(time) = time {
                fields.insert(field, Value::Time(time));
            }
        }
        if let Device::One(device) = self.device {
            for (field, value) in device.iter().filter(|(field, _)| field.name().starts_with("device.")) {
                fields.insert(field, value.clone());
            }
        }
    }
}

/// The device of an incident: there is one only if every alert names it and no other.
#[derive(Default)]
enum Device<'r> {
    #[default]
    None,
    One(Box<Fields<'r>>),
    Several,
}

impl<'r> Device<'r> {
    fn see(&mut self, other: Fields<'r>) {
        match self {
            Self::None => *self = Self::One(Box::new(other)),
            Self::One(known) if is_same_device(known, &other) => {
                // Alerts see a device at different times; only what they agree on holds for the incident.
                let differs =
                    |(field, value): (Field, &Value<'r>)| (other.value(field) != Some(value)).then_some(field);
                let differing: Vec<Field> = known.iter().filter_map(differs).collect();
                for field in differing {
                    known.remove(field);
                }
            }
            Self::One(_) => *self = Self::Several,
            Self::Several => {}
        }
    }
}

/// By its id, or by its name where one of the two has no id.
fn is_same_device(one: &Fields<'_>, other: &Fields<'_>) -> bool {
    let same = |field| Some(one.text(field)?.eq_ignore_case(&other.text(field)?.to_cow()));
    [Field::DeviceId, Field::DeviceEntraId, Field::DeviceName].into_iter().find_map(same).unwrap_or(false)
}
