//! Claims-based security: the token text we show the service, the name it is for, and when to show the next one. Pure.

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::clock::Timestamp;
use crate::secret::Secret;

/// How long a signature we make ourselves is valid. Short enough that a copied one ages soon, long enough that an
/// hour without renewal does no harm.
pub const SIGNATURE_LIFETIME: Duration = Duration::from_secs(3600);

/// How long before its end a token is replaced: three attempts a minute apart and slack for a skewed clock still fit.
const RENEW_BEFORE: Duration = Duration::from_secs(6 * 60);

/// A token that lives shorter than this is renewed when a fifth of its life is left.
const SHORT_LIFE: Duration = Duration::from_secs(30 * 60);

/// What we put to `$cbs` for one hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub kind: TokenKind,
    pub text: Secret,
    pub expires: Timestamp,
}

/// The two types of token Event Hubs takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    Signature,
    Entra,
}

impl TokenKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signature => "servicebus.windows.net:sastoken",
            Self::Entra => "jwt",
        }
    }
}

/// The name a token is put for. One for the hub covers its management node and all its partitions.
pub fn audience(host: &str, hub: &str) -> String {
    format!("amqps://{host}/{hub}")
}

/// Signs a token for `audience` with a shared access key. The key's text is the HMAC key as it stands: it looks like
/// base64, but is never decoded.
pub fn sign(audience: &str, rule: &str, key: &Secret, expires: Timestamp) -> Token {
    let resource = percent_encode(audience);
    let end = expires.seconds();
    let signing_key = hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes());
    let signature = hmac::sign(&signing_key, format!("{resource}\n{end}").as_bytes());
    let signature = percent_encode(&STANDARD.encode(signature.as_ref()));
    let rule = percent_encode(rule);
    Token {
        kind: TokenKind::Signature,
        text: Secret::new(format!("SharedAccessSignature sr={resource}&sig={signature}&se={end}&skn={rule}")),
        // The text says whole seconds, so the token ends a little before it was asked to.
        expires: Timestamp::from_millis(end.saturating_mul(1000)),
    }
}

/// Wraps a signature that somebody else made. Its end is read from it; one without an end can't be used.
pub fn ready_made(text: &Secret) -> Option<Token> {
    let fields = text.expose().strip_prefix("SharedAccessSignature ")?;
    let end = fields.split('&').find_map(|field| field.strip_prefix("se="))?;
    let millis = end.parse::<i64>().ok()?.checked_mul(1000)?;
    Some(Token { kind: TokenKind::Signature, text: text.clone(), expires: Timestamp::from_millis(millis) })
}

/// When a token put at `now` should be followed by the next: well before it ends, but never at once, so that a
/// service with a wrong clock can't make us spin.
pub fn renew_at(now: Timestamp, expires: Timestamp) -> Timestamp {
    let life = expires.since(now);
    let early = if life < SHORT_LIFE { life / 5 } else { RENEW_BEFORE };
    now.plus(life.saturating_sub(early).max(RENEW_PACE))
}

/// The shortest time between two tokens for the same connection.
const RENEW_PACE: Duration = Duration::from_millis(500);

/// Keeps the unreserved characters of RFC 3986 and writes all else as upper-case hex.
fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn signed(uri: &str, rule: &str, key: &str, end: i64) -> String {
        let expires = Timestamp::from_millis(end * 1000);
        sign(uri, rule, &Secret::new(key.into()), expires).text.expose().to_owned()
    }

    #[test]
    fn the_published_signatures_come_out() {
        assert_eq!(
            signed(
                "amqps://fe2o3-amqp-example.servicebus.windows.net",
                "RootManageSharedAccessKey",
                "r9rdIglXNiIPN2Lgj/HyhgOuq+aGht0qH3n+/lYQhfo=",
                1_667_344_375
            ),
            "SharedAccessSignature sr=amqps%3A%2F%2Ffe2o3-amqp-example.servicebus.windows.net\
             &sig=WOVqJi%2B2fowHpCC2g3ztxEQrYAU173BGWrkVaPlvPj4%3D&se=1667344375&skn=RootManageSharedAccessKey"
        );
        let second = signed(
            "amqps://contoso-siem.servicebus.windows.net/defender-all",
            "listen-only",
            "c2VjcmV0LWtleS1mb3ItdGVzdHMtb25seQ==",
            1_893_456_000,
        );
        assert!(second.contains("&sig=06%2BC1CnG6O3vB1%2Fp0OF8ZZ5%2FMvK%2BmBxmdfGdtpKa11U%3D&"), "{second}");
    }

    #[test]
    fn a_signature_made_elsewhere_tells_its_own_end() {
        let token = ready_made(&Secret::new("SharedAccessSignature sr=a&sig=b%3D&se=1893456000&skn=r".into())).unwrap();
        assert_eq!(token.expires, Timestamp::from_millis(1_893_456_000_000));
        for bad in ["", "SharedAccessSignature sr=a&sig=b", "SharedAccessSignature se=x", "sr=a&se=1"] {
            assert_eq!(ready_made(&Secret::new(bad.into())), None, "{bad}");
        }
    }

    #[test]
    fn an_hours_token_is_renewed_six_minutes_before_its_end() {
        let now = Timestamp::from_millis(1_000_000);
        assert_eq!(renew_at(now, now.plus(Duration::from_secs(3600))), now.plus(Duration::from_secs(3240)));
        assert_eq!(renew_at(now, now.plus(Duration::from_secs(10))), now.plus(Duration::from_secs(8)));
    }

    proptest! {
        #[test]
        fn renewal_never_spins_and_never_comes_after_the_end_of_a_token_worth_having(life in 0u64..100_000_000) {
            let now = Timestamp::from_millis(1_700_000_000_000);
            let expires = now.plus(Duration::from_millis(life));
            let renew = renew_at(now, expires);
            prop_assert!(renew.since(now) >= RENEW_PACE);
            prop_assert!(life < 1000 || renew < expires);
        }
    }
}
