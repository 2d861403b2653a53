//! `siemgate simulator`: a Microsoft cloud in a box, in the foreground, until it is interrupted.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::signal;
use crate::clock::Timestamp;
use crate::simulator::receiver::{self, Receiver};
use crate::simulator::splunk::{self, Splunk};
use crate::simulator::workload::{self, Workload};
use crate::simulator::{self, Access, NaturalOrder, Ports, Running, Settings, TENANTS_MAX, TenantAccess};
use crate::units::Span;

/// The share of objects, in a thousand, that are late or tied can be no larger than all of them.
const PER_MILLE: f64 = 1_000.0;

/// Runs a simulated Microsoft cloud: Entra tokens, Graph incidents and alerts, Event Hubs over AMQP, and faults.
///
/// Everything listens on 127.0.0.1 only. Identifiers, secrets and contents follow from the seed, so what you configure
/// against one run fits the next. All credentials are fakes.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Seed of all identifiers, secrets and contents; the same seed gives the same cloud.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Customer tenants, each with an app registration and a hub of its own.
    #[arg(long, default_value_t = 1)]
    tenants: usize,
    /// Streaming records a second, over all tenants; 0 sends none.
    #[arg(long, default_value_t = 500, value_name = "RECORDS")]
    rate: u64,
    /// Stop the stream after exactly this many records.
    #[arg(long, value_name = "N")]
    records: Option<u64>,
    /// New or changed incidents and alerts a second, over all tenants; 0 makes none.
    #[arg(long, default_value_t = 5, value_name = "CHANGES")]
    changes_rate: u64,
    /// Stop changing incidents and alerts after exactly this many changes.
    #[arg(long, value_name = "N")]
    changes: Option<u64>,
    /// Only print this many records and objects, one a line, as `siemgate normalize` reads them, and listen to nothing.
    #[arg(long, value_name = "N")]
    print: Option<u64>,
    /// Wait for the fault `resume-workload` before producing anything.
    #[arg(long)]
    paused: bool,
    #[command(flatten)]
    ports: PortArgs,
    #[command(flatten)]
    content: ContentArgs,
    /// Graph requests a minute for each app and tenant; beyond it, 429.
    #[arg(long, default_value_t = 150, value_name = "REQUESTS")]
    graph_quota: u32,
    /// Order of Graph's lists when a request names none.
    #[arg(long, value_enum, default_value_t = Order::Newest)]
    graph_order: Order,
    /// Leave out the link to the next page, as some directories do.
    #[arg(long)]
    omit_next_links: bool,
    /// PEM certificate whose key may sign client assertions for every app; give it more than once for several.
    #[arg(long, value_name = "FILE")]
    client_certificate: Vec<PathBuf>,
    /// Append one JSON line for each thing produced, for a checker to compare with what arrived.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Write addresses and credentials as JSON to this file once everything listens.
    #[arg(long, value_name = "FILE")]
    port_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct PortArgs {
    /// Port of Entra and Graph; 0 takes any free one, here and below.
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    http_port: u16,
    /// Port of the control endpoint.
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    control_port: u16,
    /// Port of Event Hubs without TLS.
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    amqp_port: u16,
    /// Port of Event Hubs with TLS.
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    amqps_port: u16,
    /// Also run a syslog receiver on this port, which counts what arrives.
    #[arg(long, value_name = "PORT")]
    receiver_port: Option<u16>,
    /// Also run a Splunk HTTP Event Collector with indexer acknowledgement on this port, which counts what arrives.
    #[arg(long, value_name = "PORT")]
    splunk_port: Option<u16>,
    /// Write what the HTTP Event Collector accepted, indexed and acknowledged to this file, one JSON line each.
    #[arg(long, value_name = "FILE", requires = "splunk_port")]
    splunk_history: Option<PathBuf>,
    /// How long the HTTP Event Collector keeps events in memory before it indexes them, such as 500ms.
    #[arg(long, value_name = "SPAN", requires = "splunk_port")]
    splunk_indexing: Option<Span>,
}

