//! The quota of requests per minute, counted for each app in each tenant over a sliding window. Pure.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::clock::Timestamp;

const WINDOW: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Quota {
    per_minute: usize,
    /// When the requests of the last minute came, by app and tenant; only known apps get this far, so it is bounded.
    spent: HashMap<(String, String), VecDeque<Timestamp>>,
}

impl Quota {
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute: per_minute as usize, spent: HashMap::new() }
    }

    /// Spends one request, or says how many seconds to wait. A refused request costs nothing.
    pub fn spend(&mut self, app: &str, tenant: &str, now: Timestamp) -> Result<(), u64> {
        let spent = self.spent.entry((app.to_owned(), tenant.to_owned())).or_default();
        while spent.front().is_some_and(|first| now.since(*first) >= WINDOW) {
            spent.pop_front();
        }
        if spent.len() < self.per_minute {
            spent.push_back(now);
            return Ok(());
        }
        let waited = spent.front().map_or(Duration::ZERO, |first| now.since(*first));
        Err(WINDOW.saturating_sub(waited).as_secs() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_requests_are_spent_per_app_and_tenant_and_come_back_one_by_one() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let mut quota = Quota::new(2);
        assert_eq!(quota.spend("app", "t", at(0)), Ok(()));
        assert_eq!(quota.spend("app", "t", at(10)), Ok(()));
        assert_eq!(quota.spend("app", "t", at(20)), Err(41));
        assert_eq!(quota.spend("app", "other", at(20)), Ok(()));
        assert_eq!(quota.spend("other", "t", at(20)), Ok(()));
        assert_eq!(quota.spend("app", "t", at(60)), Ok(()));
        assert_eq!(quota.spend("app", "t", at(61)), Err(10));
    }
}
