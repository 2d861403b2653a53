//! Microsoft's products by the names their services have in records.

use crate::event::{Event, Field, Text};

/// The product that saw an event: the one its alert names, else the one its table belongs to.
pub fn product_behind(event: &Event<'_>) -> &'static str {
    if let Some(service) = event.fields.text(Field::AlertServiceSource) {
        return product_of(service).unwrap_or(SUITE);
    }
    product_of_table(event.kind)
}

/// The product a table belongs to.
pub fn product_of_table(table: Text<'_>) -> &'static str {
    let found = TABLES.iter().find(|(prefix, _)| table.as_written().starts_with(prefix));
    found.map_or(SUITE, |(_, product)| *product)
}

const SUITE: &str = "Microsoft Defender XDR";

/// Products by what the names of their tables begin with.
const TABLES: &[(&str, &str)] = &[
    ("Device", "Microsoft Defender for Endpoint"),
    ("Email", "Microsoft Defender for Office 365"),
    ("Url", "Microsoft Defender for Office 365"),
    ("Message", "Microsoft Defender for Office 365"),
    ("Identity", "Microsoft Defender for Identity"),
    ("CloudApp", "Microsoft Defender for Cloud Apps"),
    ("CloudAudit", "Microsoft Defender for Cloud"),
    ("CloudProcess", "Microsoft Defender for Cloud"),
    ("CloudStorage", "Microsoft Defender for Cloud"),
];

/// The product behind a `serviceSource`, however it is spelt; nothing for one that was added after us.
pub fn product_of(service: Text<'_>) -> Option<&'static str> {
    let wanted = Letters::of(service);
    SERVICES.iter().find(|(name, _)| wanted.are(name)).map(|(_, product)| *product)
}

/// Names are compared without allocating: they are looked up for each alert.
struct Letters {
    bytes: [u8; 64],
    length: usize,
}

impl Letters {
    fn of(text: Text<'_>) -> Self {
        let mut all = Self { bytes: [0; 64], length: 0 };
        for letter in text.letters().filter(char::is_ascii_alphanumeric) {
            if let (Some(place), Ok(byte)) = (all.bytes.get_mut(all.length), u8::try_from(letter)) {
                *place = byte.to_ascii_lowercase();
            }
            all.length += 1;
        }
        all
    }

    /// Whether they are those of a name that has nothing but letters and digits.
    fn are(&self, name: &str) -> bool {
        let letters = self.bytes.get(..self.length);
        letters.is_some_and(|letters| letters.eq_ignore_ascii_case(name.as_bytes()))
    }
}

const SERVICES: &[(&str, &str)] = &[
    ("microsoftDefenderForEndpoint", "Microsoft Defender for Endpoint"),
    ("microsoftDefenderForIdentity", "Microsoft Defender for Identity"),
    ("azureAdvancedThreatProtection", "Microsoft Defender for Identity"),
    ("microsoftDefenderForCloudApps", "Microsoft Defender for Cloud Apps"),
    ("microsoftCloudAppSecurity", "Microsoft Defender for Cloud Apps"),
    ("microsoftDefenderForOffice365", "Microsoft Defender for Office 365"),
    ("officeATP", "Microsoft Defender for Office 365"),
    ("microsoft365Defender", "Microsoft Defender XDR"),
    ("microsoftDefenderXDR", "Microsoft Defender XDR"),
    ("microsoftThreatProtection", "Microsoft Defender XDR"),
    ("azureAdIdentityProtection", "Microsoft Entra ID Protection"),
    ("aadIdentityProtection", "Microsoft Entra ID Protection"),
    ("microsoftAppGovernance", "Microsoft App Governance"),
    ("appGovernance", "Microsoft App Governance"),
    ("dataLossPrevention", "Microsoft Purview Data Loss Prevention"),
    ("microsoftDataLossPrevention", "Microsoft Purview Data Loss Prevention"),
    ("microsoftDefenderForCloud", "Microsoft Defender for Cloud"),
    ("microsoftSentinel", "Microsoft Sentinel"),
    ("microsoftInsiderRiskManagement", "Microsoft Purview Insider Risk Management"),
    ("microsoftThreatIntelligence", "Microsoft Defender Threat Intelligence"),
    ("microsoftSecurityForAI", "Microsoft Security for AI"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_told_however_their_service_is_spelt() {
        for name in ["microsoftDefenderForEndpoint", "Microsoft Defender for Endpoint", "MicrosoftDefenderforEndpoint"]
        {
            assert_eq!(product_of(Text::plain(name)), Some("Microsoft Defender for Endpoint"));
        }
        assert_eq!(product_of(Text::plain("somethingNew")), None);
        assert_eq!(product_of(Text::plain(&"x".repeat(100))), None);
    }
}
