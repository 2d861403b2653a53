//! What happens on devices, and what they are.

use super::{Row, field, taken};
use crate::encode::flat::Take;
use crate::encode::leef::keys::Key;
use crate::event::Field;

/// Of a process that another one started.
pub(super) const STARTED: &[&[Row]] =
    &[RECORD, PROCESS, PROCESS_FILE, USER, PARENT_PROCESS, INITIATOR, FILE, REGISTRY, OUTBOUND];
/// Of a process that another one does something to.
pub(super) const DONE_TO_PROCESS: &[&[Row]] =
    &[RECORD, PROCESS, PROCESS_FILE, USER, ACTOR_PROCESS, INITIATOR, ACTOR_ELSE, FILE, REGISTRY, OUTBOUND];
pub(super) const DONE_TO_FILE: &[&[Row]] =
    &[RECORD, FILE, REQUESTER, PROCESS, REGISTRY, ODDS, ACTOR_PROCESS, ACTOR, OUTBOUND, NETWORK];
/// What the mixed table tells of, with whatever columns it has.
pub(super) const DONE_TO_DEVICE: &[&[Row]] =
    &[RECORD, FILE, ODDS, PROCESS, REGISTRY, ACTOR_PROCESS, ACTOR, SECOND_USER, OUTBOUND, NETWORK];

pub(super) const RECORD: &[Row] = &[
    field(Key::ReportId, Field::RecordSequence),
    field(Key::Resource, Field::DeviceName),
    field(Key::DeviceId, Field::DeviceId),
    field(Key::DeviceGroup, Field::DeviceGroup),
    field(Key::TenantId, Field::TenantDirectory),
    field(Key::Outcome, Field::Outcome),
    field(Key::Disposition, Field::Disposition),
];

/// The process that acted.
pub(super) const ACTOR_PROCESS: &[Row] = &[
    field(Key::ProcessName, Field::ActorProcessName),
    field(Key::ProcessPath, Field::ActorProcessPath),
    field(Key::ProcessId, Field::ActorProcessPid),
    field(Key::ProcessCommandLine, Field::ActorProcessCommand),
    field(Key::ProcessMd5, Field::ActorProcessMd5),
    field(Key::ProcessSha1, Field::ActorProcessSha1),
    field(Key::ProcessSha256, Field::ActorProcessSha256),
    field(Key::ProcessIntegrityLevel, Field::ActorProcessIntegrity),
    field(Key::ProcessTokenElevation, Field::ActorProcessToken),
    field(Key::ParentProcessName, Field::ActorParentName),
    field(Key::ParentProcessId, Field::ActorParentPid),
];

/// The same where it started another one, and is its parent.
pub(super) const PARENT_PROCESS: &[Row] = &[
    field(Key::ParentProcessName, Field::ActorProcessName),
    field(Key::ParentProcessName, Field::ParentName),
    field(Key::ParentProcessPath, Field::ActorProcessPath),
    field(Key::ParentProcessId, Field::ActorProcessPid),
    field(Key::ParentProcessId, Field::ParentPid),
    field(Key::ParentCommandLine, Field::ActorProcessCommand),
    field(Key::ParentProcessSha1, Field::ActorProcessSha1),
    field(Key::ParentProcessSha256, Field::ActorProcessSha256),
    field(Key::GrandparentProcessName, Field::ActorParentName),
    field(Key::GrandparentProcessId, Field::ActorParentPid),
];

/// Who acted, where the event is about nobody else.
pub(super) const ACTOR: &[Row] = &[
    field(Key::UsrName, Field::ActorUserName),
    field(Key::UsrName, Field::ActorUserUpn),
    field(Key::UsrName, Field::ActorUserDisplayName),
    field(Key::Domain, Field::ActorUserDomain),
    field(Key::UserSid, Field::ActorUserSid),
    field(Key::UserId, Field::ActorUserObjectId),
];

