//! Graph: `security/incidents` and `security/alerts_v2`.

use super::Kind;
use crate::event::Field;
use crate::normalize::object::{Path, Special};

pub(super) const INCIDENT: Kind = Kind {
    paths: &[
        ("id", Field::IncidentId),
        ("tenantId", Field::TenantDirectory),
        ("displayName", Field::IncidentTitle),
        ("description", Field::IncidentDescription),
        ("summary", Field::IncidentSummary),
        ("status", Field::IncidentStatus),
        ("classification", Field::Classification),
        ("determination", Field::Determination),
        ("createdDateTime", Field::IncidentCreated),
        ("lastUpdateDateTime", Field::IncidentUpdated),
        ("incidentWebUrl", Field::IncidentUrl),
        ("assignedTo", Field::AssignedTo),
        ("redirectIncidentId", Field::IncidentRedirectId),
        ("customTags", Field::IncidentTags),
        ("tags", Field::IncidentTags),
        ("systemTags", Field::IncidentSystemTags),
        ("priorityScore", Field::IncidentPriority),
        ("comments", Field::Comments),
        ("lastModifiedBy", Field::IncidentModifiedBy),
        ("resolvingComment", Field::IncidentResolvingComment),
    ],
    specials: &[("severity", Special::Severity), ("alerts", Special::Alerts)],
    means: &[(Field::RecordInterface, "security/incidents")],
    second_best: &[],
    unmapped: &[],
};

/// What an incident is told by its alerts.
pub(super) const OF_ALERTS: &[Path] = &[
    ("id", Field::AlertId),
    ("mitreTechniques", Field::Techniques),
    ("serviceSource", Field::AlertServiceSource),
    ("firstActivityDateTime", Field::AlertFirstActivity),
    ("lastActivityDateTime", Field::AlertLastActivity),
];

pub(super) const ALERT: Kind = Kind {
    paths: &[
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
    ],
    specials: &[("severity", Special::Severity), ("evidence", Special::Evidence)],
    means: &[(Field::RecordInterface, "security/alerts_v2")],
    second_best: &[],
    unmapped: &[],
};
