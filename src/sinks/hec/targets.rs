//! Which of a sink's targets the next request goes to, and when one that failed is tried again. Pure; times are counted
//! from the sink's start, and the caller brings the dice.

use std::time::Duration;

use super::limits::{IN_FLIGHT_MAX, PRESSED, REST_FIRST, REST_LONGEST, REST_STOPPED};
use crate::units::doubling;

#[derive(Debug)]
pub struct Targets {
    all: Vec<Target>,
    /// Where the next turn begins.
    next: usize,
}

#[derive(Debug)]
pub struct Target {
    health: Health,
    in_flight: usize,
    failures: u32,
    pressed_until: Duration,
    asking: Asking,
    pub gzip: bool,
    /// Whether requests name a channel.
    pub channelled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Well,
    Resting {
        until: Duration,
    },
    /// Asked for its health.
    Probed,
}

/// Whether acknowledgements are asked for: from the moment they are due until the answer nothing is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asking {
    No,
    Due,
    Asked,
}

impl Targets {
    pub fn new(count: usize, gzip: bool) -> Self {
        let target = || Target {
            health: Health::Well,
            in_flight: 0,
            failures: 0,
            pressed_until: Duration::ZERO,
            asking: Asking::No,
            gzip,
            channelled: true,
        };
        Self { all: (0..count).map(|_| target()).collect(), next: 0 }
    }

    /// The next target that may have one more request, in turns.
    pub fn pick(&self, now: Duration) -> Option<usize> {
        let count = self.all.len();
        (0..count).map(|step| (self.next + step) % count).find(|number| self.all[*number].has_room(now))
    }

    /// A request goes there.
    pub fn sending(&mut self, number: usize) {
        self.all[number].in_flight += 1;
        self.next = (number + 1) % self.all.len();
    }

    pub fn answered(&mut self, number: usize) {
        self.all[number].in_flight -= 1;
    }

    pub fn accepted(&mut self, number: usize) {
        let target = &mut self.all[number];
        target.failures = 0;
    }

    /// It asked for less.
    pub fn pressed(&mut self, number: usize, now: Duration) {
        self.all[number].pressed_until = now + PRESSED;
    }

    /// It failed in a way that passes. `dice` in `0.0..1.0` spreads those that failed together. Says whether it was well.
    pub fn failed(&mut self, number: usize, asked: Option<Duration>, dice: f64, now: Duration) -> bool {
        let target = &mut self.all[number];
        if let Health::Resting { .. } = target.health {
            // Requests that were on their way together fail together: that is one failure.
            return target.rest(now + asked.unwrap_or_default());
        }
        let wait = doubling(REST_FIRST, REST_LONGEST, target.failures, dice).max(asked.unwrap_or_default());
        target.failures = target.failures.saturating_add(1);
        target.rest(now + wait)
    }

    /// It will not take anything until somebody has changed something. Says whether it was well.
    pub fn stopped(&mut self, number: usize, now: Duration) -> bool {
        self.all[number].rest(now + REST_STOPPED)
    }

    /// A target that has rested, to be asked for its health now.
    pub fn rested(&mut self, now: Duration) -> Option<usize> {
        let rested = |target: &Target| matches!(target.health, Health::Resting { until } if until <= now);
        let number = self.all.iter().position(rested)?;
        self.all[number].health = Health::Probed;
        Some(number)
    }

    pub fn well(&mut self, number: usize) {
        self.all[number].health = Health::Well;
    }

    pub fn any_well(&self) -> bool {
        self.all.iter().any(|target| target.health == Health::Well)
    }

    /// Whether others have to do what this one can't now, and one of them can.
    pub fn is_replaced(&self, number: usize) -> bool {
        self.all[number].health != Health::Well && self.any_well()
    }

    /// Whether it is nobody's turn to ask for acknowledgements there, but could be.
    pub fn may_come_due(&self, number: usize) -> bool {
        self.all[number].health == Health::Well && self.all[number].asking == Asking::No
    }

    /// Acknowledgements are due; nothing new is sent until they are asked for.
    pub fn due(&mut self, number: usize) {
        self.all[number].asking = Asking::Due;
    }