/// The same, if the event is about nobody else in this record: a name and an id must be of one person.
pub(super) const ACTOR_ELSE: &[Row] = &[
    field(Key::UsrName, Field::UserSid),
    field(Key::UsrName, Field::UserObjectId),
    Row { unless: Some(Key::UsrName), ..field(Key::Domain, Field::ActorUserDomain) },
    Row { unless: Some(Key::UsrName), ..field(Key::UserSid, Field::ActorUserSid) },
    Row { unless: Some(Key::UsrName), ..field(Key::UserId, Field::ActorUserObjectId) },
    field(Key::UsrName, Field::ActorUserName),
    field(Key::UsrName, Field::ActorUserUpn),
];

/// Who acted, where `usrName` is somebody else.
pub(super) const INITIATOR: &[Row] = &[
    field(Key::InitiatingUser, Field::ActorUserName),
    field(Key::InitiatingUser, Field::ActorUserUpn),
    field(Key::InitiatingUserDomain, Field::ActorUserDomain),
    field(Key::InitiatingUserSid, Field::ActorUserSid),
];

/// Whose it is that something is done to: the user of a new process, or who logs on.
pub(super) const USER: &[Row] = &[
    field(Key::UsrName, Field::UserName),
    field(Key::UsrName, Field::UserUpn),
    field(Key::UsrName, Field::UserDisplayName),
    field(Key::Domain, Field::UserDomain),
    field(Key::UserSid, Field::UserSid),
    field(Key::UserId, Field::UserObjectId),
    field(Key::UserId, Field::UserAccountId),
];

/// Who asked for a file from afar.
pub(super) const REQUESTER: &[Row] = &[
    field(Key::RequestUser, Field::UserName),
    field(Key::RequestUser, Field::UserUpn),
    field(Key::RequestUserDomain, Field::UserDomain),
    field(Key::RequestUserSid, Field::UserSid),
];

/// Somebody besides the one who acts: the account that is changed or meant.
pub(super) const SECOND_USER: &[Row] = &[
    field(Key::TargetUser, Field::TargetUserUpn),
    field(Key::TargetUser, Field::UserName),
    field(Key::TargetUser, Field::UserUpn),
    field(Key::TargetUserDomain, Field::UserDomain),
    field(Key::TargetUserSid, Field::UserSid),
];

pub(super) const PROCESS: &[Row] = &[
    field(Key::TargetProcessName, Field::ProcessName),
    field(Key::TargetProcessPath, Field::ProcessPath),
    field(Key::TargetProcessId, Field::ProcessPid),
    field(Key::TargetCommandLine, Field::ProcessCommand),
    field(Key::ProcessCreationTime, Field::ProcessCreated),
    field(Key::TargetIntegrityLevel, Field::ProcessIntegrity),
    field(Key::TargetTokenElevation, Field::ProcessToken),
    field(Key::WorkingDirectory, Field::ProcessDirectory),
    field(Key::Injection, Field::ProcessInjection),
    field(Key::ContainerName, Field::ContainerName),
    field(Key::ContainerId, Field::ContainerId),
    field(Key::ContainerImage, Field::ContainerImage),
    field(Key::ResourceId, Field::ResourceId),
    field(Key::ResourceName, Field::ResourceName),
];

/// Of the new process, whose file has no rows of its own.
pub(super) const PROCESS_FILE: &[Row] = &[
    field(Key::Md5, Field::ProcessMd5),
    field(Key::Sha1, Field::ProcessSha1),
    field(Key::Sha256, Field::ProcessSha256),
    field(Key::FileSize, Field::ProcessSize),
];

