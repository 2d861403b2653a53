//! Incidents and alerts that live: raised, joined by more alerts, assigned, commented, merged, resolved.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::alerts::Alert;
use super::evidence;
use super::random::Random;
use super::world::World;
use super::{Collection, GraphChange, Options};
use crate::clock::Timestamp;

/// The purpose of the numbers drawn here.
const INCIDENTS: u64 = 3;
/// More open incidents than this and the oldest is resolved next, so that an endless run stays small.
const OPEN_MAX: usize = 64;
/// Alerts of one incident; beyond that a new incident is opened instead.
const ALERTS_MAX: usize = 12;
/// How long a late change stays invisible at most.
const LATE_SECONDS_MAX: u64 = 20;

pub struct Incidents {
    world: Arc<World>,
    random: Random,
    late: f64,
    tied: f64,
    open: VecDeque<Incident>,
    /// How many alerts and incidents there were ever.
    alerts: u64,
    incidents: u64,
    /// Changes decided but not yet told, with all but their time.
    pending: VecDeque<(Collection, Value)>,
    last: Timestamp,
    /// When the newest version of an object became visible; kept while an older one could still overtake it.
    visible: BTreeMap<String, Timestamp>,
}

struct Incident {
    id: String,
    created: Timestamp,
    status: &'static str,
    redirect: Option<String>,
    assigned: Option<String>,
    verdict: (&'static str, &'static str),
    comments: Vec<Value>,
    alerts: Vec<Raised>,
}

struct Raised {
    alert: Alert,
    created: Timestamp,
    status: &'static str,
    resolved: Option<Timestamp>,
    remediation: &'static str,
}

impl Incidents {
    pub fn new(world: Arc<World>, options: &Options) -> Self {
        Self {
            random: world.random(INCIDENTS),
            world,
            late: options.late,
            tied: options.tied,
            open: VecDeque::new(),
            alerts: 0,
            incidents: 0,
            pending: VecDeque::new(),
            last: Timestamp::ZERO,
            visible: BTreeMap::new(),
        }
    }

    pub fn next(&mut self, now: Timestamp) -> GraphChange {
        if self.pending.is_empty() {
            self.step(now);
        }
        let (collection, mut object) = self
            .pending
            .pop_front()
            .expect("every step leaves at least one change, as each of them tells of an incident");
        let tie = self.last != Timestamp::ZERO && self.random.chance(self.tied);
        let exact = Timestamp::from_nanos(now.nanos().div_euclid(100) * 100);
        let updated = if tie { self.last } else { exact.max(self.last) };
        self.last = updated;
        object["lastUpdateDateTime"] = json!(spelled(updated));
        let id = object["id"].as_str().unwrap_or_default().to_owned();
        let visible_after = self.visible_after(&id, now.max(updated));
        GraphChange { collection, id, object, updated, visible_after }
    }

    /// A version never becomes visible before an older one of the same object.
    fn visible_after(&mut self, id: &str, told: Timestamp) -> Timestamp {
        let late = self.random.chance(self.late);
        let delay = if late { self.random.between(1, LATE_SECONDS_MAX) } else { 0 };
        let mut visible = told.plus(Duration::from_secs(delay));
        self.visible.retain(|_, earlier| *earlier >= told);
        if let Some(earlier) = self.visible.get(id) {
            visible = visible.max(*earlier);
        }
        self.visible.insert(id.to_owned(), visible);
        visible
    }

    fn step(&mut self, now: Timestamp) {
        if self.open.len() >= OPEN_MAX {
            return self.resolve(0, now);
        }
        if self.open.is_empty() {
            return self.raise(now);
        }
        let at = self.random.index(self.open.len());
        match self.random.below(20) {
            0..=5 => self.raise(now),
            6..=9 if self.open[at].alerts.len() < ALERTS_MAX => self.join(at, now),
            6..=11 => self.assign(at),
            12..=13 => self.remediate(at),
            14..=15 => self.comment(at, now),
            16 if self.open.len() > 1 => self.merge(at),
            _ => self.resolve(at, now),
        }
    }

