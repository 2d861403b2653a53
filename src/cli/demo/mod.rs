//! `siemgate demo`: a simulated Microsoft cloud, one node and one receiver in this process, with real protocols between
//! them, and a summary from the receiver's own count.

mod scene;
mod summary;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args as ClapArgs, ValueEnum};
use tokio::time::{Instant, interval};

use crate::simulator::receiver::Line;
use crate::units::Span;
use scene::Scene;

/// Lines of the live tail shown each second: enough to read along, few enough not to drown the terminal.
const TAIL_LINES_PER_SECOND: u32 = 10;
/// How long the sources may take to catch up once the cloud has stopped producing.
const SETTLE: Duration = Duration::from_secs(20);

/// Shows events on their way from a simulated Microsoft cloud to a receiver, all on this machine
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  siemgate demo                            until Ctrl-C
  siemgate demo --for 20s                  twenty seconds, then the summary
  siemgate demo --rate 20000 --for 10s     as fast as this machine goes
  siemgate demo --for 20s --output json    the summary as one JSON object on the last line")]
pub struct Args {
    /// Ends by itself after this long, such as `20s`. Without it, Ctrl-C ends it.
    #[arg(long = "for", value_name = "SPAN")]
    length: Option<Span>,
    /// Streaming records a second that the simulated cloud produces.
    #[arg(long, default_value_t = 500, value_name = "RECORDS")]
    rate: u64,
    /// Incidents and alerts created or changed a second.
    #[arg(long, default_value_t = 10, value_name = "CHANGES")]
    changes: u64,
    /// Customer tenants in the simulated cloud.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=50))]
    tenants: u16,
    /// Same seed, same records.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the node keeps its data; it stays there afterwards. Without it, a temporary folder that is removed.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// How the summary is written.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// Runs the demo to its end. Fails when events were lost, because that would be the thing to know.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let mut scene = Scene::set(&args).await.context("start the demo")?;
    eprintln_line(&scene.introduction());
    let began = Instant::now();
    let end = args.length.map(|length| began + length.get());
    let interrupted = tail(&mut scene, end).await;
    scene.cloud.pause();
    eprintln_line("The cloud has stopped producing; waiting for the last events to arrive …");
    scene.settle(SETTLE).await;
    let summary = scene.end(began.elapsed()).await.context("end the demo")?;
    let text = match args.output {
        Output::Table => summary.table(),
        Output::Json => summary.json()?,
    };
    write_out(&text);
    anyhow::ensure!(
        summary.lost() == 0,
        "{} events did not arrive{}",
        summary.lost(),
        if interrupted { " before you ended it; let it settle to see whether they are lost" } else { "" }
    );
    Ok(())
}

/// Shows events as they arrive until the end, Ctrl-C, or a termination signal. Returns whether it was interrupted.
async fn tail(scene: &mut Scene, end: Option<Instant>) -> bool {
    let mut lines = scene.receiver.tail();
    let mut second = interval(Duration::from_secs(1));
    let mut left = TAIL_LINES_PER_SECOND;
    let far = Instant::now() + Duration::from_secs(86_400 * 365);
    let stop = super::signal::stop();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => return true,
            () = tokio::time::sleep_until(end.unwrap_or(far)) => return false,
            _ = scene.node.failed() => return false,
            _ = second.tick() => left = TAIL_LINES_PER_SECOND,
            line = lines.recv(), if left > 0 => if let Ok(line) = line {
                left -= 1;
                write_out(&shown(&line));
            },
        }
    }
}

/// The event without the syslog header around it.
fn shown(line: &Line) -> String {
    let text = String::from_utf8_lossy(&line.message);
    let start = text.find("CEF:").unwrap_or(0);
    text[start..].to_owned()
}

/// A reader that went away is no fault: `siemgate demo | head` must end quietly.
fn write_out(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Remarks go to standard error, so that the tail and the summary can be piped on.
fn eprintln_line(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
