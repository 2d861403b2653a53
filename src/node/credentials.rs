//! What is known of each credential: when it ends, and what became of its requests for tokens. Whoever must renew one is
//! told ahead of time.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::deployment::Deployment;
use crate::admin::urgency::{Notices, Urgency};
use crate::admin::view::{CredentialStatus, Problem};
use crate::clock::{Clock, Timestamp};
use crate::identity::{self, Config, IdentityError, Tokens};
use crate::ids::{CredentialId, TenantId};
use crate::sources::event_hubs::ConnectionString;

/// How often secrets are looked into, for the end of what a node reads for itself.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// How long the failure of a request is shown while nobody asks again. A source in trouble asks every minute or two, so
/// that an older failure belongs to a source that is gone.
const FAILURE_SHOWN: Duration = Duration::from_secs(3600);

const NONE_YET: &str = "none yet: asking again by itself";

/// A credential's name in its tenant.
type Key = (TenantId, CredentialId);

pub struct Credentials {
    tokens: Tokens,
    clock: Clock,
    known: Mutex<BTreeMap<Key, Known>>,
}

/// One credential as it was when it was last looked at.
struct Known {
    config: Config,
    looked: Timestamp,
    ends: Result<Option<Timestamp>, Problem>,
    notices: Notices,
}

impl Credentials {
    pub fn new(tokens: Tokens, clock: Clock) -> Self {
        Self { tokens, clock, known: Mutex::default() }
    }

    /// Looks at those that are new, changed, or were not looked at for a while, and warns about what ends soon.
    pub fn look(&self, deployment: &Deployment) {
        let now = self.clock.now();
        let mut known = self.known.lock();
        known.retain(|key, _| deployment.credentials.contains_key(key));
        for (key, config) in &deployment.credentials {
            let before = known.remove(key);
            let fresh = |it: &Known| it.config == *config && it.looked <= now && now.since(it.looked) < LOOK_INTERVAL;
            let after = match before {
                Some(before) if fresh(&before) => before,
                before => look_at(key, config, before, now),
            };
            known.insert(key.clone(), after);
        }
    }

    pub fn status(&self, deployment: &Deployment) -> Vec<CredentialStatus> {
        deployment.credentials.iter().map(|(key, config)| self.status_of(deployment, key, config)).collect()
    }

    fn status_of(&self, deployment: &Deployment, key: &Key, config: &Config) -> CredentialStatus {
        let (tenant, credential) = key.clone();
        let record = deployment.tenants.get(&tenant).and_then(|tenant| self.tokens.record(config, tenant));
        let record = record.unwrap_or_default();
        let now = self.clock.now();
        let failure = record.problem().filter(|(at, _)| now.since(*at) < FAILURE_SHOWN);
        let (expires, unusable) = match self.known.lock().get(key).map(|known| &known.ends) {
            Some(Ok(ends)) => (*ends, None),
            Some(Err(problem)) => (None, Some(problem.clone())),
            None => (None, None),
        };
        CredentialStatus {
            tenant,
            credential,
            grant: config.grant().to_owned(),
            expires,
            last_success: record.last_success,
            token_requests: record.requests,
            token_failures: record.failures.iter().map(|(class, count)| (class.name().to_owned(), *count)).collect(),
            problem: failure.map(|(at, error)| told(error, *at)).or(unusable),
        }
    }
}

fn look_at((tenant, credential): &Key, config: &Config, before: Option<Known>, now: Timestamp) -> Known {
    let ends = ends(config, now);
    let (known, mut notices) = before.map(|it| (it.ends.err(), it.notices)).unwrap_or_default();
    match &ends {
        Ok(ends) => {
            if let (Some(urgency), Some(ends)) = (notices.due(*ends, now), ends) {
                warn(tenant, credential, config, urgency, *ends);
            }
        }
        Err(Problem { error, remedy, .. }) => {
            if known.is_none_or(|known| known.error != *error) {
                tracing::warn!(%tenant, %credential, error, remedy, "a credential is not usable");
            }
        }
    }
    Known { config: config.clone(), looked: now, ends, notices }
}

