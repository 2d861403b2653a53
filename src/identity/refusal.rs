//! What a refusal of the token endpoint means and what to do about it. Pure; the codes are a table that an operator of
//! Entra can check.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// What Entra asks for when it throttles without saying how long.
pub const THROTTLED_WAIT: Duration = Duration::from_secs(60);
/// A loop was detected on their side: the same request came too often, so even one a minute may be too many.
const LOOP_WAIT: Duration = Duration::from_secs(300);
/// Longest part of a description that is repeated; the rest are trace numbers.
const DESCRIPTION_CHARS_MAX: usize = 240;

/// What to do about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// A person must change the configuration here or the app registration there; trying again changes nothing.
    Fix(&'static str),
    /// A person must sign in or consent again.
    SignIn(&'static str),
    /// Wait this long; more requests make it worse.
    BackOff(Duration),
    /// Try again soon.
    Retry,
    /// Our request is wrong.
    Report(&'static str),
}

impl Advice {
    pub fn for_operator(self) -> Option<&'static str> {
        match self {
            Self::Fix(text) | Self::SignIn(text) | Self::Report(text) => Some(text),
            Self::BackOff(_) | Self::Retry => None,
        }
    }
}

const RELOGIN: &str = "the sign-in behind this credential has ended: sign in again to give a new one";
const CONSENT: &str = "an administrator of the directory must grant consent to the application's permissions";
const WRONG_CLOUD: &str = "the directory is in another national cloud: set `authority` to that cloud's login host";
const SCOPE: &str =
    "the requested scope is not one resource with `/.default`: correct the source's `base_url` or scope";
const OUR_BUG: &str = "the token request is malformed, which is a fault of siemgate: report it with this message";

/// AADSTS code → what to do. The first code of an answer that is listed here decides.
const CODES: &[(&[u32], Advice)] = &[
    (&[7_000_215], Advice::Fix("the client secret is wrong; often the secret's id was pasted instead of its value")),
    (&[7_000_222], Advice::Fix("the client secret has expired: create a new one in the app registration and store it")),
    (
        &[70_002],
        Advice::Fix("the credential could not be validated: check the client id and its secret or certificate"),
    ),
    (&[7_000_218], Advice::Fix("the application needs a secret or certificate: configure one for this credential")),
    (&[700_025], Advice::Fix("the application is registered as a public client: register a confidential one (web)")),
    (
        &[700_027, 50_012, 700_030, 700_024],
        Advice::Fix(
            "the certificate was not accepted: upload this certificate to the app registration, and check its expiry \
             and this machine's clock",
        ),
    ),
    (
        &[700_016],
        Advice::Fix("the application is not known in this directory: check the directory id, or consent there first"),
    ),
    (
        &[7_000_112, 70_001],
        Advice::Fix("the application is disabled in this directory: enable it, or ask who disabled it"),
    ),
    (&[90_002], Advice::Fix("the directory does not exist: check the tenant's directory id and the authority's cloud")),
    (&[90_038, 900_432, 900_382], Advice::Fix(WRONG_CLOUD)),
    (
        &[500_011, 50_001, 650_057],
        Advice::Fix("the resource is not known to the directory or not among the application's permissions: add it"),
    ),
    (&[650_052], Advice::Fix("the directory has no subscription for this service: license it, or remove the source")),
    (&[70_011, 28_002, 28_003, 700_022], Advice::Fix(SCOPE)),
    (&[901_002], Advice::Fix("version 2 was asked in version 1's words: set the credential's `version` to match")),
    (&[65_001, 65_004, 90_094, 90_095, 90_008], Advice::Fix(CONSENT)),
    (
        &[65_005],
        Advice::Fix("the application's permissions are misconfigured: correct them in its registration, then consent"),
    ),
    (&[9_001_023], Advice::Fix("client credentials need one concrete directory: give the tenant's directory id")),
    (
        &[70_021, 700_213],
        Advice::Fix("no federated identity record matches: compare issuer, subject and audience with it"),
    ),
    (&[70_000, 70_008, 700_082, 700_084, 70_043, 50_173], Advice::SignIn(RELOGIN)),
    (&[50_089], Advice::SignIn("the sign-in took too long: start it again")),
    (&[54_005], Advice::SignIn("this authorisation code was used before: start the sign-in again")),
    (&[50_011], Advice::Fix("the redirect address is not registered: add it to the app registration exactly as sent")),
    (&[50_076, 50_078, 50_079], Advice::SignIn("multi-factor authentication is required: sign in again with it")),
    (
        &[53_003, 53_000, 530_032, 530_035],
        Advice::Fix("a Conditional Access policy blocks this sign-in: exempt the application or this network in it"),
    ),
    (
        &[50_105, 50_034, 50_057, 50_020],
        Advice::Fix("the account is not assigned, unknown, disabled or of another directory: correct it in Entra"),
    ),
    (&[50_194], Advice::Fix("the application serves a single directory: give that directory's id")),
    (&[50_196], Advice::BackOff(LOOP_WAIT)),
    (&[90_055], Advice::BackOff(THROTTLED_WAIT)),
    (&[90_033, 90_006, 90_024, 50_033, 50_087, 40_010, 90_012], Advice::Retry),
    (&[900_144, 9_002_313, 900_561], Advice::Report(OUR_BUG)),
];

/// `error` value → what to do, where no code is known.
const ERRORS: &[(&str, Advice)] = &[
    (
        "invalid_client",
        Advice::Fix("the credential was not accepted: check the client id and its secret or certificate"),
    ),
    ("unauthorized_client", Advice::Fix("the application may not use this grant: check its registration and consent")),
    ("invalid_grant", Advice::SignIn(RELOGIN)),
    ("invalid_resource", Advice::Fix(SCOPE)),
    ("invalid_scope", Advice::Fix(SCOPE)),
    ("consent_required", Advice::Fix(CONSENT)),
    ("interaction_required", Advice::SignIn("Entra wants a person to sign in: sign in again")),
    ("temporarily_unavailable", Advice::Retry),
    ("invalid_request", Advice::Report(OUR_BUG)),
    ("unsupported_grant_type", Advice::Report(OUR_BUG)),
];

/// A refusal as a person should see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub error: String,
    /// AADSTS numbers; diagnostic, as the vendor says.
    pub codes: Vec<u32>,
    pub description: String,
    pub advice: Advice,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.description.is_empty() { &self.error } else { &self.description })
    }
}

