//! What all connections of one sink share: how to reach its receivers, and what each of them can confirm.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::barrier::Assurance;
use super::config::{Level, Settings};
use super::dial::Dialer;
use super::error::SyslogError;
use super::targets::Targets;
use super::wire::Wire;
use crate::sinks::status::SinkStatus;

pub struct Link {
    pub settings: Settings,
    pub status: Arc<SinkStatus>,
    dialer: Dialer,
    /// What each receiver can confirm, by its address.
    levels: Mutex<Vec<Option<Assurance>>>,
    started: Instant,
}

impl Link {
    pub fn new(settings: Settings, status: Arc<SinkStatus>) -> Self {
        let asked = settings.level.and_then(|level| match level {
            Level::A1 => Some(Assurance::A1),
            Level::A2 => Some(Assurance::A2),
            // Their transports confirm by themselves.
            Level::A0 | Level::A3 => None,
        });
        status.targets.are(settings.addresses.iter().cloned());
        if let Some(level) = settings.level {
            status.settle_assurance(level.name());
            (0..settings.addresses.len()).for_each(|target| status.targets.promises(target, level.name()));
        }
        Self {
            status,
            dialer: Dialer::new(&settings),
            levels: Mutex::new(vec![asked; settings.addresses.len()]),
            settings,
            started: Instant::now(),
        }
    }

    /// Milliseconds of a steady clock.
    pub fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub fn address(&self, target: usize) -> &str {
        self.dialer.address(target)
    }

    /// Which receivers the connection of this number uses.
    pub fn targets(&self, connection: usize) -> Targets {
        Targets::new(self.settings.choice, self.settings.addresses.len(), connection)
    }

    /// A connection whose receiver confirms by its own protocol.
    pub async fn dial(&self, target: usize) -> Result<Wire, SyslogError> {
        self.dialer.dial(target).await
    }

    /// A connection, and what its receiver can confirm. Other connections may doubt that at any time, so that it holds for
    /// this one only.
    pub async fn open(&self, target: usize) -> Result<(Wire, Assurance), SyslogError> {
        let level = self.settle(target).await?;
        Ok((self.dial(target).await?, level))
    }

    /// Finds out what the receiver can confirm, unless that is known or was configured.
    pub async fn settle(&self, target: usize) -> Result<Assurance, SyslogError> {
        let known = self.levels.lock()[target];
        if let Some(known) = known {
            return Ok(known);
        }
        let level = self.probe(target).await?;
        self.levels.lock()[target] = Some(level);
        self.show(target, level);
        Ok(level)
    }

    /// After a break, a receiver that could confirm nothing is asked again: it may have been frozen, or replaced.
    pub fn forget_weakness(&self, target: usize) {
        self.forget(target, Assurance::A1);
    }

    /// Not even the shortest stretch was confirmed in the longest time. Another receiver may be behind that name by now, or
    /// something before it that keeps our end to itself: it is asked again before it is sent anything more.
    pub fn doubt(&self, target: usize) {
        self.forget(target, Assurance::A2);
    }

    /// What was found out is forgotten; what was asked for is not.
    fn forget(&self, target: usize, what: Assurance) {
        let level = &mut self.levels.lock()[target];
        if *level == Some(what) && self.settings.level.is_none() {
            *level = None;
        }
    }

    /// An empty connection, half-closed at once: a receiver that closes too can confirm what it read.
    async fn probe(&self, target: usize) -> Result<Assurance, SyslogError> {
        self.dialer.dial(target).await?.judge().await
    }

    /// Shows the weakest of the levels that are known, and says aloud if it is less than it could be.
    fn show(&self, target: usize, level: Assurance) {
        let weak = self.levels.lock().contains(&Some(Assurance::A1));
        let promised = match level {
            Assurance::A1 => Level::A1,
            Assurance::A2 => Level::A2,
        };
        self.status.targets.promises(target, promised.name());
        if level == Assurance::A1 {
            tracing::warn!(
                address = self.address(target),
                "the receiver does not close when we half-close: deliveries count as acknowledged after a window (A1)"
            );
            self.status.fell_back(format!(
                "{} does not close when we half-close, so it can't confirm what it read: deliveries count as \
                 acknowledged after a window (A1), and what it had not read when it fails is lost",
                self.address(target)
            ));
        } else if !weak {
            self.status.recovered_level();
        }
        self.status.settle_assurance(if weak { Level::A1.name() } else { Level::A2.name() });
    }
}
