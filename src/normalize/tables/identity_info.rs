//! `IdentityInfo`: what an account is. Microsoft sends it, but doesn't list it among the tables it sends.

use super::To::Field as To;
use super::{Column, Table, common};
use crate::event::{Activity, Class, Field};

pub(super) const TABLE: Table = Table {
    name: "IdentityInfo",
    class: Class::Identity,
    activity: Activity::Collect,
    columns: &[common::RECORD, COLUMNS],
    unmapped: &[
        ("is another identifier of the same account", &["IdentityId", "CloudSid", "OnPremObjectId", "EmployeeId"]),
        (
            common::INVENTORY,
            &[
                "Address",
                "Phone",
                "State",
                "CompanyName",
                "OtherMailAddresses",
                "SipProxyAddress",
                "CreatedDateTime",
                "DeletedDateTime",
                "SourceProvider",
                "SourceProviders",
                "ChangeSource",
                "IdentityEnvironment",
                "UserAccountControl",
                "PrivilegedEntraPimRoles",
                "Tags",
            ],
        ),
        (common::JUDGEMENT, &["BlastRadius", "RiskLevel", "RiskLevelDetails", "CriticalityLevel"]),
    ],
    ..Table::PLAIN
};

const COLUMNS: &[Column] = &[
    ("AccountName", To(Field::UserName)),
    ("AccountDomain", To(Field::UserDomain)),
    ("AccountUpn", To(Field::UserUpn)),
    ("AccountObjectId", To(Field::UserObjectId)),
    ("AccountDisplayName", To(Field::UserDisplayName)),
    ("OnPremSid", To(Field::UserSid)),
    ("EmailAddress", To(Field::UserMail)),
    ("GivenName", To(Field::UserGivenName)),
    ("Surname", To(Field::UserSurname)),
    ("Department", To(Field::UserDepartment)),
    ("JobTitle", To(Field::UserJobTitle)),
    ("Manager", To(Field::UserManager)),
    ("DistinguishedName", To(Field::UserDistinguishedName)),
    ("IsAccountEnabled", To(Field::UserIsEnabled)),
    ("Type", To(Field::UserType)),
    ("City", To(Field::GeoCity)),
    ("Country", To(Field::GeoCountry)),
];
