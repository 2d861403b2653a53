//! Reads an Event Hubs connection string: where the namespace is, and the key or signature that lets us in.
//! Pure. Nothing here ever prints a value, because a mistyped string may hold its key in any place.

use std::fmt;

use super::cbs;
use crate::clock::Timestamp;
use crate::secret::Secret;

/// Port of AMQP inside TLS.
const PORT_TLS: u16 = 5671;
/// Port of plain AMQP, which only the emulator speaks.
const PORT_PLAIN: u16 = 5672;

/// What a connection string says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionString {
    pub namespace: Namespace,
    pub access: SharedAccess,
    /// `EntityPath`; a string for the whole namespace has none.
    pub hub: Option<String>,
    /// `UseDevelopmentEmulator=true`: AMQP without TLS.
    pub emulator: bool,
}

/// How a connection string lets us in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SharedAccess {
    /// We sign tokens ourselves, for as long as the key is valid.
    Key { rule: String, key: Secret },
    /// Somebody signed one token for us; it ends and cannot be renewed.
    Signature(Secret),
}

/// A namespace's host, and its port where that is not the usual one.
#[derive(Clone, PartialEq, Eq)]
pub struct Namespace {
    host: String,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadConnection {
    #[error("part {part} of the connection string has no `=`: copy the whole string from the portal")]
    NoEquals { part: usize },
    #[error("`{key}` has no value in the connection string: copy the whole string from the portal")]
    Empty { key: &'static str },
    #[error("the connection string names `{key}` twice: keep one")]
    Twice { key: &'static str },
    #[error("the connection string has no `{key}`: copy the whole string from the portal")]
    Missing { key: &'static str },
    #[error("`Endpoint` must read `sb://NAMESPACE.servicebus.windows.net/`")]
    Endpoint,
    #[error("give a shared access key or a shared access signature in the connection string, not both")]
    BothKeyAndSignature,
    #[error("`UseDevelopmentEmulator` must be `true` or `false`")]
    Emulator,
    #[error("`namespace` must be a host name such as `contoso.servicebus.windows.net`, with a port if it needs one")]
    Namespace,
    #[error("`namespace` says `{configured}`, but the connection string is for `{stated}`: remove one of them")]
    NamespaceDiffers { configured: String, stated: String },
    #[error("`hub` says `{configured}`, but the connection string is for `{stated}`: remove one of them")]
    HubDiffers { configured: String, stated: String },
    #[error("no event hub is named: set `hub`, or use a connection string with `EntityPath`")]
    HubMissing,
    #[error("no namespace is named: set `namespace` to `NAME.servicebus.windows.net`")]
    NamespaceMissing,
    #[error("`{field}` is not a name Event Hubs knows: it is empty, too long, or holds a control character")]
    Name { field: &'static str },
    #[error(
        "`catch_up_consumer_group` is the `consumer_group`: make one of its own, or readers would displace each other"
    )]
    OneGroup,
    #[error("SASL PLAIN sends a shared access key: use a connection string with one, or `sasl = \"cbs\"`")]
    PlainNeedsKey,
    #[error("`plaintext` is for a namespace on this machine: remove it for `{host}`")]
    PlaintextAbroad { host: String },
    #[error("{cause}")]
    Trust { cause: String },
}

impl ConnectionString {
    pub fn parse(text: &str) -> Result<Self, BadConnection> {
        let fields = Fields::parse(text)?;
        let namespace = endpoint(fields.endpoint.ok_or(BadConnection::Missing { key: ENDPOINT })?)?;
        let emulator = match fields.emulator {
            None => false,
            Some(value) if value.eq_ignore_ascii_case("true") => true,
            Some(value) if value.eq_ignore_ascii_case("false") => false,
            Some(_) => return Err(BadConnection::Emulator),
        };
        let access = match (fields.rule, fields.key, fields.signature) {
            (Some(rule), Some(key), None) => {
                SharedAccess::Key { rule: rule.to_owned(), key: Secret::new(key.to_owned()) }
            }
            (None, None, Some(signature)) => SharedAccess::Signature(Secret::new(signature.to_owned())),
            (_, None, None) => return Err(BadConnection::Missing { key: KEY }),
            (None, Some(_), None) => return Err(BadConnection::Missing { key: RULE }),
            (_, _, Some(_)) => return Err(BadConnection::BothKeyAndSignature),
        };
        Ok(Self { namespace, access, hub: fields.hub.map(str::to_owned), emulator })
    }

    /// When it stops letting us in. A key lasts until somebody changes it, and a signature says it itself.
    pub fn ends(&self) -> Option<Timestamp> {
        match &self.access {
            SharedAccess::Key { .. } => None,
            SharedAccess::Signature(text) => cbs::ready_made(text).map(|token| token.expires),
        }
    }
}

const ENDPOINT: &str = "Endpoint";
const RULE: &str = "SharedAccessKeyName";
const KEY: &str = "SharedAccessKey";
const SIGNATURE: &str = "SharedAccessSignature";
const HUB: &str = "EntityPath";
const EMULATOR: &str = "UseDevelopmentEmulator";

#[derive(Default)]
struct Fields<'a> {
    endpoint: Option<&'a str>,
    rule: Option<&'a str>,
    key: Option<&'a str>,
    signature: Option<&'a str>,
    hub: Option<&'a str>,
    emulator: Option<&'a str>,
}

impl<'a> Fields<'a> {
    /// Values are split off at the first `=` only, because keys end with `=`. Unknown keys are left alone.
    fn parse(text: &'a str) -> Result<Self, BadConnection> {
        let mut fields = Self::default();
        for (index, part) in text.split(';').enumerate() {
            if part.trim().is_empty() {
                continue;
            }
            let (key, value) = part.split_once('=').ok_or(BadConnection::NoEquals { part: index + 1 })?;
            let Some((name, field)) = fields.named(key.trim()) else { continue };
            let value = value.trim();
            if value.is_empty() {
                return Err(BadConnection::Empty { key: name });
            }
            if field.replace(value).is_some() {
                return Err(BadConnection::Twice { key: name });
            }
        }
        Ok(fields)
    }

    fn named(&mut self, key: &str) -> Option<(&'static str, &mut Option<&'a str>)> {
        let known = [
            (ENDPOINT, &mut self.endpoint),
            (RULE, &mut self.rule),
            (KEY, &mut self.key),
            (SIGNATURE, &mut self.signature),
            (HUB, &mut self.hub),
            (EMULATOR, &mut self.emulator),
        ];
        known.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(key))
    }
}

fn endpoint(text: &str) -> Result<Namespace, BadConnection> {
    let (scheme, rest) = text.split_once("://").ok_or(BadConnection::Endpoint)?;
    if !scheme.eq_ignore_ascii_case("sb") {
        return Err(BadConnection::Endpoint);
    }
    Namespace::parse(rest.trim_end_matches('/')).ok_or(BadConnection::Endpoint)
}

impl Namespace {
    /// Reads `host` or `host:port`. An IPv6 address stands in brackets.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':')?)),
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let in_brackets = text.starts_with('[');
        let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || (in_brackets && b == b':');
        if host.is_empty() || host.len() > HOST_BYTES_MAX || !host.bytes().all(known) {
            return None;
        }
        let port = port.map(|text| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or(())).transpose().ok()?;
        Some(Self { host: host.to_ascii_lowercase(), port })
    }

