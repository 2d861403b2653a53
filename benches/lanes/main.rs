//! What a sink in trouble does to a healthy one: how long events take from upstream to a healthy receiver while another is
//! well, dead, frozen, slow or flapping, and while it gets what it lacks (L2); and what poison does to those behind (L3).
//!
//! `cargo bench --bench lanes` sends 10,000 events a second on a fixed schedule for some minutes; each trouble stands
//! between two spans without, and is compared with those. `SIEMGATE_ROUNDS`, `SIEMGATE_SPAN` (seconds) and `SIEMGATE_LOAD`
//! (events a second) change how long and how much; `SIEMGATE_TROUBLE`, such as `slow`, leaves it at one kind.
//! `cargo test --benches` runs a second of each, so that it can't rot.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that can't go on says where, and prints figures")]

mod meter;
mod schedule;
#[path = "../../tests/node/stage.rs"]
#[expect(dead_code, reason = "other benches and the tests need more of it")]
mod stage;

use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use meter::{Meter, Sample};
use schedule::{POISONED, RECORDS_PER_MESSAGE, Schedule};
use siemgate::simulator::Settings;
use siemgate::simulator::receiver::{Behaviour, Options, Receiver};
use stage::Stage;

/// How long one may wait for what was due.
const BOUND: Duration = Duration::from_secs(300);
const SLOW_BYTES_PER_SECOND: u64 = 4 << 10;
/// A healthy sink's p99 may change by so much, and events behind poison wait so long.
const L2_PERCENT: f64 = 10.0;
const L3: Duration = Duration::from_secs(1);
/// What Linux counts processor time in.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Well,
    Dead,
    Frozen,
    Slow,
    Flapping,
    /// The other sink is well again and gets what it lacks.
    Recovering,
    Poison,
}

impl Trouble {
    const ALL: [Self; 5] = [Self::Dead, Self::Frozen, Self::Slow, Self::Flapping, Self::Poison];

    /// All, or the one that is asked for by the first word of its name.
    fn chosen() -> Vec<Self> {
        let wanted = std::env::var("SIEMGATE_TROUBLE").ok();
        let is_wanted = |it: &Self| wanted.as_deref().is_none_or(|name| it.name().starts_with(name));
        Self::ALL.into_iter().filter(is_wanted).collect()
    }

    fn name(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Dead => "dead: refuses connections",
            Self::Frozen => "frozen: accepts, reads nothing",
            Self::Slow => "slow: reads 4 KiB/s",
            Self::Flapping => "flapping: killed every second",
            Self::Recovering => "gets what it lacks",
            Self::Poison => "well, but poison in the stream",
        }
    }
}

/// One span of one kind.
struct Figures {
    trouble: Trouble,
    /// Sorted, in microseconds.
    latencies: Vec<u32>,
    /// The longest of the partition that gets the poison.
    poisoned: u32,
    late: Vec<u32>,
    processor_share: f64,
}

struct Bench {
    stage: Stage,
    node: stage::Process,
    meter: Meter,
    schedule: Schedule,
    span: Duration,
    first: i64,
    figures: Vec<Figures>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let measured = std::env::args().any(|argument| argument == "--bench");
    let rounds = number("SIEMGATE_ROUNDS", if measured { 3 } else { 1 });
    let span = Duration::from_secs(number("SIEMGATE_SPAN", if measured { 20 } else { 1 }));
    let load = number("SIEMGATE_LOAD", if measured { 10_000 } else { 1_000 });
    let mut bench = Bench::set(load, span).await;
    for _ in 0..rounds {
        for trouble in Trouble::chosen() {
            bench.spend(Trouble::Well).await;
            bench.spend(trouble).await;
            bench.recover().await;
        }
    }
    bench.spend(Trouble::Well).await;
    println!(
        "{load} events a second over 4 partitions, spans of {} s, {rounds} rounds; milliseconds from upstream to a",
        span.as_secs()
    );
    println!("healthy sink (A2) while another sink (A2) is:");
    report(&bench.figures);
}

