//! What people and accounts do: logons, directories, mail, links and clouds.

use super::{Row, field, labelled, made, taken};
use crate::encode::cef::keys::Key;
use crate::encode::flat::Take;
use crate::event::Field;

/// The ends of identity traffic; a device that was named as the target is the place even without an address.
pub(super) const ENDS: &[Row] = &[
    field(Key::Src, Field::NetSourceIp),
    field(Key::Src, Field::NetRemoteIp),
    field(Key::Src, Field::IpAddress),
    field(Key::Spt, Field::NetSourcePort),
    field(Key::Spt, Field::NetRemotePort),
    field(Key::Shost, Field::NetSourceHost),
    field(Key::Shost, Field::NetRemoteHost),
    field(Key::Dst, Field::NetDestinationIp),
    field(Key::Dpt, Field::NetDestinationPort),
    field(Key::Dhost, Field::NetDestinationHost),
    field(Key::Dhost, Field::TargetDevice),
    field(Key::Dhost, Field::DeviceName),
];

pub(super) const LOGON: &[Row] = &[
    field(Key::Src, Field::NetSourceIp),
    field(Key::Src, Field::NetRemoteIp),
    field(Key::Spt, Field::NetSourcePort),
    field(Key::Spt, Field::NetRemotePort),
    field(Key::Shost, Field::NetSourceHost),
    field(Key::Shost, Field::NetRemoteHost),
    field(Key::Dst, Field::NetDestinationIp),
    field(Key::Dst, Field::NetLocalIp),
    field(Key::Dpt, Field::NetDestinationPort),
    field(Key::Dpt, Field::NetLocalPort),
    field(Key::Dhost, Field::NetDestinationHost),
    field(Key::Dhost, Field::TargetDevice),
    field(Key::Dhost, Field::DeviceName),
    field(Key::Duser, Field::UserName),
    field(Key::Duser, Field::UserUpn),
    field(Key::Duser, Field::UserDisplayName),
    taken(Key::Dpriv, Take::IfTrue(Field::UserIsAdmin, "Administrator")),
    field(Key::App, Field::LogonProtocol),
    field(Key::DestinationServiceName, Field::AppName),
    field(Key::RequestClientApplication, Field::HttpUserAgent),
    field(Key::Reason, Field::LogonFailure),
    labelled(Key::Cs1, "LogonType", Field::LogonType),
    labelled(Key::Cs2, "LogonId", Field::SessionUid),
    labelled(Key::Cs3, "InitiatingProcessCommandLine", Field::ActorProcessCommand),
    labelled(Key::Cs3, "Location", Field::GeoCountry),
    field(Key::Duid, Field::UserSid),
    field(Key::Duid, Field::UserObjectId),
    field(Key::Duid, Field::UserAccountId),
    labelled(Key::Cs4, "TargetAccount", Field::TargetUserDisplayName),
    labelled(Key::Cs5, "ISP", Field::GeoIsp),
    labelled(Key::Cs6, "InitiatingProcessSHA256", Field::ActorProcessSha256),
];

/// Accounts, groups and rights: somebody changed what somebody else is or may do.
pub(super) const ACCOUNT: &[Row] = &[
    field(Key::Duser, Field::TargetUserUpn),
    field(Key::Duser, Field::UserName),
    field(Key::Duser, Field::UserUpn),
    field(Key::Duser, Field::TargetUserDisplayName),
    field(Key::App, Field::LogonProtocol),
    field(Key::DestinationServiceName, Field::AppName),
    labelled(Key::Cs1, "InitiatingProcessCommandLine", Field::ActorProcessCommand),
    labelled(Key::Cs2, "TargetAccount", Field::TargetUserDisplayName),
    labelled(Key::Cs3, "GroupName", Field::GroupName),
    labelled(Key::Cs3, "Privilege", Field::PrivilegeName),
    labelled(Key::Cs4, "GroupSid", Field::GroupSid),
    labelled(Key::Cs5, "GroupDomain", Field::GroupDomain),
    labelled(Key::Cs6, "InitiatingProcessSHA256", Field::ActorProcessSha256),
    labelled(Key::FlexString2, "Location", Field::GeoCountry),
];

/// What somebody asked a directory for, and about whom.
pub(super) const QUERY: &[Row] = &[
    field(Key::Duser, Field::TargetUserUpn),
    field(Key::Duser, Field::TargetUserDisplayName),
    field(Key::App, Field::LogonProtocol),
    field(Key::App, Field::RequestProtocol),
    field(Key::DestinationServiceName, Field::AppName),
    labelled(Key::Cs1, "Query", Field::QueryText),
    labelled(Key::Cs2, "QueryTarget", Field::QueryTarget),
    labelled(Key::Cs3, "QueryType", Field::QueryKind),
    labelled(Key::Cs4, "TargetAccount", Field::TargetUserDisplayName),
    labelled(Key::Cs5, "Location", Field::GeoCountry),
];

/// The rest of what is read in a directory.
pub(super) const DIRECTORY: &[Row] = &[
    labelled(Key::Cs6, "ISP", Field::GeoIsp),
    labelled(Key::FlexString2, "InitiatingProcessCommandLine", Field::ActorProcessCommand),
];

/// The outcome of mail is where it came to lie.
pub(super) const DELIVERED: &[Row] = &[
    taken(Key::Rt, Take::Time),
    field(Key::Outcome, Field::MailLaterResult),
    field(Key::Outcome, Field::MailLocation),
];