pub(super) const FILE: &[Row] = &[
    field(Key::FileName, Field::FileName),
    field(Key::FilePath, Field::FilePath),
    taken(Key::FilePath, Take::Path(Field::FileFolder, Field::FileName)),
    field(Key::Md5, Field::FileMd5),
    field(Key::Sha1, Field::FileSha1),
    field(Key::Sha256, Field::FileSha256),
    field(Key::FileSize, Field::FileSize),
    field(Key::FileType, Field::FileType),
    field(Key::OldFileName, Field::FilePreviousName),
    field(Key::OldFilePath, Field::FilePreviousPath),
    field(Key::Url, Field::FileOriginUrl),
    field(Key::Referrer, Field::FileOriginReferrer),
    field(Key::SensitivityLabel, Field::FileLabel),
    field(Key::SensitivitySubLabel, Field::FileSubLabel),
    field(Key::IsProtected, Field::FileIsProtected),
    field(Key::ShareName, Field::RequestShare),
    field(Key::AppProtocol, Field::RequestProtocol),
    field(Key::Src, Field::RequestIp),
    field(Key::SrcPort, Field::RequestPort),
    field(Key::Src, Field::FileOriginIp),
];

pub(super) const CERTIFICATE: &[Row] = &[
    field(Key::Signer, Field::FileSigner),
    field(Key::Issuer, Field::FileIssuer),
    field(Key::SerialNumber, Field::CertificateSerial),
    field(Key::NotBefore, Field::CertificateCreated),
    field(Key::NotAfter, Field::CertificateExpires),
    field(Key::IsSigned, Field::CertificateIsSigned),
    field(Key::IsTrusted, Field::CertificateIsTrusted),
    field(Key::SignerHash, Field::CertificateSignerHash),
    field(Key::IssuerHash, Field::CertificateIssuerHash),
    field(Key::SignatureType, Field::CertificateSignatureType),
];

pub(super) const REGISTRY: &[Row] = &[
    field(Key::RegistryPath, Field::RegistryPath),
    field(Key::RegistryPath, Field::RegistryPreviousPath),
    field(Key::RegistryValueName, Field::RegistryValueName),
    field(Key::RegistryValueName, Field::RegistryPreviousValueName),
    field(Key::RegistryValueData, Field::RegistryValue),
    field(Key::RegistryValueType, Field::RegistryValueType),
    field(Key::OldRegistryValueData, Field::RegistryPreviousValue),
    field(Key::OldRegistryPath, Field::RegistryPreviousPath),
];

/// What only some actions of a mixed table tell of.
pub(super) const ODDS: &[Row] = &[
    field(Key::TaskName, Field::JobName),
    field(Key::ServiceName, Field::ServiceName),
    field(Key::ServiceCommandLine, Field::ServiceCommand),
    field(Key::ServiceStartType, Field::ServiceStart),
    field(Key::ScriptContent, Field::ScriptContent),
    field(Key::PeripheralName, Field::PeripheralName),
    field(Key::PeripheralId, Field::PeripheralId),
    field(Key::PeripheralClass, Field::PeripheralClass),
    field(Key::PeripheralSerialNumber, Field::PeripheralSerial),
    field(Key::ScanType, Field::ScanType),
    field(Key::ThreatName, Field::AlertThreatName),
    field(Key::ThreatName, Field::MalwareName),
    field(Key::LogonId, Field::SessionUid),
];

pub(super) const OUTBOUND: &[Row] = &[
    field(Key::Src, Field::NetSourceIp),
    field(Key::Src, Field::NetLocalIp),
    field(Key::SrcPort, Field::NetSourcePort),
    field(Key::SrcPort, Field::NetLocalPort),
    field(Key::SrcHostName, Field::NetSourceHost),
    field(Key::Dst, Field::NetDestinationIp),
    field(Key::Dst, Field::NetRemoteIp),
    field(Key::DstPort, Field::NetDestinationPort),
    field(Key::DstPort, Field::NetRemotePort),
    field(Key::DstHostName, Field::NetDestinationHost),
    field(Key::DstHostName, Field::NetRemoteHost),
    taken(Key::DstHostName, Take::HostOf(Field::NetRemoteUrl)),
    field(Key::DstHostName, Field::TlsServerName),
    field(Key::DstHostName, Field::HttpHost),
];

