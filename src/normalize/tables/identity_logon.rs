//! `IdentityLogonEvents`: somebody logged on through the directory or to a cloud service, or tried to.

use super::To::Field as To;
use super::{Action, Column, FAILURE, SUCCESS, Table, common, identity};
use crate::event::{Activity, Class, Field};

pub(super) const TABLE: Table = Table {
    name: "IdentityLogonEvents",
    class: Class::Logon,
    activity: Activity::Logon,
    columns: &[common::RECORD, identity::ACCOUNT, identity::ENDS, COLUMNS],
    actions: &[
        Action::is("LogonSuccess", Activity::Logon, &[SUCCESS]),
        Action::is("LogonFailed", Activity::Logon, &[FAILURE]),
    ],
    unmapped: &[(common::HABITS, &["UncommonForUser", "LastSeenForUser"])],
    ..Table::PLAIN
};

const COLUMNS: &[Column] = &[
    ("LogonType", To(Field::LogonType)),
    ("FailureReason", To(Field::LogonFailure)),
    ("DeviceType", To(Field::NetSourceType)),
    ("OSPlatform", To(Field::NetSourceOs)),
    ("TargetDeviceName", To(Field::TargetDevice)),
    ("TargetAccountDisplayName", To(Field::TargetUserDisplayName)),
    ("Isp", To(Field::GeoIsp)),
];
