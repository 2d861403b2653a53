//! `DeviceRegistryEvents`: keys and values of the Windows registry.

use super::To::Field as To;
use super::{Action, Column, Table, common};
use crate::event::{Activity, Class, Field};

/// A value without a name is the default one of its key; that it is a value at all is then told by the action alone.
pub(super) const TABLE: Table = Table {
    name: "DeviceRegistryEvents",
    class: Class::Registry,
    activity: Activity::Other,
    columns: &[common::RECORD, common::DEVICE, common::INITIATING_PROCESS, COLUMNS],
    actions: &[
        Action::is("RegistryKeyCreated", Activity::Create, &[]),
        Action::is("RegistryKeyDeleted", Activity::Delete, &[]),
        Action::is("RegistryKeyRenamed", Activity::Rename, &[]),
        Action::is("RegistryValueSet", Activity::Write, &[]),
        Action::is("RegistryValueDeleted", Activity::Delete, &[]),
    ],
    ..Table::PLAIN
};

const COLUMNS: &[Column] = &[
    ("RegistryKey", To(Field::RegistryPath)),
    ("RegistryValueName", To(Field::RegistryValueName)),
    ("RegistryValueData", To(Field::RegistryValue)),
    ("RegistryValueType", To(Field::RegistryValueType)),
    ("PreviousRegistryKey", To(Field::RegistryPreviousPath)),
    ("PreviousRegistryValueName", To(Field::RegistryPreviousValueName)),
    ("PreviousRegistryValueData", To(Field::RegistryPreviousValue)),
];
