//! Alerts. The `n`th alert of a seed is the same in the stream and in the REST collections, whoever tells of it first.

use std::sync::Arc;

use super::catalogue::{ALERT_KINDS, AlertKind, EXPLORER, PROGRAMS, SUBJECTS};
use super::columns;
use super::json::Row;
use super::random::Random;
use super::stream::Stream;
use super::world::{World, public_address};
use crate::clock::Timestamp;

/// The purpose under which the world gives each alert its numbers.
const ALERTS: u64 = 2;

pub struct Alert {
    pub kind: &'static AlertKind,
    pub id: String,
    pub provider_id: String,
    pub device: usize,
    pub user: usize,
    pub program: usize,
    pub remote: [u8; 4],
    pub message: String,
    /// For whatever else has to follow from which alert this is.
    pub random: Random,
}

impl Alert {
    pub fn nth(world: &World, n: u64) -> Self {
        let mut random = world.random(ALERTS).fork(n);
        let kind = random.pick(ALERT_KINDS);
        let sign = if random.chance(0.5) { "-" } else { "" };
        let stamp = 638_900_000_000_000_000 + n * 1_000_003 + random.below(1_000_000);
        let provider_id = format!("{stamp}_{sign}{}", random.below(1 << 31));
        let device = random.index(world.devices.len());
        Self {
            id: format!("{}{provider_id}", kind.product.prefix),
            provider_id,
            kind,
            device,
            user: world.devices[device].owner,
            program: EXPLORER + 1 + random.index(PROGRAMS.len() - EXPLORER - 2),
            remote: public_address(&mut random),
            message: random.guid(),
            random,
        }
    }

    pub fn command(&self, world: &World) -> String {
        let program = &PROGRAMS[self.program];
        let n = self.random.clone().below(100_000).to_string();
        let arguments = program.arguments.replace("{n}", &n).replace("{u}", &world.users[self.user].name);
        format!("\"{}\"{arguments}", program.file)
    }

    pub fn subject(&self) -> String {
        let mut random = self.random.clone();
        random.one_of(SUBJECTS).replace("{n}", "4711")
    }

    fn techniques(&self) -> String {
        if self.kind.techniques.is_empty() {
            return String::new();
        }
        let names: Vec<String> =
            self.kind.techniques.iter().map(|(name, number)| format!("\"{name} ({number})\"")).collect();
        format!("[{}]", names.join(","))
    }

    fn columns(&self, row: &mut Row<'_>) {
        row.text("AlertId", &self.id);
        row.text("Title", self.kind.title);
        row.text("AttackTechniques", &self.techniques());
        row.text("ServiceSource", self.kind.product.name);
        row.text("DetectionSource", self.kind.product.stream_detection);
        row.text("Severity", self.kind.severity);
        row.null("MachineGroup");
    }
}

/// Rows about evidence tell of one of the latest this many alerts.
const RECENT: u64 = 8;
const ENTITIES: &[&str] = &["File", "Process", "User", "Machine", "Ip", "Url", "MailMessage", "CloudApplication"];

impl Stream {
    pub(super) fn alert_info(&mut self, mut row: Row<'_>, now: Timestamp) {
        let alert = Alert::nth(&self.world, self.alerts);
        self.alerts += 1;
        row.time("Timestamp", self.long_ago(now));
        alert.columns(&mut row);
        row.text("Category", alert.kind.category);
        row.close();
    }

    pub(super) fn alert_evidence(&mut self, mut row: Row<'_>, now: Timestamp) {
        let world = Arc::clone(&self.world);
        // Evidence may arrive before the alert it belongs to.
        let back = self.random.below(RECENT);
        let alert = Alert::nth(&world, (self.alerts + 1).saturating_sub(back));
        row.time("Timestamp", self.long_ago(now));
        alert.columns(&mut row);
        row.text("Categories", &format!("[\"{}\"]", alert.kind.category));
        let entity = self.random.one_of(ENTITIES);
        row.text("EntityType", entity);
        row.text("EvidenceRole", self.random.one_of(&["Related", "Impacted"]));
        row.null("EvidenceDirection");
        evidence(&mut row, &world, &alert, entity);
        let digits = self.random.hex(32);
        let mut extra = Vec::new();
        let mut fields = Row::open(&mut extra, &[]);
        fields.text("$id", "1");
        fields.text("Type", &entity.to_lowercase());
        fields.time("CreatedTimeUtc", now);
        fields.number("Role", 0);
        fields.text("MergeByKey", &digits);
        fields.close();
        row.text("AdditionalFields", &String::from_utf8_lossy(&extra));
        row.close();
    }

    /// Alerts carry the time of the activity, which may be most of a day before they are raised.
    fn long_ago(&mut self, now: Timestamp) -> Timestamp {
        let seconds = if self.random.chance(0.1) { self.random.below(100_000) } else { self.random.between(60, 900) };
        Timestamp::from_nanos(now.nanos() - i64::try_from(seconds).unwrap_or(0) * 1_000_000_000)
    }
}

fn evidence(row: &mut Row<'_>, world: &World, alert: &Alert, entity: &str) {
    let (device, user) = (&world.devices[alert.device], &world.users[alert.user]);
    let program = &PROGRAMS[alert.program];
    let image = &world.images[alert.program];
    let (file, machine) = (matches!(entity, "File" | "Process"), matches!(entity, "File" | "Process" | "Machine"));
    let (person, mail) = (matches!(entity, "User" | "Process"), entity == "MailMessage");
    row.maybe("FileName", file.then_some(program.file));
    row.maybe("FolderPath", file.then(|| columns::path(program, &user.name)).as_deref());
    row.maybe("SHA1", file.then_some(image.sha1.as_str()));
    row.maybe("SHA256", file.then_some(image.sha256.as_str()));
    if file {
        row.number("FileSize", image.bytes);
    } else {
        row.null("FileSize");
    }
    row.null("ThreatFamily");
    match entity {
        "Ip" => row.address("RemoteIP", alert.remote),
        _ => row.null("RemoteIP"),
    }
    row.maybe("RemoteUrl", (entity == "Url").then_some("https://files.example/get?id=1&x=a|b"));
    row.maybe("AccountName", person.then_some(user.name.as_str()));
    row.maybe("AccountDomain", person.then_some(world.netbios.as_str()));
    row.maybe("AccountSid", person.then_some(user.sid.as_str()));
    row.maybe("AccountObjectId", person.then_some(user.object.as_str()));
    row.maybe("AccountUpn", person.then_some(user.principal.as_str()));
    row.maybe("DeviceId", machine.then_some(device.id.as_str()));
    row.maybe("DeviceName", machine.then_some(device.dns.as_str()));
    if machine {
        row.address("LocalIP", device.address);
    } else {
        row.null("LocalIP");
    }
    row.maybe("NetworkMessageId", mail.then_some(alert.message.as_str()));
    row.maybe("EmailSubject", mail.then(|| alert.subject()).as_deref());
    let app = entity == "CloudApplication";
    row.maybe("Application", app.then_some("Microsoft SharePoint Online"));
    if app {
        row.number("ApplicationId", 20_892);
    } else {
        row.null("ApplicationId");
    }
    row.null("OAuthApplicationId");
    match entity {
        "Process" => row.free("ProcessCommandLine", &alert.command(world)),
        _ => row.null("ProcessCommandLine"),
    }
    row.nulls(&["RegistryKey", "RegistryValueName", "RegistryValueData"]);
    row.nulls(&["CloudResource", "CloudPlatform", "ResourceType", "ResourceID", "SubscriptionId"]);
}
