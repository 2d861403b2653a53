//! Splunk: an envelope of the HTTP Event Collector around flat JSON whose keys are those of the Common Information
//! Model, or around the untouched record as the official add-ons want it.
//!
//! All events have one sourcetype, `siemgate:defender`, and say in `cim_model` which data model they are for: one
//! stanza of `props.conf` then serves all of them, and the tags hang on event types that ask for the model. The app in
//! `deploy/splunk/siemgate` has both.
//!
//! What the model has no name for stands under `defender_` and the dictionary's name, and columns without a field under
//! `unmapped_` and their own: no name of the model begins so.

mod add_on;
mod made;
mod model;
mod omitted;
mod people;
mod reach;
mod rows;

use serde::{Deserialize, Serialize};

use self::model::Model;
use self::omitted::OMITTED;
use self::rows::rows_of;
use super::Encoded;
use super::json::Json;
use super::leftover::{Leftover, Names};
use super::tree::{Plan, Scratch, Shown, Style};
use crate::event::{Event, Field};

/// How events are handed to Splunk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    pub mode: Mode,
    /// The host of every event, rather than the device it is about.
    pub host: Option<String>,
    /// The source of every event, rather than one that is told from tenant and source, or the add-on's.
    pub source: Option<String>,
    /// The index, rather than the token's default.
    pub index: Option<String>,
}

/// What is in the envelope.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Our own JSON in the names of the Common Information Model.
    #[default]
    Cim,
    /// The record itself, under the names of the official add-ons, which then map it.
    AddOn,
}

const STYLE: Style = Style { epoch: false, mac: b':' };
const SOURCETYPE: &str = "siemgate:defender";

pub(super) struct Splunk {
    options: Options,
    plans: Vec<Plan>,
    leftover: Leftover,
    /// Inside a piece of evidence no name can pass for one of the model's.
    of_evidence: Leftover,
    omitted: Shown,
    scratch: Scratch,
}

impl Splunk {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            plans: Model::ALL.iter().map(|model| Plan::of(&rows_of(*model))).collect(),
            leftover: Leftover::new("defender_", STYLE),
            of_evidence: Leftover::new("", STYLE),
            omitted: Shown::of(OMITTED.iter().flat_map(|(_, fields)| fields.iter().copied())),
            scratch: Scratch::default(),
        }
    }

    pub(super) fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Encoded {
        out.push(b'{');
        let mut json = Json::on(out);
        let add_on = match self.options.mode {
            Mode::AddOn => add_on::origin_of(event),
            Mode::Cim => None,
        };
        self.envelope(event, add_on.as_ref(), &mut json);
        json.written_key("\"event\":");
        match add_on {
            Some(_) => add_on::write(event, &mut json),
            None => self.flat(event, &mut json),
        }
        json.close_object();
        Encoded::default()
    }

    fn envelope(&self, event: &Event<'_>, add_on: Option<&add_on::Origin>, json: &mut Json<'_>) {
        let Options { host, source, index, .. } = &self.options;
        if let Some(time) = event.time {
            json.written_key("\"time\":");
            json.seconds(time);
        }
        if let Some(host) = host {
            json.written_key("\"host\":");
            json.string(host);
        } else if let Some(device) = event.fields.text(Field::DeviceName) {
            json.written_key("\"host\":");
            json.text(device);
        }
        json.written_key("\"source\":");
        match (source, add_on) {
            (Some(source), _) => json.string(source),
            (None, Some(origin)) => json.joined(&[origin.source, origin.of]),
            (None, None) => json.joined(&["siemgate:", event.tenant.as_str(), "/", event.source.as_str()]),
        }
        json.written_key("\"sourcetype\":");
        json.string(add_on.map_or(SOURCETYPE, |origin| origin.sourcetype));
        if let Some(index) = index {
            json.written_key("\"index\":");
            json.string(index);
        }
    }

    fn flat(&mut self, event: &Event<'_>, json: &mut Json<'_>) {
        let Self { plans, leftover, of_evidence, omitted, scratch, .. } = self;
        scratch.shown = *omitted;
        json.open_object();
        plans[Model::of(event) as usize].write(event, STYLE, scratch, json);
        leftover.fields(&event.fields, &scratch.shown, &mut scratch.letters, json);
        if !event.unmapped.is_empty() {
            leftover.columns(&event.unmapped, Names::Snake, scratch, json);
        }
        if !event.evidence.is_empty() {
            json.written_key("\"evidence\":");
            of_evidence.evidence(event, scratch, json);
        }
        json.close_object();
    }
}

#[cfg(test)]
mod tests;
