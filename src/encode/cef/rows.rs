//! Which field goes under which CEF key, class by class, in the order we write them. Where two rows name one key the
//! first that has a value wins. Slots follow the old ArcSight connector, so that content written for it goes on working.

use super::keys::Key;
use crate::event::{Class, Field};

/// One key and what it takes its value from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) key: Key,
    pub(super) label: Option<&'static str>,
    pub(super) take: Take,
    /// Leave the key out rather than cut the value.
    pub(super) whole: bool,
    /// Leave the key out if that one is there.
    pub(super) unless: Option<Key>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    Field(Field),
    /// The event's own time.
    Time,
    /// A transport protocol, in capitals and without its version.
    Transport(Field),
    HostOf(Field),
    /// Folder and name as one path.
    Path(Field, Field),
    /// Two words with a stroke between them.
    Pair(Field, Field),
    /// A word that stands for `true`.
    IfTrue(Field, &'static str),
    /// 1 outbound, 0 inbound.
    Direction(Field),
    /// A text and a list, without repetition.
    Union(Field, Field),
    /// The technique ids in a list; only the first, for a key that holds one.
    Techniques,
    FirstTechnique,
    /// A fixed word, if the field is there.
    IfPresent(Field, &'static str),
}

const fn field(key: Key, field: Field) -> Row {
    Row { key, label: None, take: Take::Field(field), whole: false, unless: None }
}
const fn labelled(key: Key, label: &'static str, field: Field) -> Row {
    Row { key, label: Some(label), take: Take::Field(field), whole: false, unless: None }
}
const fn taken(key: Key, take: Take) -> Row {
    Row { key, label: None, take, whole: false, unless: None }
}

/// The rows of a class. Inbound traffic swaps the ends: the reporting device is then the destination.
pub(super) const fn rows_of(class: Class, is_inbound: bool) -> &'static [&'static [Row]] {
    match class {
        Class::Incident => &[INCIDENT],
        Class::Alert => &[ALERT, PRIMARY],
        Class::Process => &[RECORD, PROCESS, ACTOR, DIRECTORY],
        Class::Network if is_inbound => &[RECORD, INBOUND, NETWORK, ACTOR, DIRECTORY],
        Class::Network => &[RECORD, OUTBOUND, NETWORK, ACTOR, DIRECTORY],
        Class::Logon => &[RECORD, LOGON, ACTOR, DIRECTORY],
        Class::Generic => &[RECORD, GENERIC, ACTOR, DIRECTORY],
        Class::Gap => &[GAP],
    }
}

/// What only CEF:1 can say.
pub(super) const ONE_ONLY: &[Row] = &[
    taken(Key::ThreatAttackId, Take::FirstTechnique),
    taken(Key::FrameworkName, Take::IfPresent(Field::Techniques, "MITRE ATT&CK")),
    field(Key::ThreatActor, Field::AlertActor),
];

const RECORD: &[Row] = &[
    taken(Key::Rt, Take::Time),
    Row { whole: true, ..field(Key::ExternalId, Field::RecordSequence) },
    Row { unless: Some(Key::ExternalId), ..labelled(Key::FlexString1, "ReportId", Field::RecordSequence) },
    field(Key::DeviceExternalId, Field::DeviceId),
    field(Key::Dvchost, Field::DeviceName),
];

const ACTOR: &[Row] = &[
    field(Key::Sproc, Field::ActorProcessName),
    field(Key::Spid, Field::ActorProcessPid),
    field(Key::Spriv, Field::ActorProcessToken),
    field(Key::Suser, Field::ActorUserName),
    field(Key::Sntdom, Field::ActorUserDomain),
    field(Key::Suid, Field::ActorUserSid),
];

const DIRECTORY: &[Row] = &[field(Key::Directory, Field::TenantDirectory)];

