//! How each of a sink's targets fares, for operators: which of them take events, which fail, and why.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// One target as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetStatus {
    pub address: String,
    /// What an acknowledgement by this one means; empty while nobody knows.
    pub assurance: &'static str,
    /// How long ago it last took something.
    pub delivered: Option<Duration>,
    /// What went wrong since then, and how long ago.
    pub error: Option<(Duration, String)>,
}

/// All targets of one sink, by number.
#[derive(Debug, Default)]
pub struct TargetStatuses(Mutex<Vec<Target>>);

#[derive(Debug, Default)]
struct Target {
    address: String,
    assurance: &'static str,
    delivered: Option<Instant>,
    error: Option<(Instant, String)>,
}

impl TargetStatuses {
    /// Says which there are. What was known of others is forgotten.
    pub fn are(&self, addresses: impl IntoIterator<Item = String>) {
        *self.0.lock() = addresses.into_iter().map(|address| Target { address, ..Target::default() }).collect();
    }

    pub fn delivered(&self, target: usize) {
        self.with(target, |it| (it.delivered, it.error) = (Some(Instant::now()), None));
    }

    pub fn failed(&self, target: usize, error: &str) {
        self.with(target, |it| it.error = Some((Instant::now(), error.to_owned())));
    }

    pub fn promises(&self, target: usize, assurance: &'static str) {
        self.with(target, |it| it.assurance = assurance);
    }

    pub fn all(&self) -> Vec<TargetStatus> {
        let told = |it: &Target| TargetStatus {
            address: it.address.clone(),
            assurance: it.assurance,
            delivered: it.delivered.map(|at| at.elapsed()),
            error: it.error.as_ref().map(|(at, error)| (at.elapsed(), error.clone())),
        };
        self.0.lock().iter().map(told).collect()
    }

    fn with(&self, target: usize, change: impl FnOnce(&mut Target)) {
        if let Some(it) = self.0.lock().get_mut(target) {
            change(it);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_fails_until_it_takes_something() {
        let targets = TargetStatuses::default();
        targets.are(["a:514".to_owned(), "b:514".to_owned()]);
        targets.failed(0, "nobody listens");
        targets.promises(1, "A2");
        targets.delivered(1);
        targets.delivered(7);
        let told = targets.all();
        assert_eq!(told[0].error.as_ref().map(|(_, error)| error.as_str()), Some("nobody listens"));
        assert_eq!((told[0].delivered, told[1].assurance, told[1].error.is_none()), (None, "A2", true));
        assert!(told[1].delivered.is_some());
        targets.delivered(0);
        assert_eq!(targets.all()[0].error, None);
    }
}
