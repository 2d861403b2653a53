//! Evidence of Graph: for every kind of it, which member is which field.

use crate::event::{EvidenceKind, Field};
use crate::normalize::object::Path;

/// What every kind has.
pub(super) const BASE: &[Path] = &[
    ("createdDateTime", Field::EvidenceCreated),
    ("detailedRoles", Field::EvidenceDetailedRoles),
    ("remediationStatusDetails", Field::EvidenceRemediationDetails),
    ("tags", Field::EvidenceTags),
];

/// Members of each kind. Those that no format can place are in `UNMAPPED` below: they stay whole in the piece.
pub(super) const fn paths_of(kind: EvidenceKind) -> &'static [Path] {
    use EvidenceKind as K;
    match kind {
        K::Device => DEVICE,
        K::IoTDevice => IOT_DEVICE,
        K::Nic => &[("macAddress", Field::DeviceMac), ("ipAddress.ipAddress", Field::DeviceIp)],
        K::User => USER,
        K::Mailbox => MAILBOX,
        K::MailboxConfiguration => MAILBOX_CONFIGURATION,
        K::ServicePrincipal => SERVICE_PRINCIPAL,
        K::SecurityGroup => SECURITY_GROUP,
        K::GitHubUser => GIT_HUB_USER,
        K::File => FILE,
        K::FileHash => &[("value", Field::ResourceId), ("algorithm", Field::ResourceType)],
        K::Process => PROCESS,
        K::Malware => &[("name", Field::MalwareName), ("category", Field::MalwareCategory)],
        K::RegistryKey | K::RegistryValue => REGISTRY,
        K::Ip => IP,
        K::Url => &[("url", Field::Url)],
        K::Dns => DNS,
        K::NetworkConnection => NETWORK_CONNECTION,
        K::AnalyzedMessage => ANALYZED_MESSAGE,
        K::MailCluster => MAIL_CLUSTER,
        K::SubmissionMail => SUBMISSION_MAIL,
        K::TeamsMessage => TEAMS_MESSAGE,
        K::CloudLogonSession => CLOUD_LOGON_SESSION,
        K::HostLogonSession => HOST_LOGON_SESSION,
        K::CloudLogonRequest => &[("requestId", Field::SessionUid)],
        K::CloudApplication => &[
            ("appId", Field::ResourceId),
            ("displayName", Field::ResourceName),
            ("instanceId", Field::AppInstance),
            ("saasAppId", Field::AppId),
        ],
        K::OAuthApplication => &[
            ("appId", Field::ResourceId),
            ("displayName", Field::ResourceName),
            ("publisher", Field::ResourceOwner),
            ("objectId", Field::ObjectId),
        ],
        K::ActiveDirectoryDomain => &[("activeDirectoryDomainName", Field::ResourceName)],
        K::AiAgent => &[
            ("agentId", Field::ResourceId),
            ("agentName", Field::ResourceName),
            ("hostingPlatformType", Field::ResourceType),
        ],
        K::SasToken => &[("signatureHash", Field::ResourceId), ("storageResource.resourceId", Field::ResourceOwner)],
        K::AzureResource | K::AmazonResource | K::GoogleCloudResource => CLOUD_RESOURCE,
        K::Blob | K::BlobContainer => BLOB,
        K::GitHubOrganization | K::GitHubRepo => GIT_HUB,
        K::Container | K::ContainerImage | K::ContainerRegistry => CONTAINER,
        K::KubernetesCluster
        | K::KubernetesController
        | K::KubernetesNamespace
        | K::KubernetesPod
        | K::KubernetesSecret
        | K::KubernetesServiceAccount
        | K::KubernetesService => KUBERNETES,
        K::Other => &[],
    }
}

