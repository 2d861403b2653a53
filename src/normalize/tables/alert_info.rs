//! `AlertInfo`: that there is an alert. What it is about comes in `AlertEvidence`, record by record.

use super::To::{Field as To, Severity};
use super::{Column, Table, common};
use crate::event::{Activity, Class, Field};

pub(super) const TABLE: Table = Table {
    name: "AlertInfo",
    class: Class::Alert,
    activity: Activity::Create,
    columns: &[common::RECORD, COLUMNS],
    ..Table::PLAIN
};

const COLUMNS: &[Column] = &[
    ("AlertId", To(Field::AlertId)),
    ("Title", To(Field::AlertTitle)),
    ("Category", To(Field::AlertCategory)),
    ("Severity", Severity),
    ("ServiceSource", To(Field::AlertServiceSource)),
    ("DetectionSource", To(Field::AlertDetectionSource)),
    ("AttackTechniques", To(Field::Techniques)),
    ("MachineGroup", To(Field::DeviceGroup)),
];