impl Bench {
    async fn set(load: u64, span: Duration) -> Self {
        let mut settings = Settings::new(1, 1).unwrap();
        (settings.workload.records_per_second, settings.workload.changes_per_second) = (0, 0);
        let mut stage = Stage::set(settings, false).await;
        stage.receiver = receiver_apart();
        let meter = Meter::start();
        stage.sink_settings = format!(
            "assurance = \"a2\"\n[[sink]]\nname = \"healthy\"\nkind = \"syslog\"\naddress = \"{}\"\nformat = \"cef\"\n\
             structured_data = true\nassurance = \"a2\"\n",
            meter.address,
        );
        stage.configure(false);
        let mut file = fs::OpenOptions::new().append(true).open(stage.path("siemgate.toml")).unwrap();
        writeln!(file, "[spool]\nmemory = \"64MiB\"").unwrap();
        let every_millis = (1_000 * RECORDS_PER_MESSAGE as u64 / load).max(1);
        let node = stage.start_node(false);
        let schedule = Schedule::start(&stage.cloud, i64::try_from(every_millis).unwrap());
        let first = schedule.next();
        let bench = Self { stage, node, meter, schedule, span, first, figures: Vec::new() };
        // Caches are warm and connections open before anything counts.
        tokio::time::sleep(bench.span).await;
        bench.until_level().await;
        bench
    }

    /// Lets a span of this kind go by and notes what the healthy sink got of it.
    async fn spend(&mut self, trouble: Trouble) {
        self.begin(trouble);
        let (from, processor, began) = (self.schedule.next(), self.processor_seconds(), Instant::now());
        let mut up = false;
        while began.elapsed() < self.span {
            tokio::time::sleep(Duration::from_secs(1).min(self.span)).await;
            if trouble == Trouble::Flapping {
                self.stage.receiver.behave(if up { Behaviour::Refuse } else { Behaviour::Read });
                up = !up;
            }
        }
        self.note(trouble, from, (processor, began)).await;
    }

    fn begin(&self, trouble: Trouble) {
        self.stage.receiver.behave(match trouble {
            Trouble::Well | Trouble::Poison | Trouble::Recovering => Behaviour::Read,
            Trouble::Dead | Trouble::Flapping => Behaviour::Refuse,
            Trouble::Frozen => Behaviour::Freeze,
            Trouble::Slow => Behaviour::Slow { bytes_per_second: SLOW_BYTES_PER_SECOND },
        });
        self.schedule.poison(trouble == Trouble::Poison);
    }

    /// Heals the other sink and waits until it lacks nothing; how the healthy one fares meanwhile is told, too.
    async fn recover(&mut self) {
        self.begin(Trouble::Recovering);
        let (from, processor, began) = (self.schedule.next(), self.processor_seconds(), Instant::now());
        self.until_level().await;
        self.note(Trouble::Recovering, from, (processor, began)).await;
    }

