//! Graph `security/alerts_v2`: an alert, its evidence, and the one device, user, file … that flat formats show of it.

use crate::clock::Timestamp;
use crate::event::batch::Coordinates;
use crate::event::{
    Change, Class, Event, Evidence, EvidenceKind, Field, Fields, Raw, Remediation, Revision, Severity, Text, Value,
};
use crate::normalize::object::{self, Path};
use crate::normalize::{Input, Origin, Reason, evidence, json};

pub(super) fn event<'r>(origin: &Origin<'r>, input: Input<'r>) -> Result<Event<'r>, Reason> {
    let Raw::Object(object) = json::whole(input.text)? else { return Err(Reason::NotAnObject) };
    let (mut fields, mut unmapped) = (Fields::default(), Vec::new());
    let mut severity = Severity::Unknown;
    let mut pieces = Vec::new();
    for member in json::members(object) {
        match member.value {
            Raw::String(word) if member.key.eq_ignore_case("severity") => severity = Severity::parse(&word.to_cow()),
            Raw::Array(array) if member.key.eq_ignore_case("evidence") => pieces.extend(json::elements(array)),
            _ => {}
        }
    }
    object::map(object, ALERT, &mut fields, &mut unmapped, |key, value| {
        let is_read = match value {
            Raw::String(_) => key.eq_ignore_ascii_case("severity"),
            Raw::Array(_) => key.eq_ignore_ascii_case("evidence"),
            _ => false,
        };
        is_read || key.starts_with("@odata.")
    });
    if !fields.has(Field::AlertId) {
        return Err(Reason::NoId);
    }
    let evidence: Vec<Evidence<'r>> = pieces.iter().filter_map(evidence::read).collect();
    conclude(&mut fields, &evidence);
    let id = origin.id(0, input.raw);
    let updated = fields.time(Field::AlertUpdated);
    let status = fields.text(Field::AlertStatus);
    Ok(Event {
        id,
        tenant: origin.tenant,
        source: origin.source,
        class: Class::Alert,
        kind: Text::plain("Alert"),
        action: None,
        time: updated.or_else(|| fields.time(Field::AlertCreated)).or(origin.published),
        severity,
        revision: revision(origin, updated, fields.time(Field::AlertCreated), status),
        fields,
        evidence,
        unmapped,
        index: 0,
        record: object,
        raw: input.raw,
        repaired: input.repaired,
    })
}

/// Which version of an object this is, and what became of the object in it.
pub(super) fn revision(
    origin: &Origin<'_>,
    updated: Option<Timestamp>,
    created: Option<Timestamp>,
    status: Option<Text<'_>>,
) -> Option<Revision> {
    let version = match origin.coordinates {
        Some(Coordinates::Object { version, .. }) => Some(*version),
        Some(Coordinates::Log { .. }) | None => None,
    };
    let is_over = status.is_some_and(|status| status.eq_ignore_case("resolved") || status.eq_ignore_case("redirected"));
    let change = match (is_over, updated == created) {
        (true, _) => Change::Close,
        (false, true) => Change::Create,
        (false, false) => Change::Update,
    };
    let updated = updated.or(version.map(|version| version.updated))?;
    Some(Revision { change, updated, digest: version.map(|version| version.digest) })
}

/// What follows from the evidence as a whole, and the pieces that flat formats show.
fn conclude<'r>(fields: &mut Fields<'r>, evidence: &[Evidence<'r>]) {
    let mut states = evidence.iter().filter_map(|piece| piece.fields.text(Field::ProcessDetection)).peekable();
    if states.peek().is_some() {
        let was_executing = states.any(|state| state.eq_ignore_case("detected"));
        fields.insert(Field::AlertWasExecuting, Value::Bool(was_executing));
    }
    // A piece nothing was ever to be done about says nothing about success.
    let remediations = evidence.iter().map(|piece| piece.remediation).filter(|state| *state != Remediation::None);
    if let Some(worst) = remediations.max_by_key(|state| state.concern()) {
        fields.insert(Field::AlertIsRemediated, Value::Bool(worst.succeeded()));
        if worst != Remediation::Other {
            fields.insert(Field::Disposition, Value::plain(worst.name()));
        }
    }
    for piece in primaries(evidence) {
        for (field, value) in piece.fields.iter().filter(|(field, _)| !OF_THE_PIECE.contains(field)) {
            fields.insert(field, value.clone());
        }
    }
}

/// The first piece of each kind by the order of roles, with those first that own the fields they bring: the user of an
/// alert is the user it names, and only without one the user of a process.
fn primaries<'e, 'r>(evidence: &'e [Evidence<'r>]) -> impl Iterator<Item = &'e Evidence<'r>> {
    const FIRST: &[EvidenceKind] = &[
        EvidenceKind::Device,
        EvidenceKind::User,
        EvidenceKind::Mailbox,
        EvidenceKind::File,
        EvidenceKind::Process,
        EvidenceKind::Ip,
        EvidenceKind::Url,
    ];
    let others = EvidenceKind::ALL.iter().filter(|kind| !FIRST.contains(kind));
    FIRST
        .iter()
        .chain(others)
        .filter_map(|kind| evidence.iter().filter(|piece| piece.kind == *kind).min_by_key(|piece| piece.roles.rank()))
}

/// Fields that describe one piece and would say something untrue of the alert.
const OF_THE_PIECE: &[Field] =
    &[Field::EvidenceCreated, Field::EvidenceDetailedRoles, Field::EvidenceTags, Field::EvidenceRemediationDetails];

const ALERT: &[Path] = &[
    ("id", Field::AlertId),
    ("providerAlertId", Field::AlertProviderId),
    ("incidentId", Field::IncidentId),
    ("incidentWebUrl", Field::IncidentUrl),
    ("tenantId", Field::TenantDirectory),
    ("title", Field::AlertTitle),
    ("description", Field::AlertDescription),
    ("category", Field::AlertCategory),
    ("categories", Field::AlertCategories),
    ("status", Field::AlertStatus),
    ("classification", Field::Classification),
    ("determination", Field::Determination),
    ("serviceSource", Field::AlertServiceSource),
    ("detectionSource", Field::AlertDetectionSource),
    ("detectorId", Field::AlertDetectorId),
    ("alertPolicyId", Field::AlertPolicyId),
    ("investigationState", Field::AlertInvestigation),
    ("mitreTechniques", Field::Techniques),
    ("threatDisplayName", Field::AlertThreatName),
    ("threatFamilyName", Field::AlertThreatFamily),
    ("actorDisplayName", Field::AlertActor),
    ("assignedTo", Field::AssignedTo),
    ("createdDateTime", Field::AlertCreated),
    ("lastUpdateDateTime", Field::AlertUpdated),
    ("firstActivityDateTime", Field::AlertFirstActivity),
    ("lastActivityDateTime", Field::AlertLastActivity),
    ("resolvedDateTime", Field::AlertResolved),
    ("alertWebUrl", Field::AlertUrl),
    ("recommendedActions", Field::AlertRecommendedActions),
    ("productName", Field::AlertProduct),
    ("systemTags", Field::AlertTags),
    ("customDetails", Field::AlertCustom),
    ("additionalData", Field::AlertAdditional),
    ("comments", Field::Comments),
];
