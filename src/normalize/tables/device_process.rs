//! `DeviceProcessEvents`: a process was started or opened.

use super::To::Field as To;
use super::{Action, Column, Nested, Table, common};
use crate::event::{Activity, Class, Field};

pub(super) const TABLE: Table = Table {
    name: "DeviceProcessEvents",
    class: Class::Process,
    activity: Activity::Start,
    columns: &[common::RECORD, common::DEVICE, common::INITIATING_PROCESS, COLUMNS],
    nested: Nested::extra(&[("ProcessCurrentWorkingDirectory", To(Field::ProcessDirectory))]),
    actions: &[Action::is("OpenProcess", Activity::Open, &[])],
    ..Table::PLAIN
};

const COLUMNS: &[Column] = &[
    ("FileName", To(Field::ProcessName)),
    ("FolderPath", To(Field::ProcessPath)),
    ("SHA1", To(Field::ProcessSha1)),
    ("SHA256", To(Field::ProcessSha256)),
    ("MD5", To(Field::ProcessMd5)),
    ("FileSize", To(Field::ProcessSize)),
    ("ProcessVersionInfoCompanyName", To(Field::ProcessCompany)),
    ("ProcessVersionInfoProductName", To(Field::ProcessProduct)),
    ("ProcessVersionInfoProductVersion", To(Field::ProcessVersion)),
    ("ProcessVersionInfoInternalFileName", To(Field::ProcessInternalName)),
    ("ProcessVersionInfoOriginalFileName", To(Field::ProcessOriginalName)),
    ("ProcessVersionInfoFileDescription", To(Field::ProcessDescription)),
    ("ProcessId", To(Field::ProcessPid)),
    ("ProcessUniqueId", To(Field::ProcessUid)),
    ("ProcessCommandLine", To(Field::ProcessCommand)),
    ("ProcessIntegrityLevel", To(Field::ProcessIntegrity)),
    ("ProcessTokenElevation", To(Field::ProcessToken)),
    ("ProcessCreationTime", To(Field::ProcessCreated)),
    ("AccountName", To(Field::UserName)),
    ("AccountDomain", To(Field::UserDomain)),
    ("AccountSid", To(Field::UserSid)),
    ("AccountUpn", To(Field::UserUpn)),
    ("AccountObjectId", To(Field::UserObjectId)),
    ("LogonId", To(Field::SessionUid)),
    ("CreatedProcessSessionId", To(Field::SessionId)),
    ("IsProcessRemoteSession", To(Field::SessionIsRemote)),
    ("ProcessRemoteSessionDeviceName", To(Field::SessionRemoteDevice)),
    ("ProcessRemoteSessionIP", To(Field::SessionRemoteIp)),
];
