//! What happens on devices, and what they are.

use super::{Row, field, labelled, made, taken};
use crate::encode::cef::keys::Key;
use crate::encode::flat::Take;
use crate::event::Field;

/// Whatever columns a record of a mixed table has, after the rows of its class have taken theirs.
pub(super) const THING: &[Row] = &[
    field(Key::Fname, Field::FileName),
    field(Key::FilePath, Field::FilePath),
    taken(Key::FilePath, Take::Path(Field::FileFolder, Field::FileName)),
    field(Key::FileHash, Field::FileSha1),
    field(Key::Fsize, Field::FileSize),
    field(Key::FileType, Field::FileType),
    field(Key::Dproc, Field::ProcessName),
    field(Key::Dpid, Field::ProcessPid),
    field(Key::Dpriv, Field::ProcessToken),
    field(Key::Duser, Field::UserName),
    field(Key::Duser, Field::UserUpn),
    field(Key::Dntdom, Field::UserDomain),
    field(Key::Duid, Field::UserSid),
    field(Key::Duid, Field::UserObjectId),
    field(Key::Request, Field::NetRemoteUrl),
    field(Key::Request, Field::Url),
    field(Key::Request, Field::FileOriginUrl),
    field(Key::RequestContext, Field::FileOriginReferrer),
];

/// The rest of it, except where a class has a better place for it.
pub(super) const COMMAND: &[Row] = &[field(Key::CommandLine, Field::ProcessCommand)];
pub(super) const KEY_AND_VALUE: &[Row] = &[
    field(Key::RegistryPath, Field::RegistryPath),
    field(Key::RegistryValueName, Field::RegistryValueName),
    field(Key::RegistryValue, Field::RegistryValue),
];

/// Where the other end of an event that isn't about the network is, and else the device as the place of it all.
pub(super) const FAR_END: &[Row] = &[
    field(Key::Src, Field::NetLocalIp),
    field(Key::Spt, Field::NetLocalPort),
    field(Key::Dst, Field::NetRemoteIp),
    field(Key::Dpt, Field::NetRemotePort),
    field(Key::Dhost, Field::NetRemoteHost),
    Row { unless: Some(Key::Dst), ..field(Key::Dhost, Field::DeviceName) },
];

pub(super) const PROCESS: &[Row] = &[
    field(Key::Dhost, Field::DeviceName),
    field(Key::Dproc, Field::ProcessName),
    field(Key::Fname, Field::ProcessName),
    field(Key::FilePath, Field::ProcessPath),
    field(Key::Dpid, Field::ProcessPid),
    field(Key::Start, Field::ProcessCreated),
    field(Key::FileHash, Field::ProcessSha1),
    field(Key::Fsize, Field::ProcessSize),
    labelled(Key::Cs1, "ProcessCommandLine", Field::ProcessCommand),
    labelled(Key::Cs2, "InitiatingProcessCommandLine", Field::ActorProcessCommand),
    labelled(Key::Cs3, "Injection", Field::ProcessInjection),
    labelled(Key::Cs5, "MD5", Field::ProcessMd5),
    labelled(Key::Cs5, "MD5", Field::FileMd5),
    labelled(Key::Cs6, "SHA256", Field::ProcessSha256),
    labelled(Key::Cs6, "SHA256", Field::FileSha256),
];

/// A process inside a container.
pub(super) const CONTAINER: &[Row] = &[
    labelled(Key::Cs3, "ContainerId", Field::ContainerId),
    labelled(Key::Cs4, "ContainerImageName", Field::ContainerImage),
    labelled(Key::FlexString2, "ContainerName", Field::ContainerName),
    field(Key::ResourceId, Field::ResourceId),
];

pub(super) const FILE: &[Row] = &[
    field(Key::OldFileName, Field::FilePreviousName),
    field(Key::OldFilePath, Field::FilePreviousPath),
    labelled(Key::Cs1, "InitiatingProcessCommandLine", Field::ActorProcessCommand),
    labelled(Key::Cs2, "SensitivityLabel", Field::FileLabel),
    labelled(Key::Cs3, "SensitivitySubLabel", Field::FileSubLabel),
    labelled(Key::Cs4, "ShareName", Field::RequestShare),
    labelled(Key::Cs5, "MD5", Field::FileMd5),
    labelled(Key::Cs6, "SHA256", Field::FileSha256),
    labelled(Key::Cn1, "IsAzureInfoProtectionApplied", Field::FileIsProtected),
];

