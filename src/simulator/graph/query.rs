//! What a list request asks for and which rows answer it. Pure.
//!
//! Paging is by offset over the live set, as in the service: an object that is updated between two pages moves, and
//! others move up or down to fill its place. Readers must cope.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::filter::Filter;
use super::objects::{Object, Shelf};
use crate::simulator::settings::NaturalOrder;
use crate::simulator::workload::Collection;

const INCIDENTS_TOP_MAX: usize = 50;
const ALERTS_TOP_MAX: usize = 1_000;
const ALERTS_TOP_DEFAULT: usize = 100;
const ALERTS_SKIP_MAX: usize = 500;
/// Offsets that a continuation token may carry; beyond every collection we keep.
const TOKEN_OFFSET_MAX: usize = 10_000_000;

const INCIDENT_FILTERS: &[&str] =
    &["assignedTo", "classification", "createdDateTime", "determination", "lastUpdateDateTime", "severity", "status"];
const ALERT_FILTERS: &[&str] = &[
    "assignedTo",
    "classification",
    "createdDateTime",
    "determination",
    "lastUpdateDateTime",
    "serviceSource",
    "severity",
    "status",
];

/// Why a request is answered 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadQuery {
    #[error("The limit of '{0}' for Top query has been exceeded. The value from the incoming request is '{1}'.")]
    TopTooLarge(usize, usize),
    #[error("The limit of '{0}' for Skip query has been exceeded. The value from the incoming request is '{1}'.")]
    SkipTooLarge(usize, usize),
    #[error("Invalid value '{value}' for '{option}' query option found.")]
    Value { option: &'static str, value: String },
    #[error("Syntax error in $filter: '{0}'.")]
    FilterSyntax(String),
    #[error("Property '{0}' can't be used in $filter.")]
    NotFilterable(String),
    #[error("A binary operator with incompatible types was detected for property '{0}'.")]
    Incompatible(&'static str),
    #[error("The query option '{0}' is not supported here.")]
    Unsupported(String),
    #[error("The $skiptoken is not one that this service gave.")]
    Token,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    filter: Filter,
    order: Option<Order>,
    offset: usize,
    top: usize,
    pub count: bool,
    pub expand_alerts: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    UpdatedAscending,
    UpdatedDescending,
    CreatedAscending,
    CreatedDescending,
}

/// The rows of one page.
pub struct Page<'a> {
    pub rows: Vec<&'a Object>,
    /// How many rows match in all.
    pub total: usize,
    /// The offset of the next page, unless this was the last.
    pub next: Option<usize>,
}

impl Query {
    pub fn parse(collection: Collection, options: &[(String, String)]) -> Result<Self, BadQuery> {
        let (allowed, top) = match collection {
            Collection::Incidents => (INCIDENT_FILTERS, INCIDENTS_TOP_MAX),
            Collection::Alerts => (ALERT_FILTERS, ALERTS_TOP_DEFAULT),
        };
        let mut query =
            Self { filter: Filter::default(), order: None, offset: 0, top, count: false, expand_alerts: false };
        for (option, value) in options {
            match option.as_str() {
                "$filter" => query.filter = Filter::parse(value, allowed)?,
                "$top" => query.top = top_of(collection, number("$top", value)?)?,
                "$skip" => query.offset = skip_of(collection, number("$skip", value)?)?,
                "$skiptoken" => query.offset = offset_of(value).ok_or(BadQuery::Token)?,
                "$count" => query.count = truth("$count", value)?,
                "$orderby" => query.order = Some(order(value)?),
                "$expand" => query.expand_alerts = expands_alerts(collection, value)?,
                // Options of the caller's own are ignored; those of the protocol are not.
                other if other.starts_with('$') => return Err(BadQuery::Unsupported(other.to_owned())),
                _ => {}
            }
        }
        Ok(query)
    }

