//! `DeviceLogonEvents`: somebody logged on to a device, or tried to.

use super::To::Field as To;
use super::{Action, Column, FAILURE, Nested, SUCCESS, Table, common};
use crate::event::{Activity, Class, Field};

pub(super) const TABLE: Table = Table {
    name: "DeviceLogonEvents",
    class: Class::Logon,
    activity: Activity::Logon,
    columns: &[common::RECORD, common::DEVICE, common::INITIATING_PROCESS, COLUMNS],
    nested: Nested::extra(&[("IsLocalLogon", To(Field::LogonIsLocal))]),
    actions: &[
        Action::is("LogonSuccess", Activity::Logon, &[SUCCESS]),
        Action::is("LogonFailed", Activity::Logon, &[FAILURE]),
    ],
    ..Table::PLAIN
};

const COLUMNS: &[Column] = &[
    ("AccountName", To(Field::UserName)),
    ("AccountDomain", To(Field::UserDomain)),
    ("AccountSid", To(Field::UserSid)),
    ("AccountUpn", To(Field::UserUpn)),
    ("AccountObjectId", To(Field::UserObjectId)),
    ("IsLocalAdmin", To(Field::UserIsAdmin)),
    ("LogonType", To(Field::LogonType)),
    ("LogonId", To(Field::SessionUid)),
    ("Protocol", To(Field::LogonProtocol)),
    ("FailureReason", To(Field::LogonFailure)),
    ("RemoteDeviceName", To(Field::NetRemoteHost)),
    ("RemoteIP", To(Field::NetRemoteIp)),
    ("RemotePort", To(Field::NetRemotePort)),
    ("RemoteIPType", To(Field::NetRemoteIpType)),
];
