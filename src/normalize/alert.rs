//! Alerts of every interface: an alert, its evidence, and the one device, user, file … that flat formats show of it.

use crate::clock::Timestamp;
use crate::event::batch::{Coordinates, Shape};
use crate::event::json::{Fault, Scanner};
use crate::event::{
    Activity, Change, Class, Event, Evidence, EvidenceKind, Field, Fields, Raw, Remediation, Revision, Severity, Text,
    Value, Verdict,
};
use crate::normalize::evidence::{Place, bare};
use crate::normalize::kinds::Prepared;
use crate::normalize::object::{Special, document};
use crate::normalize::tables::evidence::Pieces;
use crate::normalize::{Input, Origin, Reason, detection};

/// How deep an alert's evidence lies.
const PIECE_DEPTH: u32 = 3;

pub(super) fn event<'r>(
    origin: &Origin<'r>,
    input: Input<'r>,
    shape: Shape,
    prepared: &Prepared,
    pieces: &Pieces,
) -> Result<Event<'r>, Reason> {
    let (mut fields, mut unmapped) = (Fields::default(), Vec::new());
    let mut severity = Severity::Unknown;
    let mut evidence = Vec::new();
    let place = Place { text: input.text, pieces, depth: PIECE_DEPTH, are_devices: false };
    let object = document(input.text, &prepared.index, &mut fields, &mut unmapped, |special, scanner| match special {
        Special::Severity => read_severity(scanner, &mut severity),
        Special::Evidence => place.read_all(scanner, &mut evidence),
        Special::Devices => Place { are_devices: true, ..place }.read_all(scanner, &mut evidence),
        Special::Verdict | Special::Remediation | Special::Roles | Special::Type | Special::Alerts => {
            scanner.value(PIECE_DEPTH - 1).map(|_| false)
        }
    })?;
    if !fields.has(Field::AlertId) {
        return Err(Reason::NoId);
    }
    for (field, word) in prepared.kind.means {
        fields.insert(*field, Value::plain(word));
    }
    match shape {
        Shape::EndpointAlert => add_root(&mut fields, &mut evidence),
        Shape::SiemDetection => detection::take_apart(prepared.kind, &mut fields, &mut unmapped, &mut evidence),
        Shape::GraphAlert | Shape::XdrAlert => {}
        Shape::Streaming | Shape::GraphIncident | Shape::XdrIncident => {}
    }
    conclude(&mut fields, &evidence);
    let times = Times { updated: fields.time(Field::AlertUpdated), created: fields.time(Field::AlertCreated) };
    let mut revision = revision(origin, times, fields.text(Field::AlertStatus));
    // The retired interface tells of each detection once and never of a change.
    if let (Shape::SiemDetection, Some(revision)) = (shape, &mut revision) {
        revision.change = Change::Create;
    }
    Ok(Event {
        id: origin.id(0, input.raw),
        tenant: origin.tenant,
        source: origin.source,
        class: Class::Alert,
        activity: revision.map_or(Activity::Other, |revision| revision.change.activity()),
        kind: Text::plain("Alert"),
        action: None,
        time: times.updated.or(times.created).or(origin.published),
        severity,
        revision,
        fields,
        evidence,
        unmapped,
        index: 0,
        record: object,
        raw: input.raw,
        repaired: input.repaired,
        reduced: None,
    })
}

/// Reads the severity that is next: a word of any interface, or its number. Whether it is one we know, and no second
/// one that says otherwise.
pub(super) fn read_severity(scanner: &mut Scanner<'_>, severity: &mut Severity) -> Result<bool, Fault> {
    let value = scanner.value(2)?;
    let known = match value {
        Raw::String(word) => Severity::known(&word.to_cow()),
        Raw::Number(digits) => Severity::known(digits),
        _ => None,
    };
    if *severity == Severity::Unknown {
        *severity = known.unwrap_or_default();
    }
    Ok(value.is_absent() || known == Some(*severity))
}

