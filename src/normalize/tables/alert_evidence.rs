//! `AlertEvidence`: one thing that an alert is about. Newer records repeat what `AlertInfo` says of the alert.

use super::To::{Field as To, Severity};
use super::entity::{ENTITY, SHIFTS};
use super::{Column, Table, common};
use crate::event::{Activity, Class, Field};

pub(super) const TABLE: Table = Table {
    name: "AlertEvidence",
    class: Class::Alert,
    activity: Activity::Update,
    shifts: SHIFTS,
    columns: &[common::RECORD, ENTITY, COLUMNS],
    unmapped: &[
        (common::CLOUD_PLACE, &["CloudPlatform", "SubscriptionId"]),
        (common::NO_WORD, &["OAuthApplicationId"]),
    ],
    ..Table::PLAIN
};

const COLUMNS: &[Column] = &[
    ("AlertId", To(Field::AlertId)),
    ("Title", To(Field::AlertTitle)),
    ("Categories", To(Field::AlertCategories)),
    ("Severity", Severity),
    ("ServiceSource", To(Field::AlertServiceSource)),
    ("DetectionSource", To(Field::AlertDetectionSource)),
    ("AttackTechniques", To(Field::Techniques)),
    ("EvidenceRole", To(Field::EntityRole)),
    ("EvidenceDirection", To(Field::EntityDirection)),
    ("CloudResource", To(Field::ResourceName)),
    ("ResourceType", To(Field::ResourceType)),
    ("ResourceID", To(Field::ResourceId)),
    ("MachineGroup", To(Field::DeviceGroup)),
];
