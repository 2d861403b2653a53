//! `$filter`: comparisons joined by `and`, which is what the security collections are documented to take. Pure.

use std::cmp::Ordering;

use super::objects::Object;
use super::query::BadQuery;
use crate::clock::Timestamp;

/// Comparisons in one filter; the service refuses longer ones by the length of the address.
const CONDITIONS_MAX: usize = 16;

/// Holds for an object that meets all conditions; empty, it holds for every object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter(Vec<Condition>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    property: &'static str,
    operator: Operator,
    literal: Literal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Literal {
    Text(String),
    Time(Timestamp),
    Null,
}

impl Filter {
    /// Reads a filter over a collection whose filterable properties are `allowed`.
    pub fn parse(text: &str, allowed: &'static [&'static str]) -> Result<Self, BadQuery> {
        let words = words(text)?;
        let mut conditions = Vec::new();
        for group in words.split(|word| *word == Word::Bare("and")) {
            let [Word::Bare(property), Word::Bare(operator), literal] = group else {
                return Err(syntax(text));
            };
            let property = allowed
                .iter()
                .find(|name| *name == property)
                .ok_or_else(|| BadQuery::NotFilterable((*property).to_owned()))?;
            conditions.push(condition(property, operator, literal, text)?);
        }
        if conditions.len() > CONDITIONS_MAX {
            return Err(syntax(text));
        }
        Ok(Self(conditions))
    }

    /// No object updated before this can hold; it spares looking at the whole collection.
    pub fn updated_since(&self) -> Timestamp {
        let bounds =
            self.0.iter().filter_map(|condition| match (condition.property, condition.operator, &condition.literal) {
                (
                    "lastUpdateDateTime",
                    Operator::Equal | Operator::Greater | Operator::GreaterOrEqual,
                    Literal::Time(time),
                ) => Some(*time),
                _ => None,
            });
        bounds.max().unwrap_or(Timestamp::from_nanos(i64::MIN))
    }

    pub fn holds(&self, object: &Object) -> bool {
        self.0.iter().all(|condition| condition.holds(object))
    }
}

impl Condition {
    fn holds(&self, object: &Object) -> bool {
        let ordering = match &self.literal {
            Literal::Time(time) => {
                let value = if self.property == "createdDateTime" { object.created } else { object.updated };
                value.cmp(time)
            }
            Literal::Text(text) => match object.text(self.property) {
                Some(value) => value.cmp(text),
                // A null compares with nothing; it is only unequal.
                None => return self.operator == Operator::NotEqual,
            },
            Literal::Null if object.text(self.property).is_none() => Ordering::Equal,
            Literal::Null => Ordering::Greater,
        };
        match self.operator {
            Operator::Equal => ordering.is_eq(),
            Operator::NotEqual => ordering.is_ne(),
            Operator::Greater => ordering.is_gt(),
            Operator::GreaterOrEqual => ordering.is_ge(),
            Operator::Less => ordering.is_lt(),
            Operator::LessOrEqual => ordering.is_le(),
        }
    }
}

fn condition(property: &'static str, operator: &str, literal: &Word<'_>, whole: &str) -> Result<Condition, BadQuery> {
    let operator = match operator {
        "eq" => Operator::Equal,
        "ne" => Operator::NotEqual,
        "gt" => Operator::Greater,
        "ge" => Operator::GreaterOrEqual,
        "lt" => Operator::Less,
        "le" => Operator::LessOrEqual,
        _ => return Err(syntax(whole)),
    };
    let literal = match literal {
        Word::Bare("null") => Literal::Null,
        Word::Bare(text) => Literal::Time(Timestamp::parse(text).ok_or_else(|| syntax(whole))?),
        Word::Quoted(text) => Literal::Text(text.clone()),
    };
    let about_time = property.ends_with("DateTime");
    let ordered = !matches!(operator, Operator::Equal | Operator::NotEqual);
    // Times are written without quotes and everything else with them; only times have an order.
    let fits = match literal {
        Literal::Time(_) => about_time,
        Literal::Text(_) => !about_time && !ordered,
        Literal::Null => !about_time && !ordered,
    };
    if fits { Ok(Condition { property, operator, literal }) } else { Err(BadQuery::Incompatible(property)) }
}

