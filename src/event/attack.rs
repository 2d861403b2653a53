//! MITRE ATT&CK as Microsoft speaks of it: techniques inside texts, and categories that are tactics.

use super::text::Text;

/// A technique or sub-technique, and what it is called where the text says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Technique<'t> {
    /// `T1078` or `T1078.004`.
    pub id: &'t str,
    pub name: Option<&'t str>,
}

impl<'t> Technique<'t> {
    /// Reads `T1078.004`, `Cloud Accounts (T1078.004)` and `Phishing(T1566)`; nothing where no id stands.
    pub fn find(text: &'t str) -> Option<Self> {
        text.match_indices('T').find_map(|(start, _)| {
            let bytes = &text.as_bytes()[start + 1..];
            let are_digits =
                |from: usize, to: usize| bytes.get(from..to).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
            if !are_digits(0, 4) || are_digits(4, 5) {
                return None;
            }
            let has_sub = bytes.get(4) == Some(&b'.') && are_digits(5, 8) && !are_digits(8, 9);
            let id = &text[start..start + if has_sub { 9 } else { 5 }];
            let name = text[..start].strip_suffix('(').map(str::trim).filter(|name| !name.is_empty());
            Some(Self { id, name })
        })
    }

    /// Without the part after the dot.
    pub fn parent(&self) -> &'t str {
        &self.id[..self.id.len().min(5)]
    }
    pub const fn is_sub(&self) -> bool {
        self.id.len() > 5
    }
}

/// A goal of an attacker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tactic {
    pub id: &'static str,
    pub name: &'static str,
}

impl Tactic {
    /// The tactic a category of Microsoft's stands for. Categories such as `Malware` or `Phishing` stand for none.
    pub fn of_category(category: Text<'_>) -> Option<Self> {
        CATEGORIES.iter().find(|(name, _)| same(name, category)).map(|(_, tactic)| *tactic)
    }
}

fn same(known: &str, category: Text<'_>) -> bool {
    let letters = category.letters().filter(|letter| !matches!(letter, ' ' | '_'));
    letters.map(|letter| letter.to_ascii_lowercase()).eq(known.chars().map(|letter| letter.to_ascii_lowercase()))
}

/// Tactics in the order in which they came, each once. There are no more than categories stand for.
#[derive(Debug, Default)]
pub struct Tactics {
    list: [Option<Tactic>; CATEGORIES.len()],
}

impl Tactics {
    pub fn add(&mut self, tactic: Tactic) {
        let place = self.list.iter_mut().find(|place| place.is_none_or(|before| before == tactic));
        place.into_iter().for_each(|place| *place = Some(tactic));
    }
    pub fn iter(&self) -> impl Iterator<Item = Tactic> {
        self.list.iter().map_while(|tactic| *tactic)
    }
    pub const fn is_empty(&self) -> bool {
        self.list[0].is_none()
    }
    /// The one there is, if there is no other.
    pub const fn only(&self) -> Option<Tactic> {
        if self.list[1].is_none() { self.list[0] } else { None }
    }
}

const fn tactic(id: &'static str, name: &'static str) -> Tactic {
    Tactic { id, name }
}

const CATEGORIES: &[(&str, Tactic)] = &[
    ("Reconnaissance", tactic("TA0043", "Reconnaissance")),
    ("ResourceDevelopment", tactic("TA0042", "Resource Development")),
    ("InitialAccess", tactic("TA0001", "Initial Access")),
    ("Execution", tactic("TA0002", "Execution")),
    ("Persistence", tactic("TA0003", "Persistence")),
    ("PrivilegeEscalation", tactic("TA0004", "Privilege Escalation")),
    ("DefenseEvasion", tactic("TA0005", "Defense Evasion")),
    ("CredentialAccess", tactic("TA0006", "Credential Access")),
    ("CredentialTheft", tactic("TA0006", "Credential Access")),
    ("CredentialStealing", tactic("TA0006", "Credential Access")),
    ("Discovery", tactic("TA0007", "Discovery")),
    ("LateralMovement", tactic("TA0008", "Lateral Movement")),
    ("Collection", tactic("TA0009", "Collection")),
    ("CommandAndControl", tactic("TA0011", "Command and Control")),
    ("Exfiltration", tactic("TA0010", "Exfiltration")),
    ("Impact", tactic("TA0040", "Impact")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn techniques_are_found_in_what_microsoft_writes() {
        let cases = [
            ("T1078", Some(("T1078", None))),
            ("Cloud Accounts (T1078.004)", Some(("T1078.004", Some("Cloud Accounts")))),
            ("Phishing(T1566)", Some(("T1566", Some("Phishing")))),
            ("T12345", None),
            ("T1078.0041", Some(("T1078", None))),
            ("The T and T1003", Some(("T1003", None))),
            ("none", None),
            ("T1078.04", Some(("T1078", None))),
            ("é T12é", None),
            ("é (T1003)", Some(("T1003", Some("é")))),
        ];
        for (text, expected) in cases {
            let found = Technique::find(text).map(|technique| (technique.id, technique.name));
            assert_eq!(found, expected, "{text}");
        }
        let sub = Technique::find("T1078.004").unwrap();
        assert!(sub.is_sub() && sub.parent() == "T1078");
    }

    #[test]
    fn only_tactics_are_tactics() {
        let tactic = |category| Tactic::of_category(Text::plain(category));
        assert_eq!(tactic("Initial Access").unwrap().id, "TA0001");
        assert_eq!(tactic("commandandcontrol").unwrap().name, "Command and Control");
        assert_eq!(tactic("Malware"), None);
    }

    #[test]
    fn each_tactic_is_there_once() {
        let mut tactics = Tactics::default();
        let mut add =
            |category| Tactic::of_category(Text::plain(category)).into_iter().for_each(|one| tactics.add(one));
        ["Impact", "CredentialTheft", "Impact", "CredentialAccess"].into_iter().for_each(&mut add);
        CATEGORIES.iter().for_each(|(category, _)| add(category));
        assert_eq!(tactics.iter().map(|one| one.id).take(3).collect::<Vec<_>>(), ["TA0040", "TA0006", "TA0043"]);
        assert_eq!(tactics.iter().count(), 14);
        assert_eq!(tactics.only(), None);
    }
}
