//! Credentials and directories as operators write them. A resource holds references to secrets, never the secrets.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::http::BaseUrl;
use crate::clock::Timestamp;
use crate::secret::SecretRef;

/// The directory behind a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantConfig {
    pub directory: DirectoryId,
}

/// One way a tenant lets us in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "grant", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Config {
    /// Client credentials proven by a certificate. Preferred: the key never leaves the cluster.
    ClientCertificate {
        client_id: ClientId,
        /// The certificate as PEM; the first one in the file counts.
        certificate: SecretRef,
        /// Its unencrypted RSA key as PEM, PKCS#8 or PKCS#1.
        private_key: SecretRef,
        /// Default: `https://login.microsoftonline.com`, which serves all but the national clouds.
        #[serde(default = "default_authority")]
        authority: BaseUrl,
        #[serde(default)]
        version: ProtocolVersion,
    },
    /// Client credentials proven by a secret.
    ClientSecret {
        client_id: ClientId,
        secret: SecretRef,
        /// When the secret ends, as its page in Entra says: nobody tells a client. Default: not known, so that nothing
        /// warns ahead of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires: Option<Expiry>,
        #[serde(default = "default_authority")]
        authority: BaseUrl,
        #[serde(default)]
        version: ProtocolVersion,
    },
    /// An Event Hubs connection string with a shared access key; it gives no tokens.
    ConnectionString { connection_string: SecretRef },
}

impl Config {
    /// The app registration it stands for, where there is one.
    pub fn client(&self) -> Option<&str> {
        match self {
            Self::ClientCertificate { client_id, .. } | Self::ClientSecret { client_id, .. } => {
                Some(client_id.as_str())
            }
            Self::ConnectionString { .. } => None,
        }
    }

    /// As an operator writes it.
    pub fn grant(&self) -> &'static str {
        match self {
            Self::ClientCertificate { .. } => "client-certificate",
            Self::ClientSecret { .. } => "client-secret",
            Self::ConnectionString { .. } => "connection-string",
        }
    }

    /// The secrets it proves itself with, by the keys that operators write.
    pub fn secrets(&self) -> Vec<(&'static str, &SecretRef)> {
        match self {
            Self::ClientCertificate { certificate, private_key, .. } => {
                vec![("certificate", certificate), ("private_key", private_key)]
            }
            Self::ClientSecret { secret, .. } => vec![("secret", secret)],
            Self::ConnectionString { connection_string } => vec![("connection_string", connection_string)],
        }
    }

    /// The same, to put what is sealed in their place.
    pub fn secrets_mut(&mut self) -> Vec<(&'static str, &mut SecretRef)> {
        match self {
            Self::ClientCertificate { certificate, private_key, .. } => {
                vec![("certificate", certificate), ("private_key", private_key)]
            }
            Self::ClientSecret { secret, .. } => vec![("secret", secret)],
            Self::ConnectionString { connection_string } => vec![("connection_string", connection_string)],
        }
    }
}

fn default_authority() -> BaseUrl {
    "https://login.microsoftonline.com".parse().expect("the literal is a well-formed address")
}

/// Which of Entra's token endpoints is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProtocolVersion {
    V1,
    #[default]
    V2,
}

/// The end of a secret: a moment, or a day, which counts from its first moment in UTC, because being early does no harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expiry(Timestamp);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a day: write `2030-01-31`, or a moment such as `2030-01-31T12:00:00Z`")]
pub struct BadExpiry {
    given: String,
}

impl Expiry {
    pub fn get(self) -> Timestamp {
        self.0
    }
}
impl TryFrom<String> for Expiry {
    type Error = BadExpiry;
    fn try_from(text: String) -> Result<Self, BadExpiry> {
        let day = || Timestamp::parse(&format!("{text}T00:00:00Z"));
        let read = Timestamp::parse(&text).or_else(day);
        read.map(Self).ok_or_else(|| BadExpiry { given: text.chars().take(GIVEN_CHARS_MAX).collect() })
    }
}
impl From<Expiry> for String {
    fn from(expiry: Expiry) -> Self {
        expiry.0.to_string()
    }
}

