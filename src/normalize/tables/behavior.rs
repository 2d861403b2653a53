//! `BehaviorInfo` and `BehaviorEntities`: something Microsoft noticed and doesn't call an alert. Its documentation says
//! that they aren't streamed; they are.

use super::To::Field as To;
use super::entity::{ENTITY, SHIFTS};
use super::{Column, Table, common};
use crate::event::{Activity, Class, Field};

pub(super) const INFO: Table = Table {
    name: "BehaviorInfo",
    class: Class::Behavior,
    activity: Activity::Create,
    columns: &[
        common::RECORD,
        BEHAVIOR,
        &[
            ("Title", To(Field::AlertTitle)),
            ("Description", To(Field::AlertDescription)),
            ("AttackTechniques", To(Field::Techniques)),
            ("StartTime", To(Field::AlertFirstActivity)),
            ("EndTime", To(Field::AlertLastActivity)),
            ("DeviceId", To(Field::DeviceId)),
            ("AccountUpn", To(Field::UserUpn)),
            ("AccountObjectId", To(Field::UserObjectId)),
        ],
    ],
    unmapped: &[(common::NO_WORD, &["DataSources"])],
    ..Table::PLAIN
};

const BEHAVIOR: &[Column] = &[
    ("BehaviorId", To(Field::BehaviorId)),
    ("Categories", To(Field::AlertCategories)),
    ("ServiceSource", To(Field::AlertServiceSource)),
    ("DetectionSource", To(Field::AlertDetectionSource)),
];

pub(super) const ENTITIES: Table = Table {
    name: "BehaviorEntities",
    class: Class::Behavior,
    activity: Activity::Update,
    shifts: SHIFTS,
    columns: &[common::RECORD, BEHAVIOR, ENTITY, &[("EntityRole", To(Field::EntityRole))]],
    unmapped: &[
        (common::NO_WORD, &["DataSources", "EmailClusterId", "OAuthApplicationId"]),
        (common::JUDGEMENT, &["DetailedEntityRole"]),
    ],
    ..Table::PLAIN
};
