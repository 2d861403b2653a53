//! The XDR interface: `api/incidents`, and the alerts inside.

use super::Kind;
use crate::event::Field;
use crate::normalize::object::{Path, Special};

pub(super) const INCIDENT: Kind = Kind {
    paths: &[
        ("incidentId", Field::IncidentId),
        ("incidentName", Field::IncidentTitle),
        ("description", Field::IncidentDescription),
        ("summary", Field::IncidentSummary),
        ("status", Field::IncidentStatus),
        ("classification", Field::Classification),
        ("determination", Field::Determination),
        ("createdTime", Field::IncidentCreated),
        ("lastUpdateTime", Field::IncidentUpdated),
        ("incidentUri", Field::IncidentUrl),
        ("assignedTo", Field::AssignedTo),
        ("redirectIncidentId", Field::IncidentRedirectId),
        ("tags", Field::IncidentTags),
        ("systemTags", Field::IncidentSystemTags),
        ("priorityScore", Field::IncidentPriority),
        ("comments", Field::Comments),
    ],
    specials: &[("severity", Special::Severity), ("alerts", Special::Alerts)],
    means: &[(Field::RecordInterface, "api/incidents")],
    second_best: &[],
    unmapped: &[],
};

/// What an incident is told by its alerts.
pub(super) const OF_ALERTS: &[Path] = &[
    ("alertId", Field::AlertId),
    ("mitreTechniques", Field::Techniques),
    ("serviceSource", Field::AlertServiceSource),
    ("firstActivity", Field::AlertFirstActivity),
    ("lastActivity", Field::AlertLastActivity),
];

pub(super) const ALERT: Kind = Kind {
    paths: &[
        ("alertId", Field::AlertId),
        ("providerAlertId", Field::AlertProviderId),
        ("incidentId", Field::IncidentId),
        ("title", Field::AlertTitle),
        ("description", Field::AlertDescription),
        ("category", Field::AlertCategory),
        ("status", Field::AlertStatus),
        ("classification", Field::Classification),
        ("determination", Field::Determination),
        ("serviceSource", Field::AlertServiceSource),
        ("detectionSource", Field::AlertDetectionSource),
        ("detectorId", Field::AlertDetectorId),
        ("investigationId", Field::AlertInvestigationId),
        ("investigationState", Field::AlertInvestigation),
        ("mitreTechniques", Field::Techniques),
        ("threatFamilyName", Field::AlertThreatFamily),
        ("actorName", Field::AlertActor),
        ("assignedTo", Field::AssignedTo),
        ("creationTime", Field::AlertCreated),
        ("lastUpdatedTime", Field::AlertUpdated),
        ("firstActivity", Field::AlertFirstActivity),
        ("lastActivity", Field::AlertLastActivity),
        ("resolvedTime", Field::AlertResolved),
        ("comments", Field::Comments),
    ],
    specials: &[("severity", Special::Severity), ("devices", Special::Devices), ("entities", Special::Evidence)],
    means: &[(Field::RecordInterface, "api/incidents")],
    second_best: &[],
    unmapped: &[],
};