const PROCESS: &[Row] = &[
    field(Key::Dhost, Field::DeviceName),
    field(Key::Dproc, Field::ProcessName),
    field(Key::Fname, Field::ProcessName),
    field(Key::FilePath, Field::ProcessPath),
    field(Key::Dpid, Field::ProcessPid),
    field(Key::Start, Field::ProcessCreated),
    field(Key::Dpriv, Field::ProcessToken),
    field(Key::FileHash, Field::ProcessSha1),
    field(Key::Fsize, Field::ProcessSize),
    field(Key::Duser, Field::UserName),
    field(Key::Dntdom, Field::UserDomain),
    field(Key::Duid, Field::UserSid),
    labelled(Key::Cs1, "ProcessCommandLine", Field::ProcessCommand),
    labelled(Key::Cs2, "InitiatingProcessCommandLine", Field::ActorProcessCommand),
    labelled(Key::Cs5, "MD5", Field::ProcessMd5),
    labelled(Key::Cs6, "SHA256", Field::ProcessSha256),
];

const OUTBOUND: &[Row] = &[
    field(Key::Src, Field::NetLocalIp),
    field(Key::Spt, Field::NetLocalPort),
    field(Key::Shost, Field::DeviceName),
    field(Key::Dst, Field::NetRemoteIp),
    field(Key::Dpt, Field::NetRemotePort),
    taken(Key::Dhost, Take::HostOf(Field::NetRemoteUrl)),
    field(Key::Dhost, Field::TlsServerName),
    field(Key::Dhost, Field::HttpHost),
];

const INBOUND: &[Row] = &[
    field(Key::Src, Field::NetRemoteIp),
    field(Key::Spt, Field::NetRemotePort),
    field(Key::Dst, Field::NetLocalIp),
    field(Key::Dpt, Field::NetLocalPort),
    field(Key::Dhost, Field::DeviceName),
];

const NETWORK: &[Row] = &[
    taken(Key::DeviceDirection, Take::Direction(Field::NetDirection)),
    taken(Key::Proto, Take::Transport(Field::NetTransport)),
    field(Key::Request, Field::NetRemoteUrl),
    field(Key::Request, Field::HttpUri),
    field(Key::RequestMethod, Field::HttpMethod),
    field(Key::RequestClientApplication, Field::HttpUserAgent),
    field(Key::Reason, Field::HttpStatus),
    field(Key::In, Field::NetSourceBytes),
    field(Key::Out, Field::NetDestinationBytes),
    field(Key::Smac, Field::NetSourceMac),
    field(Key::Dmac, Field::NetDestinationMac),
    field(Key::Outcome, Field::Outcome),
    field(Key::Act, Field::Disposition),
    labelled(Key::Cs1, "InitiatingProcessCommandLine", Field::ActorProcessCommand),
    labelled(Key::Cs2, "DnsQuery", Field::DnsQuery),
    labelled(Key::Cs3, "DnsAnswers", Field::DnsAnswers),
    labelled(Key::Cs6, "InitiatingProcessSHA256", Field::ActorProcessSha256),
];

const LOGON: &[Row] = &[
    field(Key::Dhost, Field::DeviceName),
    field(Key::Outcome, Field::Outcome),
    field(Key::Duser, Field::UserName),
    field(Key::Dntdom, Field::UserDomain),
    field(Key::Duid, Field::UserSid),
    taken(Key::Dpriv, Take::IfTrue(Field::UserIsAdmin, "Administrator")),
    field(Key::Src, Field::NetRemoteIp),
    field(Key::Spt, Field::NetRemotePort),
    field(Key::Shost, Field::NetRemoteHost),
    field(Key::App, Field::LogonProtocol),
    field(Key::Reason, Field::LogonFailure),
    labelled(Key::Cs1, "LogonType", Field::LogonType),
    labelled(Key::Cs2, "LogonId", Field::SessionUid),
    labelled(Key::Cs3, "InitiatingProcessCommandLine", Field::ActorProcessCommand),
    labelled(Key::Cs6, "InitiatingProcessSHA256", Field::ActorProcessSha256),
];

