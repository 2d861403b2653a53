//! Incidents, alerts and behaviours, and what the gateway has to say itself.

use super::{Row, field, labelled, made, taken};
use crate::encode::cef::keys::Key;
use crate::encode::flat::Take;
use crate::event::Field;

pub(super) const INCIDENT: &[Row] = &[
    taken(Key::Rt, Take::Time),
    Row { whole: true, ..field(Key::ExternalId, Field::IncidentId) },
    taken(Key::Cat, Take::IfPresent(Field::IncidentId, "Incident")),
    field(Key::SourceServiceName, Field::IncidentServices),
    field(Key::Msg, Field::IncidentDescription),
    field(Key::Msg, Field::IncidentSummary),
    taken(Key::Reason, Take::Pair(Field::Classification, Field::Determination)),
    labelled(Key::Cs2, "MitreTechniques", Field::Techniques),
    labelled(Key::Cs3, "Status", Field::IncidentStatus),
    labelled(Key::Cs4, "AssignedTo", Field::AssignedTo),
    labelled(Key::Cs5, "TenantId", Field::TenantDirectory),
    made(Key::Cs6, "Tags", Take::Union(Field::IncidentTags, Field::IncidentSystemTags)),
    labelled(Key::Cn1, "PriorityScore", Field::IncidentPriority),
    labelled(Key::Cn2, "AlertCount", Field::IncidentAlertCount),
    field(Key::Start, Field::IncidentCreated),
    labelled(Key::DeviceCustomDate1, "FirstActivity", Field::IncidentFirstActivity),
    field(Key::End, Field::IncidentLastActivity),
    labelled(Key::FlexString1, "IncidentUrl", Field::IncidentUrl),
    labelled(Key::FlexString2, "RedirectIncidentId", Field::IncidentRedirectId),
];

pub(super) const ALERT: &[Row] = &[
    taken(Key::Rt, Take::Time),
    Row { whole: true, ..field(Key::ExternalId, Field::AlertId) },
    taken(Key::Cat, Take::Union(Field::AlertCategory, Field::AlertCategories)),
    field(Key::SourceServiceName, Field::AlertServiceSource),
    field(Key::DeviceFacility, Field::AlertDetectionSource),
    field(Key::Msg, Field::AlertDescription),
    taken(Key::Reason, Take::Pair(Field::Classification, Field::Determination)),
    field(Key::Act, Field::Disposition),
    labelled(Key::Cs1, "ThreatName", Field::AlertThreatName),
    labelled(Key::Cs1, "ThreatFamilyName", Field::AlertThreatFamily),
    made(Key::Cs2, "MitreTechniques", Take::Techniques),
    labelled(Key::Cs3, "Status", Field::AlertStatus),
    labelled(Key::Cs4, "Actor", Field::AlertActor),
    labelled(Key::Cs5, "MD5", Field::FileMd5),
    labelled(Key::Cs5, "MD5", Field::ProcessMd5),
    labelled(Key::Cs6, "SHA256", Field::FileSha256),
    labelled(Key::Cs6, "SHA256", Field::ProcessSha256),
    labelled(Key::Cn1, "WasExecutingWhileDetected", Field::AlertWasExecuting),
    labelled(Key::Cn2, "RemediationIsSuccess", Field::AlertIsRemediated),
    labelled(Key::DeviceCustomDate2, "Created", Field::AlertCreated),
    field(Key::Start, Field::AlertFirstActivity),
    field(Key::End, Field::AlertLastActivity),
];

/// A behaviour has an id of its own, and no alert's.
pub(super) const BEHAVIOR: &[Row] = &[Row { whole: true, ..field(Key::ExternalId, Field::BehaviorId) }];

