use super::omitted::OMITTED;
use super::rows::{ONE_ONLY, rows_of};
use super::*;
use crate::encode::flat::assert_decided;

#[test]
fn every_field_is_in_a_row_or_left_out_for_a_reason() {
    let rows = Class::ALL.iter().flat_map(|class| [rows_of(*class, false), rows_of(*class, true)]);
    assert_decided(rows.flatten().copied().flatten().chain(ONE_ONLY).map(|row| row.take), OMITTED);
}

#[test]
fn custom_keys_never_go_without_their_label() {
    for row in Class::ALL.iter().flat_map(|class| rows_of(*class, false)).copied().flatten() {
        let name = row.key.name();
        let is_custom = name.starts_with("cs")
            || ["cn1", "cn2", "cn3"].contains(&name)
            || name.starts_with("flex")
            || name.contains("Custom");
        assert_eq!(row.label.is_some(), is_custom, "{name}");
    }
}