    /// The rows this query sees now.
    pub fn page<'a>(&self, shelf: &'a Shelf, natural: NaturalOrder) -> Page<'a> {
        let order = self.order.unwrap_or(match natural {
            NaturalOrder::UpdatedAscending => Order::UpdatedAscending,
            NaturalOrder::UpdatedDescending => Order::UpdatedDescending,
            NaturalOrder::CreatedAscending => Order::CreatedAscending,
        });
        let mut matching: Vec<&Object> =
            shelf.updated_since(self.filter.updated_since()).filter(|object| self.filter.holds(object)).collect();
        match order {
            Order::UpdatedAscending => {}
            Order::UpdatedDescending => matching.reverse(),
            Order::CreatedAscending => matching.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id))),
            Order::CreatedDescending => matching.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id))),
        }
        let total = matching.len();
        let end = self.offset.saturating_add(self.top).min(total);
        let rows = matching.get(self.offset..end).unwrap_or_default().to_vec();
        let next = (end < total && !rows.is_empty()).then_some(end);
        Page { rows, total, next }
    }
}

/// The option that leads to the page at `offset`: incidents page by `$skip`, alerts by an opaque token because their
/// `$skip` ends at 500.
pub fn continuation(collection: Collection, offset: usize) -> (&'static str, String) {
    match collection {
        Collection::Incidents => ("$skip", offset.to_string()),
        Collection::Alerts => ("$skiptoken", URL_SAFE_NO_PAD.encode(format!("after {offset}"))),
    }
}

/// Whether a request for one incident wants its alerts inside.
pub fn single(collection: Collection, options: &[(String, String)]) -> Result<bool, BadQuery> {
    let mut expand = false;
    for (option, value) in options {
        match option.as_str() {
            "$expand" => expand = expands_alerts(collection, value)?,
            other if other.starts_with('$') => return Err(BadQuery::Unsupported(other.to_owned())),
            _ => {}
        }
    }
    Ok(expand)
}

fn offset_of(token: &str) -> Option<usize> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    text.strip_prefix("after ")?.parse().ok().filter(|offset| *offset <= TOKEN_OFFSET_MAX)
}

fn number(option: &'static str, value: &str) -> Result<usize, BadQuery> {
    value.parse::<u32>().map(|number| number as usize).map_err(|_| BadQuery::Value { option, value: value.to_owned() })
}

fn truth(option: &'static str, value: &str) -> Result<bool, BadQuery> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(BadQuery::Value { option, value: value.to_owned() }),
    }
}

fn top_of(collection: Collection, asked: usize) -> Result<usize, BadQuery> {
    match collection {
        _ if asked == 0 => Err(BadQuery::Value { option: "$top", value: asked.to_string() }),
        Collection::Incidents if asked > INCIDENTS_TOP_MAX => Err(BadQuery::TopTooLarge(INCIDENTS_TOP_MAX, asked)),
        Collection::Incidents => Ok(asked),
        Collection::Alerts => Ok(asked.min(ALERTS_TOP_MAX)),
    }
}

fn skip_of(collection: Collection, asked: usize) -> Result<usize, BadQuery> {
    match collection {
        Collection::Alerts if asked > ALERTS_SKIP_MAX => Err(BadQuery::SkipTooLarge(ALERTS_SKIP_MAX, asked)),
        Collection::Incidents | Collection::Alerts => Ok(asked),
    }
}

fn expands_alerts(collection: Collection, value: &str) -> Result<bool, BadQuery> {
    match (collection, value) {
        (Collection::Incidents, "alerts") => Ok(true),
        _ => Err(BadQuery::Value { option: "$expand", value: value.to_owned() }),
    }
}

