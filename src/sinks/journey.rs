//! What happened to a probe event on its way to a receiver, hop by hop and in plain words. Pure.

use std::net::SocketAddr;

use serde::Serialize;

use super::syslog::config::Level;
use crate::clock::Timestamp;

/// One address of a sink and how far a probe event came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Journey {
    pub address: String,
    pub hops: Vec<Hop>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "hop", rename_all = "kebab-case")]
pub enum Hop {
    Resolved {
        hosts: Vec<SocketAddr>,
    },
    Connected {
        peer: SocketAddr,
        millis: u64,
    },
    Secured {
        version: String,
        subject: String,
        valid_until: Option<Timestamp>,
        millis: u64,
    },
    SessionOpened {
        millis: u64,
    },
    Sent {
        bytes: usize,
    },
    /// Its answer to our half-close, to our message, or none at all where there can be none.
    Confirmed {
        level: Level,
        millis: u64,
    },
    Unconfirmed {
        level: Level,
    },
    /// What it says of itself or of the event, where there is no level by which syslog would call it.
    Answered {
        answer: String,
        /// What such an answer to events means, where it is one to events.
        assurance: Option<&'static str>,
        millis: u64,
    },
    Refused {
        reason: String,
    },
    Failed {
        error: String,
    },
}

impl Journey {
    pub fn arrived(&self) -> bool {
        self.hops.last().is_some_and(|hop| match hop {
            Hop::Confirmed { .. } | Hop::Unconfirmed { .. } | Hop::Answered { .. } => true,
            Hop::Refused { .. } | Hop::Failed { .. } => false,
            // It came so far and no further, and nobody said why.
            Hop::Resolved { .. }
            | Hop::Connected { .. }
            | Hop::Secured { .. }
            | Hop::SessionOpened { .. }
            | Hop::Sent { .. } => false,
        })
    }

    /// What an acknowledgement at the end of this way would mean; nothing where it did not arrive.
    pub fn assurance(&self) -> Option<&'static str> {
        match self.hops.last()? {
            Hop::Confirmed { level, .. } | Hop::Unconfirmed { level } => Some(level.name()),
            Hop::Answered { assurance, .. } => *assurance,
            Hop::Refused { .. }
            | Hop::Failed { .. }
            | Hop::Resolved { .. }
            | Hop::Connected { .. }
            | Hop::Secured { .. }
            | Hop::SessionOpened { .. }
            | Hop::Sent { .. } => None,
        }
    }

    pub fn words(&self) -> String {
        let lines: String = self.hops.iter().map(|hop| format!("  {}\n", hop.words().replace('\n', "\n  "))).collect();
        format!("{}\n{lines}", self.address)
    }
}

impl Hop {
    pub fn words(&self) -> String {
        match self {
            Self::Resolved { hosts } => {
                let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
                format!("name resolved to {}", hosts.join(", "))
            }
            Self::Connected { peer, millis } => format!("TCP connected to {peer} in {millis} ms"),
            Self::Secured { version, subject, valid_until, millis } => {
                let until = valid_until.map(|until| format!(", valid until {until}")).unwrap_or_default();
                format!("{version} handshake in {millis} ms: certificate of {subject}{until}")
            }
            Self::SessionOpened { millis } => format!("RELP session opened in {millis} ms"),
            Self::Sent { bytes } => format!("sent a probe event of {bytes} bytes"),
            Self::Confirmed { level: Level::A3, millis } => {
                format!("the receiver acknowledged the event after {millis} ms (A3)")
            }
            Self::Confirmed { level, millis } => {
                format!("the receiver answered our half-close after {millis} ms: it read every byte ({})", level.name())
            }
            Self::Unconfirmed { level: Level::A0 } => {
                "the kernel took the datagram (A0); whether it arrived, nobody says: look for it at the receiver, and \
                 use another transport where losing events matters"
                    .to_owned()
            }
            Self::Unconfirmed { level } => format!(
                "the receiver did not answer our half-close ({}): deliveries will count after a window of bytes or \
                 time, and what it had not read when it fails is lost; use relp or HEC where that matters",
                level.name()
            ),
            Self::Answered { answer, millis, .. } => format!("after {millis} ms it {answer}"),
            Self::Refused { reason } => format!("FAILED: the receiver refuses the event: {reason}"),
            Self::Failed { error } => format!("FAILED: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journey(hops: Vec<Hop>) -> Journey {
        Journey { address: "siem:6514".into(), hops }
    }

    #[test]
    fn a_way_that_ended_well_reads_hop_by_hop() {
        let peer = SocketAddr::from(([127, 0, 0, 1], 6514));
        let good = journey(vec![
            Hop::Resolved { hosts: vec![peer] },
            Hop::Connected { peer, millis: 1 },
            Hop::Secured { version: "TLS 1.3".into(), subject: "CN=siem".into(), valid_until: None, millis: 4 },
            Hop::Sent { bytes: 200 },
            Hop::Confirmed { level: Level::A2, millis: 2 },
        ]);
        assert_eq!((good.arrived(), good.assurance()), (true, Some("A2")));
        let text = good.words();
        assert!(text.starts_with("siem:6514\n  name resolved to 127.0.0.1:6514\n"), "{text}");
        assert!(text.ends_with("it read every byte (A2)\n"), "{text}");
    }

    #[test]
    fn a_way_that_ended_badly_says_where_and_why() {
        let bad = journey(vec![Hop::Resolved { hosts: vec![] }, Hop::Failed { error: "can't connect".into() }]);
        assert_eq!(bad.assurance(), None);
        assert!(!bad.arrived() && bad.words().ends_with("FAILED: can't connect\n"));
        assert!(!journey(vec![Hop::Sent { bytes: 1 }]).arrived());
        assert!(journey(vec![Hop::Unconfirmed { level: Level::A1 }]).words().contains("is lost"));
        assert!(journey(vec![Hop::Unconfirmed { level: Level::A0 }]).arrived());
    }
}
