//! Members of Graph's evidence without a field, each with the reason. They are kept as unmapped, and whole in the piece;
//! a member of Microsoft's list that is neither here nor mapped fails a test.

use crate::event::EvidenceKind as K;

/// Why a member of a piece of evidence is kept as unmapped. What is mapped in part is kept whole under its own name.
pub(in crate::normalize) fn left_out(kind: &str, member: &str) -> Option<&'static str> {
    let kind = K::parse(kind);
    let is_named = |path: &&str| path.split('.').next().is_some_and(|first| first.eq_ignore_ascii_case(member));
    let says = |(of, members): &&Members| of.is_none_or(|of| of == kind) && members.iter().any(is_named);
    UNMAPPED.iter().find(|(_, all)| all.iter().any(|entry| says(&entry))).map(|(reason, _)| *reason)
}

/// Members of one kind; of every kind that has them where none is named.
type Members = (Option<K>, &'static [&'static str]);

pub(super) const UNMAPPED: &[(&str, &[Members])] = &[
    (
        "is a list of objects, and formats have one place for one thing; the piece shows it whole",
        &[
            (Some(K::ActiveDirectoryDomain), &["trustedDomains"]),
            (Some(K::Blob), &["fileHashes"]),
            (Some(K::Device), &["resourceAccessEvents"]),
            (Some(K::Dns), &["ipAddresses"]),
            (Some(K::IoTDevice), &["nics"]),
            (Some(K::KubernetesPod), &["containers", "ephemeralContainers", "initContainers"]),
            (Some(K::KubernetesService), &["externalIPs", "servicePorts"]),
            (Some(K::Malware), &["files", "processes"]),
            (Some(K::TeamsMessage), &["files", "urls"]),
            (None, &["userAccount.resourceAccessEvents"]),
        ],
    ),
    (
        "is a list of words without a key in any format",
        &[
            (Some(K::Container), &["args", "command"]),
            (Some(K::IoTDevice), &["owners", "protocols"]),
            (Some(K::MailCluster), &["networkMessageIds"]),
            (Some(K::Nic), &["vlans"]),
            (Some(K::SasToken), &["allowedResourceTypes", "allowedServices", "permissions"]),
            (Some(K::TeamsMessage), &["suspiciousRecipients"]),
        ],
    ),
    (
        "is an open bag of keys and values",
        &[
            (Some(K::KubernetesController), &["labels"]),
            (Some(K::KubernetesNamespace), &["labels"]),
            (Some(K::KubernetesPod), &["labels"]),
            (Some(K::KubernetesService), &["labels", "selector"]),
        ],
    ),
    (
        "names the same thing a second time, in a directory or a portal of Microsoft's own",
        &[
            (None, &["userAccount.activeDirectoryObjectGuid", "userAccount.tenantId"]),
            (Some(K::AnalyzedMessage), &["urn", "p1Sender.displayName", "p1Sender.domainName"]),
            (Some(K::ContainerImage), &["digestImage"]),
            (Some(K::GitHubOrganization), &["displayName"]),
            (Some(K::GoogleCloudResource), &["locationType", "projectNumber"]),
            (Some(K::IoTDevice), &["devicePageLink", "ioTHub", "ioTSecurityAgentId", "source", "sourceRef"]),
            (Some(K::KubernetesPod), &["controller", "serviceAccount"]),
            (Some(K::SecurityGroup), &["activeDirectoryObjectGuid", "distinguishedName", "friendlyName"]),
            (Some(K::ServicePrincipal), &["appOwnerTenantId"]),
            (Some(K::TeamsMessage), &["campaignId", "channelId", "groupId", "owningTenantId", "parentMessageId"]),
            (Some(K::TeamsMessage), &["sourceId"]),
            (Some(K::CloudApplication), &["instanceName"]),
            (
                Some(K::Device),
                &["vmMetadata.cloudProvider", "vmMetadata.resourceId", "vmMetadata.subscriptionId", "vmMetadata.vmId"],
            ),
        ],
    ),
    (
        "is the organization's address, which a reader would take for a user's",
        &[(Some(K::GitHubOrganization), &["email"])],
    ),
    (
        "belongs to a file's certificate or to a file's second copy of what the process says",
        &[(
            Some(K::Process),
            &[
                "imageFile.issuer",
                "imageFile.sha256Ac",
                "imageFile.signer",
                "parentProcessImageFile.filePublisher",
                "parentProcessImageFile.fileSize",
                "parentProcessImageFile.issuer",
                "parentProcessImageFile.md5",
                "parentProcessImageFile.sha256Ac",
                "parentProcessImageFile.signer",
            ],
        )],
    ),
    (
        "describes the thing further than any format has keys for",
        &[
            (Some(K::AiAgent), &["instructions"]),
            (Some(K::AnalyzedMessage), &["language"]),
            (Some(K::CloudLogonSession), &["browser", "previousLogonDateTime"]),
            (Some(K::Container), &["isPrivileged"]),
            (Some(K::HostLogonSession), &["endUtcDateTime"]),
            (
                Some(K::IoTDevice),
                &[
                    "importance",
                    "isAuthorized",
                    "isProgramming",
                    "isScanner",
                    "purdueLayer",
                    "sensor",
                    "serialNumber",
                    "site",
                    "zone",
                ],
            ),
            (Some(K::KubernetesCluster), &["platform", "version"]),
            (Some(K::MailCluster), &["emailCount"]),
            (Some(K::SasToken), &["allowedIpAddresses", "expiryDateTime", "protocol", "signedWith", "startDateTime"]),
            (Some(K::TeamsMessage), &["isExternal", "isOwned", "lastModifiedDateTime"]),
            (None, &["stream.name"]),
        ],
    ),
];
