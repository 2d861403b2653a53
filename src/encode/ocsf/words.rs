//! Microsoft's words and OCSF's numbers for them.

use crate::event::Text;

/// Words without case, blanks, hyphens and underscores.
pub(super) type Words = &'static [(&'static str, i64)];

/// Whether `text` is `word`, which is in lower case and all letters and digits.
pub(super) fn same_word(text: Text<'_>, word: &str) -> bool {
    let mut wanted = word.bytes();
    let written = text.as_written().bytes().filter(|byte| !matches!(byte, b' ' | b'_' | b'-'));
    for byte in written {
        if wanted.next() != Some(byte.to_ascii_lowercase()) {
            return false;
        }
    }
    wanted.next().is_none()
}

pub(super) fn number_of(text: Text<'_>, words: Words) -> Option<i64> {
    words.iter().find(|(word, _)| same_word(text, word)).map(|(_, number)| *number)
}

pub(super) const INTEGRITY: Words = &[
    ("untrusted", 1),
    ("low", 2),
    ("medium", 3),
    ("mediumplus", 3),
    ("high", 4),
    ("system", 5),
    ("protected", 6),
    ("unknown", 0),
];
pub(super) const LOGON_TYPE: Words = &[
    ("system", 1),
    ("interactive", 2),
    ("network", 3),
    ("batch", 4),
    ("service", 5),
    ("unlock", 7),
    ("networkcleartext", 8),
    ("newcredentials", 9),
    ("remoteinteractive", 10),
    ("remoteinteractive(rdp)logons", 10),
    ("cachedinteractive", 11),
    ("cachedremoteinteractive", 12),
    ("cachedunlock", 13),
    ("unknown", 0),
];
pub(super) const LOGON_PROTOCOL: Words = &[
    ("ntlm", 1),
    ("kerberos", 2),
    ("digest", 3),
    ("openid", 4),
    ("openidconnect", 4),
    ("saml", 5),
    ("saml20", 5),
    ("oauth", 6),
    ("oauth2", 6),
    ("oauth20", 6),
    ("pap", 7),
    ("chap", 8),
    ("eap", 9),
    ("radius", 10),
    ("basic", 11),
    ("ldap", 12),
    ("unknown", 0),
];
pub(super) const INJECTION: Words = &[
    ("remotethread", 1),
    ("createremotethread", 1),
    ("createremotethreadapicall", 1),
    ("loadlibrary", 2),
    ("queueapc", 3),
    ("queueuserapcremoteapicall", 3),
    ("unknown", 0),
];
pub(super) const DEVICE_TYPE: Words = &[
    ("server", 1),
    ("workstation", 2),
    ("desktop", 2),
    ("laptop", 3),
    ("tablet", 4),
    ("mobile", 5),
    ("virtual", 6),
    ("iot", 7),
    ("iotdevice", 7),
    ("browser", 8),
    ("firewall", 9),
    ("switch", 10),
    ("hub", 11),
    ("router", 12),
    ("unknown", 0),
];
pub(super) const RISK: Words =
    &[("none", 0), ("informational", 0), ("low", 1), ("medium", 2), ("high", 3), ("critical", 4)];
pub(super) const USER_TYPE: Words = &[
    ("user", 1),
    ("regular", 1),
    ("member", 1),
    ("admin", 2),
    ("administrator", 2),
    ("system", 3),
    ("application", 4),
    ("service", 4),
    ("serviceprincipal", 4),
    ("unknown", 0),
];
pub(super) const DNS_RESPONSE: Words = &[
    ("noerror", 0),
    ("formerror", 1),
    ("formerr", 1),
    ("serverror", 2),
    ("servfail", 2),
    ("nxdomain", 3),
    ("notimp", 4),
    ("refused", 5),
    ("yxdomain", 6),
    ("yxrrset", 7),
    ("nxrrset", 8),
    ("notauth", 9),
    ("notzone", 10),
];
pub(super) const IP_TYPE: Words = &[
    ("loopback", 1),
    ("private", 2),
    ("linklocal", 2),
    ("fourtosixmapping", 0),
    ("public", 3),
    ("teredo", 3),
    ("unknown", 0),
];
pub(super) const MAIL_DIRECTION: Words =
    &[("inbound", 1), ("outbound", 2), ("intraorg", 3), ("internal", 3), ("unknown", 0)];
