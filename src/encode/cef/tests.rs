use super::omitted::OMITTED;
use super::rows::{ONE_ONLY, Take, rows_of};
use super::*;

#[test]
fn every_field_is_in_a_row_or_left_out_for_a_reason() {
    let rows = Class::ALL.iter().flat_map(|class| [rows_of(*class, false), rows_of(*class, true)]);
    let shown: Vec<Field> = rows
        .flatten()
        .copied()
        .flatten()
        .chain(ONE_ONLY)
        .flat_map(|row| match row.take {
            Take::Field(field)
            | Take::Transport(field)
            | Take::HostOf(field)
            | Take::IfTrue(field, _)
            | Take::IfPresent(field, _)
            | Take::Direction(field) => vec![field],
            Take::Path(one, two) | Take::Pair(one, two) | Take::Union(one, two) => vec![one, two],
            Take::Techniques | Take::FirstTechnique => vec![Field::Techniques],
            Take::Time => vec![],
        })
        .collect();
    for field in Field::ALL {
        let reasons: Vec<_> = OMITTED.iter().filter(|(_, fields)| fields.contains(field)).collect();
        let is_shown = shown.contains(field);
        assert!(is_shown || !reasons.is_empty(), "{} is neither shown nor left out", field.name());
        assert!(!is_shown || reasons.is_empty(), "{} is shown and left out", field.name());
        assert!(reasons.len() <= 1, "{} is left out twice", field.name());
    }
}

#[test]
fn custom_keys_never_go_without_their_label() {
    for row in Class::ALL.iter().flat_map(|class| rows_of(*class, false)).copied().flatten() {
        let name = row.key.name();
        let is_custom =
            name.starts_with("cs") || name.starts_with("cn") || name.starts_with("flex") || name.contains("Custom");
        assert_eq!(row.label.is_some(), is_custom, "{name}");
    }
}

#[test]
fn technique_ids_are_found_anywhere() {
    assert_eq!(technique_id("T1078"), Some("T1078"));
    assert_eq!(technique_id("Cloud Accounts (T1078.004)"), Some("T1078.004"));
    assert_eq!(technique_id("Phishing(T1566)"), Some("T1566"));
    assert_eq!(technique_id("T1078.04"), Some("T1078"));
    assert_eq!(technique_id("The T10789"), None);
    assert_eq!(technique_id("é T12é"), None);
}