fn order(value: &str) -> Result<Order, BadQuery> {
    let words: Vec<_> = value.split_whitespace().collect();
    match words[..] {
        ["lastUpdateDateTime"] | ["lastUpdateDateTime", "asc"] => Ok(Order::UpdatedAscending),
        ["lastUpdateDateTime", "desc"] => Ok(Order::UpdatedDescending),
        ["createdDateTime"] | ["createdDateTime", "asc"] => Ok(Order::CreatedAscending),
        ["createdDateTime", "desc"] => Ok(Order::CreatedDescending),
        _ => Err(BadQuery::Value { option: "$orderby", value: value.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::objects::fixture::{at, object};
    use super::*;

    fn query(collection: Collection, options: &[(&str, &str)]) -> Result<Query, BadQuery> {
        let options: Vec<_> = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Query::parse(collection, &options)
    }

    fn shelf(rows: &[(&str, i64)]) -> Shelf {
        let mut shelf = Shelf::default();
        for (id, updated) in rows {
            shelf.put(object(id, *updated, json!({})), at(*updated));
        }
        shelf.settle(at(1_000));
        shelf
    }

    fn ids<'a>(page: &Page<'a>) -> Vec<&'a str> {
        page.rows.iter().map(|object| &*object.id).collect()
    }

    #[test]
    fn each_collection_has_its_own_caps() {
        let refused = |collection, option, value| query(collection, &[(option, value)]).unwrap_err();
        assert_eq!(refused(Collection::Incidents, "$top", "51"), BadQuery::TopTooLarge(50, 51));
        assert_eq!(refused(Collection::Alerts, "$skip", "501"), BadQuery::SkipTooLarge(500, 501));
        assert_eq!(query(Collection::Alerts, &[("$top", "5000")]).unwrap().top, 1_000);
        assert!(query(Collection::Incidents, &[("$skip", "501")]).is_ok());
        for (option, value) in [("$top", "x"), ("$top", "0"), ("$top", "-1"), ("$expand", "alerts"), ("$apply", "x")] {
            assert!(query(Collection::Alerts, &[(option, value)]).is_err(), "{option}");
        }
        assert!(query(Collection::Incidents, &[("$expand", "alerts"), ("own", "x")]).unwrap().expand_alerts);
    }

    #[test]
    fn ties_straddle_pages_in_a_stable_order() {
        let shelf = shelf(&[("c", 5), ("a", 5), ("b", 5), ("d", 4)]);
        let first = query(Collection::Incidents, &[("$top", "2"), ("$orderby", "lastUpdateDateTime asc")]).unwrap();
        let page = first.page(&shelf, NaturalOrder::UpdatedDescending);
        assert_eq!((ids(&page), page.next, page.total), (vec!["d", "a"], Some(2), 4));
        let rest =
            query(Collection::Incidents, &[("$top", "2"), ("$skip", "2"), ("$orderby", "lastUpdateDateTime asc")]);
        let page = rest.unwrap().page(&shelf, NaturalOrder::UpdatedDescending);
        assert_eq!((ids(&page), page.next), (vec!["b", "c"], None));
    }

    #[test]
    fn an_update_between_two_pages_moves_the_rows_behind_it_up_by_one() {
        let mut shelf = shelf(&[("a", 1), ("b", 2), ("c", 3), ("d", 4)]);
        let pages = |shelf: &Shelf, skip| {
            let options = [("$top", "2"), ("$skip", skip)];
            ids(&query(Collection::Incidents, &options).unwrap().page(shelf, NaturalOrder::UpdatedAscending))
                .iter()
                .map(|id| (*id).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(pages(&shelf, "0"), ["a", "b"]);
        shelf.put(object("a", 9, json!({})), at(9));
        shelf.settle(at(1_000));
        assert_eq!(pages(&shelf, "2"), ["d", "a"], "c was skipped by a reader that trusts offsets");
    }

    #[test]
    fn alerts_go_on_by_a_token_past_the_limit_of_skip() {
        let rows: Vec<_> = (0..700).map(|n| (format!("{n:04}"), i64::from(n))).collect();
        let rows: Vec<_> = rows.iter().map(|(id, updated)| (id.as_str(), *updated)).collect();
        let shelf = shelf(&rows);
        let (mut offset, mut seen) = (Some(0), Vec::new());
        while let Some(from) = offset {
            let (option, token) = continuation(Collection::Alerts, from);
            let query = query(Collection::Alerts, &[("$top", "300"), (option, &token)]).unwrap();
            let page = query.page(&shelf, NaturalOrder::UpdatedAscending);
            seen.extend(ids(&page).into_iter().map(str::to_owned));
            offset = page.next;
        }
        assert_eq!(seen.len(), 700);
        assert!(seen.is_sorted());
        assert_eq!(query(Collection::Alerts, &[("$skiptoken", "x")]).unwrap_err(), BadQuery::Token);
    }
}
