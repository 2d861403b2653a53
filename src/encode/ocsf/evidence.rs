//! What a finding is about, piece by piece. Each kind has its member of `evidences[]`; what OCSF has no place for is in
//! `data`, as upstream wrote it.

use super::access::RESOURCE;
use super::activities::{KEY, SCRIPT, VALUE};
use super::mail::EMAIL;
use super::network::{CONNECTION_INFO, LOCATION, QUERY, destination, plain_source, url};
use super::objects::{ACTOR, DEVICE, FILE, PROCESS, SESSION};
use super::people::USER;
use super::unmapped::{self, Keys};
use super::writer::{Member, Object, Take, Writer, is_hash};
use crate::event::ends::Ends;
use crate::event::{Evidence, EvidenceKind, Field, Raw, Remediation, Verdict};

use Take::{First, Made, Object as Of, Objects, Port};

pub(super) fn write(writer: &mut Writer<'_, '_>, keys: &Keys) {
    let event = writer.event;
    if event.evidence.is_empty() {
        return of_event(writer);
    }
    writer.json.known_key("evidences");
    writer.json.open_array();
    for evidence in &event.evidence {
        within(writer, evidence, |writer| piece(writer, evidence, keys));
        // The event repeats what its first pieces say, for formats that show one of each.
        evidence.fields.iter().for_each(|(field, _)| writer.shown.add(field));
    }
    writer.json.close_array();
}

/// Writes something of a piece's own fields rather than of the event's.
pub(super) fn within<'w, 'r>(
    writer: &mut Writer<'w, 'r>,
    evidence: &'w Evidence<'r>,
    write: impl FnOnce(&mut Writer<'w, 'r>) -> bool,
) -> bool {
    let fields = std::mem::replace(&mut writer.fields, &evidence.fields);
    let shown = std::mem::take(&mut writer.shown);
    let ends = std::mem::take(&mut writer.ends);
    let is_written = write(writer);
    (writer.fields, writer.shown, writer.ends) = (fields, shown, ends);
    is_written
}

fn piece(writer: &mut Writer<'_, '_>, evidence: &Evidence<'_>, keys: &Keys) -> bool {
    writer.json.open_object();
    writer.json.known_key("name");
    if evidence.kind_name.is_empty() {
        writer.json.string("evidence");
    } else {
        writer.json.text(evidence.kind_name);
    }
    verdict(writer, evidence.verdict);
    let before = writer.json.length();
    let is_whole = match evidence.kind {
        EvidenceKind::Ip => {
            let key = if evidence.roles.is_target() { "dst_endpoint" } else { "src_endpoint" };
            writer.member(&(key, Of(&ADDRESS)))
        }
        kind => {
            let (members, is_whole) = members_of(kind);
            writer.members(members);
            is_whole && writer.json.length() > before
        }
    };
    let has_raw = !Raw::Object(evidence.raw).is_absent();
    if is_whole || !has_raw {
        rest(writer, evidence, keys, is_whole);
    } else {
        writer.json.known_key("data");
        writer.json.document(evidence.raw);
    }
    writer.json.close_object();
    true
}

fn verdict(writer: &mut Writer<'_, '_>, verdict: Verdict) {
    let number = match verdict {
        Verdict::Unknown => 0,
        Verdict::Suspicious => 4,
        Verdict::Malicious => 2,
        Verdict::NoThreatsFound => 5,
        Verdict::Other => 99,
    };
    writer.json.known_key("verdict_id");
    writer.json.integer(number);
    if number == 99 {
        writer.json.known_key("verdict");
        writer.json.string("other");
    }
}

/// The part it played, what was done about it, and what has no attribute.
/// What has neither an attribute nor an object of its own is there by its kind at least.
fn rest(writer: &mut Writer<'_, '_>, evidence: &Evidence<'_>, keys: &Keys, may_be_empty: bool) {
    let length = writer.json.length();
    writer.json.known_key("data");
    writer.json.open_object();
    let before = writer.json.length();
    if !may_be_empty {
        writer.json.known_key("kind");
        writer.json.string(evidence.kind.name());
    }
    let mut roles = evidence.roles.iter().peekable();
    if roles.peek().is_some() {
        writer.json.known_key("roles");
        writer.json.open_array();
        roles.for_each(|role| writer.json.string(role.name()));
        writer.json.close_array();
    }
    if evidence.remediation != Remediation::None {
        writer.json.known_key("remediation_status");
        writer.json.string(evidence.remediation.name());
    }
    unmapped::members(writer, keys, &evidence.unmapped);
    if writer.json.length() == before {
        writer.json.take_back(length);
    } else {
        writer.json.close_object();
    }
}