const GENERIC: &[Row] = &[
    field(Key::Dhost, Field::DeviceName),
    labelled(Key::Cs1, "InitiatingProcessCommandLine", Field::ActorProcessCommand),
    labelled(Key::Cs6, "InitiatingProcessSHA256", Field::ActorProcessSha256),
    field(Key::Extra, Field::Extra),
];

const INCIDENT: &[Row] = &[
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
    Row { label: Some("Tags"), ..taken(Key::Cs6, Take::Union(Field::IncidentTags, Field::IncidentSystemTags)) },
    labelled(Key::Cn1, "PriorityScore", Field::IncidentPriority),
    labelled(Key::Cn2, "AlertCount", Field::IncidentAlertCount),
    field(Key::Start, Field::IncidentCreated),
    labelled(Key::DeviceCustomDate1, "FirstActivity", Field::IncidentFirstActivity),
    field(Key::End, Field::IncidentLastActivity),
    labelled(Key::FlexString1, "IncidentUrl", Field::IncidentUrl),
    labelled(Key::FlexString2, "RedirectIncidentId", Field::IncidentRedirectId),
];

const ALERT: &[Row] = &[
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
    Row { label: Some("MitreTechniques"), ..taken(Key::Cs2, Take::Techniques) },
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

/// The one device, user, file … of an alert.
const PRIMARY: &[Row] = &[
    field(Key::Shost, Field::DeviceName),
    field(Key::Shost, Field::DeviceHost),
    field(Key::DeviceExternalId, Field::DeviceId),
    field(Key::SourceDnsDomain, Field::DeviceDomain),
    field(Key::Dvc, Field::DeviceIp),
    field(Key::Dvcmac, Field::DeviceMac),
    field(Key::Suser, Field::UserName),
    field(Key::Suser, Field::UserUpn),
    field(Key::Suser, Field::UserMail),
    field(Key::Sntdom, Field::UserDomain),
    field(Key::Sntdom, Field::DeviceNtDomain),
    field(Key::Suid, Field::UserSid),
    field(Key::Suid, Field::UserObjectId),
    field(Key::Duser, Field::MailRecipient),
    field(Key::Fname, Field::FileName),
    taken(Key::FilePath, Take::Path(Field::FileFolder, Field::FileName)),
    field(Key::FileHash, Field::FileSha1),
    field(Key::FileHash, Field::ProcessSha1),
    field(Key::Fsize, Field::FileSize),
    field(Key::Sproc, Field::ProcessName),
    field(Key::Spid, Field::ProcessPid),
    field(Key::CommandLine, Field::ProcessCommand),
    field(Key::Src, Field::IpAddress),
    Row { unless: Some(Key::C6a2), ..field(Key::Src, Field::MailSenderIp) },
    Row { unless: Some(Key::C6a2), ..field(Key::Src, Field::NetLocalIp) },
    field(Key::Spt, Field::NetLocalPort),
    field(Key::Dst, Field::NetRemoteIp),
    field(Key::Dpt, Field::NetRemotePort),
    taken(Key::Proto, Take::Transport(Field::NetTransport)),
    field(Key::Request, Field::Url),
    field(Key::RequestClientApplication, Field::HttpUserAgent),
    field(Key::App, Field::LogonProtocol),
    labelled(Key::FlexString1, "AlertUrl", Field::AlertUrl),
    labelled(Key::FlexString2, "IncidentId", Field::IncidentId),
    field(Key::Directory, Field::TenantDirectory),
];

const GAP: &[Row] = &[
    taken(Key::Rt, Take::Time),
    taken(Key::Cat, Take::IfPresent(Field::GapReason, "Gap")),
    field(Key::Reason, Field::GapReason),
    labelled(Key::Cn1, "LostRecords", Field::GapLost),
    labelled(Key::Cs1, "AfterSequence", Field::GapAfter),
    labelled(Key::Cs2, "BeforeSequence", Field::GapBefore),
    labelled(Key::Cs3, "Generation", Field::GapGeneration),
    labelled(Key::Cs4, "FeedPart", Field::GapPart),
];
