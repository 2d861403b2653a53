//! Shared access signatures and the rights they give: parsing, checking and what an audience covers. The key is used as
//! the bytes of its text; unlike a Storage key it is never base64-decoded.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::clock::Timestamp;
use crate::secret::Secret;

const TOKEN_PREFIX: &str = "SharedAccessSignature ";

/// A named key of the namespace and what its holder may do.
#[derive(Debug, Clone)]
pub struct Rule {
    pub name: String,
    pub key: Secret,
    pub rights: Rights,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    pub listen: bool,
    pub send: bool,
}

impl Rights {
    pub const ALL: Self = Self { listen: true, send: true };
    pub const LISTEN: Self = Self { listen: true, send: false };
    pub const SEND: Self = Self { listen: false, send: true };
}

/// What a connection may do, where, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub audience: Audience,
    pub rights: Rights,
    pub until: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    #[error("it is not a shared access signature with sr, sig, se and skn")]
    Shape,
    #[error("no rule is named `{0}`")]
    UnknownRule(String),
    #[error("its signature is wrong")]
    Signature,
    #[error("it expired at {0}")]
    Expired(Timestamp),
    #[error("it is for `{granted}`, which does not cover `{asked}`")]
    Audience { granted: String, asked: String },
    #[error("its type `{0}` is not known")]
    Type(String),
    #[error("it is refused by its issuer's rules: {0}")]
    Jwt(String),
}

/// The resource a token speaks of: host and path without scheme and port, in lower case, compared by whole segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience(String);

impl Audience {
    pub fn of(uri: &str) -> Self {
        let after_scheme = uri.split_once("://").map_or(uri, |(_, rest)| rest);
        let (authority, path) = after_scheme.split_once('/').unwrap_or((after_scheme, ""));
        let host = authority.split(':').next().unwrap_or_default();
        let joined = format!("{host}/{path}").to_ascii_lowercase();
        Self(joined.trim_end_matches('/').to_owned())
    }

    /// Whether what is granted for this covers `other`: the same resource, or one below it.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether this covers `path` on the audience's own host.
    pub fn covers_path(&self, path: &str) -> bool {
        let host = self.0.split('/').next().unwrap_or_default();
        self.covers(&Self::of(&format!("{host}/{path}")))
    }