    fn raise(&mut self, now: Timestamp) {
        self.incidents += 1;
        self.open.push_back(Incident {
            id: (4_000 + self.incidents).to_string(),
            created: now,
            status: "active",
            redirect: None,
            assigned: None,
            verdict: ("unknown", "unknown"),
            comments: Vec::new(),
            alerts: Vec::new(),
        });
        let at = self.open.len() - 1;
        for _ in 0..self.random.between(1, 3) {
            self.add_alert(at, now);
        }
        self.tell_incident(at);
    }

    fn join(&mut self, at: usize, now: Timestamp) {
        self.add_alert(at, now);
        self.tell_incident(at);
    }

    fn add_alert(&mut self, at: usize, now: Timestamp) {
        let alert = Alert::nth(&self.world, self.alerts);
        self.alerts += 1;
        let raised = Raised { alert, created: now, status: "new", resolved: None, remediation: "active" };
        self.open[at].alerts.push(raised);
        self.tell_alert(at, self.open[at].alerts.len() - 1);
    }

    fn assign(&mut self, at: usize) {
        let analyst = self.random.index(self.world.users.len());
        let incident = &mut self.open[at];
        incident.assigned = Some(self.world.users[analyst].principal.clone());
        incident.status = "inProgress";
        for raised in &mut incident.alerts {
            raised.status = "inProgress";
        }
        self.tell_incident(at);
    }

    /// The service acts on what an alert found; the incident stays as it was.
    fn remediate(&mut self, at: usize) {
        let alert = self.random.index(self.open[at].alerts.len());
        self.open[at].alerts[alert].remediation = self.random.one_of(&["remediated", "prevented", "blocked"]);
        self.tell_alert(at, alert);
    }

    fn comment(&mut self, at: usize, now: Timestamp) {
        let text = self.random.one_of(&["ticket opened", "user called, travelling", "reimaged | owner = IT"]);
        self.open[at].comments.push(json!({
            "comment": text, "createdByDisplayName": "SOC Tier 1", "createdDateTime": spelled(now),
        }));
        self.tell_incident(at);
    }

    /// One incident turns out to be part of another; its alerts move there and it stays as a signpost.
    fn merge(&mut self, at: usize) {
        let mut merged = self.open.remove(at).expect("the caller picks an open incident");
        let into = self.random.index(self.open.len());
        merged.status = "redirected";
        merged.redirect = Some(self.open[into].id.clone());
        let first = self.open[into].alerts.len();
        self.open[into].alerts.append(&mut merged.alerts);
        for alert in first..self.open[into].alerts.len() {
            self.tell_alert(into, alert);
        }
        self.pending.push_back((Collection::Incidents, merged.render(&self.world)));
        self.tell_incident(into);
    }

    fn resolve(&mut self, at: usize, now: Timestamp) {
        let incident = &mut self.open[at];
        incident.status = "resolved";
        incident.verdict = *self.random.pick(VERDICTS);
        for raised in &mut incident.alerts {
            raised.status = "resolved";
            raised.resolved = Some(now);
        }
        for alert in 0..self.open[at].alerts.len() {
            self.tell_alert(at, alert);
        }
        self.tell_incident(at);
        self.open.remove(at);
    }

    fn tell_incident(&mut self, at: usize) {
        self.pending.push_back((Collection::Incidents, self.open[at].render(&self.world)));
    }

    fn tell_alert(&mut self, at: usize, alert: usize) {
        let incident = &self.open[at];
        let object = incident.alerts[alert].render(&self.world, incident);
        self.pending.push_back((Collection::Alerts, object));
    }
}

const VERDICTS: &[(&str, &str)] = &[
    ("truePositive", "malware"),
    ("truePositive", "phishing"),
    ("truePositive", "compromisedAccount"),
    ("falsePositive", "notMalicious"),
    ("informationalExpectedActivity", "securityTesting"),
];

