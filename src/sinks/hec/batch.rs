//! Which frames go together in one request, and what becomes of them when it fails. Pure.
//!
//! Each frame of each parcel is in exactly one place: waiting, in a load that is on its way or waits for its
//! acknowledgement, accepted, or refused. A parcel is done when all its frames are one of the last two. A feed is in one
//! request at a time, so that its events arrive in order as long as nothing fails.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::limits::{LONE_FAILURES, REFUSED_IN_A_ROW};
use crate::ids::FeedId;
use crate::sinks::Refused;

/// How much one request may carry.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub bytes: u64,
    pub frames: u32,
}

/// Some frames of one parcel, one behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    pub parcel: u64,
    pub first: u32,
    pub frames: u32,
}

/// What one request carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    pub pieces: Vec<Piece>,
    company: Company,
    /// Whose events they are, while it is on its way.
    feeds: BTreeSet<FeedId>,
}

/// Whether a load may be joined with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Company {
    Any,
    /// Something in it is bad: it travels alone, and has failed alone so often.
    None {
        failures: u32,
        pointed: bool,
    },
}

/// What becomes of a parcel.
#[derive(Debug, PartialEq, Eq)]
pub struct Done {
    pub parcel: u64,
    pub refused: Vec<Refused>,
}

/// What came of a load that the collector refused as bad.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It goes again, in parts or as it is, to find out more.
    Again,
    /// The one event in it is named as refused; perhaps its parcel is done with that.
    Named(Option<Done>),
    /// So many were refused in a row that it can't be the events. This one waits.
    Receiver,
}

#[derive(Debug)]
struct Held {
    feed: FeedId,
    /// Where each frame ends.
    ends: Vec<u32>,
    /// Frames that are neither accepted nor refused.
    open: u32,
    refused: Vec<Refused>,
}

#[derive(Debug, Default)]
pub struct Outbox {
    held: BTreeMap<u64, Held>,
    waiting: VecDeque<Load>,
    busy: BTreeSet<FeedId>,
    refused_in_a_row: u32,
}

impl Load {
    pub fn frames(&self) -> u32 {
        self.pieces.iter().map(|piece| piece.frames).sum()
    }

    fn any(pieces: Vec<Piece>) -> Self {
        Self { pieces, company: Company::Any, feeds: BTreeSet::new() }
    }

    fn lone(pieces: Vec<Piece>, pointed: bool) -> Self {
        Self { pieces, company: Company::None { failures: 0, pointed }, feeds: BTreeSet::new() }
    }

    /// Its first so many frames, and the rest.
    fn parted(pieces: &[Piece], mut first: u32) -> (Vec<Piece>, Vec<Piece>) {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for piece in pieces {
            let head = first.min(piece.frames);
            first -= head;
            if head > 0 {
                before.push(Piece { frames: head, ..*piece });
            }
            if head < piece.frames {
                after.push(Piece { first: piece.first + head, frames: piece.frames - head, ..*piece });
            }
        }
        (before, after)
    }
}

impl Outbox {
    /// Takes a parcel in. It must have frames.
    pub fn take(&mut self, parcel: u64, feed: FeedId, ends: Vec<u32>) {
        let frames = u32::try_from(ends.len()).unwrap_or(u32::MAX);
        let held = Held { feed, ends, open: frames, refused: Vec::new() };
        self.held.insert(parcel, held);
        self.waiting.push_back(Load::any(vec![Piece { parcel, first: 0, frames }]));
    }

    /// Forgets parcels that may not be sent any more. What of them is on its way counts for nothing when it returns.
    pub fn forget(&mut self, gone: impl Fn(u64) -> bool) -> Vec<u64> {
        let going: Vec<u64> = self.held.keys().copied().filter(|parcel| gone(*parcel)).collect();
        self.held.retain(|parcel, _| !going.contains(parcel));
        for load in &mut self.waiting {
            load.pieces.retain(|piece| !going.contains(&piece.parcel));
        }
        self.waiting.retain(|load| !load.pieces.is_empty());
        going
    }

    /// The next load, in the order of arrival. `ready` says whether a parcel may be sent now.
    pub fn cut(&mut self, bounds: Bounds, ready: impl Fn(u64) -> bool) -> Option<Load> {
        let mut passed = self.busy.clone();
        let (mut taken, mut bytes, mut frames) = (Vec::new(), 0, 0);
        let mut left = VecDeque::new();
        while let Some(load) = self.waiting.pop_front() {
            let may = load.pieces.iter().all(|it| ready(it.parcel) && !passed.contains(&self.held[&it.parcel].feed));
            match load.company {
                Company::None { .. } if may && taken.is_empty() => {
                    self.restore(left);
                    return Some(self.leaving(load));
                }
                Company::Any if may && frames < bounds.frames && bytes < bounds.bytes => {
                    let most = self.fitting(&load.pieces, bounds, bytes, frames, taken.is_empty());
                    let (now, later) = Load::parted(&load.pieces, most);
                    bytes += now.iter().map(|piece| self.bytes(piece)).sum::<u64>();
                    frames += most;
                    taken.extend(now);
                    if !later.is_empty() {
                        self.pass(&later, &mut passed);
                        left.push_back(Load::any(later));
                    }
                }
                Company::None { .. } | Company::Any => {
                    self.pass(&load.pieces, &mut passed);
                    left.push_back(load);
                }
            }
            if frames >= bounds.frames || bytes >= bounds.bytes {
                break;
            }
        }
        self.restore(left);
        (!taken.is_empty()).then(|| self.leaving(Load::any(taken)))
    }