#[derive(Debug, clap::Args)]
struct ContentArgs {
    /// Partitions of each hub.
    #[arg(long, default_value_t = simulator::PARTITIONS, value_name = "N")]
    partitions: u16,
    /// Records in one streaming message.
    #[arg(long, default_value_t = 20, value_name = "N")]
    records_per_message: usize,
    /// Make this many messages once and send them over and over, to spend no time on making them.
    #[arg(long, default_value_t = 0, value_name = "N")]
    prepared: usize,
    /// Of a thousand records, how many carry what breaks careless parsers.
    #[arg(long, default_value_t = 0, value_name = "N")]
    hostile: u16,
    /// Of a thousand records, how many aren't rows at all.
    #[arg(long, default_value_t = 0, value_name = "N")]
    malformed: u16,
    /// Of a thousand changes, how many become visible only after their time.
    #[arg(long, default_value_t = 50, value_name = "N")]
    late: u16,
    /// Of a thousand changes, how many share their time with the one before.
    #[arg(long, default_value_t = 100, value_name = "N")]
    tied: u16,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Order {
    /// Updated last comes first.
    Newest,
    /// Updated first comes first.
    Oldest,
    /// Created first comes first.
    Created,
}

const HELP: &str = "\
Examples:
  siemgate simulator --tenants 3 --port-file cloud.json
  siemgate simulator --print 1000 | siemgate normalize --format ecs
  siemgate simulator --rate 30000 --records 1000000 --prepared 64 --history produced.jsonl

Faults are asked for on the control port, which the start shows:
  curl -d '{\"fault\":\"throttle\",\"target\":\"graph\",\"requests\":5,\"retry_after\":2}' http://127.0.0.1:PORT/faults
  curl -d '{\"fault\":\"recreate-hub\",\"tenant\":\"contoso\"}' http://127.0.0.1:PORT/faults
  curl -d '{\"fault\":\"poison-incident\",\"tenant\":\"contoso\",\"poison\":\"expand\"}' http://127.0.0.1:PORT/faults
  curl http://127.0.0.1:PORT/state

Faults: throttle, fail, latency, partial, omit-next-link, poison-incident, expire-secret, renew-secret, disconnect-amqp,
close-amqp, amqp-busy, delay-events, recreate-hub, detach-readers, pass-retention, add-partitions, pause-workload,
resume-workload, clear. A wrong one is answered with what is wrong about it.";

fn splunk_options(args: &PortArgs, port: u16) -> splunk::Options {
    splunk::Options {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        acknowledges: true,
        indexing: args.splunk_indexing.map(Span::get).unwrap_or_default(),
        history: args.splunk_history.clone(),
        ..splunk::Options::default()
    }
}

/// Runs the simulator until Ctrl-C or a termination signal.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let settings = settings(&args)?;
    if let Some(count) = args.print {
        return print(&settings, count);
    }
    let cloud = simulator::start(settings).await.context("start the simulator")?;
    let receiver = match args.ports.receiver_port {
        Some(port) => {
            let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            Some(Receiver::start(receiver::Options { listen, ..receiver::Options::default() }).await?)
        }
        None => None,
    };
    let splunk = match args.ports.splunk_port {
        Some(port) => Some(Splunk::start(splunk_options(&args.ports, port)).await?),
        None => None,
    };
    let receiver_at = receiver.as_ref().map(Receiver::address);
    if let Some(path) = &args.port_file {
        write_port_file(path, &cloud.access, receiver_at)?;
    }
    show(&introduction(&cloud.access, receiver_at))?;
    if let Some(splunk) = &splunk {
        show(&format!("A fake Splunk takes events at {} with the token {}.", splunk.url(), splunk::TOKEN))?;
    }
    until_stopped(&cloud).await?;
    cloud.stop().await;
    if let Some(receiver) = receiver {
        let tally = receiver.stop().await;
        show(&format!("The receiver took {} frames, {} distinct.", tally.total.received, tally.total.distinct))?;
    }
    if let Some(splunk) = splunk {
        let tally = splunk.stop().await;
        show(&format!("The fake Splunk indexed {} events, {} distinct.", tally.received, tally.distinct))?;
    }
    Ok(())
}