    /// Whether they may be asked for now: it answers, and nothing is on its way to it. Who hears yes asks.
    pub fn begin_asking(&mut self, number: usize) -> bool {
        let target = &mut self.all[number];
        let may = target.health == Health::Well && target.in_flight == 0 && target.asking == Asking::Due;
        if may {
            target.asking = Asking::Asked;
        }
        may
    }

    pub fn asked(&mut self, number: usize) {
        self.all[number].asking = Asking::No;
    }

    /// When one has rested, or may have more again.
    pub fn next_look(&self, now: Duration) -> Option<Duration> {
        let rests = self.all.iter().filter_map(|target| match target.health {
            Health::Resting { until } => Some(until),
            Health::Well | Health::Probed => None,
        });
        let pressed = self.all.iter().map(|target| target.pressed_until).filter(|until| *until > now);
        rests.chain(pressed).min()
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn target(&mut self, number: usize) -> &mut Target {
        &mut self.all[number]
    }
}

impl Target {
    fn has_room(&self, now: Duration) -> bool {
        let most = if now < self.pressed_until { 1 } else { IN_FLIGHT_MAX };
        self.health == Health::Well && self.asking == Asking::No && self.in_flight < most
    }

    fn rest(&mut self, until: Duration) -> bool {
        let was_well = self.health == Health::Well;
        let before = match self.health {
            Health::Resting { until } => until,
            Health::Well | Health::Probed => Duration::ZERO,
        };
        self.health = Health::Resting { until: until.max(before) };
        was_well
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    #[test]
    fn targets_take_turns_up_to_their_bound() {
        let mut targets = Targets::new(2, true);
        let mut turns = Vec::new();
        while let Some(number) = targets.pick(NOW) {
            targets.sending(number);
            turns.push(number);
        }
        assert_eq!(turns, [0, 1, 0, 1, 0, 1, 0, 1]);
        targets.answered(1);
        assert_eq!(targets.pick(NOW), Some(1));
    }

    #[test]
    fn one_that_failed_rests_longer_each_time_and_is_asked_for_its_health_first() {
        let mut targets = Targets::new(2, true);
        assert!(targets.failed(0, None, 1.0, NOW));
        assert!(!targets.failed(0, None, 1.0, NOW), "it is known already");
        assert_eq!((targets.is_replaced(0), targets.is_replaced(1)), (true, false));
        assert_eq!((targets.pick(NOW), targets.rested(NOW)), (Some(1), None));
        let rested = NOW + REST_FIRST;
        assert_eq!(targets.next_look(NOW), Some(rested));
        assert_eq!((targets.rested(rested), targets.rested(rested)), (Some(0), None));
        targets.sending(1);
        assert_eq!(targets.pick(rested), Some(1), "not before it is well");
        targets.well(0);
        assert_eq!(targets.pick(rested), Some(0));
        for _ in 0..40 {
            targets.well(0);
            targets.failed(0, None, 1.0, rested);
        }
        assert_eq!(targets.next_look(rested), Some(rested + REST_LONGEST));
        targets.failed(0, Some(Duration::from_secs(60)), 0.0, rested);
        assert_eq!(targets.next_look(rested), Some(rested + Duration::from_secs(60)), "as it asked");
    }

    #[test]
    fn one_that_is_pressed_gets_one_request_at_a_time() {
        let mut targets = Targets::new(1, true);
        targets.pressed(0, NOW);
        targets.sending(0);
        assert_eq!(targets.pick(NOW), None);
        assert_eq!(targets.pick(NOW + PRESSED), Some(0));
    }

    #[test]
    fn nothing_is_sent_while_acknowledgements_are_asked_for_and_the_other_way_round() {
        let mut targets = Targets::new(1, true);
        targets.sending(0);
        targets.due(0);
        assert!(targets.pick(NOW).is_none() && !targets.begin_asking(0), "what is on its way comes first");
        targets.answered(0);
        assert!(targets.begin_asking(0) && !targets.begin_asking(0));
        assert!(targets.pick(NOW).is_none());
        targets.asked(0);
        assert_eq!(targets.pick(NOW), Some(0));
    }
}
