//! One entity of an alert or a behavior: whichever it is, its columns are among these, and the others are empty.

use super::To::Field as To;
use super::{Column, Shift};
use crate::event::Field;

/// Of a process the file columns name its program.
pub(super) const SHIFTS: &[Shift] = &[(
    Field::EntityKind,
    "Process",
    &[
        (Field::FileName, Field::ProcessName),
        (Field::FileFolder, Field::ProcessFolder),
        (Field::FileSha1, Field::ProcessSha1),
        (Field::FileSha256, Field::ProcessSha256),
        (Field::FileSize, Field::ProcessSize),
    ],
)];

/// `FolderPath` is the folder alone here, unlike in the device tables.
pub(super) const ENTITY: &[Column] = &[
    ("EntityType", To(Field::EntityKind)),
    ("FileName", To(Field::FileName)),
    ("FolderPath", To(Field::FileFolder)),
    ("SHA1", To(Field::FileSha1)),
    ("SHA256", To(Field::FileSha256)),
    ("FileSize", To(Field::FileSize)),
    ("ThreatFamily", To(Field::AlertThreatFamily)),
    ("RemoteIP", To(Field::NetRemoteIp)),
    ("RemoteUrl", To(Field::NetRemoteUrl)),
    ("LocalIP", To(Field::NetLocalIp)),
    ("AccountName", To(Field::UserName)),
    ("AccountDomain", To(Field::UserDomain)),
    ("AccountSid", To(Field::UserSid)),
    ("AccountObjectId", To(Field::UserObjectId)),
    ("AccountUpn", To(Field::UserUpn)),
    ("DeviceId", To(Field::DeviceId)),
    ("DeviceName", To(Field::DeviceName)),
    ("NetworkMessageId", To(Field::MailNetworkId)),
    ("EmailSubject", To(Field::MailSubject)),
    ("Application", To(Field::AppName)),
    ("ApplicationId", To(Field::AppId)),
    ("ProcessCommandLine", To(Field::ProcessCommand)),
    ("RegistryKey", To(Field::RegistryPath)),
    ("RegistryValueName", To(Field::RegistryValueName)),
    ("RegistryValueData", To(Field::RegistryValue)),
];
