//! What somebody probably meant. Pure.

/// The candidate nearest to `given`, if it is near enough to be a slip: a third of its letters, at least one.
pub fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (given.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(given, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= limit || same_but_for_dashes(given, candidate) || begins(given, candidate)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Whether it is the first word of a longer name.
fn begins(given: &str, candidate: &str) -> bool {
    candidate.strip_prefix(given).is_some_and(|rest| !given.is_empty() && rest.starts_with(['-', '_']))
}

fn same_but_for_dashes(given: &str, candidate: &str) -> bool {
    given.replace(['-', '_'], "").eq_ignore_ascii_case(&candidate.replace(['-', '_'], ""))
}

/// Letters to insert, delete, change or swap with their neighbour to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before = vec![0; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let change = last[j] + usize::from(a != b);
            let mut best = change.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_guess_is_not_made() {
        let keys = ["name", "data_dir", "listen", "level"];
        let cases = [
            ("nmae", Some("name")),
            ("datadir", Some("data_dir")),
            ("data-dir", Some("data_dir")),
            ("lisen", Some("listen")),
            ("Level", Some("level")),
            ("colour", None),
            ("x", None),
        ];
        for (given, expected) in cases {
            assert_eq!(nearest(given, keys), expected, "{given}");
        }
    }
}
