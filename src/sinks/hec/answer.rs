//! What each answer of a collector means for the events that were sent. Pure.
//!
//! The status of HTTP is looked at first, then the code in the body where it is the collector's. Only the collector itself
//! accepts events: a page that a proxy answers with 200 accepts nothing. Codes that we don't know go by their status.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::limits::{RETRY_AFTER_MAX, TEXT_CHARS_MAX};

/// What came back, apart from HTTP.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    pub status: u16,
    pub retry_after: Option<Duration>,
    pub body: &'a [u8],
}

/// What to do with the events of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// They are in the indexer's queue; with an id, their being indexed can be asked for.
    Accepted { ack: Option<u64>, pace: Pace },
    /// They may be sent again, here or elsewhere.
    Later(Later),
    /// One of them is bad, or perhaps all are too long together; the number is where the collector saw it.
    Split { at: Option<usize>, why: String },
    /// Together, or one alone, they are longer than the collector takes.
    TooLong { why: String },
    /// The collector doesn't inflate.
    Uncompressed,
    /// The token has no acknowledgements, so a channel means nothing to it.
    WithoutAcks,
    /// This target takes nothing until somebody has changed something. `heard` as in `Later`.
    Stopped { why: String, heard: bool },
}

/// Whether the collector asks for less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    Well,
    SlowDown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Later {
    pub why: String,
    /// What the collector asked for.
    pub after: Option<Duration>,
    /// Whether acknowledgements should be fetched first, because they are what fills it.
    pub drain: bool,
    /// Whether the collector itself said so. Anybody else's word leaves open whether the events arrived.
    pub heard: bool,
}

impl Later {
    /// For what HTTP never got to answer.
    pub fn unheard(why: String) -> Self {
        Self { why, after: None, drain: false, heard: false }
    }
}

/// What an answer to a question for acknowledgements says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// By id, whether what it stands for is indexed.
    Statuses(BTreeMap<u64, bool>),
    /// The token has no acknowledgements.
    WithoutAcks,
    Later(Later),
    Stopped {
        why: String,
    },
}

#[derive(Deserialize)]
struct Body {
    code: i64,
    // Of whatever type: a strange text or number must not hide the code.
    #[serde(default)]
    text: Value,
    #[serde(rename = "ackId", default)]
    ack: Value,
    #[serde(rename = "invalid-event-number", default)]
    invalid: Value,
}

#[derive(Deserialize)]
struct Acks {
    acks: BTreeMap<String, bool>,
}

/// What to do after events were sent.
pub fn of_events(answer: &Answer<'_>) -> Verdict {
    let Ok(body) = serde_json::from_slice::<Body>(answer.body) else { return by_status(answer) };
    match body.code {
        0 | 24 | 25 if answer.status / 100 == 2 => accepted(&body),
        6 | 12 | 13 | 15 => Verdict::Split { at: place(&body.invalid), why: said(&body) },
        14 => Verdict::WithoutAcks,
        // The answer to another question, or a contradiction: neither accepts anything.
        0 | 17 | 24 | 25 => Verdict::Stopped {
            why: format!("{}, which is no answer to events; does a proxy rewrite what is sent?", said(&body)),
            heard: false,
        },
        8 | 9 | 18..=20 | 23 | 26 | 27 => Verdict::Later(later(answer, &body)),
        1..=5 | 7 | 10 | 11 | 16 | 21 | 22 => {
            Verdict::Stopped { why: format!("{}; {}", said(&body), remedy(body.code)), heard: true }
        }
        _ => unknown(answer, &body),
    }
}

/// What to do after acknowledgements were asked for.
pub fn of_acks(answer: &Answer<'_>) -> Told {
    if answer.status / 100 == 2
        && let Ok(told) = serde_json::from_slice::<Acks>(answer.body)
    {
        let numbered = told.acks.into_iter().filter_map(|(id, status)| Some((id.parse().ok()?, status)));
        return Told::Statuses(numbered.collect());
    }
    match of_events(answer) {
        Verdict::WithoutAcks => Told::WithoutAcks,
        Verdict::Later(later) => Told::Later(later),
        Verdict::Stopped { why, .. } => Told::Stopped { why },
        Verdict::Accepted { .. } | Verdict::Split { .. } | Verdict::TooLong { .. } | Verdict::Uncompressed => {
            Told::Later(Later::unheard(format!("it answers a question for acknowledgements with {}", answer.status)))
        }
    }
}

/// Whether a target that failed may be used again, by its answer to the question for its health. Where the question itself
/// is not answered, because a balancer or an old version doesn't know it, the next request will tell.
pub fn of_health(answer: &Answer<'_>) -> Result<(), Verdict> {
    if answer.status / 100 == 2 || answer.status == 404 {
        return Ok(());
    }
    match of_events(answer) {
        verdict @ (Verdict::Later(_) | Verdict::Stopped { .. }) => Err(verdict),
        Verdict::Accepted { .. }
        | Verdict::Split { .. }
        | Verdict::TooLong { .. }
        | Verdict::Uncompressed
        | Verdict::WithoutAcks => Ok(()),
    }
}

