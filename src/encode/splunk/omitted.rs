//! Fields that Splunk doesn't get, each with the reason. All others stand under a name of the model or under our own.

use crate::event::Field;

pub(super) const OMITTED: &[(&str, &[Field])] = &[
    ("is the time of the event in the envelope", &[Field::AlertUpdated, Field::IncidentUpdated]),
    ("is the same for every record that is streamed", &[Field::RecordOperation]),
];
