//! What the identity tables have in common: an account, the two ends of a connection, and where the first one is.

use super::Column;
use super::To::Field as To;
use crate::event::Field;

/// The account that logs on.
pub(super) const ACCOUNT: &[Column] = &[
    ("AccountName", To(Field::UserName)),
    ("AccountDomain", To(Field::UserDomain)),
    ("AccountUpn", To(Field::UserUpn)),
    ("AccountSid", To(Field::UserSid)),
    ("AccountObjectId", To(Field::UserObjectId)),
    ("AccountDisplayName", To(Field::UserDisplayName)),
];

/// `DeviceName` is where a request came from, not a device that reports.
pub(super) const ENDS: &[Column] = &[
    ("DeviceName", To(Field::NetSourceHost)),
    ("IPAddress", To(Field::NetSourceIp)),
    ("Port", To(Field::NetSourcePort)),
    ("DestinationDeviceName", To(Field::NetDestinationHost)),
    ("DestinationIPAddress", To(Field::NetDestinationIp)),
    ("DestinationPort", To(Field::NetDestinationPort)),
    ("Protocol", To(Field::LogonProtocol)),
    ("Application", To(Field::AppName)),
    ("Location", To(Field::GeoCountry)),
];

/// The account that does something to others, or asks for them.
pub(super) const DOER: &[Column] = &[
    ("AccountName", To(Field::ActorUserName)),
    ("AccountDomain", To(Field::ActorUserDomain)),
    ("AccountUpn", To(Field::ActorUserUpn)),
    ("AccountSid", To(Field::ActorUserSid)),
    ("AccountObjectId", To(Field::ActorUserObjectId)),
    ("AccountDisplayName", To(Field::ActorUserDisplayName)),
];

pub(super) const TARGET: &[Column] = &[
    ("TargetAccountUpn", To(Field::TargetUserUpn)),
    ("TargetAccountDisplayName", To(Field::TargetUserDisplayName)),
    ("TargetDeviceName", To(Field::TargetDevice)),
];