fn accepted(body: &Body) -> Verdict {
    let pace = if matches!(body.code, 24 | 25) { Pace::SlowDown } else { Pace::Well };
    Verdict::Accepted { ack: body.ack.as_u64(), pace }
}

fn later(answer: &Answer<'_>, body: &Body) -> Later {
    Later { why: said(body), after: patience(answer), drain: matches!(body.code, 19 | 20 | 27), heard: true }
}

fn patience(answer: &Answer<'_>) -> Option<Duration> {
    answer.retry_after.map(|wait| wait.min(RETRY_AFTER_MAX))
}

/// A code of a newer collector.
fn unknown(answer: &Answer<'_>, body: &Body) -> Verdict {
    match answer.status {
        200..=299 => accepted(body),
        413 => Verdict::TooLong { why: said(body) },
        415 => Verdict::Uncompressed,
        400 | 422 => Verdict::Split { at: place(&body.invalid), why: said(body) },
        408 | 429 | 500..=599 => Verdict::Later(later(answer, body)),
        _ => Verdict::Stopped { why: format!("{}; look it up in Splunk's documentation", said(body)), heard: true },
    }
}

/// What is not the collector's own: a proxy's or a balancer's page, or an error that never reached the collector.
fn by_status(answer: &Answer<'_>) -> Verdict {
    let status = answer.status;
    let stopped = |what: &str| Verdict::Stopped { why: format!("it answers {status}, {what}"), heard: false };
    match status {
        413 => Verdict::TooLong { why: "it answers 413, the request is too large".to_owned() },
        415 => Verdict::Uncompressed,
        408 | 429 | 500..=599 => {
            let why = format!("it answers {status} without a code of the collector");
            Verdict::Later(Later { after: patience(answer), ..Later::unheard(why) })
        }
        200..=299 => stopped("but not as a collector does; check that `url` leads to the HTTP Event Collector"),
        300..=399 => stopped("which leads elsewhere; give that address as `url`"),
        401 | 403 => stopped("and not in the collector's words; does a proxy want something too?"),
        404 | 405 => {
            stopped("as if there were no collector; check `url`, its port, and that the collector is enabled globally")
        }
        _ => stopped("and not in the collector's words; look at what stands between"),
    }
}

fn remedy(code: i64) -> &'static str {
    match code {
        1 | 22 => "enable the token in Splunk under HTTP Event Collector",
        2..=4 | 21 => "check what `token` refers to, and that the token exists on this collector",
        5 => "though events were sent; does a proxy take the body away?",
        7 => "allow the index for this token in Splunk, or correct `index`",
        10 | 11 => "does a proxy take the header X-Splunk-Request-Channel away?",
        _ => "does a proxy rewrite the header Authorization?",
    }
}

fn said(body: &Body) -> String {
    let text = body.text.as_str().unwrap_or_default();
    let text: String = text.chars().filter(|letter| !letter.is_control()).take(TEXT_CHARS_MAX).collect();
    format!("it answers code {}, {text}", body.code)
}

