//! Alerts and incidents: which member of which interface's objects is which field. Adding an interface is adding a file.

mod endpoint;
mod graph;
mod siem;
mod xdr;

use std::sync::LazyLock;

use crate::event::Field;
use crate::event::batch::Shape;
use crate::normalize::object::{Index, Path, Special};
use crate::normalize::tables::evidence::{Pieces, Vocabulary};

/// One kind of object.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) paths: &'static [Path],
    /// What code reads.
    pub(super) specials: &'static [(&'static str, Special)],
    /// What every object of the kind says without saying it.
    pub(super) means: &'static [(Field, &'static str)],
    /// Members that speak for a field only where a better one doesn't.
    pub(super) second_best: &'static [Path],
    /// Members without a field, with the reason; they are kept as unmapped. A member of the documentation that is in
    /// none of these lists fails a test.
    #[allow(dead_code, reason = "read by the test that holds each kind against Microsoft's list of its members")]
    pub(super) unmapped: &'static [(&'static str, &'static [&'static str])],
}

/// One kind of object, ready to be asked for members.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) kind: &'static Kind,
    pub(super) index: Index,
}

impl Prepared {
    fn of(kind: &'static Kind) -> Self {
        Self { kind, index: Index::of(&[kind.paths], &[kind.specials]) }
    }
}

/// Incidents of one interface, and what is asked of the alerts inside.
#[derive(Debug)]
pub(super) struct Incidents {
    pub(super) incident: Prepared,
    pub(super) alerts: Index,
}

/// Every kind of object there is.
#[derive(Debug)]
pub(super) struct Kinds {
    graph: Incidents,
    xdr: Incidents,
    graph_alert: Prepared,
    xdr_alert: Prepared,
    endpoint_alert: Prepared,
    siem_detection: Prepared,
    graph_evidence: Pieces,
    entities: Pieces,
}

/// Prepared when the first normaliser asks; all others share it.
static KINDS: LazyLock<Kinds> = LazyLock::new(Kinds::prepared);

impl Kinds {
    pub(super) fn shared() -> &'static Self {
        &KINDS
    }

    fn prepared() -> Self {
        Self {
            graph: Incidents {
                incident: Prepared::of(&graph::INCIDENT),
                alerts: Index::of(&[graph::OF_ALERTS], &[graph::ALERT.specials]),
            },
            xdr: Incidents {
                incident: Prepared::of(&xdr::INCIDENT),
                alerts: Index::of(&[xdr::OF_ALERTS], &[xdr::ALERT.specials]),
            },
            graph_alert: Prepared::of(&graph::ALERT),
            xdr_alert: Prepared::of(&xdr::ALERT),
            endpoint_alert: Prepared::of(&endpoint::ALERT),
            siem_detection: Prepared::of(&siem::DETECTION),
            graph_evidence: Pieces::of(Vocabulary::Graph),
            entities: Pieces::of(Vocabulary::Entity),
        }
    }
}

/// Why a member of an object is kept as unmapped, whichever interface it comes from.
pub(super) fn left_out(member: &str) -> Option<&'static str> {
    let kinds = [&graph::INCIDENT, &graph::ALERT, &xdr::INCIDENT, &xdr::ALERT, &endpoint::ALERT, &siem::DETECTION];
    let mut all = kinds.into_iter().flat_map(|kind| kind.unmapped);
    all.find(|(_, members)| members.iter().any(|one| one.eq_ignore_ascii_case(member))).map(|(reason, _)| *reason)
}

/// What an object of a shape is read with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Read<'k> {
    Incident(&'k Incidents, &'k Pieces),
    Alert(&'k Prepared, &'k Pieces),
}

impl Kinds {
    /// Nothing for records that aren't objects of a REST interface.
    pub(super) const fn read(&self, shape: Shape) -> Option<Read<'_>> {
        Some(match shape {
            Shape::Streaming => return None,
            Shape::GraphIncident => Read::Incident(&self.graph, &self.graph_evidence),
            Shape::XdrIncident => Read::Incident(&self.xdr, &self.entities),
            Shape::GraphAlert => Read::Alert(&self.graph_alert, &self.graph_evidence),
            Shape::XdrAlert => Read::Alert(&self.xdr_alert, &self.entities),
            Shape::EndpointAlert => Read::Alert(&self.endpoint_alert, &self.entities),
            Shape::SiemDetection => Read::Alert(&self.siem_detection, &self.entities),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The members of Microsoft's objects, one kind a line.
    const MEMBERS: &str = include_str!("members.txt");

    #[test]
    fn every_member_has_a_field_or_a_reason() {
        let kinds: [(&str, &Kind); 6] = [
            ("graph-incident", &graph::INCIDENT),
            ("graph-alert", &graph::ALERT),
            ("xdr-incident", &xdr::INCIDENT),
            ("xdr-alert", &xdr::ALERT),
            ("endpoint-alert", &endpoint::ALERT),
            ("siem-detection", &siem::DETECTION),
        ];
        assert_eq!(MEMBERS.lines().count(), kinds.len());
        for (name, kind) in kinds {
            let line = MEMBERS.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap();
            let members: Vec<_> = line.split(' ').collect();
            let index = Index::of(&[kind.paths, kind.second_best], &[kind.specials]);
            let unmapped: Vec<_> = kind.unmapped.iter().flat_map(|(_, members)| *members).copied().collect();
            for member in &members {
                assert!(index.knows(member) != unmapped.contains(member), "{name}.{member} is to be decided about");
            }
            for member in unmapped {
                assert!(members.contains(&member), "{name}.{member} is no member of Microsoft's");
            }
        }
    }
}
