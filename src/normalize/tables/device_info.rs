//! `DeviceInfo`: what a device is, told again and again.

use super::To::Field as To;
use super::{Column, Table, common};
use crate::event::{Activity, Class, Field};

pub(super) const TABLE: Table = Table {
    name: "DeviceInfo",
    class: Class::Device,
    activity: Activity::Collect,
    columns: &[common::RECORD, common::DEVICE, COLUMNS],
    unmapped: &[
        (
            common::INVENTORY,
            &[
                "IsAzureADJoined",
                "JoinType",
                "RegistryDeviceTag",
                "DeviceManualTags",
                "DeviceDynamicTags",
                "AssetValue",
                "ExposureLevel",
                "IsInternetFacing",
                "ConnectivityType",
                "IsExcluded",
                "ExclusionReason",
                "MitigationStatus",
                "HardwareUuid",
                "IsTransient",
                "OsBuildRevision",
            ],
        ),
        ("is about other records of the same device", &["MergedDeviceIds", "MergedToDeviceId", "HostDeviceId"]),
        (
            common::CLOUD_PLACE,
            &[
                "AzureResourceId",
                "AwsResourceName",
                "GcpFullResourceName",
                "AzureVmId",
                "AzureVmSubscriptionId",
                "CloudPlatforms",
            ],
        ),
    ],
    ..Table::PLAIN
};

const COLUMNS: &[Column] = &[
    ("AadDeviceId", To(Field::DeviceEntraId)),
    ("ClientVersion", To(Field::DeviceAgentVersion)),
    ("PublicIP", To(Field::DeviceExternalIp)),
    ("OSPlatform", To(Field::DeviceOs)),
    ("OSArchitecture", To(Field::DeviceOsArchitecture)),
    ("OSDistribution", To(Field::DeviceOsDistribution)),
    ("OSVersion", To(Field::DeviceOsVersion)),
    ("OSVersionInfo", To(Field::DeviceOsEdition)),
    ("OSBuild", To(Field::DeviceOsBuild)),
    ("LoggedOnUsers", To(Field::DeviceUsers)),
    ("DeviceCategory", To(Field::DeviceCategory)),
    ("DeviceType", To(Field::DeviceType)),
    ("DeviceSubtype", To(Field::DeviceSubtype)),
    ("Vendor", To(Field::DeviceVendor)),
    ("Model", To(Field::DeviceModel)),
    ("OnboardingStatus", To(Field::DeviceOnboarding)),
    ("SensorHealthState", To(Field::DeviceHealth)),
];
