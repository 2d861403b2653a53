//! Fields that ECS doesn't show, each with the reason. All others stand at a path of ECS or in our own namespace.

use crate::event::Field;

pub(super) const OMITTED: &[(&str, &[Field])] = &[
    ("is `@timestamp`", &[Field::AlertUpdated, Field::IncidentUpdated]),
    ("is the same for every record that is streamed", &[Field::RecordOperation]),
];
