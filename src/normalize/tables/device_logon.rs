//! `DeviceLogonEvents`: somebody logged on to a device, or tried to.

use super::To::Field as To;
use super::{Action, Column, Table, common};
use crate::event::{Class, Field};

pub(super) const TABLE: Table = Table {
    name: "DeviceLogonEvents",
    class: Class::Logon,
    columns: &[common::RECORD, common::INITIATING_PROCESS, COLUMNS],
    nested: &[("IsLocalLogon", To(Field::LogonIsLocal))],
    actions: &[
        Action { prefix: "LogonSuccess", means: &[(Field::Outcome, "success")] },
        Action { prefix: "LogonFailed", means: &[(Field::Outcome, "failure")] },
    ],
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