/// When a version of an object was made, and the object itself.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) updated: Option<Timestamp>,
    pub(super) created: Option<Timestamp>,
}

/// Which version of an object this is, and what became of the object in it.
pub(super) fn revision(origin: &Origin<'_>, times: Times, status: Option<Text<'_>>) -> Option<Revision> {
    let Times { updated, created } = times;
    let version = match origin.coordinates {
        Some(Coordinates::Object { version, .. }) => Some(*version),
        Some(Coordinates::Log { .. }) | None => None,
    };
    // One that was merged into another is over as well; it is not resolved, and its status keeps saying so.
    let is_over = status.is_some_and(|status| status.eq_ignore_case("resolved") || status.eq_ignore_case("redirected"));
    let change = match (is_over, updated.is_none() || updated == created) {
        (true, _) => Change::Close,
        (false, true) => Change::Create,
        (false, false) => Change::Update,
    };
    let updated = updated.or(created).or(version.map(|version| version.updated))?;
    Some(Revision { change, updated, digest: version.map(|version| version.digest) })
}

/// Defender for Endpoint says in the alert itself on which device it happened and whom it is about.
fn add_root<'r>(fields: &mut Fields<'r>, evidence: &mut Vec<Evidence<'r>>) {
    if let Some(related) = piece_of(fields, EvidenceKind::User, "User", "user.") {
        let same = |piece: &Evidence<'r>, field| match (piece.fields.text(field), related.fields.text(field)) {
            (Some(one), Some(other)) => other.eq_ignore_case(&one.to_cow()),
            (_, None) => true,
            (None, Some(_)) => false,
        };
        // The evidence knows more of the same user, and must not be mixed with what it knows of others.
        let known = evidence.iter().position(|piece| {
            piece.kind == EvidenceKind::User && same(piece, Field::UserName) && same(piece, Field::UserDomain)
        });
        match known {
            Some(at) => evidence[..=at].rotate_right(1),
            None => evidence.insert(0, related),
        }
        fields.remove(Field::UserName);
        fields.remove(Field::UserDomain);
    }
    if let Some(device) = piece_of(fields, EvidenceKind::Device, "Machine", "device.") {
        evidence.insert(0, device);
    }
}

/// A piece of evidence made of what the record itself says of one thing; nothing if it says nothing.
pub(super) fn piece_of<'r>(
    fields: &Fields<'r>,
    kind: EvidenceKind,
    name: &'static str,
    prefix: &str,
) -> Option<Evidence<'r>> {
    let mut piece = bare(kind, Text::plain(name));
    for (field, value) in fields.iter().filter(|(field, _)| field.name().starts_with(prefix)) {
        piece.fields.insert(field, value.clone());
    }
    (!piece.fields.is_empty()).then_some(piece)
}

/// What follows from the evidence as a whole, and the pieces that flat formats show.
fn conclude<'r>(fields: &mut Fields<'r>, evidence: &[Evidence<'r>]) {
    let mut states = evidence.iter().filter_map(|piece| piece.fields.text(Field::ProcessDetection)).peekable();
    if states.peek().is_some() {
        let was_executing = states.any(|state| state.eq_ignore_case("detected"));
        fields.insert(Field::AlertWasExecuting, Value::Bool(was_executing));
    }
    // A piece nothing was ever to be done about says nothing about success, unless Microsoft thinks ill of it.
    let is_told = |piece: &&Evidence<'_>| piece.remediation != Remediation::None;
    let counts = |piece: &&Evidence<'_>| is_told(piece) || is_at_large(piece);
    let states = evidence.iter().filter(counts).map(|piece| piece.remediation);
    // The service lists the same pieces in another order from one answer to the next; the worst is the same one.
    let worst =
        states.max_by_key(|state| (state.concern(), *state)).filter(|_| evidence.iter().any(|piece| is_told(&piece)));
    match worst {
        // What a word that is newer than we are means for success is anybody's guess.
        Some(Remediation::Other) => {}
        Some(worst) => {
            fields.insert(Field::AlertIsRemediated, Value::Bool(worst.succeeded()));
            let word = if worst == Remediation::None { "detected" } else { worst.name() };
            fields.insert(Field::Disposition, Value::plain(word));
        }
        None => {
            if let Some(worst) = worst_detection(evidence) {
                fields.insert(Field::Disposition, Value::plain(worst));
            }
        }
    }
    show_primaries(fields, evidence);
}

