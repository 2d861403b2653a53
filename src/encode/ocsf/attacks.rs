//! MITRE ATT&CK: which techniques serve which goals.

use super::writer::Writer;
use crate::encode::json::Json;
use crate::event::attack::{Tactic, Tactics, Technique};
use crate::event::{Field, Fields, Text};

/// An alert's category and the list of them.
pub(super) fn categories<'r>(fields: &Fields<'r>) -> impl Iterator<Item = Text<'r>> {
    let one = fields.text(Field::AlertCategory);
    one.into_iter().chain(fields.list(Field::AlertCategories)).filter(|text| !text.is_empty())
}

/// Techniques in upstream's order, each once. A goal goes with each of them if it is the only one, else by itself.
pub(super) fn attacks(writer: &mut Writer<'_, '_>) -> bool {
    let mut tactics = Tactics::default();
    categories(writer.fields).filter_map(Tactic::of_category).for_each(|tactic| tactics.add(tactic));
    let Writer { fields, json, shown, letters, seen, .. } = writer;
    let (mut has_some, mut has_all) = (false, true);
    seen.clear();
    json.open_array();
    for text in fields.list(Field::Techniques) {
        match Technique::find(text.read(letters)) {
            Some(technique) if seen.is_new(technique.id) => {
                attack(json, technique, tactics.only());
                has_some = true;
            }
            Some(_) => {}
            None => has_all = false,
        }
    }
    if !has_some || tactics.only().is_none() {
        for tactic in tactics.iter() {
            json.open_object();
            write_tactic(json, tactic);
            json.close_object();
        }
    }
    json.close_array();
    if has_all {
        shown.add(Field::Techniques);
    }
    has_some || !tactics.is_empty()
}

fn attack(json: &mut Json<'_>, technique: Technique<'_>, tactic: Option<Tactic>) {
    json.open_object();
    json.known_key("technique");
    json.open_object();
    json.known_key("uid");
    json.string(technique.parent());
    if technique.is_sub() {
        json.close_object();
        json.known_key("sub_technique");
        json.open_object();
        json.known_key("uid");
        json.string(technique.id);
    }
    if let Some(name) = technique.name {
        json.known_key("name");
        json.string(name);
    }
    json.close_object();
    if let Some(tactic) = tactic {
        write_tactic(json, tactic);
    }
    json.close_object();
}

fn write_tactic(json: &mut Json<'_>, tactic: Tactic) {
    json.known_key("tactic");
    json.open_object();
    json.known_key("uid");
    json.string(tactic.id);
    json.known_key("name");
    json.string(tactic.name);
    json.close_object();
}
