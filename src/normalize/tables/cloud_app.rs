//! `CloudAppEvents`: what is done in cloud applications. The verb in the `ActionType` says what sort of thing it is.

use super::To::Field as To;
use super::{Action, Column, FAILURE, SUCCESS, Table, common};
use crate::event::{Activity, Class, Field};

pub(super) const TABLE: Table = Table {
    name: "CloudAppEvents",
    class: Class::Cloud,
    activity: Activity::Other,
    columns: &[common::RECORD, COLUMNS],
    actions: ACTIONS,
    needs: &[(Class::CloudFile, &[Field::ObjectName])],
    moves: &[(Class::Logon, DOER_IS_USER)],
    unmapped: &[
        (common::HABITS, &["UncommonForUser", "LastSeenForUser"]),
        (
            common::NO_WORD,
            &[
                "IsAnonymousProxy",
                "IPTags",
                "IPCategory",
                "UserAgentTags",
                "ActivityObjects",
                "IsExternalUser",
                "IsImpersonated",
                "AuditSource",
                "SessionData",
                "OAuthAppId",
            ],
        ),
        ("is the whole record once more, as the application wrote it", &["RawEventData"]),
    ],
    ..Table::PLAIN
};

const COLUMNS: &[Column] = &[
    ("Application", To(Field::AppName)),
    ("ApplicationId", To(Field::AppId)),
    ("AppInstanceId", To(Field::AppInstance)),
    ("ActivityType", To(Field::AppActivity)),
    ("AccountObjectId", To(Field::ActorUserObjectId)),
    ("AccountId", To(Field::ActorUserAccountId)),
    ("AccountDisplayName", To(Field::ActorUserDisplayName)),
    ("AccountType", To(Field::ActorUserType)),
    ("IsAdminOperation", To(Field::ActorUserIsAdmin)),
    ("IPAddress", To(Field::NetSourceIp)),
    ("DeviceType", To(Field::NetSourceType)),
    ("OSPlatform", To(Field::NetSourceOs)),
    ("CountryCode", To(Field::GeoCountry)),
    ("City", To(Field::GeoCity)),
    ("Isp", To(Field::GeoIsp)),
    ("UserAgent", To(Field::HttpUserAgent)),
    ("ObjectName", To(Field::ObjectName)),
    ("ObjectType", To(Field::ObjectType)),
    ("ObjectId", To(Field::ObjectId)),
];

const ACTIONS: &[Action] = &[
    Action::of(Class::Logon, "UserLoginFailed", Activity::Logon, &[FAILURE]),
    Action::of(Class::Logon, "*LoggedIn*", Activity::Logon, &[SUCCESS]),
    Action::of(Class::Logon, "*Log on*", Activity::Logon, &[]),
    Action::of(Class::CloudFile, "FileUploaded*", Activity::Upload, &[]),
    Action::of(Class::CloudFile, "FileDownloaded*", Activity::Download, &[]),
    Action::of(Class::CloudFile, "FileSyncUploaded*", Activity::Upload, &[]),
    Action::of(Class::CloudFile, "FileSyncDownloaded*", Activity::Download, &[]),
    Action::of(Class::CloudFile, "FileAccessed*", Activity::Open, &[]),
    Action::of(Class::CloudFile, "FilePreviewed", Activity::Open, &[]),
    Action::of(Class::CloudFile, "FileDeleted*", Activity::Delete, &[]),
    Action::of(Class::CloudFile, "FileRecycled", Activity::Delete, &[]),
    Action::of(Class::CloudFile, "FileRenamed", Activity::Rename, &[]),
    Action::of(Class::CloudFile, "FileModified*", Activity::Update, &[]),
    Action::of(Class::CloudFile, "SharingSet", Activity::Share, &[]),
    Action::of(Class::CloudFile, "AnonymousLinkCreated", Activity::Share, &[]),
    Action::is("MailItemsAccessed", Activity::Read, &[]),
    Action::is("Create*", Activity::Create, &[]),
    Action::is("Add*", Activity::Create, &[]),
    Action::is("New*", Activity::Create, &[]),
    Action::is("Read*", Activity::Read, &[]),
    Action::is("Get*", Activity::Read, &[]),
    Action::is("List*", Activity::Read, &[]),
    Action::is("View*", Activity::Read, &[]),
    Action::is("Update*", Activity::Update, &[]),
    Action::is("Set*", Activity::Update, &[]),
    Action::is("Edit*", Activity::Update, &[]),
    Action::is("Write*", Activity::Update, &[]),
    Action::is("Delete*", Activity::Delete, &[]),
    Action::is("Remove*", Activity::Delete, &[]),
];

/// Who acts in all other records is who logs on in these.
const DOER_IS_USER: &[(Field, Field)] = &[
    (Field::ActorUserObjectId, Field::UserObjectId),
    (Field::ActorUserAccountId, Field::UserAccountId),
    (Field::ActorUserDisplayName, Field::UserDisplayName),
    (Field::ActorUserType, Field::UserType),
    (Field::ActorUserIsAdmin, Field::UserIsAdmin),
];