/// The members of a kind, and whether they say it all; else the whole piece is there besides.
const fn members_of(kind: EvidenceKind) -> (&'static [Member], bool) {
    use EvidenceKind as K;
    match kind {
        K::Device => (OF_DEVICE, true),
        K::User | K::Mailbox => (OF_USER, true),
        K::ServicePrincipal => (OF_SERVICE, true),
        K::File => (OF_FILE, true),
        K::FileHash => (OF_HASH, true),
        K::Process => (OF_PROCESS, true),
        K::RegistryKey => (&[("reg_key", Made(registry_key))], false),
        K::RegistryValue => (&[("reg_value", Made(registry_value))], false),
        K::Ip => (&[], true),
        K::Url => (&[("url", Made(|writer| url(writer, Field::Url)))], true),
        K::Dns => (OF_DNS, true),
        K::NetworkConnection => (OF_CONNECTION, true),
        K::AnalyzedMessage => (OF_MESSAGE, true),
        K::MailCluster => (&[("uid", First(&[Field::ResourceId]))], false),
        K::CloudApplication
        | K::OAuthApplication
        | K::SecurityGroup
        | K::AzureResource
        | K::AmazonResource
        | K::GoogleCloudResource => (OF_RESOURCE, false),
        K::CloudLogonSession => (OF_SESSION, true),
        // There are no attributes for these.
        K::ActiveDirectoryDomain
        | K::AiAgent
        | K::BlobContainer
        | K::Blob
        | K::CloudLogonRequest
        | K::Container
        | K::ContainerImage
        | K::ContainerRegistry
        | K::GitHubOrganization
        | K::GitHubRepo
        | K::GitHubUser
        | K::HostLogonSession
        | K::IoTDevice
        | K::KubernetesCluster
        | K::KubernetesController
        | K::KubernetesNamespace
        | K::KubernetesPod
        | K::KubernetesSecret
        | K::KubernetesServiceAccount
        | K::KubernetesService
        | K::MailboxConfiguration
        | K::Malware
        | K::Nic
        | K::SasToken
        | K::SubmissionMail
        | K::TeamsMessage
        | K::Other => (&[], false),
    }
}

const OF_DEVICE: &[Member] = &[("device", Of(&DEVICE))];
const OF_USER: &[Member] = &[("user", Of(&USER))];
const OF_SERVICE: &[Member] = &[("user", Of(&SERVICE_USER))];
const OF_FILE: &[Member] = &[("file", Of(&FILE))];
const OF_HASH: &[Member] = &[("file", Of(&HASH_FILE))];
const OF_PROCESS: &[Member] = &[("process", Of(&PROCESS))];
const OF_DNS: &[Member] = &[("query", Of(&QUERY)), ("src_endpoint", Of(&LOCAL)), ("dst_endpoint", Of(&REMOTE))];
const OF_CONNECTION: &[Member] =
    &[("src_endpoint", Of(&LOCAL)), ("dst_endpoint", Of(&REMOTE)), ("connection_info", Of(&CONNECTION_INFO))];
const OF_MESSAGE: &[Member] =
    &[("uid", First(&[Field::MailNetworkId])), ("email", Of(&EMAIL)), ("src_endpoint", Of(&SENDER))];
const OF_RESOURCE: &[Member] = &[("resources", Objects(&RESOURCE))];
const OF_SESSION: &[Member] = &[("actor", Of(&SESSION_ACTOR))];

static SERVICE_USER: Object = Object {
    one_of: &[("name", First(&[Field::UserName])), ("uid", First(&[Field::UserObjectId]))],
    instead: None,
    also: &[("uid_alt", First(&[Field::ResourceId]))],
    last: &[("type_id", Take::Fixed("4"))],
};

static ADDRESS: Object = Object {
    one_of: &[("ip", First(&[Field::IpAddress]))],
    instead: None,
    also: &[("location", Of(&LOCATION))],
    last: &[],
};
static SENDER: Object =
    Object { one_of: &[("ip", First(&[Field::MailSenderIp]))], instead: None, also: &[], last: &[] };

