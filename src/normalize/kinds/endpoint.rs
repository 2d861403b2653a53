//! Defender for Endpoint's own interface: `api/alerts`.

use super::Kind;
use crate::event::Field;
use crate::normalize::object::Special;

pub(super) const ALERT: Kind = Kind {
    paths: &[
        ("id", Field::AlertId),
        ("incidentId", Field::IncidentId),
        ("title", Field::AlertTitle),
        ("description", Field::AlertDescription),
        ("category", Field::AlertCategory),
        ("status", Field::AlertStatus),
        ("classification", Field::Classification),
        ("determination", Field::Determination),
        ("detectionSource", Field::AlertDetectionSource),
        ("detectorId", Field::AlertDetectorId),
        ("investigationId", Field::AlertInvestigationId),
        ("investigationState", Field::AlertInvestigation),
        ("mitreTechniques", Field::Techniques),
        ("threatName", Field::AlertThreatName),
        ("threatFamilyName", Field::AlertThreatFamily),
        ("assignedTo", Field::AssignedTo),
        ("alertCreationTime", Field::AlertCreated),
        ("lastUpdateTime", Field::AlertUpdated),
        ("firstEventTime", Field::AlertFirstActivity),
        ("lastEventTime", Field::AlertLastActivity),
        ("resolvedTime", Field::AlertResolved),
        ("aadTenantId", Field::TenantDirectory),
        ("machineId", Field::DeviceId),
        ("computerDnsName", Field::DeviceName),
        ("rbacGroupName", Field::DeviceGroup),
        ("loggedOnUsers", Field::DeviceUsers),
        ("relatedUser.userName", Field::UserName),
        ("relatedUser.domainName", Field::UserDomain),
        ("comments", Field::Comments),
    ],
    specials: &[("severity", Special::Severity), ("evidence", Special::Evidence)],
    means: &[(Field::RecordInterface, "api/alerts"), (Field::AlertServiceSource, "microsoftDefenderForEndpoint")],
    second_best: &[],
    unmapped: &[],
};
