//! What the models of takeovers show, and that they would show more if the protocol were less.

use super::explorer::{Broken, Explored, explore};
use super::faults::{Faults, Without};
use super::leasing::{self, Budget, starts};
use super::takeover::Takeover;

const STATES_MAX: usize = 100_000;
/// The whole model, with every fault once in one history, takes a few minutes: it is asked for by this variable.
const WHOLE: &str = "SIEMGATE_WHOLE_MODEL";
const WHOLE_STATES_MAX: usize = 20_000_000;

const NONE: Faults = Faults { recalls: 0, crashes: 0, expiries: 0, unheard: 0, lost: 0, repeated: 0 };
const EACH: Faults = Faults { recalls: 1, crashes: 1, expiries: 1, unheard: 1, lost: 1, repeated: 1 };

fn explored(without: Without, events: u8, faults: Faults) -> Result<Explored, Broken> {
    let states_max = if faults == EACH { WHOLE_STATES_MAX } else { STATES_MAX };
    explore(vec![Takeover::new(without, events, faults)], states_max)
}

#[test]
fn cursors_stay_true_whoever_believes_to_own_the_feed() {
    let mut mixes = vec![
        (2, Faults { crashes: 1, ..NONE }),
        (2, Faults { recalls: 1, ..NONE }),
        (1, Faults { expiries: 1, unheard: 1, ..NONE }),
        (1, Faults { expiries: 1, lost: 1, repeated: 1, ..NONE }),
        (1, Faults { recalls: 1, expiries: 1, ..NONE }),
        (1, Faults { recalls: 1, crashes: 1, ..NONE }),
    ];
    if std::env::var_os(WHOLE).is_some() {
        mixes.extend([(2, Faults { expiries: 1, ..NONE }), (1, Faults { expiries: 2, ..NONE }), (1, EACH)]);
    }
    for (events, faults) in mixes {
        println!("{events} events, {faults:?}: {:?}", explored(Without::Nothing, events, faults).unwrap());
    }
}

#[test]
fn a_planned_move_doubles_nothing() {
    let planned = Faults { recalls: 2, ..NONE };
    println!("{planned:?}: {:?}", explored(Without::Nothing, 1, planned).unwrap());
    let broken = explored(Without::CommitBeforeRelease, 1, planned).unwrap_err();
    assert!(broken.rule.starts_with("B1"), "{broken:?}");
}

#[test]
fn the_model_notices_what_is_left_out_of_the_protocol() {
    for (without, rule) in [(Without::EpochCheck, "S2"), (Without::Acknowledgement, "S3"), (Without::Cursors, "S1")] {
        let broken = explored(without, 2, Faults { expiries: 1, ..NONE }).unwrap_err();
        assert!(broken.rule.starts_with(rule), "{without:?}: {broken:?}");
    }
}

#[test]
fn no_two_nodes_believe_at_one_moment_that_they_may_write() {
    let mut budgets = vec![(2, 0, 0), (1, 1, 0), (1, 0, 1)];
    budgets.extend(std::env::var_os(WHOLE).map(|_| (2, 1, 1)));
    for (beats, elections, pauses) in budgets {
        let budget = Budget { beats, elections, pauses };
        let explored = explore(starts(leasing::Without::Nothing, budget), WHOLE_STATES_MAX).unwrap();
        println!("{budget:?}: {explored:?}");
    }
}

#[test]
fn each_rule_of_the_leases_is_needed() {
    use leasing::Without::{CountingFromAsking, Leadership, Looking, Majority, Margin, Waiting};
    for (without, beats, elections, pauses, rule) in [
        (Waiting, 0, 1, 0, "two believe"),
        (CountingFromAsking, 1, 0, 0, "two believe"),
        (Margin, 0, 0, 0, "two believe"),
        (Majority, 1, 1, 0, "two believe"),
        (Leadership, 1, 1, 0, "two believe"),
        (Looking, 0, 0, 1, "writes left late"),
    ] {
        let broken = explore(starts(without, Budget { beats, elections, pauses }), WHOLE_STATES_MAX);
        let broken = broken.expect_err("the model notices");
        println!("{without:?}: {broken:?}");
        assert!(broken.rule.contains(rule), "{without:?}: {broken:?}");
    }
}
