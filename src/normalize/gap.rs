//! The gateway's own statement that records were lost, as an event: it must reach the SIEM like any other.

use crate::event::batch::{Gap, GapReason};
use crate::event::{Activity, Class, Event, EventId, Field, Fields, Severity, Text, Value};
use crate::ids::{FeedPart, Generation};
use crate::normalize::Origin;

/// Hands the event of a gap to `each`. `generation` is the one in which reading goes on.
pub fn gap(origin: &Origin<'_>, part: &FeedPart, generation: Generation, gap: &Gap, each: impl FnOnce(&Event<'_>)) {
    let record = statement(origin, part, generation, gap);
    let mut fields = Fields::default();
    fields.insert(Field::GapReason, Value::plain(reason(gap.reason)));
    fields.insert(Field::GapPart, Value::plain(part.as_str()));
    fields.insert(Field::GapGeneration, Value::Integer(saturated(generation.0)));
    let numbers = [
        (Field::GapLost, gap.lost.map(saturated)),
        (Field::GapAfter, gap.after_sequence),
        (Field::GapBefore, gap.before_sequence),
    ];
    for (field, number) in numbers {
        if let Some(number) = number {
            fields.insert(field, Value::Integer(number));
        }
    }
    each(&Event {
        id: EventId::of_gap(origin.tenant, origin.source, part, generation, gap),
        tenant: origin.tenant,
        source: origin.source,
        class: Class::Gap,
        activity: Activity::Other,
        kind: Text::plain("Gap"),
        action: Some(Text::plain(reason(gap.reason))),
        time: origin.published,
        severity: Severity::High,
        fields,
        evidence: Vec::new(),
        unmapped: Vec::new(),
        revision: None,
        index: 0,
        record: &record,
        raw: record.as_bytes(),
        repaired: false,
        reduced: None,
    });
}

fn saturated(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

const fn reason(reason: GapReason) -> &'static str {
    match reason {
        GapReason::Expired => "expired",
        GapReason::Recreated => "recreated",
        GapReason::TailLost => "tail-lost",
        GapReason::Skipped => "skipped",
        GapReason::PassedOver => "passed-over",
    }
}

/// There is no record of Microsoft's to pass on, so that a format of untouched records carries this object.
fn statement(origin: &Origin<'_>, part: &FeedPart, generation: Generation, gap: &Gap) -> String {
    let mut statement = serde_json::json!({
        "siemgate": "gap",
        "tenant": origin.tenant.as_str(),
        "source": origin.source.as_str(),
        "part": part.as_str(),
        "generation": generation.0,
        "reason": reason(gap.reason),
        "lost": gap.lost,
        "afterSequence": gap.after_sequence,
        "beforeSequence": gap.before_sequence,
    });
    if let Some(passed) = &gap.passed {
        statement["sink"] = passed.sink.as_str().into();
        statement["olderThan"] = passed.older_than.to_microsoft().into();
    }
    statement.to_string()
}
