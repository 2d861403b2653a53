//! Where a receiver asks to start reading: the text of its selector filter, parsed into one of the kinds of start the
//! service knows.

const ANNOTATION_PREFIX: &str = "amqp.annotation.";

/// The offset that stands before the first event of every partition.
pub const OFFSET_BEFORE_FIRST: &str = "-1";
/// The offset that stands after the last event at the moment of the attach.
pub const OFFSET_LATEST: &str = "@latest";

/// The first event a receiver wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The oldest event still retained.
    Earliest,
    /// Only events that arrive after the attach.
    Latest,
    Offset {
        offset: String,
        inclusive: bool,
    },
    Sequence {
        sequence: i64,
        inclusive: bool,
    },
    /// By the moment of arrival, in milliseconds since 1970.
    Enqueued {
        millis: i64,
        inclusive: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSelector {
    #[error("the selector `{given}` is not one condition on an annotation: write `amqp.annotation.NAME > 'VALUE'`")]
    Shape { given: String },
    #[error(
        "the selector names `{name}`: only x-opt-offset, x-opt-sequence-number and x-opt-enqueued-time select a start"
    )]
    Annotation { name: String },
    #[error("`{value}` is not a number, which `{name}` needs")]
    Number { name: String, value: String },
}

/// Longest part of a bad selector that an error repeats.
const QUOTED_CHARS_MAX: usize = 200;

impl Start {
    /// Reads a selector. The value may stand in single quotes or bare, and blanks around the operator are optional.
    pub fn parse(text: &str) -> Result<Self, BadSelector> {
        let shape = || BadSelector::Shape { given: text.chars().take(QUOTED_CHARS_MAX).collect() };
        let condition = text.trim().strip_prefix(ANNOTATION_PREFIX).ok_or_else(shape)?;
        let (name, rest) = condition.split_once('>').ok_or_else(shape)?;
        let (inclusive, rest) = match rest.strip_prefix('=') {
            Some(after) => (true, after),
            None => (false, rest),
        };
        let value = unquoted(rest.trim()).ok_or_else(shape)?;
        match name.trim() {
            "x-opt-offset" => Ok(Self::at_offset(value, inclusive)),
            name @ "x-opt-sequence-number" => Ok(Self::Sequence { sequence: number(name, value)?, inclusive }),
            name @ "x-opt-enqueued-time" => Ok(Self::Enqueued { millis: number(name, value)?, inclusive }),
            other => Err(BadSelector::Annotation { name: other.chars().take(QUOTED_CHARS_MAX).collect() }),
        }
    }

    fn at_offset(value: &str, inclusive: bool) -> Self {
        match value {
            OFFSET_BEFORE_FIRST => Self::Earliest,
            OFFSET_LATEST => Self::Latest,
            offset => Self::Offset { offset: offset.to_owned(), inclusive },
        }
    }
}

/// The value without its quotes; `None` when it is empty, half quoted, or followed by more.
fn unquoted(value: &str) -> Option<&str> {
    let inner = match value.strip_prefix('\'') {
        Some(rest) => rest.strip_suffix('\'')?,
        None => value,
    };
    (!inner.is_empty() && !inner.contains(['\'', ' '])).then_some(inner)
}

fn number(name: &str, value: &str) -> Result<i64, BadSelector> {
    value.parse().map_err(|_| BadSelector::Number {
        name: name.to_owned(),
        value: value.chars().take(QUOTED_CHARS_MAX).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_start_is_read_quoted_and_bare() {
        let offset = |offset: &str, inclusive| Start::Offset { offset: offset.into(), inclusive };
        let cases = [
            ("amqp.annotation.x-opt-offset > '-1'", Start::Earliest),
            ("amqp.annotation.x-opt-offset > '@latest'", Start::Latest),
            ("amqp.annotation.x-opt-offset > '0:512'", offset("0:512", false)),
            ("amqp.annotation.x-opt-offset >= '0:512'", offset("0:512", true)),
            ("amqp.annotation.x-opt-offset >'512'", offset("512", false)),
            (" amqp.annotation.x-opt-offset > 512 ", offset("512", false)),
            ("amqp.annotation.x-opt-sequence-number > '42'", Start::Sequence { sequence: 42, inclusive: false }),
            ("amqp.annotation.x-opt-sequence-number >= 42", Start::Sequence { sequence: 42, inclusive: true }),
            (
                "amqp.annotation.x-opt-enqueued-time > '1893456000000'",
                Start::Enqueued { millis: 1_893_456_000_000, inclusive: false },
            ),
        ];
        for (text, start) in cases {
            assert_eq!(Start::parse(text), Ok(start), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        for text in [
            "",
            "x-opt-offset > '1'",
            "amqp.annotation.x-opt-offset < '1'",
            "amqp.annotation.x-opt-offset > ''",
            "amqp.annotation.x-opt-offset > '1",
            "amqp.annotation.x-opt-offset > '1' AND amqp.annotation.x-opt-offset > '2'",
        ] {
            assert!(matches!(Start::parse(text), Err(BadSelector::Shape { .. })), "{text}");
        }
        assert!(matches!(
            Start::parse("amqp.annotation.x-opt-partition-key > '1'"),
            Err(BadSelector::Annotation { .. })
        ));
        assert!(matches!(Start::parse("amqp.annotation.x-opt-sequence-number > 'x'"), Err(BadSelector::Number { .. })));
    }
}
