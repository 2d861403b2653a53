//! The one shape a record takes inside the gateway.

pub mod attack;
pub mod batch;
pub(crate) mod bytes;
mod class;
pub mod dictionary;
pub mod ends;
pub mod evidence;
pub mod field;
pub mod id;
pub mod json;
mod label;
mod letters;
pub mod list;
pub mod product;
pub mod reduce;
pub mod resume;
pub mod text;
pub mod value;

pub use class::{Activity, Class};
pub use dictionary::Field;
pub use evidence::{Evidence, EvidenceKind, Remediation, Role, Roles, Verdict};
pub use field::Kind;
pub use id::EventId;
pub use label::Label;
pub use list::List;
pub use text::{Member, Raw, Text};
pub use value::{Fields, Value};

use std::fmt;

use crate::clock::Timestamp;
use crate::ids::{SourceId, TenantId};

/// One record, normalised: it borrows from the record's bytes and lives only as long as they do.
#[derive(Debug)]
pub struct Event<'r> {
    pub id: EventId,
    pub tenant: &'r TenantId,
    pub source: &'r SourceId,
    pub class: Class,
    /// What was done, in a word that formats share; `Other` where only `action` tells.
    pub activity: Activity,
    /// What upstream calls this sort of record: the table of a streaming record, `Alert`, `Incident` or `Gap`.
    pub kind: Text<'r>,
    /// What happened, in upstream's word: the `ActionType` of a streaming record.
    pub action: Option<Text<'r>>,
    /// When it happened; for an incident or an alert, when it was last changed, so that a change isn't taken for late.
    pub time: Option<Timestamp>,
    pub severity: Severity,
    pub fields: Fields<'r>,
    /// What an alert is about, piece by piece.
    pub evidence: Vec<Evidence<'r>>,
    /// Columns that no table maps, and values of a type their column shouldn't have. Kept, never dropped silently.
    pub unmapped: Vec<Member<'r>>,
    /// Which of an object's versions this is; nothing for records of a log.
    pub revision: Option<Revision>,
    /// Which record of its message this is, counted from zero.
    pub index: u32,
    /// The record as text: upstream's own bytes, unless they were not UTF-8.
    pub record: &'r str,
    /// The record as upstream sent it.
    pub raw: &'r [u8],
    /// Whether `record` differs from `raw`: each broken sequence became U+FFFD.
    pub repaired: bool,
    /// What was left out, if the whole event was too long for its receiver.
    pub reduced: Option<reduce::Reduced>,
}

/// How bad it is, by upstream's own judgement. Telemetry has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    #[default]
    Unknown,
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    pub const ALL: &'static [Self] =
        &[Self::Unknown, Self::Informational, Self::Low, Self::Medium, Self::High, Self::Critical];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
    /// Reads any of Microsoft's spellings; one that was added after us is unknown, not an error.
    pub fn parse(name: &str) -> Self {
        Self::known(name).unwrap_or_default()
    }
    /// The same, but nothing for a word that was added after us.
    pub fn known(name: &str) -> Option<Self> {
        let named = || Self::ALL.iter().copied().find(|severity| severity.name().eq_ignore_ascii_case(name));
        // Graph's metadata numbers its words, and an interface may be asked to send the numbers.
        match name {
            "0" => Some(Self::Unknown),
            "32" => Some(Self::Informational),
            "64" => Some(Self::Low),
            "128" => Some(Self::Medium),
            "256" => Some(Self::High),
            _ if ["unspecified", "unknownFutureValue"].iter().any(|word| name.eq_ignore_ascii_case(word)) => {
                Some(Self::Unknown)
            }
            _ => named(),
        }
    }
}

/// One version of an incident or an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision {
    pub change: Change,
    pub updated: Timestamp,
    /// The digest that tells versions with the same time apart; nothing where the record has no coordinates.
    pub digest: Option<[u8; 8]>,
}

/// When it was made, and what tells it from others of the same time.
impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.updated)?;
        self.digest.map_or(Ok(()), |digest| write!(f, "/{:016x}", u64::from_be_bytes(digest)))
    }
}

/// What became of the object in this version. Without memory of what was sent before, a version that was never changed
/// since it was made is its creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    Create,
    Update,
    Close,
}

impl Change {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Close => "close",
        }
    }
    pub const fn activity(self) -> Activity {
        match self {
            Self::Create => Activity::Create,
            Self::Update => Activity::Update,
            Self::Close => Activity::Complete,
        }
    }
}
