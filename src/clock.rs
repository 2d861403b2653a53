//! Time: a moment that reads and prints Microsoft's spelling of it, how long the machine has run, and the only place
//! that asks the machine for either.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const NANOS_PER_SECOND: i64 = 1_000_000_000;
const NANOS_PER_MILLI: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// A moment in UTC, in nanoseconds since 1970. Microsoft's times carry seven fraction digits, which this keeps.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const ZERO: Self = Self(0);

    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(NANOS_PER_MILLI))
    }
    pub const fn nanos(self) -> i64 {
        self.0
    }
    /// Truncated, never rounded: a rounded 59.9999999 would move into the next minute.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(NANOS_PER_MILLI)
    }
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(NANOS_PER_SECOND)
    }

    /// Reads ISO 8601 as Microsoft writes it: any number of fraction digits, and UTC where no zone is given.
    pub fn parse(text: &str) -> Option<Self> {
        parse_plain(text.as_bytes()).or_else(|| parse_general(text))
    }

    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)))
    }
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)))
    }
    /// How long after `earlier` this is; zero when it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
    /// `2030-01-01T10:02:05.1234567Z`, the spelling Microsoft's filters take.
    pub fn to_microsoft(self) -> String {
        let ticks = self.0.rem_euclid(NANOS_PER_SECOND) / 100;
        let moment = OffsetDateTime::from_unix_timestamp(self.seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{ticks:07}Z",
            moment.year(),
            u8::from(moment.month()),
            moment.day(),
            moment.hour(),
            moment.minute(),
            moment.second(),
        )
    }
    /// Appends `2030-01-01T10:02:05.123Z`, truncated to milliseconds.
    pub fn write_millis(self, out: &mut Vec<u8>) {
        let (days, rest) = (self.seconds().div_euclid(SECONDS_PER_DAY), self.seconds().rem_euclid(SECONDS_PER_DAY));
        let (year, month, day) = date_of(days);
        let two = |number: i64| [digit(number / 10), digit(number)];
        out.extend_from_slice(&two(year / 100));
        out.extend_from_slice(&two(year % 100));
        for (mark, number) in
            [(b'-', month), (b'-', day), (b'T', rest / 3600), (b':', rest / 60 % 60), (b':', rest % 60)]
        {
            out.push(mark);
            out.extend_from_slice(&two(number));
        }
        let millis = self.millis().rem_euclid(1000);
        out.extend_from_slice(&[b'.', digit(millis / 100), digit(millis / 10), digit(millis), b'Z']);
    }
}

fn digit(number: i64) -> u8 {
    b'0' + u8::try_from(number % 10).unwrap_or_default()
}

/// The fixed layout `YYYY-MM-DDThh:mm:ss[.fraction][Z]`, which is nearly everything we see.
fn parse_plain(text: &[u8]) -> Option<Timestamp> {
    let digits = |from: usize, to: usize| -> Option<i64> {
        text.get(from..to)?.iter().try_fold(0i64, |sum, b| b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0')))
    };
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|&(at, byte)| text.get(at) != Some(&byte)) {
        return None;
    }
    let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    let (hour, minute, second) = (digits(11, 13)?, digits(14, 16)?, digits(17, 19)?);
    if !(1678..=2261).contains(&year) || !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut rest = text.get(19..)?;
    let mut fraction = 0;
    if let [b'.', tail @ ..] = rest {
        let length = tail.iter().take_while(|b| b.is_ascii_digit()).count();
        if length == 0 {
            return None;
        }
        for place in 0..9 {
            fraction = fraction * 10 + tail.get(place).filter(|_| place < length).map_or(0, |b| i64::from(b - b'0'));
        }
        rest = &tail[length..];
    }
    if !matches!(rest, [] | [b'Z']) {
        return None;
    }
    let seconds = days_from_epoch(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
    Some(Timestamp(seconds * NANOS_PER_SECOND + fraction))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar, counting years from March so that the leap day is last.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The other way round.
const fn date_of(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day_of_year - (153 * shifted_month + 2) / 5 + 1)
}

fn parse_general(text: &str) -> Option<Timestamp> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(moment.unix_timestamp_nanos()).ok().map(Timestamp)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_microsoft())
    }
}
impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// How long the machine has run, with the time it was suspended: what leases are counted in. Nobody sets it, and it
/// never goes back; it means nothing on another machine or after a restart of this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uptime(u64);

