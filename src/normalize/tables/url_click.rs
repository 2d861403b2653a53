//! `UrlClickEvents`: somebody followed a link that Safe Links watches over.

use super::To::Field as To;
use super::{ALLOWED, Action, BLOCKED, Column, FAILURE, SUCCESS, Table, common};
use crate::event::{Activity, Class, Field};

pub(super) const TABLE: Table = Table {
    name: "UrlClickEvents",
    class: Class::Click,
    activity: Activity::Open,
    columns: &[common::RECORD, COLUMNS],
    // Who clicks through a warning arrives, whatever was blocked before.
    follows: &[(Field::UrlClickedThrough, &[Action::only("true", &[ALLOWED, SUCCESS])])],
    actions: &[Action::only("ClickAllowed", &[ALLOWED, SUCCESS]), Action::only("ClickBlocked*", &[BLOCKED, FAILURE])],
    unmapped: &[(common::NO_WORD, &["AppName", "AppVersion", "SourceId"])],
    ..Table::PLAIN
};

const COLUMNS: &[Column] = &[
    ("Url", To(Field::Url)),
    ("UrlChain", To(Field::UrlChain)),
    ("AccountUpn", To(Field::ActorUserUpn)),
    ("IPAddress", To(Field::NetSourceIp)),
    ("Workload", To(Field::AppName)),
    ("NetworkMessageId", To(Field::MailNetworkId)),
    ("ThreatTypes", To(Field::ThreatTypes)),
    ("DetectionMethods", To(Field::ThreatDetection)),
    ("IsClickedThrough", To(Field::UrlClickedThrough)),
];