/// What the first tenant's cloud would produce from a fixed moment on: eight streaming records, then two changes of
/// incidents and alerts, and so on.
fn print(settings: &Settings, count: u64) -> anyhow::Result<()> {
    let name = settings.tenants.first().context("a simulated cloud has a tenant")?.name.to_string();
    let options = workload::Options { records_per_message: 1, ..settings.workload.options.clone() };
    let mut workload = Workload::new(settings.seed, &workload::Tenant::named(&name), options);
    let mut now = PRINTED_FROM;
    let mut out = BufWriter::new(io::stdout().lock());
    for number in 0..count {
        now = now.plus(PRINTED_EVERY);
        let line = match number % 10 {
            0..8 => workload.next_message(now).body,
            _ => workload.next_change(now).object.to_string().into(),
        };
        // Hostile messages may hold line breaks between their tokens, where a blank says the same.
        let line: Vec<u8> = line.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect();
        out.write_all(&line)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// 2030-01-01 in UTC.
const PRINTED_FROM: Timestamp = Timestamp::from_millis(1_893_456_000_000);
const PRINTED_EVERY: Duration = Duration::from_millis(50);

/// Goes on serving after the last record, because readers may still be behind.
async fn until_stopped(cloud: &Running) -> anyhow::Result<()> {
    let stop = signal::stop();
    tokio::pin!(stop);
    tokio::select! {
        () = cloud.finished() => {
            let totals = cloud.totals();
            show(&format!(
                "All is produced: {} records in {} messages, {} changes. Still serving; Ctrl-C ends.",
                totals.records, totals.messages, totals.changes
            ))?;
            stop.await;
        }
        () = &mut stop => {}
    }
    Ok(())
}

fn settings(args: &Args) -> anyhow::Result<Settings> {
    ensure!((1..=TENANTS_MAX).contains(&args.tenants), "--tenants must be from 1 to {TENANTS_MAX}");
    ensure!(args.content.partitions > 0, "--partitions must be at least 1");
    let certificates = args.client_certificate.iter().map(|path| certificate(path)).collect::<Result<Vec<_>, _>>()?;
    let mut settings = Settings::new(args.seed, args.tenants)?;
    for tenant in &mut settings.tenants {
        tenant.hub.partitions = args.content.partitions;
        tenant.app.certificates.clone_from(&certificates);
    }
    settings.ports = Ports {
        http: args.ports.http_port,
        control: args.ports.control_port,
        amqp: args.ports.amqp_port,
        amqps: args.ports.amqps_port,
    };
    settings.graph.requests_per_minute = args.graph_quota;
    settings.graph.omit_next_links = args.omit_next_links;
    settings.graph.natural_order = match args.graph_order {
        Order::Newest => NaturalOrder::UpdatedDescending,
        Order::Oldest => NaturalOrder::UpdatedAscending,
        Order::Created => NaturalOrder::CreatedAscending,
    };
    settings.history.clone_from(&args.history);
    let share = |per_mille: u16| f64::from(per_mille) / PER_MILLE;
    let workload = &mut settings.workload;
    workload.records_per_second = args.rate;
    workload.records_total = args.records;
    workload.changes_per_second = args.changes_rate;
    workload.changes_total = args.changes;
    workload.paused = args.paused;
    workload.prepared = args.content.prepared;
    workload.options.records_per_message = args.content.records_per_message;
    workload.options.hostile = share(args.content.hostile);
    workload.options.malformed = share(args.content.malformed);
    workload.options.late = share(args.content.late);
    workload.options.tied = share(args.content.tied);
    Ok(settings)
}

fn certificate(path: &Path) -> anyhow::Result<Vec<u8>> {
    let text = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let der = CertificateDer::from_pem_slice(&text).with_context(|| {
        format!("{} holds no PEM certificate; export one that begins `-----BEGIN CERTIFICATE`", path.display())
    })?;
    Ok(der.to_vec())
}

/// Writes beside the file and renames, so that whoever waits for it never reads half of it.
fn write_port_file(path: &Path, access: &Access, receiver: Option<SocketAddr>) -> anyhow::Result<()> {
    let mut text = serde_json::to_value(access).context("write the addresses as JSON")?;
    if let Some(receiver) = receiver {
        text["receiver"] = receiver.to_string().into();
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let written = fs::write(&beside, format!("{text:#}\n")).and_then(|()| fs::rename(&beside, path));
    written.with_context(|| format!("write {}; its folder must exist and be writable", path.display()))
}

fn introduction(access: &Access, receiver: Option<SocketAddr>) -> String {
    let mut text = String::from("A simulated Microsoft cloud is running. All credentials are fakes.\n\n");
    let mut line = |name: &str, value: &str| {
        writeln!(text, "{}", format!("  {name:<14}{value}").trim_end()).expect("writing to a string does not fail");
    };
    line("Entra", &access.authority);
    line("Graph", &format!("{}/v1.0", access.graph));
    line("Event Hubs", &format!("{} plain, {} with TLS", access.amqp, access.amqps));
    line("control", &access.control);
    if let Some(receiver) = receiver {
        line("receiver", &format!("{receiver} syslog over TCP"));
    }
    // The rest are in the port file; more than a few only scroll the addresses away.
    for tenant in access.tenants.iter().take(3) {
        let TenantAccess { name, directory, client_id, client_secret, connection_string, .. } = tenant;
        line("", "");
        line("tenant", &format!("{name} ({directory})"));
        line("client id", client_id);
        line("client secret", client_secret);
        line("hub", connection_string);
    }
    text.push_str("\nCtrl-C ends it. `siemgate simulator --help` shows how to make faults.");
    text
}

fn show(text: &str) -> anyhow::Result<()> {
    writeln!(io::stdout().lock(), "{text}").context("write to standard output")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Whole {
        #[command(flatten)]
        args: Args,
    }

    fn parsed(words: &[&str]) -> Args {
        Whole::parse_from(["simulator"].iter().chain(words)).args
    }

    #[test]
    fn what_is_typed_becomes_the_clouds_settings() {
        let args = parsed(&["--tenants", "2", "--rate", "7", "--records", "9", "--late", "250", "--partitions", "8"]);
        let settings = settings(&args).unwrap();
        assert_eq!(settings.tenants.len(), 2);
        assert!(settings.tenants.iter().all(|tenant| tenant.hub.partitions == 8));
        assert_eq!((settings.workload.records_per_second, settings.workload.records_total), (7, Some(9)));
        assert!((settings.workload.options.late - 0.25).abs() < f64::EPSILON);
        assert!(super::settings(&parsed(&["--tenants", "0"])).is_err());
    }

    #[tokio::test]
    async fn the_port_file_says_how_to_reach_what_is_running() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cloud.json");
        let cloud =
            simulator::start(settings(&parsed(&["--rate", "0", "--changes-rate", "0"])).unwrap()).await.unwrap();
        write_port_file(&path, &cloud.access, None).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(read["graph"], format!("http://{}", cloud.addresses.http));
        assert_eq!(read["tenants"][0]["client_secret"], cloud.access.tenants[0].client_secret);
        assert!(introduction(&cloud.access, None).contains(&cloud.access.tenants[0].connection_string));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        cloud.stop().await;
    }
}
