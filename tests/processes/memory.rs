//! Every sink is down and upstream has more than anybody can read: what a node holds is bounded by its configuration.

use std::fs;
use std::time::Duration;

use siemgate::sinks::limits::WINDOW_BYTES;
use tokio::time::{Instant, sleep};

use crate::world::plan::number;
use crate::world::stage::{SINKS, SPOOL_MEMORY};
use crate::world::{Plan, World, until};

/// What a feed has asked upstream for and not taken yet, at most: the credit of its link.
const READ_AHEAD_BYTES: u64 = 8 << 20;
/// What the node takes beside it while it works is measured before; this is what allocators and tables add.
const BESIDE_BYTES: u64 = 32 << 20;
/// Reading stands still once nothing was sent for so long.
const STILL: Duration = Duration::from_secs(3);
/// Until windows are full, at the least load of the long form.
const FULL: Duration = Duration::from_secs(300);
const SAMPLE: Duration = Duration::from_secs(1);
/// Where the long form shows a line.
const SAMPLES_PER_LINE: u64 = 30;
/// All that is produced, so that the long form doesn't end with hours of reading histories: once windows are full the rest
/// comes little by little.
const RECORDS_MAX: u64 = 45_000;

/// B3: with every sink down, memory stays within what the configuration allows, upstream's credit is withheld, the REST
/// interfaces are not asked any more, and afterwards everything arrives. `SIEMGATE_B3_SECONDS` makes the long form.
#[test]
fn b3_with_every_sink_down_memory_is_bounded_and_upstream_is_not_read() {
    let (seconds, records_per_second) = (number("SIEMGATE_B3_SECONDS", 10), number("SIEMGATE_LOAD", 1_500));
    let plan = Plan { spool_kib: Some(256 << 10), records_per_second, changes_per_second: 5, ..Plan::of(1) };
    plan.run(async |world| {
        world.works().await;
        world.receives(2 * records_per_second).await;
        let before = resident_bytes(world);
        world.all_sinks_die();
        until_still(world).await;
        let stood = world.cloud().totals();
        let (mut peak, began, mut samples) = (0, Instant::now(), 0);
        while began.elapsed() < Duration::from_secs(seconds) {
            sleep(SAMPLE).await;
            let now = resident_bytes(world);
            peak = peak.max(now);
            samples += 1;
            let all = stood.records + RECORDS_MAX.saturating_sub(stood.records) * samples / seconds;
            if world.cloud().totals().records < all {
                world.cloud().resume();
            } else {
                world.cloud().pause();
            }
            if samples % SAMPLES_PER_LINE == 0 {
                let waiting = world.cloud().totals().messages - stood.sent;
                println!("{samples:>5} s: {} MiB resident, {waiting} messages wait upstream", now >> 20);
            }
        }
        let totals = world.cloud().totals();
        assert_eq!(totals.sent, stood.sent, "upstream's credit is withheld");
        assert_eq!(totals.answered, stood.answered, "the REST interfaces are left alone");
        assert!(totals.records > stood.records && totals.changes > stood.changes, "and there was more to read");
        let status = until("the node answers", async || world.says(1).await).await;
        assert!(status.node.health.ready, "a node whose sinks are down is well itself");
        let (sinks, feeds) = (SINKS.len() as u64, world.feeds().len() as u64);
        // Beside the frames in their windows there are the records that they were made of.
        let held = SPOOL_MEMORY + (sinks + 1) * WINDOW_BYTES as u64 + feeds * READ_AHEAD_BYTES;
        println!(
            "{} MiB at work, {} MiB at most while every sink was down; configured: {} MiB more",
            before >> 20,
            peak >> 20,
            held >> 20
        );
        assert!(peak <= before + held + BESIDE_BYTES, "{peak} bytes, {before} before and {held} allowed");
        world.all_sinks_live();
        world.receives(1_000).await;
        world.keeps_its_promises().await;
    });
}

/// Waits until nobody reads: what was asked for before has come, and windows are full.
async fn until_still(world: &World) {
    let (mut last, deadline) = ((world.cloud().totals(), Instant::now()), Instant::now() + FULL);
    while last.1.elapsed() < STILL {
        assert!(Instant::now() < deadline, "upstream is still read");
        sleep(SAMPLE).await;
        let now = world.cloud().totals();
        if (now.sent, now.answered) != (last.0.sent, last.0.answered) {
            last = (now, Instant::now());
        }
    }
}

fn resident_bytes(world: &mut World) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", world.node(1).id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.expect("the process runs") << 10
}