const DEVICE: &[Path] = &[
    ("mdeDeviceId", Field::DeviceId),
    ("azureAdDeviceId", Field::DeviceEntraId),
    ("deviceDnsName", Field::DeviceName),
    ("hostName", Field::DeviceHost),
    ("dnsDomain", Field::DeviceDomain),
    ("ntDomain", Field::DeviceNtDomain),
    ("rbacGroupName", Field::DeviceGroup),
    ("rbacGroupId", Field::DeviceGroupId),
    ("osPlatform", Field::DeviceOs),
    ("osBuild", Field::DeviceOsBuild),
    ("version", Field::DeviceOsVersion),
    ("lastIpAddress", Field::DeviceIp),
    ("lastExternalIpAddress", Field::DeviceExternalIp),
    ("ipInterfaces", Field::DeviceInterfaces),
    ("riskScore", Field::DeviceRisk),
    ("healthStatus", Field::DeviceHealth),
    ("onboardingStatus", Field::DeviceOnboarding),
    ("defenderAvStatus", Field::DeviceAntivirus),
    ("firstSeenDateTime", Field::DeviceFirstSeen),
    ("loggedOnUsers", Field::DeviceUsers),
];

const IP: &[Path] = &[
    ("ipAddress", Field::IpAddress),
    ("countryLetterCode", Field::IpCountry),
    ("location.countryName", Field::GeoCountry),
    ("location.city", Field::GeoCity),
    ("location.state", Field::GeoRegion),
    ("location.latitude", Field::GeoLatitude),
    ("location.longitude", Field::GeoLongitude),
];

const IOT_DEVICE: &[Path] = &[
    ("deviceId", Field::DeviceId),
    ("deviceName", Field::DeviceName),
    ("deviceType", Field::DeviceType),
    ("operatingSystem", Field::DeviceOs),
    ("ipAddress.ipAddress", Field::DeviceIp),
    ("macAddress", Field::DeviceMac),
    ("deviceSubType", Field::DeviceSubtype),
    ("manufacturer", Field::DeviceVendor),
    ("model", Field::DeviceModel),
];

const USER: &[Path] = &[
    ("userAccount.accountName", Field::UserName),
    ("userAccount.domainName", Field::UserDomain),
    ("userAccount.userSid", Field::UserSid),
    ("userAccount.userPrincipalName", Field::UserUpn),
    ("userAccount.azureAdUserId", Field::UserObjectId),
    ("userAccount.displayName", Field::UserDisplayName),
];

const MAILBOX: &[Path] = &[
    ("primaryAddress", Field::UserMail),
    ("upn", Field::UserUpn),
    ("displayName", Field::UserDisplayName),
    ("userAccount.accountName", Field::UserName),
    ("userAccount.domainName", Field::UserDomain),
    ("userAccount.userSid", Field::UserSid),
    ("userAccount.userPrincipalName", Field::UserUpn),
    ("userAccount.azureAdUserId", Field::UserObjectId),
    ("userAccount.displayName", Field::UserDisplayName),
];

const MAILBOX_CONFIGURATION: &[Path] = &[
    ("mailboxPrimaryAddress", Field::UserMail),
    ("upn", Field::UserUpn),
    ("displayName", Field::UserDisplayName),
    ("configurationId", Field::ResourceId),
    ("configurationType", Field::ResourceType),
    ("externalDirectoryObjectId", Field::UserObjectId),
];

const SERVICE_PRINCIPAL: &[Path] = &[
    ("servicePrincipalName", Field::UserName),
    ("servicePrincipalObjectId", Field::UserObjectId),
    ("appId", Field::ResourceId),
    ("servicePrincipalType", Field::ResourceType),
    ("tenantId", Field::ResourceOwner),
];

const SECURITY_GROUP: &[Path] =
    &[("displayName", Field::ResourceName), ("securityGroupId", Field::ResourceId), ("sid", Field::ResourceOwner)];

const FILE: &[Path] = &[
    ("fileDetails.fileName", Field::FileName),
    ("fileDetails.filePath", Field::FileFolder),
    ("fileDetails.fileSize", Field::FileSize),
    ("fileDetails.md5", Field::FileMd5),
    ("fileDetails.sha1", Field::FileSha1),
    ("fileDetails.sha256", Field::FileSha256),
    ("fileDetails.sha256Ac", Field::FileSha256Authenticode),
    ("fileDetails.filePublisher", Field::FilePublisher),
    ("fileDetails.signer", Field::FileSigner),
    ("fileDetails.issuer", Field::FileIssuer),
    ("detectionStatus", Field::FileDetection),
    ("mdeDeviceId", Field::DeviceId),
];

