//! `DeviceNetworkInfo`: a device's network adapters, one record each.

use super::To::Field as To;
use super::{Column, Table, common};
use crate::event::{Activity, Class, Field};

pub(super) const TABLE: Table = Table {
    name: "DeviceNetworkInfo",
    class: Class::Device,
    activity: Activity::Collect,
    columns: &[common::RECORD, common::DEVICE, COLUMNS],
    unmapped: &[(
        common::INVENTORY,
        &["TunnelType", "ConnectedNetworks", "IPv4Dhcp", "IPv6Dhcp", "DefaultGateways", "NetworkAdapterVendor"],
    )],
    ..Table::PLAIN
};

const COLUMNS: &[Column] = &[
    ("NetworkAdapterName", To(Field::InterfaceName)),
    ("NetworkAdapterType", To(Field::InterfaceType)),
    ("NetworkAdapterStatus", To(Field::InterfaceStatus)),
    ("MacAddress", To(Field::DeviceMac)),
    ("IPAddresses", To(Field::InterfaceAddresses)),
    ("DnsAddresses", To(Field::InterfaceDns)),
];