/// A connection's ends as evidence tells of them: this side and the other one.
static LOCAL: Object = Object {
    one_of: &[("ip", First(&[Field::NetLocalIp]))],
    instead: None,
    also: &[("port", Port(Field::NetLocalPort))],
    last: &[],
};
static REMOTE: Object = Object {
    one_of: &[("ip", First(&[Field::NetRemoteIp]))],
    instead: None,
    also: &[("port", Port(Field::NetRemotePort))],
    last: &[],
};

static SESSION_ACTOR: Object =
    Object { one_of: &[("user", Of(&USER)), ("session", Of(&SESSION))], instead: None, also: &[], last: &[] };

static HASH_FILE: Object = Object {
    one_of: &[("hashes", Made(hash))],
    instead: None,
    also: &[],
    last: &[("name", Take::Fixed(r#""unknown""#)), ("type_id", Take::Fixed("0"))],
};

/// A hash alone is told apart by its length.
fn hash(writer: &mut Writer<'_, '_>) -> bool {
    let Some(hash) = writer.text(Field::ResourceId) else { return false };
    let is_authenticode = writer.text(Field::ResourceType).is_some_and(|kind| kind.eq_ignore_case("sha256ac"));
    let algorithm = [(32, 1), (40, 2), (64, 3)].into_iter().find(|(length, _)| is_hash(hash, *length));
    let Some((_, algorithm)) = algorithm.filter(|_| !is_authenticode) else { return false };
    writer.json.open_array();
    writer.json.open_object();
    writer.json.known_key("algorithm_id");
    writer.json.integer(algorithm);
    writer.json.known_key("value");
    writer.json.lower(hash);
    writer.json.close_object();
    writer.json.close_array();
    writer.done(true, Field::ResourceId) && writer.done(true, Field::ResourceType)
}

fn registry_key(writer: &mut Writer<'_, '_>) -> bool {
    let is_written = writer.object(&KEY);
    writer.announced.windows |= is_written;
    is_written
}

fn registry_value(writer: &mut Writer<'_, '_>) -> bool {
    let is_written = writer.object(&VALUE);
    writer.announced.windows |= is_written;
    is_written
}

/// A finding without pieces is about what its own columns name: one piece of it all.
fn of_event(writer: &mut Writer<'_, '_>) {
    let length = writer.json.length();
    writer.json.known_key("evidences");
    writer.json.open_array();
    writer.json.open_object();
    writer.json.known_key("name");
    if !writer.value(Field::EntityKind) {
        let kind = writer.event.kind;
        if kind.is_empty() { writer.json.string("evidence") } else { writer.json.text(kind) }
    }
    let before = writer.json.length();
    writer.members(OF_EVENT);
    let has_some = writer.json.length() > before;
    writer.members(MORE_OF_EVENT);
    if writer.json.length() == before {
        writer.shown.remove(Field::EntityKind);
        return writer.json.take_back(length);
    }
    if !has_some {
        // OCSF wants more than a registry key or a resource, which it counts for nothing.
        writer.json.known_key("data");
        writer.json.open_object();
        writer.json.known_key("table");
        writer.json.text(writer.event.kind);
        writer.json.close_object();
    }
    writer.json.close_object();
    writer.json.close_array();
}

const OF_EVENT: &[Member] = &[
    ("actor", Of(&ACTOR)),
    ("process", Of(&PROCESS)),
    ("file", Of(&FILE)),
    ("user", Of(&USER)),
    ("src_endpoint", Made(event_source)),
    ("dst_endpoint", Made(destination)),
    ("url", Made(|writer| url(writer, Field::Url) || url(writer, Field::NetRemoteUrl))),
    ("email", Of(&EMAIL)),
    ("script", Of(&SCRIPT)),
    ("query", Of(&QUERY)),
];
const MORE_OF_EVENT: &[Member] = &[
    ("reg_key", Made(|writer| !has_value(writer) && registry_key(writer))),
    ("reg_value", Made(|writer| has_value(writer) && registry_value(writer))),
    ("resources", Objects(&RESOURCE)),
];

fn event_source(writer: &mut Writer<'_, '_>) -> bool {
    let has_ends = writer.ends != Ends::default();
    (has_ends && plain_source(writer)) || writer.object(&ADDRESS)
}

fn has_value(writer: &Writer<'_, '_>) -> bool {
    writer.text(Field::RegistryValueName).is_some() || writer.text(Field::RegistryValue).is_some()
}
