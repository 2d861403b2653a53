//! Evidence: which member of which kind is which field, in the two ways Microsoft writes evidence.

mod entity;
mod graph;
mod unmapped;

use crate::event::EvidenceKind;
use crate::normalize::object::{Index, Path, Special};
pub(in crate::normalize) use unmapped::left_out;

/// How an interface writes evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::normalize) enum Vocabulary {
    /// Graph: an object of its own type for each kind, named by `@odata.type`.
    Graph,
    /// The XDR and Endpoint interfaces: one flat shape for all kinds, told apart by `entityType`.
    Entity,
}

/// The evidence of one interface, ready to be asked for members.
#[derive(Debug)]
pub(in crate::normalize) struct Pieces {
    pub(in crate::normalize) vocabulary: Vocabulary,
    /// One for each kind, by its number; the last one is for kinds we don't know.
    indexes: Vec<Index>,
}

impl Vocabulary {
    /// The member that says which kind it is.
    pub(in crate::normalize) const fn type_key(self) -> &'static str {
        match self {
            Self::Graph => "@odata.type",
            Self::Entity => "entityType",
        }
    }

    pub(in crate::normalize) fn kind(self, name: &str) -> EvidenceKind {
        match self {
            Self::Graph => EvidenceKind::parse(name),
            Self::Entity => entity::kind(name),
        }
    }

    const fn paths_of(self, kind: EvidenceKind) -> &'static [Path] {
        match self {
            Self::Graph => graph::paths_of(kind),
            Self::Entity => entity::paths_of(kind),
        }
    }

    /// What every kind has.
    const fn base(self) -> &'static [Path] {
        match self {
            Self::Graph => graph::BASE,
            Self::Entity => entity::BASE,
        }
    }
}

impl Pieces {
    pub(in crate::normalize) fn of(vocabulary: Vocabulary) -> Self {
        let specials = [(vocabulary.type_key(), Special::Type)];
        let index = |kind: EvidenceKind| {
            // Of a kind that nobody knows no member's meaning is known either: it stays as it is.
            let base = if kind == EvidenceKind::Other && vocabulary == Vocabulary::Entity {
                graph::BASE
            } else {
                vocabulary.base()
            };
            Index::of(&[base, vocabulary.paths_of(kind)], &[&specials, SPECIALS])
        };
        let kinds = EvidenceKind::ALL.iter().copied().chain([EvidenceKind::Other]);
        Self { vocabulary, indexes: kinds.map(index).collect() }
    }

    pub(in crate::normalize) fn index(&self, kind: EvidenceKind) -> &Index {
        &self.indexes[kind as usize]
    }
}

/// What code reads in every piece.
const SPECIALS: &[(&str, Special)] =
    &[("verdict", Special::Verdict), ("remediationStatus", Special::Remediation), ("roles", Special::Roles)];

#[cfg(test)]
mod tests {
    use super::unmapped::UNMAPPED;
    use super::*;

    /// Microsoft's kinds of evidence and their members, one kind a line.
    const MEMBERS: &str = include_str!("members.txt");

    #[test]
    fn every_member_of_every_kind_has_a_field_or_a_reason() {
        let pieces = Pieces::of(Vocabulary::Graph);
        let reasoned = |kind: EvidenceKind, member: &str| {
            UNMAPPED.iter().any(|(_, rows)| {
                rows.iter().any(|(of, members)| of.is_none_or(|of| of == kind) && members.contains(&member))
            })
        };
        let (mut kinds, mut missing) = (0, Vec::new());
        for line in MEMBERS.lines() {
            let (name, members) = line.split_once(": ").unwrap();
            let kind = EvidenceKind::parse(name);
            kinds += usize::from(kind != EvidenceKind::Other);
            for member in members.split(' ') {
                let is_mapped = pieces.index(kind).knows(member);
                assert!(!(is_mapped && reasoned(kind, member)), "{name}.{member} has both a field and a reason");
                if !is_mapped && !reasoned(kind, member) {
                    missing.push(format!("{name}.{member}"));
                }
            }
        }
        assert_eq!(kinds, EvidenceKind::ALL.len(), "every kind we know is in the list");
        assert!(missing.is_empty(), "neither mapped nor reasoned about: {missing:?}");
        for (kind, members) in UNMAPPED.iter().flat_map(|(_, rows)| *rows) {
            let line = |kind: EvidenceKind| MEMBERS.lines().find(|line| line.starts_with(&format!("{}:", kind.name())));
            for member in *members {
                let is_real = match kind {
                    Some(kind) => line(*kind).is_some_and(|line| line.split(' ').any(|known| known == *member)),
                    None => MEMBERS.contains(member),
                };
                assert!(is_real, "{kind:?}.{member} is no member of Microsoft's");
            }
        }
    }

    /// The members of entities that the documentation lists for each kind, and those of the newer answers.
    const ENTITIES: &[(&str, &str)] = &[
        ("File", "sha1 sha256 fileName filePath detectionStatus"),
        (
            "Process",
            "sha1 sha256 fileName filePath processId processCommandLine processCreationTime parentProcessId \
             parentProcessCreationTime parentProcessFileName parentProcessFilePath detectionStatus",
        ),
        ("Ip", "ipAddress"),
        ("Url", "url"),
        ("User", "accountName domainName userSid aadUserId userPrincipalName"),
        ("Mailbox", "mailboxDisplayName mailboxAddress accountName"),
        ("MailCluster", "clusterBy clusterByValue"),
        ("MailMessage", "sender recipient subject deliveryAction internetMessageId userPrincipalName"),
        ("SecurityGroup", "securityGroupId securityGroupName"),
        ("Registry", "registryHive registryKey registryValueType registryValue"),
        ("RegistryKey", "registryHive registryKey"),
        (
            "Device",
            "mdatpDeviceId deviceId aadDeviceId deviceDnsName osPlatform version osProcessor osBuild healthStatus \
             riskScore rbacGroupName rbacGroupId firstSeen",
        ),
    ];

    #[test]
    fn every_member_of_every_entity_has_a_field() {
        let pieces = Pieces::of(Vocabulary::Entity);
        for (word, members) in ENTITIES {
            let index = pieces.index(Vocabulary::Entity.kind(word));
            let of_all = ["entityType", "evidenceCreationTime", "verdict", "remediationStatus", "deviceId"];
            for member in members.split(' ').chain(of_all) {
                assert!(index.knows(member), "{word}.{member}");
            }
        }
    }

    #[test]
    fn entities_are_of_the_kinds_that_graph_has() {
        for (word, kind) in [
            ("File", EvidenceKind::File),
            ("Mailbox", EvidenceKind::Mailbox),
            ("MailBox", EvidenceKind::Mailbox),
            ("mailmessage", EvidenceKind::AnalyzedMessage),
            ("MailCluster", EvidenceKind::MailCluster),
            ("Registry", EvidenceKind::RegistryValue),
            ("RegistryKey", EvidenceKind::RegistryKey),
            ("Machine", EvidenceKind::Device),
            ("CloudResource", EvidenceKind::AzureResource),
            ("OAuthApplication", EvidenceKind::OAuthApplication),
            ("KubernetesPod", EvidenceKind::KubernetesPod),
            ("Teapot", EvidenceKind::Other),
            ("", EvidenceKind::Other),
            ("fileEvidence", EvidenceKind::Other),
        ] {
            assert_eq!(Vocabulary::Entity.kind(word), kind, "{word}");
        }
    }
}
