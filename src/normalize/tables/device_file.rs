//! `DeviceFileEvents`: what became of a file, and who asked for it over the network.

use super::To::Field as To;
use super::{Action, Column, Table, common};
use crate::event::{Activity, Class, Field};

pub(super) const TABLE: Table = Table {
    name: "DeviceFileEvents",
    class: Class::File,
    activity: Activity::Other,
    columns: &[common::RECORD, common::DEVICE, common::INITIATING_PROCESS, COLUMNS],
    actions: &[
        Action::is("FileCreated", Activity::Create, &[]),
        Action::is("FileModified", Activity::Update, &[]),
        Action::is("FileRenamed", Activity::Rename, &[]),
        Action::is("FileDeleted", Activity::Delete, &[]),
    ],
    ..Table::PLAIN
};

/// `FolderPath` ends in the file's name here, unlike in `AlertEvidence`.
const COLUMNS: &[Column] = &[
    ("FileName", To(Field::FileName)),
    ("FolderPath", To(Field::FilePath)),
    ("PreviousFileName", To(Field::FilePreviousName)),
    ("PreviousFolderPath", To(Field::FilePreviousPath)),
    ("MD5", To(Field::FileMd5)),
    ("SHA1", To(Field::FileSha1)),
    ("SHA256", To(Field::FileSha256)),
    ("FileSize", To(Field::FileSize)),
    ("FileOriginUrl", To(Field::FileOriginUrl)),
    ("FileOriginReferrerUrl", To(Field::FileOriginReferrer)),
    ("FileOriginIP", To(Field::FileOriginIp)),
    ("RequestProtocol", To(Field::RequestProtocol)),
    ("RequestSourceIP", To(Field::RequestIp)),
    ("RequestSourcePort", To(Field::RequestPort)),
    ("RequestAccountName", To(Field::UserName)),
    ("RequestAccountDomain", To(Field::UserDomain)),
    ("RequestAccountSid", To(Field::UserSid)),
    ("ShareName", To(Field::RequestShare)),
    ("SensitivityLabel", To(Field::FileLabel)),
    ("SensitivitySubLabel", To(Field::FileSubLabel)),
    ("IsAzureInfoProtectionApplied", To(Field::FileIsProtected)),
];
