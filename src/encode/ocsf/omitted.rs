//! Fields that OCSF doesn't show, each with the reason. All others have a place or go to `unmapped`.

use crate::event::Field;

pub(super) const OMITTED: &[(&str, &[Field])] = &[(
    "is concluded for flat formats from evidence, which OCSF shows piece by piece",
    &[Field::AlertWasExecuting, Field::AlertIsRemediated],
)];

pub(super) fn is_omitted(field: Field) -> bool {
    OMITTED.iter().any(|(_, fields)| fields.contains(&field))
}
