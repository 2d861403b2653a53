//! What a poll does with what a window held: fetches the alerts that are missing, puts what is fresh into the outbox, and
//! moves the position. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::memory::Verdict;
use super::object::{Object, Page};
use super::poll::{Pass, Poll};
use super::window::{Window, whole};
use super::work::{Alerts, Round, Slots, Work};
use crate::clock::Timestamp;

/// How much longer than an incident's own versions those of its alerts are remembered. An incident brings all of them
/// along whenever it is updated, long after they were; a new owner must still know then that they were handed over.
const ALERTS_REMEMBERED: Duration = Duration::from_secs(48 * 3600);

impl Poll {
    /// A window was read whole. Incidents without their alerts wait for these: an incident that was handed over is
    /// never asked for its alerts again.
    pub(super) fn complete(&mut self, window: Window, objects: Vec<Object>) {
        if !self.needs_alerts(&window) {
            objects.into_iter().for_each(|object| self.deliver(object));
            return self.finish(window);
        }
        let mut met = BTreeSet::new();
        let unknown = |object: &Object| {
            self.memory.judge(&object.id, object.version) == Verdict::Fresh
                && met.insert((Arc::clone(&object.id), object.version))
        };
        let (unread, broken): (Vec<_>, Vec<_>) =
            objects.into_iter().filter(unknown).partition(|object| object.problem.is_none());
        broken.into_iter().for_each(|object| self.deliver(object));
        self.next_alerts(Alerts::new(window, unread));
    }

    pub(super) fn slots_read(&mut self, round: Round<Slots>) {
        match round {
            Round::More(slots) => self.work_on(Work::Slots(slots)),
            Round::Whole(window, objects) => self.complete(window, objects),
            Round::Unsure(window, objects) => {
                self.hold();
                self.complete(window, objects);
            }
        }
    }

    pub(super) fn next_alerts(&mut self, alerts: Alerts) {
        if alerts.queue.is_empty() { self.finish(alerts.window) } else { self.work_on(Work::Alerts(alerts)) }
    }

    pub(super) fn alerts_read(&mut self, mut alerts: Alerts, page: Page) {
        if alerts.take(page) {
            return self.work_on(Work::Alerts(alerts));
        }
        if let Some(incident) = alerts.resolve() {
            self.deliver(incident);
        }
        self.next_alerts(alerts);
    }

    pub(super) fn finish(&mut self, window: Window) {
        let as_of = self.run.as_ref().and_then(|run| run.as_of);
        let horizon = self.until.or(as_of.map(|newest| whole(newest.minus(self.rules.overlap))));
        let held = self.run.as_ref().is_none_or(|run| run.held);
        if let Some(horizon) = horizon
            && !held
            && window.from <= self.done
        {
            let safe = window.until.map_or(horizon, |until| until.min(horizon));
            if safe > self.done {
                self.done = safe;
                self.outbox.reach(safe);
                self.memory.forget_before(safe);
            }
        }
        self.next_window();
    }

    /// Puts an object into the outbox, after the alerts in it, unless this version or a newer one went there before.
    pub(super) fn deliver(&mut self, mut object: Object) {
        let anchor = object.version.updated;
        for alert in std::mem::take(&mut object.alerts) {
            let anchor = anchor.max(alert.version.updated).plus(ALERTS_REMEMBERED);
            self.offer(alert, anchor);
        }
        let sweeping = self.run.as_ref().is_some_and(|run| run.pass == Pass::Sweep);
        // An incident whose alerts changed since is another version, but its own content was not missed.
        let told = self.memory.told_as_of(&object.id) >= Some(object.version.updated);
        let late = sweeping && anchor < self.done && !told;
        if self.offer(object, anchor) && late {
            self.missed += 1;
        }
    }

    fn offer(&mut self, object: Object, anchor: Timestamp) -> bool {
        match self.memory.judge(&object.id, object.version) {
            Verdict::Fresh => {
                let seen = self.memory.note(&object.id, object.version, anchor);
                self.outbox.push(object, seen);
                true
            }
            Verdict::Known => {
                self.memory.touch_known(&object.id);
                false
            }
            Verdict::Stale => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::config::Start;
    use super::super::object::read_page;
    use super::super::poll::{Answer, Rules};
    use super::*;
    use crate::event::batch::{Batch, Coordinates, Position, Shape};
    use crate::ids::{Epoch, Generation};
    use crate::sources::{Cursor, Resume};

    const RULES: Rules = Rules { top: 50, skip_max: 1_000, expand: true, overlap: Duration::from_secs(60) };
    /// An alert of incident 1 as it was at ten o'clock.
    const ALERT: &str = r#"{"id":"da1","lastUpdateDateTime":"2030-01-01T10:00:00Z"}"#;

    fn incident(id: &str, minute: u32) -> String {
        format!(r#"{{"id":"{id}","lastUpdateDateTime":"2030-01-01T10:{minute:02}:00Z","alerts":[{ALERT}]}}"#)
    }

    /// Reads all that upstream lists now.
    fn read(poll: &mut Poll, incidents: &[String]) -> Batch {
        let body = Bytes::from(format!(r#"{{"value":[{}]}}"#, incidents.join(",")));
        poll.begin(Pass::Regular);
        while poll.request().is_some() {
            let page = read_page(&body, Shape::GraphIncident).unwrap();
            poll.answer(Answer::Page(page)).unwrap();
        }
        poll.take_batch().unwrap()
    }

    fn ids(batch: &Batch) -> Vec<&str> {
        let ids = batch.entries.iter().map(|entry| match &entry.coordinates {
            Coordinates::Object { id, .. } => &**id,
            Coordinates::Log { .. } => panic!("coordinates of a log"),
        });
        ids.collect()
    }

    #[test]
    fn a_new_owner_knows_an_old_alert_in_an_incident_that_changed() {
        let mut first = Poll::new(RULES, Start::Earliest, &Resume { epoch: Epoch(1), ..Resume::default() });
        let read_first = read(&mut first, &[incident("1", 1), incident("2", 30)]);
        assert_eq!(ids(&read_first), ["da1", "1", "2"]);

        let Position::Objects(position) = &read_first.after else { panic!("position of a log") };
        let seen = read_first.seen.into_iter().filter(|seen| seen.updated >= position.from).collect();
        let cursor = Cursor { generation: Generation::default(), position: read_first.after.clone(), seen };
        let mut second =
            Poll::new(RULES, Start::Earliest, &Resume { epoch: Epoch(2), cursor: Some(cursor), ..Resume::default() });
        assert_eq!(ids(&read(&mut second, &[incident("1", 31)])), ["1"]);
    }
}