fn place(number: &Value) -> Option<usize> {
    usize::try_from(number.as_u64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer<'_> {
        Answer { status, retry_after: None, body: body.as_bytes() }
    }
    fn code(status: u16, code: i64) -> Verdict {
        of_events(&answer(status, &format!(r#"{{"text":"words","code":{code}}}"#)))
    }
    /// One word for a verdict, so that the table below reads as the reference's does.
    fn word(verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Accepted { pace: Pace::Well, .. } => "accepted",
            Verdict::Accepted { pace: Pace::SlowDown, .. } => "slow down",
            Verdict::Later(Later { heard: true, drain: false, .. }) => "later",
            Verdict::Later(Later { heard: true, drain: true, .. }) => "drain",
            Verdict::Later(Later { heard: false, .. }) => "unheard",
            Verdict::Split { .. } => "split",
            Verdict::TooLong { .. } => "too long",
            Verdict::Uncompressed => "uncompressed",
            Verdict::WithoutAcks => "without acks",
            Verdict::Stopped { heard: true, .. } => "stopped",
            Verdict::Stopped { heard: false, .. } => "stopped unheard",
        }
    }

    #[test]
    fn every_code_of_the_reference_has_its_consequence() {
        let table = [
            (0, 200, "accepted"),
            (1, 403, "stopped"),
            (2, 401, "stopped"),
            (3, 401, "stopped"),
            (4, 403, "stopped"),
            (5, 400, "stopped"),
            (6, 400, "split"),
            (7, 400, "stopped"),
            (8, 500, "later"),
            (9, 503, "later"),
            (10, 400, "stopped"),
            (11, 400, "stopped"),
            (12, 400, "split"),
            (13, 400, "split"),
            (14, 400, "without acks"),
            (15, 400, "split"),
            (16, 400, "stopped"),
            (17, 200, "stopped unheard"),
            (18, 503, "later"),
            (19, 503, "drain"),
            (20, 503, "drain"),
            (21, 400, "stopped"),
            (22, 400, "stopped"),
            (23, 503, "later"),
            (24, 200, "slow down"),
            (25, 200, "slow down"),
            (26, 429, "later"),
            (27, 429, "drain"),
        ];
        for (number, status, expected) in table {
            assert_eq!(word(&code(status, number)), expected, "code {number}");
            if let Verdict::Stopped { why, .. } = code(status, number) {
                assert!(why.contains(';') || why.contains('?'), "says what to do: {why}");
            }
        }
    }

    #[test]
    fn codes_that_nobody_knows_yet_go_by_their_status() {
        let table =
            [(200, "accepted"), (400, "split"), (404, "stopped"), (413, "too long"), (429, "later"), (503, "later")];
        for (status, expected) in table {
            assert_eq!(word(&code(status, 99)), expected, "{status}");
        }
    }

    #[test]
    fn pages_of_others_accept_nothing_and_refuse_no_event() {
        let table = [
            (200, "stopped unheard"),
            (302, "stopped unheard"),
            (400, "stopped unheard"),
            (401, "stopped unheard"),
            (403, "stopped unheard"),
            (404, "stopped unheard"),
            (408, "unheard"),
            (413, "too long"),
            (415, "uncompressed"),
            (429, "unheard"),
            (500, "unheard"),
            (502, "unheard"),
            (503, "unheard"),
        ];
        for (status, expected) in table {
            for page in ["<html><body>Request entity</body></html>", "", "[]", "{\"text\":\"ok\"}"] {
                assert_eq!(word(&of_events(&answer(status, page))), expected, "{status} {page}");
            }
        }
        assert_eq!(word(&code(503, 0)), "stopped unheard", "an error is no success, whatever its body says");
        assert_eq!(word(&code(200, 9)), "later", "nor is a success one whose body says busy");
    }

    #[test]
    fn ids_places_and_patience_are_read() {
        let ack = of_events(&answer(200, r#"{"text":"Success","code":0,"ackId":7}"#));
        assert_eq!(ack, Verdict::Accepted { ack: Some(7), pace: Pace::Well });
        let bad = of_events(&answer(400, r#"{"text":"Invalid data format","code":6,"invalid-event-number":3}"#));
        assert!(matches!(bad, Verdict::Split { at: Some(3), .. }));
        let patient = Answer { retry_after: Some(Duration::from_secs(99_999)), ..answer(429, r#"{"code":26}"#) };
        let Verdict::Later(later) = of_events(&patient) else { panic!("later") };
        assert_eq!(later.after, Some(RETRY_AFTER_MAX));
        let strange = of_events(&answer(400, r#"{"text":[],"code":6,"invalid-event-number":-1}"#));
        assert!(matches!(strange, Verdict::Split { at: None, .. }));
        let long = format!(r#"{{"code":9,"text":"{}"}}"#, "x".repeat(10_000));
        let Verdict::Later(later) = of_events(&answer(503, &long)) else { panic!("later") };
        assert!(later.why.len() < TEXT_CHARS_MAX + 50);
    }

    #[test]
    fn acknowledgements_and_health_are_understood() {
        let told = of_acks(&answer(200, r#"{"acks":{"7":true,"8":false,"x":true}}"#));
        assert_eq!(told, Told::Statuses(BTreeMap::from([(7, true), (8, false)])));
        assert_eq!(of_acks(&answer(400, r#"{"text":"ACK is disabled","code":14}"#)), Told::WithoutAcks);
        assert!(matches!(of_acks(&answer(503, r#"{"code":9}"#)), Told::Later(Later { heard: true, .. })));
        assert!(matches!(of_acks(&answer(200, "<html>")), Told::Stopped { .. }));
        assert!(matches!(of_acks(&answer(200, r#"{"code":0}"#)), Told::Later(_)), "that tells of no id");
        assert_eq!(of_health(&answer(200, r#"{"code":17}"#)), Ok(()));
        assert_eq!(of_health(&answer(404, "")), Ok(()), "the endpoint is younger than some collectors");
        assert!(matches!(of_health(&answer(503, r#"{"code":18}"#)), Err(Verdict::Later(_))));
        assert!(matches!(of_health(&answer(400, r#"{"code":21}"#)), Err(Verdict::Stopped { .. })));
    }
}