    /// How many frames still fit. The first one of a request always does: it must go somewhere.
    fn fitting(&self, pieces: &[Piece], bounds: Bounds, mut bytes: u64, had: u32, mut first: bool) -> u32 {
        let mut count = 0;
        for piece in pieces {
            let ends = &self.held[&piece.parcel].ends;
            for frame in piece.first..piece.first + piece.frames {
                bytes += u64::from(length(ends, frame));
                if !first && (bytes > bounds.bytes || had + count >= bounds.frames) {
                    return count;
                }
                (count, first) = (count + 1, false);
            }
        }
        count
    }

    fn restore(&mut self, mut left: VecDeque<Load>) {
        left.append(&mut self.waiting);
        self.waiting = left;
    }

    fn pass(&self, pieces: &[Piece], passed: &mut BTreeSet<FeedId>) {
        passed.extend(pieces.iter().map(|piece| self.held[&piece.parcel].feed.clone()));
    }

    fn leaving(&mut self, load: Load) -> Load {
        let feeds: BTreeSet<_> = load.pieces.iter().map(|piece| self.held[&piece.parcel].feed.clone()).collect();
        self.busy.extend(feeds.iter().cloned());
        Load { feeds, ..load }
    }

    /// Its request is answered; whoever's events were in it may have others sent.
    pub fn returned(&mut self, load: &Load) {
        self.busy.retain(|feed| !load.feeds.contains(feed));
    }

    /// The collector has taken it, whether or not that counts already.
    pub fn taken(&mut self) {
        self.refused_in_a_row = 0;
    }

    /// It counts as delivered. Says which parcels are done with that.
    pub fn delivered(&mut self, load: &Load) -> Vec<Done> {
        load.pieces.iter().filter_map(|piece| self.resolve(piece)).collect()
    }

    fn resolve(&mut self, piece: &Piece) -> Option<Done> {
        let held = self.held.get_mut(&piece.parcel)?;
        held.open -= piece.frames;
        if held.open > 0 {
            return None;
        }
        let mut refused = self.held.remove(&piece.parcel)?.refused;
        refused.sort_by_key(|it| it.frame);
        Some(Done { parcel: piece.parcel, refused })
    }

    /// It must be sent again, before what came later.
    pub fn again(&mut self, load: Load) {
        self.queue_first([load]);
    }

    /// All of these must be sent again, in their order.
    pub fn again_all(&mut self, loads: Vec<Load>) {
        self.queue_first(loads);
    }

    fn queue_first(&mut self, loads: impl IntoIterator<Item = Load, IntoIter: DoubleEndedIterator>) {
        for mut load in loads.into_iter().rev() {
            load.pieces.retain(|piece| self.held.contains_key(&piece.parcel));
            if !load.pieces.is_empty() {
                self.waiting.push_front(load);
            }
        }
    }

    /// Something in it is bad. `at` is where the collector saw that, counted from zero or from one.
    pub fn bad(&mut self, mut load: Load, at: Option<usize>, why: &str) -> Refusal {
        let all = load.frames();
        load.pieces.retain(|piece| self.held.contains_key(&piece.parcel));
        // Where some of it is forgotten, the collector's number means another event.
        let at = at.filter(|_| load.frames() == all);
        let (failures, pointed) = match load.company {
            Company::Any => (0, false),
            Company::None { failures, pointed } => (failures, pointed),
        };
        if load.frames() > 1 {
            self.queue_first(suspects(&load, at.filter(|_| !pointed)));
            return Refusal::Again;
        }
        let failures = failures.saturating_add(1);
        if failures < LONE_FAILURES {
            self.again(Load { company: Company::None { failures, pointed }, ..load });
            return Refusal::Again;
        }
        if self.refused_in_a_row >= REFUSED_IN_A_ROW {
            self.again(Load { company: Company::None { failures, pointed }, ..load });
            return Refusal::Receiver;
        }
        self.refused_in_a_row += 1;
        Refusal::Named(load.pieces.first().and_then(|piece| {
            let held = self.held.get_mut(&piece.parcel)?;
            held.refused.push(Refused { frame: piece.first, reason: why.to_owned() });
            self.resolve(piece)
        }))
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub fn bytes_of(&self, load: &Load) -> u64 {
        load.pieces.iter().map(|piece| self.bytes(piece)).sum()
    }

    fn bytes(&self, piece: &Piece) -> u64 {
        let Some(held) = self.held.get(&piece.parcel) else { return 0 };
        (piece.first..piece.first + piece.frames).map(|frame| u64::from(length(&held.ends, frame))).sum()
    }
}

/// The parts in which a bad event is looked for: around where the collector saw it, or halves.
fn suspects(load: &Load, at: Option<usize>) -> Vec<Load> {
    let all = load.frames();
    let cuts = match at.and_then(|at| u32::try_from(at).ok()).filter(|at| *at <= all) {
        Some(at) => vec![at.saturating_sub(1), at, at.saturating_add(1)],
        None => vec![all / 2],
    };
    let (mut parts, mut rest, mut from) = (Vec::new(), load.pieces.clone(), 0);
    for cut in cuts.into_iter().filter(|cut| *cut > 0 && *cut < all) {
        let (before, after) = Load::parted(&rest, cut - from);
        (rest, from) = (after, cut);
        parts.push(before);
    }
    parts.push(rest);
    parts.into_iter().filter(|part| !part.is_empty()).map(|part| Load::lone(part, at.is_some())).collect()
}

/// The bytes of one frame.
fn length(ends: &[u32], frame: u32) -> u32 {
    let end = |number: usize| ends.get(number).copied().unwrap_or_default();
    let frame = frame as usize;
    end(frame) - frame.checked_sub(1).map_or(0, end)
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
