//! `DeviceEvents`: everything on a device that has no table of its own. What a record is about is said by its
//! `ActionType` alone, see `device_actions`.

use super::To::Field as To;
use super::{Column, Nested, Table, common, device_actions};
use crate::event::{Activity, Class, Field};

pub(super) const TABLE: Table = Table {
    name: "DeviceEvents",
    class: Class::Process,
    activity: Activity::Other,
    columns: &[common::RECORD, common::DEVICE, common::INITIATING_PROCESS, COLUMNS],
    nested: Nested::extra(NESTED),
    actions: device_actions::ACTIONS,
    needs: NEEDS,
    moves: &[(Class::Process, FILE_IS_PROCESS), (Class::Memory, FILE_IS_PROCESS)],
    ..Table::PLAIN
};

const COLUMNS: &[Column] = &[
    ("FileName", To(Field::FileName)),
    ("FolderPath", To(Field::FilePath)),
    ("MD5", To(Field::FileMd5)),
    ("SHA1", To(Field::FileSha1)),
    ("SHA256", To(Field::FileSha256)),
    ("FileSize", To(Field::FileSize)),
    ("FileOriginUrl", To(Field::FileOriginUrl)),
    ("FileOriginIP", To(Field::FileOriginIp)),
    ("AccountName", To(Field::UserName)),
    ("AccountDomain", To(Field::UserDomain)),
    ("AccountSid", To(Field::UserSid)),
    ("ProcessId", To(Field::ProcessPid)),
    ("ProcessCommandLine", To(Field::ProcessCommand)),
    ("ProcessCreationTime", To(Field::ProcessCreated)),
    ("ProcessTokenElevation", To(Field::ProcessToken)),
    ("LogonId", To(Field::SessionUid)),
    ("CreatedProcessSessionId", To(Field::SessionId)),
    ("IsProcessRemoteSession", To(Field::SessionIsRemote)),
    ("ProcessRemoteSessionDeviceName", To(Field::SessionRemoteDevice)),
    ("ProcessRemoteSessionIP", To(Field::SessionRemoteIp)),
    ("RegistryKey", To(Field::RegistryPath)),
    ("RegistryValueName", To(Field::RegistryValueName)),
    ("RegistryValueData", To(Field::RegistryValue)),
    ("LocalIP", To(Field::NetLocalIp)),
    ("LocalPort", To(Field::NetLocalPort)),
    ("RemoteIP", To(Field::NetRemoteIp)),
    ("RemotePort", To(Field::NetRemotePort)),
    ("RemoteUrl", To(Field::NetRemoteUrl)),
    ("RemoteDeviceName", To(Field::NetRemoteHost)),
];

/// Names that mean one thing, whatever the `ActionType`. Where two lead to one field a record has only one of them.
const NESTED: &[Column] = &[
    ("TaskName", To(Field::JobName)),
    ("ServiceName", To(Field::ServiceName)),
    ("ServiceCommand", To(Field::ServiceCommand)),
    ("ServiceStartType", To(Field::ServiceStart)),
    ("Command", To(Field::ScriptContent)),
    ("ScriptContent", To(Field::ScriptContent)),
    ("ThreatName", To(Field::MalwareName)),
    ("ThreatCategory", To(Field::MalwareCategory)),
    ("ScanTypeIndex", To(Field::ScanType)),
    ("ScanType", To(Field::ScanType)),
    ("DnsQueryString", To(Field::DnsQuery)),
    ("DnsQueryType", To(Field::DnsQueryType)),
    ("DnsQueryResult", To(Field::DnsAnswers)),
    ("DeviceDescription", To(Field::PeripheralName)),
    ("ProductName", To(Field::PeripheralName)),
    ("MediaName", To(Field::PeripheralName)),
    ("DeviceId", To(Field::PeripheralId)),
    ("DeviceInstanceId", To(Field::PeripheralId)),
    ("MediaInstanceId", To(Field::PeripheralId)),
    ("ClassName", To(Field::PeripheralClass)),
    ("MediaClassName", To(Field::PeripheralClass)),
    ("SerialNumber", To(Field::PeripheralSerial)),
    ("MediaSerialNumber", To(Field::PeripheralSerial)),
    ("GroupName", To(Field::GroupName)),
    ("GroupSid", To(Field::GroupSid)),
    ("GroupDomainName", To(Field::GroupDomain)),
    ("LogonRight", To(Field::PrivilegeName)),
    ("ShareName", To(Field::RequestShare)),
    ("ProcessCurrentWorkingDirectory", To(Field::ProcessDirectory)),
];

const NEEDS: &[(Class, &[Field])] = &[
    (Class::File, &[Field::FileName, Field::FilePath, Field::FileSha1, Field::FileSha256]),
    (Class::Driver, &[Field::FileName, Field::FilePath, Field::FileSha1, Field::FileSha256]),
    (Class::Script, &[Field::ScriptContent, Field::FileName]),
    (Class::Job, &[Field::JobName]),
    (Class::Service, &[Field::ServiceName]),
    (Class::Peripheral, &[Field::PeripheralName, Field::PeripheralId, Field::PeripheralClass, Field::PeripheralSerial]),
    (Class::Account, &[Field::UserName, Field::UserSid]),
    (Class::Group, &[Field::GroupName, Field::GroupSid, Field::UserName, Field::UserSid]),
    (Class::Privilege, &[Field::UserName, Field::UserSid]),
    (Class::Dns, &[Field::DnsQuery, Field::DnsAnswers]),
];

/// Where something is done to a process, the file columns tell of its program, as they do in `DeviceProcessEvents`.
const FILE_IS_PROCESS: &[(Field, Field)] = &[
    (Field::FileName, Field::ProcessName),
    (Field::FilePath, Field::ProcessPath),
    (Field::FileMd5, Field::ProcessMd5),
    (Field::FileSha1, Field::ProcessSha1),
    (Field::FileSha256, Field::ProcessSha256),
    (Field::FileSize, Field::ProcessSize),
];
