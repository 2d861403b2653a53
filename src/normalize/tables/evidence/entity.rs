//! Entities of the XDR and Endpoint interfaces: flat objects in which the same names mean other things from kind to
//! kind.

use super::graph;
use crate::event::{EvidenceKind, Field};
use crate::normalize::object::Path;

/// The kind behind an `entityType`: Graph's words without their ending, but for a few.
pub(super) fn kind(name: &str) -> EvidenceKind {
    if let Some((_, kind)) = WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(name)) {
        return *kind;
    }
    let of_graph = |kind: &&EvidenceKind| {
        kind.name().strip_suffix("Evidence").is_some_and(|short| short.eq_ignore_ascii_case(name))
    };
    EvidenceKind::ALL.iter().find(of_graph).copied().unwrap_or(EvidenceKind::Other)
}

const WORDS: &[(&str, EvidenceKind)] = &[
    ("MailMessage", EvidenceKind::AnalyzedMessage),
    ("Registry", EvidenceKind::RegistryValue),
    ("Machine", EvidenceKind::Device),
    ("CloudResource", EvidenceKind::AzureResource),
];

/// What any kind can have: the device it was seen on, and the account that is behind it.
pub(super) const BASE: &[Path] = &[
    ("evidenceCreationTime", Field::EvidenceCreated),
    ("createdDateTime", Field::EvidenceCreated),
    ("detailedRoles", Field::EvidenceDetailedRoles),
    ("remediationStatusDetails", Field::EvidenceRemediationDetails),
    ("tags", Field::EvidenceTags),
    ("deviceId", Field::DeviceId),
    ("mdatpDeviceId", Field::DeviceId),
    ("accountName", Field::UserName),
    ("domainName", Field::UserDomain),
    ("userSid", Field::UserSid),
    ("aadUserId", Field::UserObjectId),
    ("userPrincipalName", Field::UserUpn),
];

/// Members of each kind. A kind that the documentation of entities doesn't describe has Graph's names.
pub(super) const fn paths_of(kind: EvidenceKind) -> &'static [Path] {
    use EvidenceKind as K;
    match kind {
        K::Device => DEVICE,
        K::File => FILE,
        K::Process => PROCESS,
        K::Mailbox => &[("mailboxDisplayName", Field::UserDisplayName), ("mailboxAddress", Field::UserMail)],
        K::AnalyzedMessage => MAIL_MESSAGE,
        K::SecurityGroup => &[("securityGroupId", Field::ResourceId), ("securityGroupName", Field::ResourceName)],
        K::User => &[],
        other => graph::paths_of(other),
    }
}

/// An element of an XDR alert's `devices`, and the entity that is a device.
const DEVICE: &[Path] = &[
    ("aadDeviceId", Field::DeviceEntraId),
    ("deviceDnsName", Field::DeviceName),
    ("computerDnsName", Field::DeviceName),
    ("hostName", Field::DeviceHost),
    ("dnsDomain", Field::DeviceDomain),
    ("ntDomain", Field::DeviceNtDomain),
    ("osPlatform", Field::DeviceOs),
    ("version", Field::DeviceOsVersion),
    ("osProcessor", Field::DeviceOsArchitecture),
    ("osBuild", Field::DeviceOsBuild),
    ("healthStatus", Field::DeviceHealth),
    ("riskScore", Field::DeviceRisk),
    ("rbacGroupName", Field::DeviceGroup),
    ("rbacGroupId", Field::DeviceGroupId),
    ("firstSeen", Field::DeviceFirstSeen),
    ("onboardingStatus", Field::DeviceOnboarding),
    ("defenderAvStatus", Field::DeviceAntivirus),
    ("loggedOnUsers", Field::DeviceUsers),
    ("lastIpAddress", Field::DeviceIp),
    ("lastExternalIpAddress", Field::DeviceExternalIp),
];

const FILE: &[Path] = &[
    ("fileName", Field::FileName),
    ("filePath", Field::FileFolder),
    ("fileSize", Field::FileSize),
    ("md5", Field::FileMd5),
    ("sha1", Field::FileSha1),
    ("sha256", Field::FileSha256),
    ("detectionStatus", Field::FileDetection),
];

const PROCESS: &[Path] = &[
    ("fileName", Field::ProcessName),
    ("filePath", Field::ProcessFolder),
    ("md5", Field::ProcessMd5),
    ("sha1", Field::ProcessSha1),
    ("sha256", Field::ProcessSha256),
    ("processId", Field::ProcessPid),
    ("processCommandLine", Field::ProcessCommand),
    ("processCreationTime", Field::ProcessCreated),
    ("parentProcessId", Field::ParentPid),
    ("parentProcessCreationTime", Field::ParentCreated),
    ("parentProcessFileName", Field::ParentName),
    ("parentProcessFilePath", Field::ParentFolder),
    ("detectionStatus", Field::ProcessDetection),
];

const MAIL_MESSAGE: &[Path] = &[
    ("networkMessageId", Field::MailNetworkId),
    ("internetMessageId", Field::MailInternetId),
    ("subject", Field::MailSubject),
    ("sender", Field::MailSender),
    ("senderIp", Field::MailSenderIp),
    ("recipient", Field::MailRecipient),
    ("deliveryAction", Field::MailAction),
    ("deliveryLocation", Field::MailLocation),
];