/// When the credential ends, as far as anybody can tell.
fn ends(config: &Config, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
    let unusable = |error: &IdentityError| told(error, now);
    match config {
        Config::ClientCertificate { certificate, .. } => {
            let pem = certificate.read().map_err(|error| unusable(&error.into()))?;
            identity::certificate_ends(&pem).map(Some).map_err(|error| unusable(&error))
        }
        Config::ClientSecret { expires, .. } => Ok(expires.map(identity::Expiry::get)),
        Config::ConnectionString { connection_string } => {
            let text = connection_string.read().map_err(|error| unusable(&error.into()))?;
            let parsed = ConnectionString::parse(text.expose()).map_err(|error| Problem {
                at: now,
                error: error.to_string(),
                remedy: "correct what the credential's `connection_string` refers to".to_owned(),
            })?;
            Ok(parsed.ends())
        }
    }
}

fn told(error: &IdentityError, at: Timestamp) -> Problem {
    Problem { at, error: error.to_string(), remedy: error.advice().unwrap_or(NONE_YET).to_owned() }
}

fn warn(tenant: &TenantId, credential: &CredentialId, config: &Config, urgency: Urgency, ends: Timestamp) {
    let remedy = match config {
        Config::ClientCertificate { .. } => {
            "upload a new certificate to the app registration, replace the files of the old one, and apply again"
        }
        Config::ClientSecret { .. } => {
            "create a new secret in the app registration, store it in place of the old one, set `expires` anew, and apply"
        }
        Config::ConnectionString { .. } => {
            "have a new signature made, store it in place of the old one, and apply again"
        }
    };
    match urgency {
        Urgency::None => {}
        Urgency::Soon => tracing::warn!(%tenant, %credential, %ends, remedy, "a credential ends within 30 days"),
        Urgency::Urgent => tracing::warn!(%tenant, %credential, %ends, remedy, "a credential ends within 14 days"),
        Urgency::Now => tracing::warn!(%tenant, %credential, %ends, remedy, "a credential ends within 3 days"),
        Urgency::Over => tracing::error!(%tenant, %credential, %ends, remedy, "a credential has ended"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::{Arc, Once};

    use serde_json::{Value, json};
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;
    use crate::identity::http::{Client, Settings};

    const CERTIFICATE: &str = include_str!("../identity/fixtures/client.cert.pem");
    const NOW: Timestamp = Timestamp::from_millis(1_900_000_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn credentials(clock: &Clock) -> Credentials {
        let client = Client::new(&Settings::default()).unwrap();
        Credentials::new(Tokens::new(client, clock.clone()), clock.clone())
    }

    fn deployment(configs: &[(&str, Value)]) -> Deployment {
        let mut deployment = Deployment::default();
        for (name, config) in configs {
            let key = ("contoso".parse().unwrap(), name.parse().unwrap());
            deployment.credentials.insert(key, serde_json::from_value(config.clone()).unwrap());
        }
        deployment
    }

    fn file(text: &str) -> (tempfile::NamedTempFile, String) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let reference = format!("${{file:{}}}", file.path().display());
        (file, reference)
    }

    fn certificate(reference: &str) -> Value {
        json!({"grant": "client-certificate", "client_id": "aaaaaaaa-0000-4000-8000-000000000001",
            "certificate": reference, "private_key": "${file:/nowhere}"})
    }

    fn secret(expires: Timestamp) -> Value {
        json!({"grant": "client-secret", "client_id": "aaaaaaaa-0000-4000-8000-000000000001",
            "secret": "${env:NEVER_READ}", "expires": expires.to_string()})
    }

    /// Where a test's log goes.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    impl MakeWriter<'_> for Log {
        type Writer = Self;
        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    /// What is logged by `work`. Without a subscriber for the other threads, a line that one of them comes to first at the
    /// same moment may be taken for one that nobody wants.
    fn logged(work: impl FnOnce()) -> String {
        static OTHERS: Once = Once::new();
        OTHERS.call_once(|| drop(tracing::subscriber::set_global_default(tracing_subscriber::registry())));
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
        tracing::subscriber::with_default(subscriber, work);
        let bytes = log.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn each_grant_tells_its_end_as_far_as_it_can_be_known() {
        let clock = Clock::manual(NOW);
        let (_pem, pem) = file(CERTIFICATE);
        let string = |access: &str| file(&format!("Endpoint=sb://n.example/;{access}"));
        let (_key, key) = string("SharedAccessKeyName=r;SharedAccessKey=k");
        let (_sas, sas) = string("SharedAccessSignature=SharedAccessSignature sr=a&sig=b&se=1900864000&skn=r");
        let by_string = |reference: &str| json!({"grant": "connection-string", "connection_string": reference});
        let deployment = deployment(&[
            ("certificate", certificate(&pem)),
            ("key", by_string(&key)),
            ("sas", by_string(&sas)),
            ("secret", secret(NOW.plus(DAY))),
        ]);
        let credentials = credentials(&clock);
        credentials.look(&deployment);
        let status = credentials.status(&deployment);
        assert!(status.iter().all(|it| it.problem.is_none()), "{status:?}");
        let ends: Vec<_> = status.iter().map(|it| it.expires).collect();
        let expected = [Timestamp::parse("2036-11-18T07:26:28Z"), None, Some(NOW.plus(10 * DAY)), Some(NOW.plus(DAY))];
        assert_eq!(ends, expected);
    }

    #[test]
    fn what_ends_soon_is_said_once_and_a_renewed_file_is_noticed() {
        let (file, reference) = file(CERTIFICATE);
        let ends = Timestamp::parse("2036-11-18T07:26:28Z").unwrap();
        let clock = Clock::manual(ends.minus(14 * DAY));
        let (credentials, deployment) = (credentials(&clock), deployment(&[("app", certificate(&reference))]));
        let first = logged(|| credentials.look(&deployment));
        assert!(first.contains("WARN") && first.contains("a credential ends within 14 days"), "{first}");
        assert!(
            first.contains("tenant=contoso credential=app") && first.contains("upload a new certificate"),
            "{first}"
        );
        clock.advance(LOOK_INTERVAL);
        assert_eq!(logged(|| credentials.look(&deployment)), "");

        std::fs::write(file.path(), "scrambled").unwrap();
        assert_eq!(logged(|| credentials.look(&deployment)), "", "files are not read all the time");
        clock.advance(LOOK_INTERVAL);
        let scrambled = logged(|| credentials.look(&deployment));
        assert!(scrambled.contains("not usable") && scrambled.contains("BEGIN CERTIFICATE"), "{scrambled}");
        let status = credentials.status(&deployment);
        assert!(status[0].expires.is_none() && status[0].problem.is_some(), "{status:?}");

        std::fs::write(file.path(), CERTIFICATE).unwrap();
        clock.advance(15 * DAY);
        let last = logged(|| credentials.look(&deployment));
        assert!(last.contains("ERROR") && last.contains("a credential has ended"), "{last}");
        assert!(credentials.status(&deployment)[0].problem.is_none());
    }

    #[test]
    fn a_secret_that_is_not_there_is_a_problem_with_a_remedy() {
        let credentials = credentials(&Clock::manual(NOW));
        let missing = json!({"grant": "connection-string", "connection_string": "${file:/nowhere/at/all}"});
        let deployment = deployment(&[("hub", missing)]);
        credentials.look(&deployment);
        let problem = credentials.status(&deployment).remove(0).problem.unwrap();
        assert!(problem.error.contains("/nowhere/at/all"), "{problem:?}");
        assert!(problem.remedy.contains("readable by the service's user"), "{problem:?}");
    }
}