const PROCESS: &[Path] = &[
    ("processId", Field::ProcessPid),
    ("processCommandLine", Field::ProcessCommand),
    ("processCreationDateTime", Field::ProcessCreated),
    ("imageFile.fileName", Field::ProcessName),
    ("imageFile.filePath", Field::ProcessFolder),
    ("imageFile.fileSize", Field::ProcessSize),
    ("imageFile.md5", Field::ProcessMd5),
    ("imageFile.sha1", Field::ProcessSha1),
    ("imageFile.sha256", Field::ProcessSha256),
    ("imageFile.filePublisher", Field::ProcessCompany),
    ("parentProcessId", Field::ParentPid),
    ("parentProcessCreationDateTime", Field::ParentCreated),
    ("parentProcessImageFile.fileName", Field::ParentName),
    ("parentProcessImageFile.filePath", Field::ParentFolder),
    ("parentProcessImageFile.sha1", Field::ParentSha1),
    ("parentProcessImageFile.sha256", Field::ParentSha256),
    ("userAccount.accountName", Field::UserName),
    ("userAccount.domainName", Field::UserDomain),
    ("userAccount.userSid", Field::UserSid),
    ("userAccount.userPrincipalName", Field::UserUpn),
    ("userAccount.azureAdUserId", Field::UserObjectId),
    ("userAccount.displayName", Field::UserDisplayName),
    ("detectionStatus", Field::ProcessDetection),
    ("mdeDeviceId", Field::DeviceId),
];

const REGISTRY: &[Path] = &[
    ("registryHive", Field::RegistryHive),
    ("registryKey", Field::RegistryKey),
    ("registryValueName", Field::RegistryValueName),
    ("registryValue", Field::RegistryValue),
    ("registryValueType", Field::RegistryValueType),
    ("mdeDeviceId", Field::DeviceId),
];

const DNS: &[Path] = &[
    ("domainName", Field::DnsQuery),
    ("hostIpAddress.ipAddress", Field::NetLocalIp),
    ("dnsServerIp.ipAddress", Field::NetRemoteIp),
];

const NETWORK_CONNECTION: &[Path] = &[
    ("sourceAddress.ipAddress", Field::NetLocalIp),
    ("sourcePort", Field::NetLocalPort),
    ("destinationAddress.ipAddress", Field::NetRemoteIp),
    ("destinationPort", Field::NetRemotePort),
    ("protocol", Field::NetTransport),
];

const ANALYZED_MESSAGE: &[Path] = &[
    ("networkMessageId", Field::MailNetworkId),
    ("internetMessageId", Field::MailInternetId),
    ("subject", Field::MailSubject),
    ("p2Sender.emailAddress", Field::MailSender),
    ("p1Sender.emailAddress", Field::MailReturnPath),
    ("senderIp", Field::MailSenderIp),
    ("recipientEmailAddress", Field::MailRecipient),
    ("receivedDateTime", Field::MailReceived),
    ("deliveryAction", Field::MailAction),
    ("deliveryLocation", Field::MailLocation),
    ("antiSpamDirection", Field::MailDirection),
    ("p2Sender.displayName", Field::MailSenderName),
    ("p2Sender.domainName", Field::MailSenderDomain),
    ("attachmentsCount", Field::MailAttachments),
    ("urlCount", Field::MailUrls),
    ("urls", Field::MailLinks),
    ("threats", Field::MailThreats),
    ("threatDetectionMethods", Field::ThreatDetection),
];

const MAIL_CLUSTER: &[Path] = &[
    ("urn", Field::ResourceId),
    ("clusterBy", Field::ResourceType),
    ("clusterByValue", Field::ResourceName),
    ("query", Field::QueryText),
];

const SUBMISSION_MAIL: &[Path] = &[
    ("networkMessageId", Field::MailNetworkId),
    ("subject", Field::MailSubject),
    ("sender", Field::MailSender),
    ("senderIp", Field::MailSenderIp),
    ("recipient", Field::MailRecipient),
    ("submissionDateTime", Field::MailReceived),
    ("submissionId", Field::ResourceId),
    ("reportType", Field::ResourceType),
    ("submitter", Field::ResourceOwner),
];