impl Uptime {
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }
    pub const fn nanos(self) -> u64 {
        self.0
    }
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
    /// The boot, where `span` goes beyond it.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
    /// How long after `earlier` this is; zero when it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// How long this process has been at work, for pauses between tries. It stands still while the machine sleeps, and no
/// test's hand has to move it for work to go on.
pub fn pace() -> Uptime {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    Uptime(u64::try_from(BEGUN.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

/// Where the time comes from: the machine, or a test's hand.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    #[default]
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    pub fn manual(start: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(start.nanos())))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => {
                let since_epoch =
                    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO);
                Timestamp(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
            }
            Self::Manual(nanos) => Timestamp(nanos.load(Ordering::Acquire)),
        }
    }

    pub fn uptime(&self) -> Uptime {
        match self {
            Self::System => {
                let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
                let whole = u64::try_from(time.tv_sec).unwrap_or(0).saturating_mul(NANOS_PER_SECOND.unsigned_abs());
                Uptime(whole.saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0)))
            }
            Self::Manual(nanos) => Uptime(u64::try_from(nanos.load(Ordering::Acquire)).unwrap_or(0)),
        }
    }

    /// Moves a manual clock forward; a system clock cannot be moved and stays as it is.
    pub fn advance(&self, span: Duration) {
        if let Self::Manual(nanos) = self {
            nanos.fetch_add(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX), Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_written_as_they_are_read() {
        for day in (-100_000_i64..100_000).step_by(37) {
            let time = Timestamp::from_millis(day * 86_400_000 + day.rem_euclid(86_399_999));
            let mut out = Vec::new();
            time.write_millis(&mut out);
            let text = String::from_utf8(out).unwrap();
            assert_eq!(Timestamp::parse(&text), Some(time), "{text}");
        }
    }

    #[test]
    fn microsofts_spellings_are_read_exactly() {
        let cases = [
            ("1970-01-01T00:00:00Z", 0),
            ("2022-11-08T08:42:17.2954051Z", 1_667_896_937_295_405_100),
            ("2022-11-08T08:42:17.2954051", 1_667_896_937_295_405_100),
            ("2024-02-29T23:59:59.9999999Z", 1_709_251_199_999_999_900),
            ("2030-01-01T10:02:05Z", 1_893_492_125_000_000_000),
            ("2030-01-01T11:02:05+01:00", 1_893_492_125_000_000_000),
        ];
        for (text, nanos) in cases {
            assert_eq!(Timestamp::parse(text), Some(Timestamp(nanos)), "{text}");
        }
        for bad in ["", "2030-13-01T00:00:00Z", "2023-02-29T00:00:00Z", "2030-01-01", "2030-01-01T25:00:00Z", "x"] {
            assert_eq!(Timestamp::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_uptime_goes_on_and_a_manual_one_moves_by_hand() {
        let before = Clock::System.uptime();
        assert!(before > Uptime::default() && Clock::System.uptime() >= before);
        let clock = Clock::manual(Timestamp::from_millis(5));
        let before = clock.uptime();
        clock.advance(Duration::from_secs(2));
        assert_eq!(clock.uptime().since(before), Duration::from_secs(2));
        assert_eq!(before.since(clock.uptime()), Duration::ZERO);
    }

    #[test]
    fn what_is_printed_reads_back() {
        for nanos in [0, 1_667_896_937_295_405_100, -1_000_000_100, 951_782_400_000_000_000] {
            let time = Timestamp(nanos);
            assert_eq!(Timestamp::parse(&time.to_microsoft()), Some(time));
        }
    }
}