/// Something bad that was seen and left alone, though something else of the alert was taken care of. The parents and
/// folders around it are seen and left alone as well; of these Microsoft thinks no ill.
fn is_at_large(piece: &Evidence<'_>) -> bool {
    matches!(piece.verdict, Verdict::Malicious | Verdict::Suspicious)
        && [Field::FileDetection, Field::ProcessDetection]
            .iter()
            .any(|field| piece.fields.text(*field).is_some_and(|state| state.eq_ignore_case("detected")))
}

/// Where nothing was remediated, files and processes still say whether they were stopped.
fn worst_detection(evidence: &[Evidence<'_>]) -> Option<&'static str> {
    const WORST_FIRST: &[&str] = &["detected", "blocked", "prevented"];
    let states = evidence.iter().flat_map(|piece| {
        [Field::FileDetection, Field::ProcessDetection].into_iter().filter_map(|field| piece.fields.text(field))
    });
    let ranks = states.filter_map(|state| WORST_FIRST.iter().position(|word| state.eq_ignore_case(word)));
    ranks.min().map(|rank| WORST_FIRST[rank])
}

/// Copies the first piece of each kind by the order of roles into the event, with those first that own the fields they
/// bring: the user of an alert is the user it names, and only without one the user of a process. A user, a device or a
/// file is of one piece as a whole: the name of one and the number of another would be somebody who doesn't exist.
fn show_primaries<'r>(fields: &mut Fields<'r>, evidence: &[Evidence<'r>]) {
    let mut best: [Option<usize>; EvidenceKind::ALL.len()] = [None; EvidenceKind::ALL.len()];
    for (at, piece) in evidence.iter().enumerate() {
        // Of a kind that nobody knows no field is known either.
        if let Some(best) = best.get_mut(piece.kind as usize)
            && best.is_none_or(|known| piece.roles.rank() < evidence[known].roles.rank())
        {
            *best = Some(at);
        }
    }
    let others = EvidenceKind::ALL.iter().filter(|kind| !FIRST.contains(kind));
    let mut taken: Vec<u32> = fields.iter().map(|(field, _)| thing(field)).collect();
    for at in FIRST.iter().chain(others).filter_map(|kind| best[*kind as usize]) {
        let before = taken.len();
        for (field, value) in evidence[at].fields.iter().filter(|(field, _)| !OF_THE_PIECE.contains(field)) {
            let thing = thing(field);
            if !taken[..before].contains(&thing) {
                fields.insert(field, value.clone());
                taken.push(thing);
            }
        }
    }
}

/// What a field describes: the first letters of its name, which no two things share.
fn thing(field: Field) -> u32 {
    field.name().bytes().take(4).fold(0, |letters, byte| letters << 8 | u32::from(byte))
}

const FIRST: &[EvidenceKind] = &[
    EvidenceKind::Device,
    EvidenceKind::User,
    EvidenceKind::Mailbox,
    EvidenceKind::File,
    EvidenceKind::Process,
    EvidenceKind::Ip,
    EvidenceKind::Url,
    EvidenceKind::NetworkConnection,
];

/// Fields that describe one piece and would say something untrue of the alert.
const OF_THE_PIECE: &[Field] =
    &[Field::EvidenceCreated, Field::EvidenceDetailedRoles, Field::EvidenceTags, Field::EvidenceRemediationDetails];

#[cfg(test)]
#[path = "alert_tests.rs"]
mod tests;
