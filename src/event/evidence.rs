//! Evidence: one thing an alert is about, with Microsoft's judgement of it.

use crate::event::text::{Member, Text};
use crate::event::value::Fields;

/// One piece of evidence. Its fields are from the same dictionary as an event's.
#[derive(Debug)]
pub struct Evidence<'r> {
    pub kind: EvidenceKind,
    /// The kind as upstream spells it, which matters when it is newer than we are.
    pub kind_name: Text<'r>,
    pub roles: Roles,
    pub verdict: Verdict,
    pub remediation: Remediation,
    pub fields: Fields<'r>,
    pub unmapped: Vec<Member<'r>>,
    /// The whole piece, for formats that can carry it; `{}` where the record has no object of its own for it.
    pub raw: &'r str,
}

/// A closed set of words of Microsoft's, read without regard to case, blanks and underscores.
macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($variant:ident $word:literal,)* } else $other:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type { $($variant,)* $other }

        impl $type {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Microsoft's own spelling.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::$other => "other",
                }
            }
            /// A word that was added after us is `other`, never an error.
            pub fn parse(word: &str) -> Self {
                let exact = Self::ALL.iter().find(|known| known.name().eq_ignore_ascii_case(word));
                let found = exact.or_else(|| Self::ALL.iter().find(|known| same_word(known.name(), word)));
                found.copied().unwrap_or(Self::$other)
            }
        }
    };
}

fn same_word(known: &str, word: &str) -> bool {
    let letters = word.bytes().filter(|byte| !matches!(byte, b' ' | b'_')).map(|byte| byte.to_ascii_lowercase());
    letters.eq(known.bytes().map(|byte| byte.to_ascii_lowercase()))
}

words! {
    /// What sort of thing it is: Graph's evidence types, without `#microsoft.graph.security.`.
    EvidenceKind {
        ActiveDirectoryDomain "activeDirectoryDomainEvidence",
        AiAgent "aiAgentEvidence",
        AmazonResource "amazonResourceEvidence",
        AnalyzedMessage "analyzedMessageEvidence",
        AzureResource "azureResourceEvidence",
        BlobContainer "blobContainerEvidence",
        Blob "blobEvidence",
        CloudApplication "cloudApplicationEvidence",
        CloudLogonRequest "cloudLogonRequestEvidence",
        CloudLogonSession "cloudLogonSessionEvidence",
        Container "containerEvidence",
        ContainerImage "containerImageEvidence",
        ContainerRegistry "containerRegistryEvidence",
        Device "deviceEvidence",
        Dns "dnsEvidence",
        File "fileEvidence",
        FileHash "fileHashEvidence",
        GitHubOrganization "gitHubOrganizationEvidence",
        GitHubRepo "gitHubRepoEvidence",
        GitHubUser "gitHubUserEvidence",
        GoogleCloudResource "googleCloudResourceEvidence",
        HostLogonSession "hostLogonSessionEvidence",
        IoTDevice "ioTDeviceEvidence",
        Ip "ipEvidence",
        KubernetesCluster "kubernetesClusterEvidence",
        KubernetesController "kubernetesControllerEvidence",
        KubernetesNamespace "kubernetesNamespaceEvidence",
        KubernetesPod "kubernetesPodEvidence",
        KubernetesSecret "kubernetesSecretEvidence",
        KubernetesServiceAccount "kubernetesServiceAccountEvidence",
        KubernetesService "kubernetesServiceEvidence",
        MailCluster "mailClusterEvidence",
        MailboxConfiguration "mailboxConfigurationEvidence",
        Mailbox "mailboxEvidence",
        Malware "malwareEvidence",
        NetworkConnection "networkConnectionEvidence",
        Nic "nicEvidence",
        OAuthApplication "oauthApplicationEvidence",
        Process "processEvidence",
        RegistryKey "registryKeyEvidence",
        RegistryValue "registryValueEvidence",
        SasToken "sasTokenEvidence",
        SecurityGroup "securityGroupEvidence",
        ServicePrincipal "servicePrincipalEvidence",
        SubmissionMail "submissionMailEvidence",
        TeamsMessage "teamsMessageEvidence",
        Url "urlEvidence",
        User "userEvidence",
    } else Other
}

words! {
    /// The part it played.
    Role {
        Unknown "unknown",
        Contextual "contextual",
        Scanned "scanned",
        Source "source",
        Destination "destination",
        Created "created",
        Added "added",
        Compromised "compromised",
        Edited "edited",
        Attacked "attacked",
        Attacker "attacker",
        CommandAndControl "commandAndControl",
        Loaded "loaded",
        Suspicious "suspicious",
        PolicyViolator "policyViolator",
    } else Other
}

words! {
    /// What Microsoft thinks of it.
    Verdict {
        Unknown "unknown",
        Suspicious "suspicious",
        Malicious "malicious",
        NoThreatsFound "noThreatsFound",
    } else Other
}

words! {
    /// What was done about it.
    Remediation {
        None "none",
        Remediated "remediated",
        Prevented "prevented",
        Blocked "blocked",
        NotFound "notFound",
        Active "active",
        PendingApproval "pendingApproval",
        Declined "declined",
        Unremediated "unremediated",
        Running "running",
        PartiallyRemediated "partiallyRemediated",
    } else Other
}

impl Remediation {
    /// Whether the thing can do no more harm.
    pub const fn succeeded(self) -> bool {
        matches!(self, Self::Remediated | Self::Prevented | Self::Blocked)
    }

    /// How much attention it still needs; an alert is as bad as the worst of its evidence.
    pub const fn concern(self) -> u8 {
        match self {
            Self::Active | Self::Unremediated | Self::Declined => 4,
            Self::PendingApproval | Self::Running | Self::PartiallyRemediated => 3,
            Self::None | Self::NotFound | Self::Other => 2,
            Self::Remediated | Self::Prevented | Self::Blocked => 1,
        }
    }
}

/// The roles of one piece, each at most once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Roles(u16);

impl Roles {
    pub const fn add(&mut self, role: Role) {
        self.0 |= 1 << role as u16;
    }
    pub const fn has(self, role: Role) -> bool {
        self.0 & (1 << role as u16) != 0
    }
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.iter().copied().chain([Role::Other]).filter(move |role| self.has(*role))
    }
    /// An address is where something came from unless its part says otherwise.
    pub const fn is_target(self) -> bool {
        self.has(Role::Destination) || self.has(Role::CommandAndControl)
    }
    /// Flat formats show one device, one user, one file: the one that was compromised, else attacked, else the source.
    pub const fn rank(self) -> u8 {
        if self.has(Role::Compromised) {
            0
        } else if self.has(Role::Attacked) {
            1
        } else if self.has(Role::Source) {
            2
        } else {
            3
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_however_they_are_spelt() {
        assert_eq!(Verdict::parse("No Threats_Found"), Verdict::NoThreatsFound);
        assert_eq!(Remediation::parse("PENDINGAPPROVAL"), Remediation::PendingApproval);
        assert_eq!(Role::parse("somethingNew"), Role::Other);
        for kind in EvidenceKind::ALL {
            assert_eq!(EvidenceKind::parse(kind.name()), *kind);
        }
    }

    #[test]
    fn the_compromised_one_comes_first() {
        let mut roles = Roles::default();
        roles.add(Role::Source);
        assert_eq!(roles.rank(), 2);
        roles.add(Role::Compromised);
        assert_eq!(roles.rank(), 0);
        assert_eq!(roles.iter().collect::<Vec<_>>(), [Role::Source, Role::Compromised]);
    }
}