    /// Waits until the other sink has what is older than a moment.
    async fn until_level(&self) {
        let wanted = self.schedule.due(self.first, self.schedule.next()) as u64;
        let deadline = Instant::now() + BOUND;
        while self.stage.receiver.tally().total.distinct < wanted {
            assert!(Instant::now() < deadline, "the other sink still lacks events\n{}", self.stage.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn note(&mut self, trouble: Trouble, from: i64, (processor, began): (f64, Instant)) {
        let until = self.schedule.next();
        let processor_share = (self.processor_seconds() - processor) / began.elapsed().as_secs_f64();
        let deadline = Instant::now() + BOUND;
        let due = self.schedule.due(from, until);
        while self.meter.count(from, until) < due {
            assert!(Instant::now() < deadline, "the healthy sink lacks events\n{}", self.stage.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let samples = self.meter.take(from, until);
        assert_eq!(samples.len(), due, "what is due comes once");
        let late = self.schedule.late(from, until);
        self.figures.push(figures(trouble, &samples, late, processor_share));
    }

    fn processor_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.node.0.id())).unwrap_or_default();
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let fields: Vec<f64> = after_name.split_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect();
        // User and system time are the 14th and 15th field of the whole line, the 12th and 13th after the name.
        (fields.get(11).unwrap_or(&0.0) + fields.get(12).unwrap_or(&0.0)) / TICKS_PER_SECOND
    }
}

/// The other sink's receiver, on a thread of its own that has the least claim to a core. In the field it is another machine:
/// what it costs to take in a burst must not show in what the node does.
fn receiver_apart() -> Receiver {
    let (sender, started) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        rustix::process::setpriority_process(None, 19).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            sender.send(Receiver::start(Options::default()).await.unwrap()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    started.recv().unwrap()
}

fn figures(trouble: Trouble, samples: &[Sample], late: Vec<u32>, processor_share: f64) -> Figures {
    let mut latencies: Vec<u32> = samples.iter().map(|sample| sample.micros).collect();
    latencies.sort_unstable();
    let its = samples.iter().filter(|sample| sample.partition == POISONED);
    let poisoned = its.map(|sample| sample.micros).max().unwrap_or(0);
    Figures { trouble, latencies, poisoned, late, processor_share }
}

fn report(all: &[Figures]) {
    println!(
        "{:<32} {:>7} {:>7} {:>7} {:>8} {:>10} {:>11} {:>9}",
        "", "p50", "p99", "p99.9", "max", "p99 change", "late by p99", "node CPU"
    );
    let kinds = [&[Trouble::Well][..], &Trouble::chosen(), &[Trouble::Recovering]].concat();
    for trouble in kinds {
        let its: Vec<&Figures> = all.iter().filter(|figures| figures.trouble == trouble).collect();
        let of = |share: f64| median(its.iter().map(|figures| millis(&figures.latencies, share)));
        let change = median(changes(all, trouble).into_iter());
        let told = if trouble == Trouble::Well { String::new() } else { format!("{change:+.1}%") };
        println!(
            "{:<32} {:>7.2} {:>7.2} {:>7.2} {:>8.1} {:>10} {:>11.2} {:>8.0}%",
            trouble.name(),
            of(0.5),
            of(0.99),
            of(0.999),
            its.iter().map(|figures| millis(&figures.latencies, 1.0)).fold(0.0, f64::max),
            told,
            median(its.iter().map(|figures| millis(&figures.late, 0.99))),
            100.0 * median(its.iter().map(|figures| figures.processor_share)),
        );
    }
    let sick: Vec<Trouble> = Trouble::chosen().into_iter().filter(|trouble| *trouble != Trouble::Poison).collect();
    for trouble in &sick {
        let each: Vec<String> = changes(all, *trouble).iter().map(|change| format!("{change:+.1}%")).collect();
        println!("p99 while {}: {} by round", trouble.name(), each.join(", "));
    }
    let worst = sick.iter().map(|it| median(changes(all, *it).into_iter())).fold(f64::MIN, f64::max);
    println!("L2: p99 changes by {worst:+.1}% at most; bar {L2_PERCENT}%: {}", kept(worst < L2_PERCENT));
    let its = all.iter().filter(|figures| figures.trouble == Trouble::Poison);
    let longest = its.map(|figures| f64::from(figures.poisoned) / 1e3).fold(0.0, f64::max);
    let bar = L3.as_millis();
    println!("L3: behind poison, {longest:.1} ms at most; bar {bar} ms: {}", kept(longest < bar as f64));
}

fn kept(is_kept: bool) -> &'static str {
    if is_kept { "kept" } else { "MISSED" }
}

/// For each span of this kind, by how many percent its p99 lies above that of the spans without trouble around it.
fn changes(all: &[Figures], trouble: Trouble) -> Vec<f64> {
    let p99 = |figures: &Figures| millis(&figures.latencies, 0.99);
    let spans = all.iter().enumerate().filter(|(_, figures)| figures.trouble == trouble);
    spans
        .map(|(at, figures)| {
            let well = |figures: &&Figures| figures.trouble == Trouble::Well;
            let around: Vec<f64> =
                all[..at].iter().rev().find(well).into_iter().chain(all[at..].iter().find(well)).map(p99).collect();
            100.0 * (p99(figures) / (around.iter().sum::<f64>() / around.len() as f64) - 1.0)
        })
        .collect()
}

fn millis(sorted: &[u32], share: f64) -> f64 {
    let at = (sorted.len().saturating_sub(1) as f64 * share).ceil() as usize;
    f64::from(sorted.get(at).copied().unwrap_or(0)) / 1e3
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

fn number(name: &str, standard: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(standard)
}
