//! L3: what nobody can read, and what no receiver takes whole, delays what comes behind it in its feed by less than a second.

#[path = "../../benches/lanes/meter.rs"]
mod meter;
#[path = "../../benches/lanes/schedule.rs"]
#[expect(dead_code, reason = "the bench tells how late messages were sent")]
mod schedule;

use std::time::{Duration, Instant};

use meter::Meter;
use schedule::{POISONED, Schedule};
use siemgate::simulator::Settings;

use super::stage::Stage;

const BOUND: Duration = Duration::from_secs(60);
const OFTEN: Duration = Duration::from_millis(20);
/// Between two messages of ten records.
const EVERY_MILLIS: i64 = 20;
const WARM_UP: Duration = Duration::from_secs(1);
/// Poison comes twice a second.
const POISONED_FOR: Duration = Duration::from_secs(4);
const LIMIT_MICROS: u32 = 1_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l3_poison_and_oversize_records_delay_their_feed_by_less_than_a_second() {
    let mut settings = Settings::new(3, 1).unwrap();
    (settings.workload.records_per_second, settings.workload.changes_per_second) = (0, 0);
    let mut stage = Stage::set(settings, false).await;
    let meter = Meter::start();
    stage.sink_settings = format!(
        "[[sink]]\nname = \"measured\"\nkind = \"syslog\"\naddress = \"{}\"\nformat = \"cef\"\nstructured_data = true\n",
        meter.address
    );
    stage.configure(false);
    let _node = stage.start_node(false);
    let schedule = Schedule::start(&stage.cloud, EVERY_MILLIS);
    let first = schedule.next();
    tokio::time::sleep(WARM_UP).await;
    arrives(&stage, &meter, &schedule, first).await;

    schedule.poison(true);
    let from = schedule.next();
    tokio::time::sleep(POISONED_FOR).await;
    let until = arrives(&stage, &meter, &schedule, from).await;
    let samples = meter.take(from, until);
    let long = samples.iter().filter(|sample| sample.partition == POISONED && sample.micros >= LIMIT_MICROS).count();
    let longest = samples.iter().map(|sample| sample.micros).max().unwrap_or(0);
    println!("{} events among poison, {longest} microseconds at most", samples.len());
    assert_eq!(long, 0, "events behind poison took up to {longest} microseconds\n{}", stage.log());
    let set_aside = std::fs::read_dir(stage.path("data/quarantine")).map_or(0, Iterator::count);
    assert!(set_aside > 0, "what nobody can read is in quarantine");
}

/// Waits until everything has come that is due from then on and until now, and answers until when that is.
async fn arrives(stage: &Stage, meter: &Meter, schedule: &Schedule, from: i64) -> i64 {
    let (until, deadline) = (schedule.next(), Instant::now() + BOUND);
    while meter.count(from, until) < schedule.due(from, until) {
        let (came, due) = (meter.count(from, until), schedule.due(from, until));
        assert!(Instant::now() < deadline, "{came} of {due} came\n{}", stage.log());
        tokio::time::sleep(OFTEN).await;
    }
    until
}
