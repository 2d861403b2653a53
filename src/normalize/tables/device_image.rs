//! `DeviceImageLoadEvents`: a process loaded a library.

use super::To::Field as To;
use super::{Column, Table, common};
use crate::event::{Activity, Class, Field};

pub(super) const TABLE: Table = Table {
    name: "DeviceImageLoadEvents",
    class: Class::Module,
    activity: Activity::Load,
    columns: &[common::RECORD, common::DEVICE, common::INITIATING_PROCESS, COLUMNS],
    ..Table::PLAIN
};

const COLUMNS: &[Column] = &[
    ("FileName", To(Field::FileName)),
    ("FolderPath", To(Field::FilePath)),
    ("MD5", To(Field::FileMd5)),
    ("SHA1", To(Field::FileSha1)),
    ("SHA256", To(Field::FileSha256)),
    ("FileSize", To(Field::FileSize)),
];