/// How an answer that is no success is to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    Throttled(Duration),
    /// Their fault, and likely over soon.
    Unavailable(String),
    Refused(Refusal),
    Unreadable(String),
}

#[derive(Deserialize)]
struct Body {
    error: String,
    #[serde(default)]
    error_description: String,
    #[serde(default)]
    error_codes: Vec<u32>,
}

/// Reads an answer whose status is not a success. A throttled answer need not be JSON.
pub fn read_failure(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Response {
    if status == 429 {
        return Response::Throttled(retry_after.unwrap_or(THROTTLED_WAIT));
    }
    let parsed = serde_json::from_slice::<Body>(body);
    let Ok(body) = parsed else {
        return match status {
            500.. => Response::Unavailable(format!("status {status}")),
            _ => Response::Unreadable(format!("status {status} without a readable error")),
        };
    };
    let advice = advice(&body.error, &body.error_codes, status);
    let wait = match advice {
        Advice::BackOff(wait) => Some(retry_after.unwrap_or(wait)),
        Advice::Fix(_) | Advice::SignIn(_) | Advice::Retry | Advice::Report(_) => None,
    };
    let refusal = Refusal {
        error: plain(&body.error),
        codes: body.error_codes,
        description: plain(&body.error_description),
        advice,
    };
    match (advice, wait) {
        (_, Some(wait)) => Response::Throttled(wait),
        (Advice::Retry, _) => Response::Unavailable(refusal.to_string()),
        (Advice::Fix(_) | Advice::SignIn(_) | Advice::BackOff(_) | Advice::Report(_), None) => {
            Response::Refused(refusal)
        }
    }
}

fn advice(error: &str, codes: &[u32], status: u16) -> Advice {
    let by_code = codes.iter().find_map(|code| CODES.iter().find(|(listed, _)| listed.contains(code)));
    let by_error = || ERRORS.iter().find(|(name, _)| *name == error).map(|(_, advice)| *advice);
    match by_code {
        Some((_, advice)) => *advice,
        None if status >= 500 => Advice::Retry,
        None => {
            by_error().unwrap_or(Advice::Fix("Entra refused the request: look its code up and correct the credential"))
        }
    }
}

/// The first line without its trace numbers and control characters.
fn plain(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line.split(" Trace ID:").next().unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(DESCRIPTION_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(error: &str, code: u32) -> Response {
        let body = format!(
            r#"{{"error":"{error}","error_description":"AADSTS{code}: Something. Trace ID: 0","error_codes":[{code}]}}"#
        );
        read_failure(400, None, body.as_bytes())
    }

    fn advice_on(error: &str, code: u32) -> Advice {
        match refused(error, code) {
            Response::Refused(refusal) => refusal.advice,
            Response::Throttled(wait) => Advice::BackOff(wait),
            Response::Unavailable(_) => Advice::Retry,
            Response::Unreadable(text) => panic!("{text}"),
        }
    }

    #[test]
    fn a_code_decides_before_the_error_it_comes_with() {
        assert_eq!(advice_on("invalid_grant", 50_196), Advice::BackOff(LOOP_WAIT));
        assert_eq!(advice_on("invalid_grant", 70_008), Advice::SignIn(RELOGIN));
        assert_eq!(
            advice_on("invalid_request", 90_002).for_operator().map(|text| text.contains("directory")),
            Some(true)
        );
        assert_eq!(advice_on("invalid_request", 90_033), Advice::Retry);
        assert_eq!(advice_on("invalid_request", 900_144), Advice::Report(OUR_BUG));
        assert_eq!(advice_on("invalid_grant", 1), Advice::SignIn(RELOGIN));
        assert!(matches!(advice_on("novel_error", 1), Advice::Fix(_)));
    }

    #[test]
    fn no_code_is_listed_twice_and_every_advice_tells_a_person_what_to_do() {
        let mut codes: Vec<u32> = CODES.iter().flat_map(|(codes, _)| codes.iter().copied()).collect();
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
        for (_, advice) in CODES {
            assert!(advice.for_operator().is_none_or(|text| text.len() > 20), "{advice:?}");
        }
    }

    #[test]
    fn throttling_is_understood_without_json() {
        assert_eq!(read_failure(429, None, b"Too Many Requests"), Response::Throttled(THROTTLED_WAIT));
        let stated = Some(Duration::from_secs(7));
        assert_eq!(read_failure(429, stated, b"Too Many Requests"), Response::Throttled(Duration::from_secs(7)));
        assert_eq!(read_failure(503, None, b"<html>"), Response::Unavailable("status 503".into()));
        assert!(matches!(read_failure(400, None, b"<html>"), Response::Unreadable(_)));
        assert!(matches!(read_failure(500, None, br#"{"error":"server_error"}"#), Response::Unavailable(_)));
    }

    #[test]
    fn a_refusal_shows_its_first_line_without_trace_numbers() {
        let body = br#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided. Trace ID: 00\r\nCorrelation","error_codes":[7000215]}"#;
        let Response::Refused(refusal) = read_failure(401, None, body) else { panic!("not refused") };
        assert_eq!(refusal.to_string(), "AADSTS7000215: Invalid client secret provided.");
        assert!(refusal.advice.for_operator().is_some_and(|text| text.contains("secret")));
    }
}