pub(super) const REGISTRY_TYPE: Words = &[
    ("none", 7),
    ("binary", 1),
    ("dword", 2),
    ("dwordbigendian", 3),
    ("expandstring", 4),
    ("link", 5),
    ("multistring", 6),
    ("qword", 8),
    ("string", 10),
    ("regnone", 7),
    ("regbinary", 1),
    ("regdword", 2),
    ("regexpandsz", 4),
    ("reglink", 5),
    ("regmultisz", 6),
    ("regqword", 8),
    ("regsz", 10),
    ("unknown", 0),
];
pub(super) const SERVICE_START: Words = &[
    ("boot", 1),
    ("bootstart", 1),
    ("0", 1),
    ("system", 2),
    ("systemstart", 2),
    ("1", 2),
    ("auto", 3),
    ("automatic", 3),
    ("autostart", 3),
    ("2", 3),
    ("demand", 4),
    ("manual", 4),
    ("demandstart", 4),
    ("3", 4),
    ("disabled", 5),
    ("4", 5),
    ("unknown", 0),
];
pub(super) const PERIPHERAL: Words = &[
    ("diskdrive", 1),
    ("usb", 0),
    ("wpd", 1),
    ("volume", 1),
    ("cdrom", 1),
    ("keyboard", 2),
    ("mouse", 3),
    ("printer", 4),
    ("printqueue", 4),
    ("monitor", 5),
    ("audioendpoint", 6),
    ("camera", 7),
    ("image", 7),
    ("unknown", 0),
];
pub(super) const SCAN_TYPE: Words = &[
    ("manual", 1),
    ("ondemand", 1),
    ("custom", 1),
    ("scheduled", 2),
    ("updatedcontent", 3),
    ("quarantineditems", 4),
    ("attachedmedia", 5),
    ("userlogon", 6),
    ("elam", 7),
    ("unknown", 0),
];
pub(super) const SIGNATURE: Words = &[("catalog", 4), ("embedded", 4), ("unknown", 0)];
pub(super) const INTERFACE_TYPE: Words = &[
    ("ethernet", 1),
    ("wired", 1),
    ("wireless80211", 2),
    ("wireless", 2),
    ("wwanpp", 3),
    ("mobile", 3),
    ("tunnel", 4),
    ("unknown", 0),
];
pub(super) const STATUS: Words = &[("success", 1), ("succeeded", 1), ("failure", 2), ("failed", 2), ("unknown", 0)];
pub(super) const ALERT_STATUS: Words = &[("new", 1), ("inprogress", 2), ("active", 2), ("resolved", 4)];
pub(super) const INCIDENT_STATUS: Words =
    &[("active", 1), ("new", 1), ("inprogress", 2), ("awaitingaction", 3), ("resolved", 4), ("redirected", 5)];
pub(super) const NO_STATUS: Words = &[("unknown", 0), ("unknownfuturevalue", 0)];
pub(super) const CLASSIFICATION: Words = &[
    ("unknown", 0),
    ("falsepositive", 1),
    ("truepositive", 2),
    ("informationalexpectedactivity", 5),
    ("informational,expectedactivity", 5),
];
/// What a detection source analyses by.
pub(super) const ANALYTIC: Words = &[
    ("antivirus", 5),
    // Defender for Endpoint's own interface and the retired one have words of their own for the same.
    ("windowsdefenderav", 5),
    ("customerti", 1),
    ("builtinml", 4),
    ("customdetection", 1),
    ("customti", 1),
    ("nrtalerts", 1),
    ("scheduledalerts", 1),
    ("unknown", 0),
    ("unknownfuturevalue", 0),
];
pub(super) const MALWARE: Words = &[
    ("adware", 1),
    ("backdoor", 2),
    ("bot", 3),
    ("bootkit", 4),
    ("ddos", 5),
    ("downloader", 6),
    ("trojandownloader", 6),
    ("dropper", 7),
    ("trojandropper", 7),
    ("exploit", 8),
    ("exploitkit", 8),
    ("keylogger", 9),
    ("ransomware", 10),
    ("ransom", 10),
    ("remoteaccess", 11),
    ("remoteaccesstrojan", 11),
    ("coinminer", 13),
    ("rogue", 14),
    ("rootkit", 15),
    ("spyware", 17),
    ("trojan", 18),
    ("virus", 19),
    ("webshell", 20),
    ("wiper", 21),
    ("worm", 22),
    ("unknown", 0),
];

/// What was done, and what was thereby allowed or not: `disposition_id` and `action_id`.
pub(super) const DISPOSITIONS: &[(&str, i64, i64)] = &[
    ("allowed", 1, 1),
    ("delivered", 1, 1),
    ("blocked", 2, 2),
    ("prevented", 2, 2),
    ("denied", 2, 2),
    ("quarantined", 3, 2),
    ("movedtoquarantine", 3, 2),
    ("softdelete", 5, 2),
    ("harddelete", 5, 2),
    ("softdeleted", 5, 2),
    ("harddeleted", 5, 2),
    ("movedtodeleteditems", 5, 2),
    ("movedtojunk", 18, 4),
    ("movedtojunkfolder", 18, 4),
    ("movedtoinbox", 9, 4),
    ("deleted", 5, 2),
    ("dropped", 6, 2),
    ("restored", 9, 4),
    ("remediated", 11, 2),
    ("corrected", 11, 4),
    ("replaced", 11, 4),
    ("partiallyremediated", 12, 4),
    ("active", 13, 1),
    ("unremediated", 13, 1),
    ("failed", 13, 1),
    ("pendingapproval", 14, 3),
    ("running", 14, 3),
    ("none", 15, 3),
    ("detected", 15, 3),
    ("notfound", 16, 3),
    ("declined", 16, 1),
    ("noaction", 16, 3),
    ("audited", 17, 3),
    ("logged", 17, 3),
    ("junked", 18, 4),
    ("deliveredtojunk", 18, 4),
    ("tagged", 18, 4),
    ("warned", 23, 4),
    ("unknown", 0, 0),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_however_they_are_spelt() {
        assert_eq!(number_of(Text::plain("Remote Interactive"), LOGON_TYPE), Some(10));
        assert_eq!(number_of(Text::plain("intra-org"), MAIL_DIRECTION), Some(3));
        assert_eq!(number_of(Text::plain("networks"), LOGON_TYPE), None);
        assert_eq!(number_of(Text::plain("net"), LOGON_TYPE), None);
    }
}