pub(super) const INBOUND: &[Row] = &[
    field(Key::Src, Field::NetSourceIp),
    field(Key::Src, Field::NetRemoteIp),
    field(Key::SrcPort, Field::NetSourcePort),
    field(Key::SrcPort, Field::NetRemotePort),
    field(Key::SrcHostName, Field::NetSourceHost),
    field(Key::SrcHostName, Field::NetRemoteHost),
    field(Key::Dst, Field::NetDestinationIp),
    field(Key::Dst, Field::NetLocalIp),
    field(Key::DstPort, Field::NetDestinationPort),
    field(Key::DstPort, Field::NetLocalPort),
    field(Key::DstHostName, Field::NetDestinationHost),
];

pub(super) const NETWORK: &[Row] = &[
    taken(Key::Proto, Take::Transport(Field::NetTransport)),
    field(Key::Direction, Field::NetDirection),
    field(Key::Url, Field::NetRemoteUrl),
    field(Key::Url, Field::HttpUri),
    field(Key::Url, Field::Url),
    field(Key::HttpMethod, Field::HttpMethod),
    field(Key::HttpStatus, Field::HttpStatus),
    field(Key::UserAgent, Field::HttpUserAgent),
    field(Key::SrcBytes, Field::NetSourceBytes),
    field(Key::SrcBytes, Field::HttpRequestBytes),
    field(Key::DstBytes, Field::NetDestinationBytes),
    field(Key::DstBytes, Field::HttpResponseBytes),
    field(Key::SrcPackets, Field::NetSourcePackets),
    field(Key::DstPackets, Field::NetDestinationPackets),
    field(Key::SrcMac, Field::NetSourceMac),
    field(Key::DstMac, Field::NetDestinationMac),
    field(Key::TcpFlags, Field::NetTcpFlags),
    field(Key::Count, Field::NetCount),
    field(Key::ProtocolVersion, Field::NetProtocolVersion),
    field(Key::DnsQuery, Field::DnsQuery),
    field(Key::DnsQueryType, Field::DnsQueryType),
    field(Key::DnsResponse, Field::DnsResponse),
    field(Key::DnsAnswers, Field::DnsAnswers),
    field(Key::TlsVersion, Field::TlsVersion),
    field(Key::TlsSubject, Field::TlsSubject),
    field(Key::TlsIssuer, Field::TlsIssuer),
];

/// What a device is; `src` is its own address.
pub(super) const DEVICE: &[Row] = &[
    field(Key::Src, Field::DeviceExternalIp),
    field(Key::Src, Field::DeviceIp),
    field(Key::DeviceIp, Field::DeviceIp),
    field(Key::SrcMac, Field::DeviceMac),
    taken(Key::UsrName, Take::FirstOf(Field::DeviceUsers, "UserName")),
    field(Key::Domain, Field::DeviceDomain),
    field(Key::Domain, Field::DeviceNtDomain),
    field(Key::DeviceEntraId, Field::DeviceEntraId),
    field(Key::Os, Field::DeviceOs),
    field(Key::OsVersion, Field::DeviceOsVersion),
    field(Key::OsBuild, Field::DeviceOsBuild),
    field(Key::OsArchitecture, Field::DeviceOsArchitecture),
    field(Key::OsDistribution, Field::DeviceOsDistribution),
    field(Key::DeviceType, Field::DeviceType),
    field(Key::DeviceCategory, Field::DeviceCategory),
    taken(Key::DeviceModel, Take::Words(&[Field::DeviceVendor, Field::DeviceModel])),
    field(Key::AgentVersion, Field::DeviceAgentVersion),
    field(Key::OnboardingStatus, Field::DeviceOnboarding),
    field(Key::ExposureLevel, Field::DeviceRisk),
    field(Key::HealthStatus, Field::DeviceHealth),
    field(Key::AdapterName, Field::InterfaceName),
    field(Key::AdapterType, Field::InterfaceType),
    field(Key::AdapterStatus, Field::InterfaceStatus),
    field(Key::Addresses, Field::InterfaceAddresses),
    field(Key::DnsServers, Field::InterfaceDns),
];

pub(super) const GENERIC: &[Row] = &[field(Key::AdditionalFields, Field::Extra)];