/// Mail and chat messages, what is attached to them, and what became of them later.
pub(super) const EMAIL: &[Row] = &[
    field(Key::Suser, Field::MailSender),
    field(Key::Suser, Field::MailReturnPath),
    field(Key::Suid, Field::MailSenderObjectId),
    field(Key::SourceDnsDomain, Field::MailSenderDomain),
    field(Key::Duser, Field::MailRecipient),
    taken(Key::Duser, Take::FirstOf(Field::MessageRecipients, "RecipientSmtpAddress")),
    field(Key::Duid, Field::MailRecipientObjectId),
    field(Key::Src, Field::MailSenderIp),
    field(Key::Src, Field::MailSenderIp6),
    taken(Key::DeviceDirection, Take::Direction(Field::MailDirection)),
    field(Key::Act, Field::MailAction),
    field(Key::Act, Field::MailLaterAction),
    field(Key::Act, Field::Disposition),
    field(Key::Msg, Field::MailSubject),
    field(Key::Fname, Field::FileName),
    field(Key::FileType, Field::FileType),
    field(Key::FileType, Field::FileExtension),
    field(Key::Fsize, Field::FileSize),
    field(Key::FileHash, Field::FileSha256),
    field(Key::Request, Field::Url),
    labelled(Key::Cs1, "ThreatTypes", Field::ThreatTypes),
    labelled(Key::Cs2, "NetworkMessageId", Field::MailNetworkId),
    labelled(Key::Cs2, "TeamsMessageId", Field::MessageId),
    labelled(Key::Cs3, "InternetMessageId", Field::MailInternetId),
    labelled(Key::Cs3, "RecipientDetails", Field::MessageRecipients),
    labelled(Key::Cs4, "DetectionMethods", Field::ThreatDetection),
    labelled(Key::Cs5, "ThreatNames", Field::ThreatNames),
    labelled(Key::Cs6, "EmailActionPolicy", Field::MailPolicy),
    labelled(Key::Cn1, "AttachmentCount", Field::MailAttachments),
    labelled(Key::Cn2, "UrlCount", Field::MailUrls),
    labelled(Key::FlexString2, "EmailAction", Field::MailPolicyAction),
];

pub(super) const CLICK: &[Row] = &[
    field(Key::Suser, Field::ActorUserUpn),
    field(Key::Suser, Field::UserUpn),
    field(Key::Src, Field::IpAddress),
    field(Key::Src, Field::NetSourceIp),
    field(Key::Request, Field::Url),
    field(Key::RequestContext, Field::UrlChain),
    taken(Key::Act, Take::Action),
    field(Key::App, Field::AppName),
    labelled(Key::Cs1, "ThreatTypes", Field::ThreatTypes),
    labelled(Key::Cs2, "NetworkMessageId", Field::MailNetworkId),
    labelled(Key::Cs4, "DetectionMethods", Field::ThreatDetection),
    labelled(Key::Cn1, "IsClickedThrough", Field::UrlClickedThrough),
];

pub(super) const CLOUD: &[Row] = &[
    field(Key::Cat, Field::AppActivity),
    field(Key::DestinationServiceName, Field::AppName),
    taken(Key::Spriv, Take::IfTrue(Field::ActorUserIsAdmin, "Administrator")),
    field(Key::Src, Field::NetSourceIp),
    field(Key::Src, Field::IpAddress),
    field(Key::RequestClientApplication, Field::HttpUserAgent),
    field(Key::FileId, Field::ObjectId),
    field(Key::Request, Field::Url),
    labelled(Key::Cs2, "ObjectType", Field::ObjectType),
    labelled(Key::Cs2, "ResourceType", Field::ResourceType),
    made(Key::Cs3, "Location", Take::Words(&[Field::GeoCity, Field::GeoCountry])),
    labelled(Key::Cs4, "ISP", Field::GeoIsp),
    labelled(Key::Cs5, "ApplicationId", Field::AppId),
    field(Key::ResourceId, Field::ResourceId),
    field(Key::Cnt, Field::NetCount),
    field(Key::Start, Field::EventStart),
    field(Key::End, Field::EventEnd),
];

pub(super) const CLOUD_OBJECT: &[Row] =
    &[labelled(Key::Cs1, "ObjectName", Field::ObjectName), labelled(Key::Cs1, "ResourceName", Field::ResourceName)];

pub(super) const CLOUD_FILE: &[Row] = &[
    field(Key::Fname, Field::FileName),
    field(Key::Fname, Field::ObjectName),
    field(Key::FilePath, Field::FilePath),
    field(Key::Fsize, Field::FileSize),
    labelled(Key::Cs1, "ObjectName", Field::ObjectName),
];

pub(super) const IDENTITY: &[Row] = &[
    field(Key::Duser, Field::UserName),
    field(Key::Duser, Field::UserUpn),
    field(Key::Dntdom, Field::UserDomain),
    field(Key::Duid, Field::UserSid),
    field(Key::Duid, Field::UserObjectId),
    labelled(Key::Cs1, "AccountDisplayName", Field::UserDisplayName),
    labelled(Key::Cs2, "Department", Field::UserDepartment),
    labelled(Key::Cs3, "JobTitle", Field::UserJobTitle),
    labelled(Key::Cs4, "Manager", Field::UserManager),
    labelled(Key::Cs5, "DistinguishedName", Field::UserDistinguishedName),
    labelled(Key::Cs6, "EmailAddress", Field::UserMail),
    labelled(Key::Cn1, "IsAccountEnabled", Field::UserIsEnabled),
    made(Key::FlexString2, "Name", Take::Words(&[Field::UserGivenName, Field::UserSurname])),
];