/// Microsoft's times drop the zeros at the end of the fraction, now and then the whole of it.
fn spelled(moment: Timestamp) -> String {
    let text = moment.to_microsoft();
    let kept = text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
    format!("{kept}Z")
}

const SEVERITIES: &[&str] = &["informational", "low", "medium", "high"];

impl Incident {
    fn severity(&self) -> String {
        let rank = |raised: &Raised| {
            SEVERITIES.iter().position(|name| raised.alert.kind.severity.eq_ignore_ascii_case(name)).unwrap_or(0)
        };
        SEVERITIES[self.alerts.iter().map(rank).max().unwrap_or(0)].to_owned()
    }

    fn render(&self, world: &World) -> Value {
        let title = self.alerts.first().map_or("Merged incident", |raised| raised.alert.kind.title);
        json!({
            "id": self.id,
            "tenantId": world.tenant.directory,
            "status": self.status,
            "incidentWebUrl": format!("https://security.microsoft.com/incident2/{}/overview?tid={}", self.id, world.tenant.directory),
            "redirectIncidentId": self.redirect,
            "displayName": format!("{title} involving {} alerts", self.alerts.len()),
            "createdDateTime": spelled(self.created),
            "lastUpdateDateTime": null,
            "assignedTo": self.assigned,
            "classification": self.verdict.0,
            "determination": self.verdict.1,
            "severity": self.severity(),
            "customTags": if self.comments.is_empty() { json!([]) } else { json!(["reviewed"]) },
            "systemTags": [],
            "description": null,
            "lastModifiedBy": self.assigned.as_deref().unwrap_or("Microsoft 365 Defender"),
            "resolvingComment": null,
            "summary": null,
            "priorityScore": 10 + 7 * self.alerts.len(),
            "comments": self.comments,
        })
    }
}

impl Raised {
    fn render(&self, world: &World, incident: &Incident) -> Value {
        let (alert, kind) = (&self.alert, self.alert.kind);
        let techniques: Vec<&str> = kind.techniques.iter().map(|(_, number)| *number).collect();
        let known = self.resolved.is_some();
        json!({
            "id": alert.id,
            "providerAlertId": alert.provider_id,
            "incidentId": incident.id,
            "status": self.status,
            "severity": kind.severity.to_ascii_lowercase(),
            "classification": known.then_some(incident.verdict.0),
            "determination": known.then_some(incident.verdict.1),
            "serviceSource": kind.product.service,
            "detectionSource": kind.product.detection,
            "productName": kind.product.name,
            "detectorId": alert.random.clone().guid(),
            "tenantId": world.tenant.directory,
            "title": kind.title,
            "description": format!("{} was seen on {}.", kind.title, world.devices[alert.device].dns),
            "recommendedActions": "Collect an investigation package.\r\nReset the password | sign out everywhere.",
            "category": kind.category,
            "categories": [kind.category],
            "assignedTo": incident.assigned,
            "alertWebUrl": format!("https://security.microsoft.com/alerts/{}?tid={}", alert.id, world.tenant.directory),
            "incidentWebUrl": format!("https://security.microsoft.com/incident2/{}/overview", incident.id),
            "actorDisplayName": null,
            "threatDisplayName": null,
            "threatFamilyName": null,
            "mitreTechniques": techniques,
            "createdDateTime": spelled(self.created),
            "lastUpdateDateTime": null,
            "resolvedDateTime": self.resolved.map(spelled),
            "firstActivityDateTime": spelled(self.created.minus(Duration::from_secs(300))),
            "lastActivityDateTime": spelled(self.created.minus(Duration::from_secs(120))),
            "investigationState": if known { "benign" } else { "queued" },
            "systemTags": [],
            "alertPolicyId": null,
            "additionalData": null,
            "customDetails": {},
            "comments": [],
            "evidence": evidence::of(world, alert, self.remediation, &spelled(self.created)),
        })
    }
}