const TEAMS_MESSAGE: &[Path] = &[
    ("messageId", Field::MailNetworkId),
    ("subject", Field::MailSubject),
    ("senderFromAddress", Field::MailSender),
    ("senderIP", Field::MailSenderIp),
    ("receivedDateTime", Field::MailReceived),
    ("deliveryAction", Field::MailAction),
    ("deliveryLocation", Field::MailLocation),
    ("messageDirection", Field::MailDirection),
    ("sourceAppName", Field::ResourceName),
    ("threadId", Field::ResourceId),
    ("threadType", Field::ResourceType),
    ("recipients", Field::MessageRecipients),
];

const CLOUD_LOGON_SESSION: &[Path] = &[
    ("sessionId", Field::SessionUid),
    ("startUtcDateTime", Field::SessionStarted),
    ("userAgent", Field::HttpUserAgent),
    ("protocol", Field::LogonProtocol),
    ("deviceName", Field::DeviceName),
    ("operatingSystem", Field::DeviceOs),
    ("account.userAccount.accountName", Field::UserName),
    ("account.userAccount.domainName", Field::UserDomain),
    ("account.userAccount.userSid", Field::UserSid),
    ("account.userAccount.userPrincipalName", Field::UserUpn),
    ("account.userAccount.azureAdUserId", Field::UserObjectId),
    ("account.userAccount.displayName", Field::UserDisplayName),
];

const HOST_LOGON_SESSION: &[Path] = &[
    ("sessionId", Field::SessionUid),
    ("startUtcDateTime", Field::SessionStarted),
    ("host.mdeDeviceId", Field::DeviceId),
    ("host.deviceDnsName", Field::DeviceName),
    ("host.hostName", Field::DeviceHost),
    ("account.userAccount.accountName", Field::UserName),
    ("account.userAccount.domainName", Field::UserDomain),
    ("account.userAccount.userSid", Field::UserSid),
    ("account.userAccount.userPrincipalName", Field::UserUpn),
    ("account.userAccount.azureAdUserId", Field::UserObjectId),
    ("account.userAccount.displayName", Field::UserDisplayName),
];

const CLOUD_RESOURCE: &[Path] = &[
    ("resourceId", Field::ResourceId),
    ("amazonResourceId", Field::ResourceId),
    ("fullResourceName", Field::ResourceId),
    ("resourceName", Field::ResourceName),
    ("resourceType", Field::ResourceType),
    ("amazonAccountId", Field::ResourceOwner),
    ("projectId", Field::ResourceOwner),
    ("location", Field::ResourceRegion),
];

const BLOB: &[Path] = &[
    ("name", Field::ResourceName),
    ("url", Field::Url),
    ("etag", Field::ResourceId),
    ("storageResource.resourceId", Field::ResourceOwner),
    ("blobContainer.name", Field::ResourceOwner),
];

const GIT_HUB: &[Path] = &[
    ("orgId", Field::ResourceId),
    ("repoId", Field::ResourceId),
    ("login", Field::ResourceName),
    ("owner", Field::ResourceOwner),
    ("company", Field::ResourceOwner),
    ("ownerType", Field::ResourceType),
    ("webUrl", Field::Url),
    ("baseUrl", Field::Url),
];

const GIT_HUB_USER: &[Path] = &[
    ("name", Field::UserDisplayName),
    ("login", Field::UserName),
    ("email", Field::UserMail),
    ("userId", Field::UserObjectId),
    ("webUrl", Field::Url),
];

const CONTAINER: &[Path] = &[
    ("containerId", Field::ResourceId),
    ("imageId", Field::ResourceId),
    ("name", Field::ResourceName),
    ("registry", Field::ResourceName),
    ("image.imageId", Field::ResourceType),
    ("pod.name", Field::ResourceOwner),
    ("registry.registry", Field::ResourceOwner),
];

const KUBERNETES: &[Path] = &[
    ("name", Field::ResourceName),
    ("cloudResource.resourceId", Field::ResourceId),
    ("cloudResource.amazonResourceId", Field::ResourceId),
    ("cloudResource.fullResourceName", Field::ResourceId),
    ("namespace.name", Field::ResourceOwner),
    ("cluster.name", Field::ResourceOwner),
    ("type", Field::ResourceType),
    ("secretType", Field::ResourceType),
    ("serviceType", Field::ResourceType),
    ("distribution", Field::ResourceType),
    ("podIp.ipAddress", Field::IpAddress),
    ("clusterIP.ipAddress", Field::IpAddress),
];
