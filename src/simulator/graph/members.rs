//! Enumeration members that were added after `unknownFutureValue`. A caller sees them only when it says that it can
//! take them; otherwise `unknownFutureValue` stands in their place. Pure.

use serde_json::Value;

const PLACEHOLDER: &str = "unknownFutureValue";

/// Property, and the members that came later.
const LATER: &[(&str, &[&str])] = &[
    ("status", &["awaitingAction"]),
    ("remediationStatus", &["active", "pendingApproval", "declined", "unremediated", "running", "partiallyRemediated"]),
    (
        "serviceSource",
        &[
            "microsoftDefenderForCloud",
            "microsoftSentinel",
            "microsoftInsiderRiskManagement",
            "microsoftThreatIntelligence",
            "microsoftSecurityForAI",
        ],
    ),
    (
        "detectionSource",
        &[
            "microsoftDefenderForCloud",
            "microsoftDefenderForIoT",
            "microsoftDefenderForServers",
            "microsoftDefenderForStorage",
            "microsoftDefenderForDNS",
            "microsoftDefenderForDatabases",
            "microsoftDefenderForContainers",
            "microsoftDefenderForNetwork",
            "microsoftDefenderForAppService",
            "microsoftDefenderForKeyVault",
            "microsoftDefenderForResourceManager",
            "microsoftDefenderForApiManagement",
            "nrtAlerts",
            "scheduledAlerts",
            "microsoftDefenderThreatIntelligenceAnalytics",
            "builtInMl",
            "microsoftInsiderRiskManagement",
            "microsoftThreatIntelligence",
            "microsoftDefenderForAIServices",
            "securityCopilot",
            "microsoftSentinel",
        ],
    ),
];

/// Whether the request's `Prefer` header asks for all members.
pub fn wanted(prefer: &str) -> bool {
    prefer.split([',', ';']).any(|preference| preference.trim().eq_ignore_ascii_case("include-unknown-enum-members"))
}

/// Puts the placeholder wherever a later member stands.
pub fn mask(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                let later = LATER.iter().find(|(property, _)| property == name).map(|(_, later)| *later);
                match (later, value.as_str()) {
                    (Some(later), Some(member)) if later.contains(&member) => *value = PLACEHOLDER.into(),
                    _ => mask(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn later_members_hide_behind_the_placeholder_at_any_depth() {
        let mut incident = json!({"status": "awaitingAction", "title": "active", "alerts": [
            {"serviceSource": "microsoftSentinel", "evidence": [{"remediationStatus": "active"}, {"remediationStatus": "none"}]},
            {"serviceSource": "microsoftDefenderForEndpoint", "status": "new"},
        ]});
        mask(&mut incident);
        let expected = json!({"status": PLACEHOLDER, "title": "active", "alerts": [
            {"serviceSource": PLACEHOLDER, "evidence": [{"remediationStatus": PLACEHOLDER}, {"remediationStatus": "none"}]},
            {"serviceSource": "microsoftDefenderForEndpoint", "status": "new"},
        ]});
        assert_eq!(incident, expected);
        assert!(wanted("odata.maxpagesize=50, include-unknown-enum-members"));
        assert!(!wanted("return=minimal"));
    }
}