/// What is wrong with an identifier of Entra.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` is not a GUID such as `11111111-2222-3333-4444-555555555555`: copy it from the overview page in Entra"
)]
pub struct BadDirectory {
    given: String,
}

/// Longest part of something wrong that is repeated.
const GIVEN_CHARS_MAX: usize = 64;

macro_rules! guid {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $type {
            type Err = BadDirectory;
            fn from_str(text: &str) -> Result<Self, BadDirectory> {
                match uuid::Uuid::try_parse(text) {
                    Ok(guid) if text.len() == 36 => Ok(Self(Arc::from(guid.hyphenated().to_string()))),
                    _ => Err(BadDirectory { given: text.chars().take(GIVEN_CHARS_MAX).collect() }),
                }
            }
        }
        impl TryFrom<String> for $type {
            type Error = BadDirectory;
            fn try_from(text: String) -> Result<Self, BadDirectory> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from(guid: $type) -> Self {
                guid.0.to_string()
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

guid!(
    /// An Entra directory. Never `common` or a domain: client credentials need the one directory that grants them.
    DirectoryId
);
guid!(
    /// The application that an app registration made; it is no secret.
    ClientId
);

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "aaaaaaaa-0000-4000-8000-000000000001";

    #[test]
    fn a_credential_reads_with_its_defaults() {
        let text = format!("grant = \"client-secret\"\nclient_id = \"{CLIENT}\"\nsecret = \"${{env:CONTOSO}}\"");
        let Config::ClientSecret { client_id, authority, version, .. } = toml::from_str(&text).unwrap() else {
            panic!("another grant was read");
        };
        assert_eq!((client_id.as_str(), version), (CLIENT, ProtocolVersion::V2));
        assert_eq!(authority.to_string(), "https://login.microsoftonline.com");
    }

    #[test]
    fn the_end_of_a_secret_is_a_day_or_a_moment() {
        let read = |text: &str| {
            let text =
                format!("{{\"grant\":\"client-secret\",\"client_id\":\"{CLIENT}\",\"secret\":\"${{env:A}}\",{text}}}");
            match serde_json::from_str::<Config>(&text) {
                Ok(Config::ClientSecret { expires, .. }) => Ok(expires.map(|expires| expires.get().to_string())),
                Ok(_) => panic!("another grant was read"),
                Err(error) => Err(error.to_string()),
            }
        };
        let midnight = Some("2030-01-31T00:00:00.0000000Z".to_owned());
        assert_eq!(read("\"version\":\"v2\""), Ok(None));
        assert_eq!(read("\"expires\":\"2030-01-31\""), Ok(midnight.clone()));
        assert_eq!(read("\"expires\":\"2030-01-31T02:00:00+02:00\""), Ok(midnight));
        for bad in ["soon", "31.1.2030", "2030-02-30", "2030-01-31T25:00:00Z"] {
            assert!(read(&format!("\"expires\":\"{bad}\"")).unwrap_err().contains("is not a day"), "{bad}");
        }
    }

    #[test]
    fn a_literal_secret_and_an_unknown_key_are_refused() {
        let literal = format!("grant = \"client-secret\"\nclient_id = \"{CLIENT}\"\nsecret = \"hunter2\"");
        let error = toml::from_str::<Config>(&literal).unwrap_err();
        assert!(!error.message().contains("hunter2"), "{error}");
        let unknown = "grant = \"connection-string\"\nconnection_string = \"${env:A}\"\nsecret = \"${env:B}\"";
        assert!(toml::from_str::<Config>(unknown).is_err());
    }

    #[test]
    fn a_directory_is_a_guid_and_nothing_else() {
        let guid: DirectoryId = "AAAAAAAA-2222-3333-4444-555555555555".parse().unwrap();
        assert_eq!(guid.as_str(), "aaaaaaaa-2222-3333-4444-555555555555");
        for bad in ["common", "contoso.example", "", "aaaaaaaa22223333444455555555555a", "../x"] {
            assert!(bad.parse::<DirectoryId>().is_err(), "{bad}");
        }
    }
}
