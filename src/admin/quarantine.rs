//! The quarantine of one node as its faces see it: what is looked for, what is there, and what became of it. That of all
//! nodes together is in [`super::everywhere`].

use super::Backend;
use super::convert::{time_from_wire, time_to_wire};
use super::limits::{QUARANTINE_CHANGES_MAX, QUARANTINE_PAGE_BYTES_MAX, QUARANTINE_PAGE_MAX};
use super::proposing::propose;
use crate::clock::{Clock, Timestamp};
use crate::cluster::{AuditNote, Command};
use crate::wire::v1;
use tonic::Status as Answer;
use v1::change_quarantine_request::Change;

/// Which records are looked for. What is empty lets everything pass.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub tenant: String,
    pub source: String,
    pub sink: String,
    pub since: Option<Timestamp>,
    pub reason_contains: String,
    pub ids: Vec<String>,
    /// Go on after this one.
    pub after: String,
    pub records_max: usize,
    pub bytes_max: usize,
}

#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The oldest first.
    pub records: Vec<Record>,
    /// Records that pass, also those that did not fit.
    pub matching: u64,
    pub total: u64,
    /// Records beside those that this node can't open.
    pub closed: u64,
    pub bytes: u64,
    pub bytes_max: u64,
}

#[derive(Debug, Clone)]
pub struct Record {
    pub id: String,
    pub at: Option<Timestamp>,
    pub feed: String,
    /// The sink that refused it; nothing where no sink could have had it.
    pub sink: Option<String>,
    pub event: String,
    pub coordinates: String,
    pub reason: String,
    /// As it is kept: one JSON object.
    pub line: String,
}

/// How records leave the quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clear {
    /// Through the sinks that should have had them.
    Retry,
    /// The same, without sending anything: what would become of them?
    TryOut,
    /// For good.
    Drop,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleared {
    pub id: String,
    /// Whether it has left the quarantine, or would.
    pub gone: bool,
    /// What became of it, in words.
    pub what: String,
}

/// What this node alone has.
pub(super) async fn list(
    backend: &impl Backend,
    request: v1::QuarantineRequest,
) -> Result<v1::QuarantineResponse, Answer> {
    let (whole, node) = (request.whole, backend.status().await.node.name);
    let listing = backend.quarantined(filter(request)).await.map_err(Answer::internal)?;
    let record = |record: Record| v1::QuarantinedRecord {
        id: record.id,
        at: record.at.map(time_to_wire),
        feed: record.feed,
        sink: record.sink.unwrap_or_default(),
        event: record.event,
        coordinates: record.coordinates,
        reason: record.reason,
        bytes: record.line.len() as u64,
        node: node.clone(),
        line: if whole { record.line } else { String::new() },
    };
    let records = listing.records.into_iter().map(record).collect();
    Ok(v1::QuarantineResponse {
        node,
        records,
        nodes: Vec::new(),
        matching: listing.matching,
        total: listing.total,
        closed: listing.closed,
        bytes: listing.bytes,
        bytes_max: listing.bytes_max,
    })
}

fn filter(request: v1::QuarantineRequest) -> Filter {
    let most = match request.limit as usize {
        0 => QUARANTINE_PAGE_MAX,
        most => most.min(QUARANTINE_PAGE_MAX),
    };
    Filter {
        tenant: request.tenant,
        source: request.source,
        sink: request.sink,
        since: request.since.as_ref().map(time_from_wire),
        reason_contains: request.reason_contains,
        ids: request.ids,
        after: request.after,
        records_max: most,
        bytes_max: QUARANTINE_PAGE_BYTES_MAX,
    }
}

/// Who changes something here, by the word of whoever checked that they may.
pub(super) struct Changer<'a, B> {
    pub backend: &'a B,
    pub clock: &'a Clock,
    pub by: String,
}

/// What is dropped is gone for good, so that the audit says who did it before it happens.
pub(super) async fn change<B: Backend>(
    changer: &Changer<'_, B>,
    request: v1::ChangeQuarantineRequest,
) -> Result<v1::ChangeQuarantineResponse, Answer> {
    let backend = changer.backend;
    let how = match (request.change, request.dry_run) {
        (Some(Change::Retry(_)), false) => Clear::Retry,
        (Some(Change::Retry(_)), true) => Clear::TryOut,
        (Some(Change::Drop(_)), _) => Clear::Drop,
        (None, _) => return Err(Answer::invalid_argument("say whether to retry or to drop")),
    };
    let mut ids = match request.all {
        Some(all) => matching(backend, filter(all)).await?,
        None => request.ids,
    };
    if ids.len() > QUARANTINE_CHANGES_MAX {
        let told = format!("{} records at once are more than {QUARANTINE_CHANGES_MAX}: split them", ids.len());
        return Err(Answer::invalid_argument(told));
    }
    if request.only_known && !ids.is_empty() {
        ids = matching(backend, Filter { ids, ..Filter::default() }).await?;
    }
    let node = backend.status().await.node.name;
    if how == Clear::Drop && !request.dry_run && !ids.is_empty() {
        note_drop(changer, &node, &ids, request.reason).await?;
    }
    let outcome = |Cleared { id, gone, what }| v1::QuarantineOutcome { id, gone, what, node: node.clone() };
    let outcomes = if how == Clear::Drop && request.dry_run {
        ids.into_iter().map(|id| outcome(Cleared { id, gone: true, what: "would be dropped".to_owned() })).collect()
    } else {
        tracing::info!(by = changer.by, ?how, records = ids.len(), "quarantine was asked for");
        let cleared = backend.clear(ids, how).await.map_err(Answer::internal)?;
        cleared.into_iter().map(outcome).collect()
    };
    Ok(v1::ChangeQuarantineResponse { outcomes, node, nodes: Vec::new() })
}

async fn note_drop<B: Backend>(
    changer: &Changer<'_, B>,
    node: &str,
    ids: &[String],
    reason: String,
) -> Result<(), Answer> {
    let known = Filter { ids: ids.to_vec(), records_max: 1, bytes_max: usize::MAX, ..Filter::default() };
    let there = changer.backend.quarantined(known).await.map_err(Answer::internal)?.matching;
    if there == 0 {
        return Ok(());
    }
    let named = ids.iter().take(8).map(String::as_str).collect::<Vec<_>>().join(" ");
    let more = if ids.len() > 8 { " and more" } else { "" };
    let what = format!("quarantine of {node}: {there} records dropped ({named}{more})");
    let note = AuditNote { by: changer.by.clone(), reason, what, at: changer.clock.now() };
    propose(changer.backend.control(), Command::Note(note)).await.map(drop)
}

/// The ids of what passes, the oldest first, as many as one call takes.
async fn matching(backend: &impl Backend, mut filter: Filter) -> Result<Vec<String>, Answer> {
    filter.records_max = QUARANTINE_CHANGES_MAX;
    filter.bytes_max = usize::MAX;
    let listing = backend.quarantined(filter).await.map_err(Answer::internal)?;
    let ids: Vec<String> = listing.records.into_iter().map(|record| record.id).collect();
    if listing.matching > ids.len() as u64 {
        let told = format!("{} records are more than {} at once: narrow them down", listing.matching, ids.len());
        return Err(Answer::invalid_argument(told));
    }
    Ok(ids)
}
