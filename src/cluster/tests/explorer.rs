//! Explores every state that a small model can reach, the nearest first, so that what it finds comes with a shortest way
//! to it.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::hash::{Hash as _, Hasher as _};

/// A model: what can happen in each state, and what must never be the outcome.
pub(super) trait Model: Clone {
    type Action: Clone + fmt::Debug;

    fn actions(&self) -> Vec<Self::Action>;
    /// Carries out an action, and says which rule is broken afterwards.
    fn carry_out(&mut self, action: &Self::Action) -> Result<(), String>;
    /// Equal for states with the same future.
    fn key(&self) -> Vec<u8>;
}

/// How much was explored: all there is.
#[derive(Debug)]
pub(super) struct Explored {
    pub states: usize,
    /// Actions on the shortest way to the farthest state.
    pub depth: usize,
}

/// A broken rule and the actions that break it.
pub(super) struct Broken {
    pub rule: String,
    way: Vec<String>,
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, after:\n  {}", self.rule, self.way.join("\n  "))
    }
}

struct Reached<A> {
    from: usize,
    by: Option<A>,
    depth: usize,
}

/// Explores a model to its end. It fails when that takes more than `states_max` states: half a model proves nothing.
pub(super) fn explore<M: Model>(starts: Vec<M>, states_max: usize) -> Result<Explored, Broken> {
    let mut known = HashSet::new();
    let mut reached: Vec<Reached<M::Action>> = Vec::new();
    let mut waiting = VecDeque::new();
    for start in starts {
        if known.insert(fingerprint(&start.key())) {
            waiting.push_back((start, reached.len()));
            reached.push(Reached { from: reached.len(), by: None, depth: 0 });
        }
    }
    while let Some((model, at)) = waiting.pop_front() {
        for action in model.actions() {
            let mut next = model.clone();
            if let Err(rule) = next.carry_out(&action) {
                return Err(Broken { rule, way: way(&reached, at, &action) });
            }
            if known.insert(fingerprint(&next.key())) {
                waiting.push_back((next, reached.len()));
                reached.push(Reached { from: at, by: Some(action), depth: reached[at].depth + 1 });
                assert!(reached.len() <= states_max, "the model has more than {states_max} states");
            }
        }
    }
    Ok(Explored { states: reached.len(), depth: reached.last().map_or(0, |last| last.depth) })
}

/// Two keys that differ share this with a probability of 2⁻¹²⁸.
fn fingerprint(key: &[u8]) -> (u64, u64) {
    let of = |salt: u64| {
        let mut hasher = DefaultHasher::new();
        (salt, key).hash(&mut hasher);
        hasher.finish()
    };
    (of(1), of(2))
}

fn way<A: fmt::Debug>(reached: &[Reached<A>], mut at: usize, last: &A) -> Vec<String> {
    let mut way = vec![format!("{last:?}")];
    while let Some(action) = &reached[at].by {
        way.push(format!("{action:?}"));
        at = reached[at].from;
    }
    way.reverse();
    way
}

/// Counts to a number, and says that a forbidden one was reached.
#[derive(Clone)]
struct Counter {
    at: u8,
    end: u8,
    forbidden: u8,
}

impl Model for Counter {
    type Action = u8;

    fn actions(&self) -> Vec<u8> {
        [1, 2].into_iter().filter(|by| self.at + by <= self.end).collect()
    }
    fn carry_out(&mut self, by: &u8) -> Result<(), String> {
        self.at += by;
        if self.at == self.forbidden { Err(format!("it is {}", self.at)) } else { Ok(()) }
    }
    fn key(&self) -> Vec<u8> {
        vec![self.at]
    }
}

#[test]
fn everything_that_can_be_reached_is_looked_at_and_once() {
    let explored = explore(vec![Counter { at: 0, end: 9, forbidden: 99 }], 10).unwrap();
    assert_eq!((explored.states, explored.depth), (10, 5));
}

#[test]
fn a_broken_rule_comes_with_the_shortest_way_to_it() {
    let broken = explore(vec![Counter { at: 0, end: 9, forbidden: 6 }], 10).unwrap_err();
    assert_eq!((broken.rule.as_str(), broken.way), ("it is 6", ["2", "2", "2"].map(String::from).to_vec()));
}

#[test]
#[should_panic(expected = "more than 9 states")]
fn a_model_that_is_too_large_is_not_half_explored() {
    drop(explore(vec![Counter { at: 0, end: 9, forbidden: 99 }], 9));
}