/// Who asked for the file from afar, or where it came from.
pub(super) const FILE_REQUEST: &[Row] = &[
    field(Key::Src, Field::RequestIp),
    field(Key::Spt, Field::RequestPort),
    field(Key::App, Field::RequestProtocol),
    field(Key::Src, Field::FileOriginIp),
    field(Key::Request, Field::FileOriginUrl),
];

pub(super) const SCRIPT: &[Row] = &[
    labelled(Key::Cs1, "ScriptContent", Field::ScriptContent),
    labelled(Key::Cs2, "InitiatingProcessCommandLine", Field::ActorProcessCommand),
    labelled(Key::Cs5, "MD5", Field::FileMd5),
    labelled(Key::Cs6, "SHA256", Field::FileSha256),
];

pub(super) const CERTIFICATE: &[Row] = &[
    field(Key::Dhost, Field::DeviceName),
    labelled(Key::Cs1, "Signer", Field::FileSigner),
    labelled(Key::Cs2, "Issuer", Field::FileIssuer),
    labelled(Key::Cs3, "CertificateSerialNumber", Field::CertificateSerial),
    labelled(Key::Cs4, "SignatureType", Field::CertificateSignatureType),
    labelled(Key::Cs5, "SignerHash", Field::CertificateSignerHash),
    labelled(Key::Cs6, "IssuerHash", Field::CertificateIssuerHash),
    labelled(Key::Cn1, "IsSigned", Field::CertificateIsSigned),
    labelled(Key::Cn2, "IsTrusted", Field::CertificateIsTrusted),
    labelled(Key::DeviceCustomDate1, "CertificateCreationTime", Field::CertificateCreated),
    labelled(Key::DeviceCustomDate2, "CertificateExpirationTime", Field::CertificateExpires),
];

pub(super) const REGISTRY: &[Row] = &[
    labelled(Key::Cs1, "RegistryKey", Field::RegistryPath),
    labelled(Key::Cs1, "RegistryKey", Field::RegistryPreviousPath),
    labelled(Key::Cs2, "RegistryValueName", Field::RegistryValueName),
    labelled(Key::Cs2, "RegistryValueName", Field::RegistryPreviousValueName),
    labelled(Key::Cs3, "RegistryValueData", Field::RegistryValue),
    labelled(Key::Cs4, "PreviousRegistryValueData", Field::RegistryPreviousValue),
    labelled(Key::Cs5, "PreviousRegistryKey", Field::RegistryPreviousPath),
    labelled(Key::Cs6, "InitiatingProcessCommandLine", Field::ActorProcessCommand),
    labelled(Key::FlexString2, "RegistryValueType", Field::RegistryValueType),
];

/// Scheduled tasks too: to a device both are things that run by themselves.
pub(super) const SERVICE: &[Row] = &[
    labelled(Key::Cs1, "InitiatingProcessCommandLine", Field::ActorProcessCommand),
    labelled(Key::Cs2, "TaskName", Field::JobName),
    labelled(Key::Cs2, "ServiceName", Field::ServiceName),
    labelled(Key::Cs3, "ServiceCommandLine", Field::ServiceCommand),
    labelled(Key::Cs4, "ServiceStartType", Field::ServiceStart),
    labelled(Key::Cs5, "MD5", Field::FileMd5),
    labelled(Key::Cs6, "SHA256", Field::FileSha256),
];

pub(super) const PERIPHERAL: &[Row] = &[
    labelled(Key::Cs1, "InitiatingProcessCommandLine", Field::ActorProcessCommand),
    labelled(Key::Cs2, "PeripheralName", Field::PeripheralName),
    labelled(Key::Cs3, "PeripheralId", Field::PeripheralId),
    labelled(Key::Cs4, "PeripheralClass", Field::PeripheralClass),
    labelled(Key::Cs5, "PeripheralSerialNumber", Field::PeripheralSerial),
];

pub(super) const SCAN: &[Row] = &[
    labelled(Key::Cs1, "InitiatingProcessCommandLine", Field::ActorProcessCommand),
    labelled(Key::Cs2, "ScanType", Field::ScanType),
    labelled(Key::Cs3, "ThreatName", Field::AlertThreatName),
    labelled(Key::Cs3, "ThreatName", Field::MalwareName),
    labelled(Key::Cs5, "MD5", Field::FileMd5),
    labelled(Key::Cs6, "SHA256", Field::FileSha256),
];

