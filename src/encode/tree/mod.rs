//! Nested JSON from a flat table: each row says at which dotted path a value stands. Rows are put into the order of the
//! tree once, so that writing an event is one walk that opens and closes objects as it goes.

mod plan;
mod shown;

pub(super) use plan::{Plan, Style, write_value};
pub(super) use shown::Shown;

use super::json::Json;
use super::seen::Seen;
use crate::event::{Event, Field};

/// One path and what it takes its value from. Where two rows name one path the first that has a value wins.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) path: &'static str,
    pub(super) take: Take,
    /// Only if one of these fields is there; empty for always.
    pub(super) when: &'static [Field],
}

#[derive(Clone, Copy)]
pub(super) enum Take {
    /// The field as its kind is written in JSON.
    Field(Field),
    /// The same in an array of one.
    OneOf(Field),
    Lower(Field),
    /// The time of the event.
    Time,
    Text(&'static str),
    /// A word of ours for a word of Microsoft's, told without regard to case; nothing for one that isn't listed.
    Words(Field, &'static [(&'static str, &'static str)]),
    /// Anything else: writes one value and says so, or writes nothing that stays.
    Made(Make),
}

/// What has no row can be made by code.
pub(super) type Make = fn(&Event<'_>, &mut Scratch, &mut Json<'_>) -> bool;

/// Buffers for letters that aren't in the record as they are to be written.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) letters: String,
    pub(super) more: String,
    /// What a list holds so far, for lists without repetition.
    pub(super) seen: Seen,
    /// The fields that the event's line shows so far. Code that shows one says so here; rows do it by themselves.
    pub(super) shown: Shown,
}

impl Row {
    /// The same, but only if one of the fields is there: a name for an object that would be there without a name.
    pub(super) const fn when(self, fields: &'static [Field]) -> Self {
        Self { when: fields, ..self }
    }
}

pub(super) const fn field(path: &'static str, field: Field) -> Row {
    taken(path, Take::Field(field))
}
pub(super) const fn text(path: &'static str, text: &'static str) -> Row {
    taken(path, Take::Text(text))
}
pub(super) const fn made(path: &'static str, make: Make) -> Row {
    taken(path, Take::Made(make))
}
pub(super) const fn taken(path: &'static str, take: Take) -> Row {
    Row { path, take, when: &[] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::batch::Shape;
    use crate::event::json;
    use crate::normalize::{Normalized, Normalizer, Origin};

    const ROWS: &[Row] = &[
        field("host.name", Field::DeviceName),
        text("ecs.version", "9"),
        field("host.os.name", Field::DeviceOs),
        field("user.name", Field::UserName),
        field("user.name", Field::ActorUserName),
        text("host.type", "known").when(&[Field::DeviceName, Field::DeviceId]),
        taken("net.transport", Take::Lower(Field::NetTransport)),
        taken("net.word", Take::Words(Field::NetTransport, &[("tcp", "stream")])),
        made("host.empty.deep", |_, _, json| {
            json.open_object();
            false
        }),
        taken("tags", Take::OneOf(Field::DeviceName)),
    ];

    fn written(properties: &str) -> String {
        let record = format!(r#"{{"category":"AdvancedHunting-DeviceNetworkEvents","properties":{properties}}}"#);
        let (tenant, source) = ("contoso".parse().unwrap(), "hub".parse().unwrap());
        let origin = Origin { tenant: &tenant, source: &source, coordinates: None, published: None };
        let mut out = Vec::from(b"{");
        Normalizer::new().normalize(&origin, Shape::Streaming, record.as_bytes(), &mut |normalized| {
            let Normalized::Event(event) = normalized else { panic!("rejected") };
            let style = Style { epoch: false, mac: b'-' };
            Plan::of(&[ROWS]).write(event, style, &mut Scratch::default(), &mut Json::on(&mut out));
        });
        out.push(b'}');
        let text = String::from_utf8(out).unwrap();
        json::whole(&text).unwrap();
        text
    }

    #[test]
    fn rows_become_a_tree_whatever_their_order_and_empty_objects_are_left_out() {
        assert_eq!(
            written(r#"{"DeviceName":"a","Protocol":"Tcp","InitiatingProcessAccountName":"bea"}"#),
            r#"{"host":{"name":"a","type":"known"},"ecs":{"version":"9"},"user":{"name":"bea"},"net":{"transport":"tcp","word":"stream"},"tags":["a"]}"#
        );
        assert_eq!(written("{}"), r#"{"ecs":{"version":"9"}}"#);
    }
}