    pub fn host(&self) -> &str {
        &self.host
    }
    pub fn port(&self, plaintext: bool) -> u16 {
        self.port.unwrap_or(if plaintext { PORT_PLAIN } else { PORT_TLS })
    }
    /// Whether this is surely on the machine we run on.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// Longest host name that DNS can carry.
const HOST_BYTES_MAX: usize = 253;

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.host.contains(':'), self.port) {
            (true, Some(port)) => write!(f, "[{}]:{port}", self.host),
            (true, None) => write!(f, "[{}]", self.host),
            (false, Some(port)) => write!(f, "{}:{port}", self.host),
            (false, None) => f.write_str(&self.host),
        }
    }
}
impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY_TEXT: &str = "c2VjcmV0LWtleS1mb3ItdGVzdHMtb25seQ==";

    fn parsed(text: &str) -> ConnectionString {
        ConnectionString::parse(text).unwrap()
    }

    #[test]
    fn a_string_as_the_portal_shows_it_is_read_whole() {
        let text = format!(
            "Endpoint=sb://contoso.servicebus.windows.net/;SharedAccessKeyName=listen-only;\
             SharedAccessKey={KEY_TEXT};EntityPath=defender-all"
        );
        let read = parsed(&text);
        assert_eq!(read.namespace.host(), "contoso.servicebus.windows.net");
        assert_eq!(read.namespace.port(false), 5671);
        assert_eq!(read.hub.as_deref(), Some("defender-all"));
        assert!(!read.emulator);
        let SharedAccess::Key { rule, key } = read.access else { panic!("not a key") };
        assert_eq!((rule.as_str(), key.expose()), ("listen-only", KEY_TEXT));
    }

    #[test]
    fn case_blanks_empty_parts_and_unknown_keys_do_not_matter() {
        let read =
            parsed(" endpoint = sb://N.example ;; SHAREDACCESSKEYNAME=r;sharedaccesskey = k== ;TransportType=x;");
        assert_eq!(read.namespace.host(), "n.example");
        assert_eq!(read.access, SharedAccess::Key { rule: "r".into(), key: Secret::new("k==".into()) });
    }

    #[test]
    fn the_emulators_string_is_plain_and_may_carry_a_port() {
        let read = parsed(
            "Endpoint=sb://127.0.0.1:40123;SharedAccessKeyName=r;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=True;",
        );
        assert!(read.emulator && read.namespace.is_loopback());
        assert_eq!(read.namespace.port(true), 40123);
        assert_eq!(
            parsed("Endpoint=sb://localhost;SharedAccessSignature=s;UseDevelopmentEmulator=true").namespace.port(true),
            5672
        );
    }

    #[test]
    fn a_ready_made_signature_keeps_its_equals_signs() {
        let read =
            parsed("Endpoint=sb://n.example/;SharedAccessSignature=SharedAccessSignature sr=a&sig=b%3D&se=1&skn=r");
        let SharedAccess::Signature(text) = read.access else { panic!("not a signature") };
        assert_eq!(text.expose(), "SharedAccessSignature sr=a&sig=b%3D&se=1&skn=r");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_its_cause() {
        use BadConnection as Bad;
        let cases = [
            ("", Bad::Missing { key: ENDPOINT }),
            ("Endpoint=sb://n.example/;rubbish", Bad::NoEquals { part: 2 }),
            ("Endpoint=https://n.example/", Bad::Endpoint),
            ("Endpoint=sb://", Bad::Endpoint),
            ("Endpoint=sb://n.example/path;SharedAccessKeyName=r;SharedAccessKey=k", Bad::Endpoint),
            ("Endpoint=sb://n.example:0/", Bad::Endpoint),
            ("Endpoint=sb://u@n.example/", Bad::Endpoint),
            ("Endpoint=", Bad::Empty { key: ENDPOINT }),
            ("Endpoint=sb://n.example/;SharedAccessKeyName=r;SharedAccessKey=", Bad::Empty { key: KEY }),
            ("Endpoint=sb://n.example/;SharedAccessKeyName=r", Bad::Missing { key: KEY }),
            ("Endpoint=sb://n.example/;SharedAccessKey=k", Bad::Missing { key: RULE }),
            ("Endpoint=sb://n.example/;Endpoint=sb://n.example/", Bad::Twice { key: ENDPOINT }),
            (
                "Endpoint=sb://n.example/;SharedAccessKeyName=r;SharedAccessKey=k;SharedAccessSignature=s",
                Bad::BothKeyAndSignature,
            ),
            ("Endpoint=sb://n.example/;SharedAccessSignature=s;UseDevelopmentEmulator=maybe", Bad::Emulator),
        ];
        for (text, expected) in cases {
            assert_eq!(ConnectionString::parse(text), Err(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn neither_the_value_nor_the_error_ever_prints_the_key(
            before in "[;=a-zA-Z ]{0,20}", separator in "[;= ]", after in "[;=a-zA-Z: /]{0,20}"
        ) {
            let hidden = "hunter2hunter2";
            let text = format!("Endpoint=sb://n.example/;SharedAccessKeyName=r;{before}SharedAccessKey{separator}{hidden}{after}");
            let shown = match ConnectionString::parse(&text) {
                Ok(read) => format!("{read:?}"),
                Err(bad) => format!("{bad} {bad:?}"),
            };
            prop_assert!(!shown.contains(hidden), "{}", shown);
        }
    }
}
