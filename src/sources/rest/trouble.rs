//! What a poll does about answers that fail: try again, ask for less, and at last narrow it down to the one object that
//! fails whatever it is part of. Pure.

use super::poll::{GaveUp, Poll};
use super::window::Window;
use super::work::{Slots, Ties, Work};

/// Tries of one request before its failure counts as lasting. A service that only restarts is back by then.
const ATTEMPTS_MAX: u32 = 4;
/// Failing moments that are listed apart from the rest. More of them are a broken service.
const BAD_MOMENTS_MAX: usize = 64;

impl Poll {
    pub(super) fn on_failure(&mut self, work: Work, lasting: bool) -> Result<(), GaveUp> {
        self.failures += 1;
        let patience = match &work {
            Work::List(window) if window.suspect || (self.wary && !window.plain) => 1,
            _ => ATTEMPTS_MAX,
        };
        if !lasting && self.failures < patience {
            self.work_on(work);
            return Ok(());
        }
        self.failures = 0;
        match work {
            Work::Locate if self.server_time.is_some() => self.locate(),
            Work::Locate | Work::Control(_) => self.give_up(),
            Work::Probe { .. } => {
                self.next_window();
                Ok(())
            }
            Work::List(window) if self.rules.expand && !window.plain => {
                self.wary = true;
                self.work_on(Work::List(Window { plain: true, ..window }));
                Ok(())
            }
            Work::List(window) if window.suspect && !window.is_moment() => self.convict(Work::List(window)),
            // Before one object is blamed, an empty window shows whether the service answers at all.
            Work::List(_) | Work::Ties(_) | Work::Slots(_) | Work::Alerts(_) => {
                self.work_on(Work::Control(Box::new(work)));
                Ok(())
            }
        }
    }

    /// The service answers, but not this request: something in it fails. Narrows it down, to a single object at last.
    pub(super) fn convict(&mut self, accused: Work) -> Result<(), GaveUp> {
        match accused {
            Work::List(window) if !window.is_moment() => {
                let known = self.newest.max(self.server_time).unwrap_or(window.from.plus(self.rules.overlap));
                let Some((lower, upper)) = window.halve(known) else { return self.give_up() };
                if let Some(run) = self.run.as_mut() {
                    run.windows.extend([upper, lower]);
                }
                self.next_window();
            }
            Work::List(window) | Work::Ties(Ties { window, .. }) => {
                self.bad.insert(window.from);
                if self.bad.len() > BAD_MOMENTS_MAX {
                    self.bad.pop_first();
                }
                self.date_reading();
                self.work_on(Work::Slots(Slots::new(Window { plain: true, ..window })));
            }
            Work::Slots(slots) => {
                let unlisted = slots.unlisted();
                let round = slots.next(vec![unlisted], &self.rules);
                self.slots_read(round);
            }
            Work::Alerts(mut alerts) => {
                if let Some(incident) = alerts.resolve_without() {
                    self.deliver(incident);
                }
                self.next_alerts(alerts);
            }
            Work::Locate | Work::Probe { .. } | Work::Control(_) => return self.give_up(),
        }
        Ok(())
    }

    pub(super) fn give_up(&mut self) -> Result<(), GaveUp> {
        self.run = None;
        Err(GaveUp)
    }
}