#[derive(Debug, PartialEq, Eq)]
enum Word<'a> {
    Bare(&'a str),
    Quoted(String),
}

/// Splits at blanks, but not inside `'…'`, where `''` stands for one quote.
fn words(text: &str) -> Result<Vec<Word<'_>>, BadQuery> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(mut quoted) = rest.strip_prefix('\'') {
            let mut value = String::new();
            loop {
                let (part, tail) = quoted.split_once('\'').ok_or_else(|| syntax(text))?;
                value.push_str(part);
                let Some(more) = tail.strip_prefix('\'') else {
                    rest = tail;
                    break;
                };
                value.push('\'');
                quoted = more;
            }
            words.push(Word::Quoted(value));
        } else {
            let end = rest.find([' ', '\'']).unwrap_or(rest.len());
            words.push(Word::Bare(&rest[..end]));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Ok(words)
}

fn syntax(text: &str) -> BadQuery {
    BadQuery::FilterSyntax(text.chars().take(200).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::objects::fixture::object;
    use super::*;

    const ALLOWED: &[&str] = &["assignedTo", "createdDateTime", "lastUpdateDateTime", "severity", "status"];

    fn holds(filter: &str) -> bool {
        let subject = object("1", 5, json!({"severity": "high", "status": "o'pen", "assignedTo": null}));
        Filter::parse(filter, ALLOWED).unwrap().holds(&subject)
    }

    #[test]
    fn times_compare_to_the_last_digit() {
        for (operator, expected) in
            [("eq", true), ("ge", true), ("le", true), ("gt", false), ("lt", false), ("ne", false)]
        {
            assert_eq!(holds(&format!("lastUpdateDateTime {operator} 2030-01-01T00:00:05Z")), expected, "{operator}");
        }
        assert!(holds("lastUpdateDateTime lt 2030-01-01T00:00:05.0000001Z"));
        assert!(holds(
            "lastUpdateDateTime ge 2030-01-01T00:00:04.9999999Z and createdDateTime lt 2030-01-01T00:00:01Z"
        ));
        assert!(!holds("lastUpdateDateTime ge 2030-01-01T00:00:04Z and severity eq 'low'"));
    }

    #[test]
    fn texts_are_equal_or_not_and_a_doubled_quote_is_one() {
        assert!(holds("severity eq 'high'"));
        assert!(holds("severity ne 'low'"));
        assert!(holds("status eq 'o''pen'"));
        assert!(holds("assignedTo eq null"));
        assert!(holds("assignedTo ne 'bea@contoso.example'"));
        assert!(!holds("severity eq null"));
    }

    #[test]
    fn what_the_service_would_not_understand_is_refused() {
        let refused = |filter: &str| Filter::parse(filter, ALLOWED).unwrap_err();
        assert_eq!(refused("investigationState eq 'running'"), BadQuery::NotFilterable("investigationState".into()));
        assert_eq!(
            refused("lastUpdateDateTime ge '2030-01-01T00:00:00Z'"),
            BadQuery::Incompatible("lastUpdateDateTime")
        );
        assert_eq!(refused("severity gt 'low'"), BadQuery::Incompatible("severity"));
        for bad in [
            "",
            "severity",
            "severity eq",
            "severity eq high",
            "severity eq 'high",
            "severity eq 'a' or severity eq 'b'",
            "severity eq 'a' and",
            "(severity eq 'a')",
            "lastUpdateDateTime ge yesterday",
        ] {
            assert!(matches!(refused(bad), BadQuery::FilterSyntax(_) | BadQuery::NotFilterable(_)), "{bad}");
        }
    }
}