    /// The hub this speaks of, in lower case; `None` when it speaks of the whole namespace.
    pub fn hub(&self) -> Option<&str> {
        self.0.split('/').nth(1)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks a signature token that a client presents for `audience`, and says what it grants.
pub fn check(token: &str, audience: &str, rules: &[Rule], now: Timestamp) -> Result<Grant, BadToken> {
    let fields = token.strip_prefix(TOKEN_PREFIX).ok_or(BadToken::Shape)?;
    let field = |name: &str| {
        let value = fields.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.ok_or(BadToken::Shape)
    };
    let (resource, signature, expiry, rule_name) = (field("sr")?, field("sig")?, field("se")?, field("skn")?);
    let rule_name = percent_decoded(rule_name).ok_or(BadToken::Shape)?;
    let rule = rules.iter().find(|rule| rule.name == rule_name).ok_or(BadToken::UnknownRule(rule_name))?;

    let signature = percent_decoded(signature).and_then(|text| STANDARD.decode(text).ok()).ok_or(BadToken::Shape)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, rule.key.expose().as_bytes());
    // The signed text is the resource exactly as sent, still encoded.
    hmac::verify(&key, format!("{resource}\n{expiry}").as_bytes(), &signature).map_err(|_| BadToken::Signature)?;

    let seconds: i64 = expiry.parse().map_err(|_| BadToken::Shape)?;
    let until = Timestamp::from_millis(seconds.saturating_mul(1000));
    if until <= now {
        return Err(BadToken::Expired(until));
    }
    let granted = Audience::of(&percent_decoded(resource).ok_or(BadToken::Shape)?);
    let asked = Audience::of(audience);
    if !granted.covers(&asked) {
        return Err(BadToken::Audience { granted: granted.as_str().to_owned(), asked: asked.as_str().to_owned() });
    }
    Ok(Grant { audience: asked, rights: rule.rights, until })
}

/// Checks a rule's name and key as SASL PLAIN carries them; the comparison does not tell by its time how much matched.
pub fn check_plain<'rules>(name: &[u8], key: &[u8], rules: &'rules [Rule]) -> Option<&'rules Rule> {
    let rule = rules.iter().find(|rule| rule.name.as_bytes() == name)?;
    let expected = hmac::Key::new(hmac::HMAC_SHA256, rule.key.expose().as_bytes());
    let given = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::verify(&expected, name, hmac::sign(&given, name).as_ref()).ok()?;
    Some(rule)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_600_000_000_000);

    fn rules() -> Vec<Rule> {
        let rule = |name: &str, key: &str, rights| Rule { name: name.into(), key: Secret::new(key.into()), rights };
        vec![
            rule("RootManageSharedAccessKey", "r9rdIglXNiIPN2Lgj/HyhgOuq+aGht0qH3n+/lYQhfo=", Rights::ALL),
            rule("listen-only", "c2VjcmV0LWtleS1mb3ItdGVzdHMtb25seQ==", Rights::LISTEN),
        ]
    }

    /// Published with the protocol library whose documentation shows it.
    const ROOT: &str = "SharedAccessSignature sr=amqps%3A%2F%2Ffe2o3-amqp-example.servicebus.windows.net\
        &sig=WOVqJi%2B2fowHpCC2g3ztxEQrYAU173BGWrkVaPlvPj4%3D&se=1667344375&skn=RootManageSharedAccessKey";
    const LISTEN: &str = "SharedAccessSignature sr=amqps%3A%2F%2Fcontoso-siem.servicebus.windows.net%2Fdefender-all\
        &sig=06%2BC1CnG6O3vB1%2Fp0OF8ZZ5%2FMvK%2BmBxmdfGdtpKa11U%3D&se=1893456000&skn=listen-only";

    #[test]
    fn known_signatures_are_accepted_for_what_they_cover() {
        let grant = check(ROOT, "amqps://fe2o3-amqp-example.servicebus.windows.net/hub", &rules(), NOW).unwrap();
        assert_eq!((grant.rights, grant.until.seconds()), (Rights::ALL, 1_667_344_375));
        assert!(grant.audience.covers_path("hub/ConsumerGroups/$Default/Partitions/0"));
        assert!(!grant.audience.covers_path("hub2"));

        let audience = "sb://Contoso-SIEM.servicebus.windows.net:5671/defender-all/ConsumerGroups/$Default";
        assert_eq!(check(LISTEN, audience, &rules(), NOW).unwrap().rights, Rights::LISTEN);
    }

    #[test]
    fn a_token_is_refused_for_the_right_reason() {
        let hub = "amqps://contoso-siem.servicebus.windows.net/defender-all";
        let refused = |token: &str, audience: &str, now| check(token, audience, &rules(), now).unwrap_err();
        let later = Timestamp::from_millis(1_893_456_000_000);
        assert_eq!(refused(LISTEN, hub, later), BadToken::Expired(later));
        assert!(matches!(refused(LISTEN, &format!("{hub}-2"), NOW), BadToken::Audience { .. }));
        assert!(matches!(refused(LISTEN, "amqps://other.example/defender-all", NOW), BadToken::Audience { .. }));
        assert_eq!(refused(&LISTEN.replace("se=18", "se=19"), hub, NOW), BadToken::Signature);
        assert_eq!(refused(&LISTEN.replace("defender-all", "defender"), hub, NOW), BadToken::Signature);
        assert_eq!(refused(&LISTEN.replace("listen-only", "nobody"), hub, NOW), BadToken::UnknownRule("nobody".into()));
        assert_eq!(refused("Bearer x", hub, NOW), BadToken::Shape);
        assert_eq!(refused(&LISTEN.replace("&sig=06%2B", "&sig=%"), hub, NOW), BadToken::Shape);
    }

    #[test]
    fn an_audience_knows_its_hub() {
        assert_eq!(Audience::of("amqps://ns.example:5671/Hub/ConsumerGroups/g").hub(), Some("hub"));
        assert_eq!(Audience::of("amqps://ns.example/").hub(), None);
    }

    #[test]
    fn a_rule_is_known_by_name_and_key_together() {
        let rules = rules();
        assert!(check_plain(b"listen-only", b"c2VjcmV0LWtleS1mb3ItdGVzdHMtb25seQ==", &rules).is_some());
        assert!(check_plain(b"listen-only", b"c2VjcmV0LWtleS1mb3ItdGVzdHMtb25seQ", &rules).is_none());
        assert!(check_plain(b"nobody", b"", &rules).is_none());
    }
}
