//! ECS 9.4: Elastic's Common Schema, as a table of paths, and our own namespace `microsoft.defender` for the rest.
//!
//! `event.ingested` is left out: the same record gives the same bytes, whenever it is encoded. An index template should
//! map `unmapped`, `evidence.unmapped` and `additional_fields` of that namespace as `flattened`, because their names are
//! upstream's and without number.

mod category;
mod files;
mod hosts;
mod made;
mod omitted;
mod reach;
mod registry;
mod related;
mod rows;

use self::omitted::OMITTED;
use self::rows::{Person, Process, rows_of};
use super::Encoded;
use super::json::Json;
use super::leftover::{Leftover, Names};
use super::tree::{Plan, Scratch, Shown, Style};
use crate::event::{Activity, Class, Event, Field};

const STYLE: Style = Style { epoch: false, mac: b'-' };

pub(super) struct Ecs {
    plans: Vec<Plan>,
    leftover: Leftover,
    omitted: Shown,
    scratch: Scratch,
}

impl Ecs {
    pub(super) fn new() -> Self {
        let plans = VARIANTS.iter().map(|(process, person, class)| Plan::of(&rows_of(*process, *person, *class)));
        Self {
            plans: plans.collect(),
            leftover: Leftover::new("", STYLE),
            omitted: Shown::of(OMITTED.iter().flat_map(|(_, fields)| fields.iter().copied())),
            scratch: Scratch::default(),
        }
    }

    pub(super) fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Encoded {
        let Self { plans, leftover, omitted, scratch } = self;
        scratch.shown = *omitted;
        out.push(b'{');
        let mut json = Json::on(out);
        plans[variant_of(event)].write(event, STYLE, scratch, &mut json);
        json.written_key("\"microsoft\":{\"defender\":{\"table\":");
        json.text(event.kind);
        // An alert and an incident have one status each, under the name that both share.
        if let Some(field) =
            [Field::AlertStatus, Field::IncidentStatus].into_iter().find(|field| event.fields.has(*field))
            && let Some(status) = event.fields.text(field)
        {
            scratch.shown.add(field);
            json.written_key("\"status\":");
            json.text(status);
        }
        leftover.fields(&event.fields, &scratch.shown, &mut scratch.letters, &mut json);
        if !event.unmapped.is_empty() {
            json.written_key("\"unmapped\":{");
            leftover.columns(&event.unmapped, Names::AsTheyAre, scratch, &mut json);
            json.close_object();
        }
        if !event.evidence.is_empty() {
            json.written_key("\"evidence\":");
            leftover.evidence(event, scratch, &mut json);
        }
        json.close_object();
        json.close_object();
        json.close_object();
        Encoded::default()
    }
}

/// Every combination of rows there is; a class stands for those whose file is a file or a library.
const VARIANTS: [(Process, Person, Class); 9] = [
    (Process::Target, Person::Own, Class::Process),
    (Process::Target, Person::Actor, Class::Process),
    (Process::Target, Person::ActorOnTarget, Class::Account),
    (Process::Actor, Person::Own, Class::File),
    (Process::Actor, Person::Actor, Class::File),
    (Process::Actor, Person::ActorOnTarget, Class::Account),
    (Process::Actor, Person::Own, Class::Module),
    (Process::Actor, Person::Actor, Class::Module),
    (Process::Target, Person::Own, Class::Module),
];

fn variant_of(event: &Event<'_>) -> usize {
    let fields = &event.fields;
    let has = |any: &[Field]| any.iter().any(|field| fields.has(*field));
    let is_target = match event.class {
        Class::Process if event.activity == Activity::Start => true,
        // A detection that is told as telemetry names the process that acted, and no other.
        Class::Alert | Class::Incident | Class::Behavior => {
            !fields.has(Field::ActorProcessName) || has(&[Field::ProcessName, Field::ProcessPid, Field::ProcessCommand])
        }
        // Only a record that tells of a whole process has one beside the process that acts.
        _ => fields.has(Field::ProcessPid) && fields.has(Field::ProcessCommand),
    };
    let names_own = has(&[
        Field::UserName,
        Field::UserUpn,
        Field::UserSid,
        Field::UserObjectId,
        Field::UserMail,
        Field::UserDisplayName,
    ]);
    let person = match event.class {
        Class::Account | Class::Group | Class::Privilege | Class::Directory => Person::ActorOnTarget,
        _ if names_own => Person::Own,
        _ => Person::Actor,
    };
    match (event.class, is_target, person) {
        (Class::Module, true, _) => 8,
        (Class::Module, false, Person::Own) => 6,
        (Class::Module, false, Person::Actor | Person::ActorOnTarget) => 7,
        (_, true, Person::Own) => 0,
        (_, true, Person::Actor) => 1,
        (_, true, Person::ActorOnTarget) => 2,
        (_, false, Person::Own) => 3,
        (_, false, Person::Actor) => 4,
        (_, false, Person::ActorOnTarget) => 5,
    }
}

#[cfg(test)]
mod tests;
