//! How long feeds stand still when their node dies, and when it leaves in order: three real processes under load, in
//! network namespaces, from the kill to the first event that the sink gets of each orphaned feed.
//!
//! `cargo bench --bench takeover` kills 30 owners and 30 that lead, or as many as `SIEMGATE_KILLS` says, then drains and
//! restarts nodes in turn. `cargo test --benches` kills three, so that it can't rot. It takes root.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench that can't go on says where")]
#![allow(clippy::print_stdout, reason = "it prints figures")]

#[path = "../tests/history/ending.rs"]
mod ending;
#[path = "../tests/history/mod.rs"]
#[expect(dead_code, reason = "the checker's own tests need more of it")]
mod history;
#[path = "../tests/processes/judge.rs"]
mod judge;
#[path = "../tests/history/reader.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod reader;
#[path = "../tests/processes/world/mod.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use history::History;
use history::line::{Line, Received};
use world::plan::number;
use world::stage::SINK;
use world::{Plan, World};

/// In the measured form, for each kind of victim.
const KILLS: u64 = 30;
/// Records a second, so that a feed's next message is a few hundredths of a second away.
const LOAD: u64 = 1_500;

/// What is done to a node, as the history tells it, with the longest that its feeds may stand still.
const KINDS: [(&str, &str, Duration); 4] = [
    ("kill", "an owner is killed", Duration::from_secs(4)),
    ("kill-leader", "an owner that leads is killed", Duration::from_secs(6)),
    ("drain", "an owner is drained", Duration::from_secs(1)),
    ("stop", "an owner leaves in order", Duration::from_secs(1)),
];

fn main() {
    let measured = std::env::args().any(|argument| argument == "--bench");
    let kills = number("SIEMGATE_KILLS", if measured { KILLS } else { 2 });
    let leaders = number("SIEMGATE_KILLS", if measured { KILLS } else { 1 });
    let plan = Plan { records_per_second: number("SIEMGATE_LOAD", LOAD), ..Plan::of(3) };
    println!("takeover/three-nodes: {} records a second of four feeds", plan.records_per_second);
    plan.clone().run(async |world| {
        world.works().await;
        for round in 0..kills.max(leaders) {
            if round < kills {
                dies(world, false).await;
            }
            if round < leaders {
                dies(world, true).await;
            }
        }
        world.keeps_its_promises().await;
        report(&world.history(), &KINDS[..2]);
    });
    plan.run(async |world| {
        world.works().await;
        for _ in 0..if measured { 5 } else { 1 } {
            for node in 1..=3 {
                world.drain(node).await;
                world.receives_of(&world.streams(), 200).await;
                world.undrain(node).await;
            }
            for node in 1..=3 {
                world.node(node).restart().await;
                world.until_ready(node).await;
                world.receives_of(&world.streams(), 200).await;
            }
        }
        world.keeps_its_promises().await;
        let tally = world.tally();
        report(&world.history(), &KINDS[2..]);
        println!(
            "  rolling restarts: {} lost, {} duplicates",
            world.produced() - tally.total.distinct,
            tally.total.duplicates
        );
        assert_eq!(tally.total.duplicates, 0, "a restart in order repeats nothing");
    });
}

/// Kills a node that owns feeds, and lets it come back once others deliver them.
async fn dies(world: &mut World, that_leads: bool) {
    let victim = world.an_owner(that_leads).await;
    let orphans = world.owned_by(victim).await;
    if that_leads {
        world.tell("kill-leader", victim);
    }
    world.node(victim).kill();
    world.until_they_have_other_owners(&orphans, victim).await;
    world.receives_of(&orphans, 100).await;
    world.node(victim).start();
    world.until_ready(victim).await;
    world.receives_of(&world.streams(), 100).await;
}

/// Prints how long feeds stood still, and says whether that is within its bar.
fn report(history: &History, kinds: &[(&str, &str, Duration)]) {
    println!(
        "  {:<30} {:>6} {:>8} {:>8} {:>8} {:>8}  {:>8}",
        "what happens", "feeds", "p50 ms", "p90 ms", "p99 ms", "max ms", "bar ms"
    );
    let stood = stood_still(history);
    for (kind, what, bar) in kinds {
        let mut took = stood.get(*kind).cloned().unwrap_or_default();
        took.sort_unstable();
        assert!(!took.is_empty(), "nothing was measured of: {what}");
        let at = |share: f64| took[((took.len() - 1) as f64 * share).ceil() as usize].as_millis();
        let within = if at(0.99) <= bar.as_millis() { "kept" } else { "MISSED" };
        println!(
            "  {what:<30} {:>6} {:>8} {:>8} {:>8} {:>8}  {:>8} {within}",
            took.len(),
            at(0.5),
            at(0.9),
            at(0.99),
            at(1.0),
            bar.as_millis()
        );
        distribution(&took);
    }
}

/// One line for each half second in which a feed went on.
fn distribution(took: &[Duration]) {
    let mut bins: BTreeMap<u128, usize> = BTreeMap::new();
    took.iter().for_each(|took| *bins.entry(took.as_millis() / BIN_MILLIS).or_default() += 1);
    for (bin, count) in bins {
        let (from, until) = (bin * BIN_MILLIS, (bin + 1) * BIN_MILLIS);
        println!("    {from:>6} to {until:>6} ms  {count:>4}  {}", "#".repeat(count.min(80)));
    }
}

const BIN_MILLIS: u128 = 250;

/// By what was done, how long each feed that its node had stood still, as the syslog receiver saw it. After a kill that is the time until the first
/// event under another epoch; after a node was told to leave, the time since the last event under the old one.
fn stood_still(history: &History) -> BTreeMap<&str, Vec<Duration>> {
    let mut stood: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    let mut fault: Option<(&str, i64)> = None;
    let mut last: BTreeMap<&str, &Received> = BTreeMap::new();
    for line in &history.lines {
        match line {
            Line::Fault { at, what } if KINDS.iter().any(|(kind, ..)| kind == what) => {
                // A leader's kill is told twice: as what it was, and as a kill.
                let leader = fault.filter(|(kind, before)| *kind == "kill-leader" && at - before < 1_000_000_000);
                fault = Some((leader.map_or(what.as_str(), |(kind, _)| kind), *at));
            }
            Line::Received(line) if line.sink == SINK => {
                let before = last.insert(&line.feed, line);
                let Some(before) = before.filter(|before| before.epoch < line.epoch) else { continue };
                let Some((kind, at)) = fault else { continue };
                let since = if matches!(kind, "stop" | "drain") { before.at } else { at };
                let nanos = u64::try_from(line.at - since).expect("it goes on after it stood still");
                stood.entry(kind).or_default().push(Duration::from_nanos(nanos));
            }
            _ => {}
        }
    }
    stood
}