pub(super) const OUTBOUND: &[Row] = &[
    field(Key::Src, Field::NetSourceIp),
    field(Key::Src, Field::NetLocalIp),
    field(Key::Spt, Field::NetSourcePort),
    field(Key::Spt, Field::NetLocalPort),
    field(Key::Shost, Field::NetSourceHost),
    field(Key::Shost, Field::DeviceName),
    field(Key::Dst, Field::NetDestinationIp),
    field(Key::Dst, Field::NetRemoteIp),
    field(Key::Dpt, Field::NetDestinationPort),
    field(Key::Dpt, Field::NetRemotePort),
    field(Key::Dhost, Field::NetDestinationHost),
    field(Key::Dhost, Field::NetRemoteHost),
    taken(Key::Dhost, Take::HostOf(Field::NetRemoteUrl)),
    field(Key::Dhost, Field::TlsServerName),
    field(Key::Dhost, Field::HttpHost),
];

pub(super) const INBOUND: &[Row] = &[
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
    field(Key::Dhost, Field::DeviceName),
];

pub(super) const NETWORK: &[Row] = &[
    taken(Key::DeviceDirection, Take::Direction(Field::NetDirection)),
    taken(Key::Proto, Take::Transport(Field::NetTransport)),
    field(Key::App, Field::RequestProtocol),
    field(Key::Request, Field::NetRemoteUrl),
    field(Key::Request, Field::HttpUri),
    field(Key::RequestMethod, Field::HttpMethod),
    field(Key::RequestClientApplication, Field::HttpUserAgent),
    field(Key::Reason, Field::HttpStatus),
    field(Key::Reason, Field::DnsResponse),
    field(Key::In, Field::NetSourceBytes),
    field(Key::In, Field::HttpRequestBytes),
    field(Key::Out, Field::NetDestinationBytes),
    field(Key::Out, Field::HttpResponseBytes),
    field(Key::Smac, Field::NetSourceMac),
    field(Key::Dmac, Field::NetDestinationMac),
    field(Key::Cnt, Field::NetCount),
    labelled(Key::Cs1, "InitiatingProcessCommandLine", Field::ActorProcessCommand),
    labelled(Key::Cs2, "DnsQuery", Field::DnsQuery),
    labelled(Key::Cs3, "DnsAnswers", Field::DnsAnswers),
    labelled(Key::Cs4, "CertificateSubject", Field::TlsSubject),
    labelled(Key::Cs5, "CertificateIssuer", Field::TlsIssuer),
    labelled(Key::Cs6, "InitiatingProcessSHA256", Field::ActorProcessSha256),
    labelled(Key::FlexString2, "DnsQueryType", Field::DnsQueryType),
    labelled(Key::FlexString2, "TlsVersion", Field::TlsVersion),
];

pub(super) const DEVICE: &[Row] = &[
    field(Key::Dvc, Field::DeviceIp),
    field(Key::Dvc, Field::DeviceExternalIp),
    field(Key::Dvcmac, Field::DeviceMac),
    field(Key::DeviceDnsDomain, Field::DeviceDomain),
    field(Key::DeviceNtDomain, Field::DeviceNtDomain),
    taken(Key::Duser, Take::FirstOf(Field::DeviceUsers, "UserName")),
    labelled(Key::Cs1, "AadDeviceId", Field::DeviceEntraId),
    made(Key::Cs2, "OS", Take::Words(SYSTEM)),
    labelled(Key::Cs3, "DeviceType", Field::DeviceType),
    labelled(Key::Cs3, "NetworkAdapterName", Field::InterfaceName),
    labelled(Key::Cs4, "OnboardingStatus", Field::DeviceOnboarding),
    labelled(Key::Cs4, "NetworkAdapterStatus", Field::InterfaceStatus),
    labelled(Key::Cs5, "IPAddresses", Field::InterfaceAddresses),
    labelled(Key::Cs5, "ExposureLevel", Field::DeviceRisk),
    made(Key::Cs6, "DeviceModel", Take::Words(&[Field::DeviceVendor, Field::DeviceModel])),
    labelled(Key::Cs6, "DnsAddresses", Field::InterfaceDns),
    labelled(Key::FlexString2, "MachineGroup", Field::DeviceGroup),
];

/// A system as people speak of it.
const SYSTEM: &[Field] = &[
    Field::DeviceOs,
    Field::DeviceOsDistribution,
    Field::DeviceOsVersion,
    Field::DeviceOsBuild,
    Field::DeviceOsEdition,
    Field::DeviceOsArchitecture,
];

pub(super) const GENERIC: &[Row] = &[
    labelled(Key::Cs1, "InitiatingProcessCommandLine", Field::ActorProcessCommand),
    labelled(Key::Cs6, "InitiatingProcessSHA256", Field::ActorProcessSha256),
    field(Key::Extra, Field::Extra),
];
