//! One RELP session: numbers for frames, a window of unanswered ones, and which answer is for which message. Pure.

use std::collections::VecDeque;

use super::frame::{self, Answer, BadFrame, NUMBER_MAX};
use super::work::MessageId;
use crate::sinks::limits::RELP_WINDOW;

const OFFERS: &str = concat!(
    "relp_version=0\nrelp_software=siemgate,",
    env!("CARGO_PKG_VERSION"),
    ",https://example.org\ncommands=syslog"
);
const TAKEN: u16 = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Open,
    Message(MessageId),
    Close,
}

#[derive(Debug)]
pub struct Session {
    /// The number of the next frame.
    next: u32,
    /// What is unanswered, by number from the oldest on. Nothing stands for what was answered out of turn.
    unanswered: VecDeque<Option<Asked>>,
    /// The number of the first of them.
    oldest: u32,
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    Opened,
    /// The receiver has this message.
    Taken(MessageId),
    /// It does not take this message, for its own reason.
    Refused(MessageId, String),
    /// It goes away. What is unanswered must be sent again in another session.
    Leaving,
    Closed,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misbehaved {
    #[error(transparent)]
    Frame(#[from] BadFrame),
    #[error("it answers frame {number}, which waits for no answer")]
    Unasked { number: u32 },
    #[error("it refuses the session: {text}")]
    NotOpened { text: String },
    #[error("it does not offer the command `syslog`")]
    NoSyslog,
    #[error("its answer to frame {number} has no code")]
    NoCode { number: u32 },
}

impl Session {
    /// A session that begins with its `open` frame.
    pub fn begin(out: &mut Vec<u8>) -> Self {
        let mut session = Self { next: 1, unanswered: VecDeque::with_capacity(RELP_WINDOW), oldest: 1 };
        session.write("open", OFFERS.as_bytes(), Asked::Open, out);
        session
    }

    /// How many more messages may be sent before one is answered.
    pub fn room(&self) -> usize {
        RELP_WINDOW.saturating_sub(self.unanswered.len())
    }

    /// Whether an answer is due.
    pub fn waits(&self) -> bool {
        !self.unanswered.is_empty()
    }

    pub fn send(&mut self, id: MessageId, message: &[u8], out: &mut Vec<u8>) {
        self.write("syslog", message, Asked::Message(id), out);
    }

    pub fn close(&mut self, out: &mut Vec<u8>) {
        self.write("close", b"", Asked::Close, out);
    }

    pub fn take(&mut self, answer: Answer) -> Result<Said, Misbehaved> {
        let Answer::Response { number, code, text, offers } = answer else { return Ok(Said::Leaving) };
        let asked = self.asked(number).ok_or(Misbehaved::Unasked { number })?;
        match asked {
            Asked::Open if code != Some(TAKEN) => Err(Misbehaved::NotOpened { text }),
            Asked::Open if !offers_syslog(&offers) => Err(Misbehaved::NoSyslog),
            Asked::Open => Ok(Said::Opened),
            Asked::Close => Ok(Said::Closed),
            Asked::Message(id) => match code {
                Some(TAKEN) => Ok(Said::Taken(id)),
                Some(code) => Ok(Said::Refused(id, format!("{code} {text}"))),
                None => Err(Misbehaved::NoCode { number }),
            },
        }
    }

    fn write(&mut self, command: &str, data: &[u8], asked: Asked, out: &mut Vec<u8>) {
        frame::write(self.next, command, data, out);
        self.next = after(self.next);
        self.unanswered.push_back(Some(asked));
    }

    /// What this number asked, which is answered now.
    fn asked(&mut self, number: u32) -> Option<Asked> {
        if number == 0 || number > NUMBER_MAX {
            return None;
        }
        let distance = if number >= self.oldest { number - self.oldest } else { NUMBER_MAX - self.oldest + number };
        let asked = self.unanswered.get_mut(distance as usize)?.take();
        while let Some(None) = self.unanswered.front() {
            self.unanswered.pop_front();
            self.oldest = after(self.oldest);
        }
        asked
    }
}

fn after(number: u32) -> u32 {
    if number == NUMBER_MAX { 1 } else { number + 1 }
}

fn offers_syslog(offers: &[String]) -> bool {
    let commands = offers.iter().filter_map(|offer| offer.strip_prefix("commands="));
    commands.flat_map(|commands| commands.split(',')).any(|command| command.trim() == "syslog")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(number: u32, code: u16, offers: &[&str]) -> Answer {
        let offers = offers.iter().map(|offer| (*offer).to_owned()).collect();
        Answer::Response { number, code: Some(code), text: "said".into(), offers }
    }

    fn message(frame: u32) -> MessageId {
        MessageId { parcel: 0, frame }
    }

    #[test]
    fn a_session_opens_when_syslog_is_offered() {
        let mut out = Vec::new();
        let mut session = Session::begin(&mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with(&format!("1 open {} relp_version=0\n", OFFERS.len())), "{text}");
        assert_eq!(session.take(answer(1, 200, &["relp_version=0", "commands=starttls,syslog"])), Ok(Said::Opened));
        let begun = || Session::begin(&mut Vec::new());
        assert_eq!(begun().take(answer(1, 200, &["commands=other"])), Err(Misbehaved::NoSyslog));
        assert_eq!(begun().take(answer(1, 500, &[])), Err(Misbehaved::NotOpened { text: "said".into() }));
    }

    #[test]
    fn answers_are_matched_by_number_even_out_of_turn_and_only_once() {
        let mut session = Session::begin(&mut Vec::new());
        session.take(answer(1, 200, &["commands=syslog"])).unwrap();
        (0..3).for_each(|frame| session.send(message(frame), b"x", &mut Vec::new()));
        assert_eq!(session.room(), RELP_WINDOW - 3);
        assert_eq!(session.take(answer(3, 200, &[])), Ok(Said::Taken(message(1))));
        assert_eq!(session.take(answer(3, 200, &[])), Err(Misbehaved::Unasked { number: 3 }));
        assert_eq!(session.take(answer(2, 500, &[])), Ok(Said::Refused(message(0), "500 said".into())));
        assert_eq!(session.room(), RELP_WINDOW - 1);
        assert_eq!(session.take(answer(9, 200, &[])), Err(Misbehaved::Unasked { number: 9 }));
        assert_eq!(session.take(Answer::ServerClose), Ok(Said::Leaving));
    }

    #[test]
    fn numbers_start_over() {
        let mut session = Session { next: NUMBER_MAX, unanswered: VecDeque::new(), oldest: NUMBER_MAX };
        let mut out = Vec::new();
        (0..3).for_each(|frame| session.send(message(frame), b"x", &mut out));
        assert_eq!(out, b"999999999 syslog 1 x\n1 syslog 1 x\n2 syslog 1 x\n");
        assert_eq!(session.take(answer(2, 200, &[])), Ok(Said::Taken(message(2))));
        assert_eq!(session.take(answer(NUMBER_MAX, 200, &[])), Ok(Said::Taken(message(0))));
        assert_eq!(session.take(answer(1, 200, &[])), Ok(Said::Taken(message(1))));
        assert_eq!(session.room(), RELP_WINDOW);
    }
}