/// The one device, user, file … of an alert.
pub(super) const PRIMARY: &[Row] = &[
    field(Key::Shost, Field::DeviceName),
    field(Key::Shost, Field::DeviceHost),
    field(Key::DeviceExternalId, Field::DeviceId),
    field(Key::SourceDnsDomain, Field::DeviceDomain),
    field(Key::Dvc, Field::DeviceIp),
    field(Key::Dvcmac, Field::DeviceMac),
    field(Key::Suser, Field::UserName),
    field(Key::Suser, Field::UserUpn),
    field(Key::Suser, Field::UserMail),
    field(Key::Suser, Field::UserDisplayName),
    field(Key::Suser, Field::MailSender),
    field(Key::Sntdom, Field::UserDomain),
    field(Key::Sntdom, Field::DeviceNtDomain),
    field(Key::Suid, Field::UserSid),
    field(Key::Suid, Field::UserObjectId),
    field(Key::Duser, Field::MailRecipient),
    field(Key::Fname, Field::FileName),
    field(Key::FilePath, Field::FilePath),
    taken(Key::FilePath, Take::Path(Field::FileFolder, Field::FileName)),
    taken(Key::FilePath, Take::Path(Field::ProcessFolder, Field::ProcessName)),
    field(Key::FileHash, Field::FileSha1),
    field(Key::FileHash, Field::ProcessSha1),
    field(Key::Fsize, Field::FileSize),
    field(Key::Fsize, Field::ProcessSize),
    field(Key::Sproc, Field::ProcessName),
    field(Key::Spid, Field::ProcessPid),
    field(Key::CommandLine, Field::ProcessCommand),
    field(Key::Src, Field::IpAddress),
    field(Key::Src, Field::MailSenderIp),
    field(Key::Src, Field::NetSourceIp),
    field(Key::Src, Field::NetLocalIp),
    field(Key::Spt, Field::NetLocalPort),
    field(Key::Dst, Field::NetDestinationIp),
    field(Key::Dst, Field::NetRemoteIp),
    field(Key::Dpt, Field::NetRemotePort),
    taken(Key::Proto, Take::Transport(Field::NetTransport)),
    field(Key::Request, Field::Url),
    field(Key::Request, Field::NetRemoteUrl),
    field(Key::RequestClientApplication, Field::HttpUserAgent),
    field(Key::App, Field::LogonProtocol),
    labelled(Key::FlexString1, "AlertUrl", Field::AlertUrl),
    labelled(Key::FlexString2, "IncidentId", Field::IncidentId),
    field(Key::Directory, Field::TenantDirectory),
];

/// What is left of it, and what rows of the streaming tables say in columns of their own.
pub(super) const STREAMED: &[Row] = &[
    labelled(Key::Cs3, "EntityType", Field::EntityKind),
    labelled(Key::Cs4, "EvidenceRole", Field::EntityRole),
    labelled(Key::Cs1, "ThreatName", Field::MalwareName),
    labelled(Key::Cs1, "ThreatName", Field::ThreatNames),
    labelled(Key::Cs1, "ThreatTypes", Field::ThreatTypes),
    field(Key::DestinationServiceName, Field::AppName),
    field(Key::MailSubject, Field::MailSubject),
    field(Key::MailId, Field::MailNetworkId),
    field(Key::RegistryPath, Field::RegistryPath),
    taken(Key::RegistryPath, Take::Path(Field::RegistryHive, Field::RegistryKey)),
    field(Key::RegistryValueName, Field::RegistryValueName),
    field(Key::RegistryValue, Field::RegistryValue),
    field(Key::ResourceId, Field::ResourceId),
    field(Key::Extra, Field::Extra),
];

/// Who acted where the antivirus of a device tells of an alert; a name and an id must be of one person, and a number and
/// a command line of one process.
pub(super) const ACTOR: &[Row] = &[
    Row { whole: true, ..field(Key::ExternalId, Field::RecordSequence) },
    field(Key::Suser, Field::UserSid),
    field(Key::Suser, Field::UserObjectId),
    Row { unless: Some(Key::Suser), ..field(Key::Sntdom, Field::ActorUserDomain) },
    Row { unless: Some(Key::Suser), ..field(Key::Suid, Field::ActorUserSid) },
    field(Key::Suser, Field::ActorUserName),
    Row { unless: Some(Key::Sproc), ..field(Key::Spid, Field::ActorProcessPid) },
    Row { unless: Some(Key::Sproc), ..field(Key::CommandLine, Field::ActorProcessCommand) },
    field(Key::Sproc, Field::ActorProcessName),
];

pub(super) const GAP: &[Row] = &[
    taken(Key::Rt, Take::Time),
    taken(Key::Cat, Take::IfPresent(Field::GapReason, "Gap")),
    field(Key::Reason, Field::GapReason),
    labelled(Key::Cn1, "LostRecords", Field::GapLost),
    labelled(Key::Cs1, "AfterSequence", Field::GapAfter),
    labelled(Key::Cs2, "BeforeSequence", Field::GapBefore),
    labelled(Key::Cs3, "Generation", Field::GapGeneration),
    labelled(Key::Cs4, "FeedPart", Field::GapPart),
];
