//! `sink`: looks after where events go.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::args::{Connection, Format, Output};
use super::client::{connect, refusal, request};
use super::output;
use crate::admin::convert::{key_from_wire, key_to_wire, kind_to_wire};
use crate::clock::{Clock, Timestamp};
use crate::cluster::{ResourceKey, ResourceKind};
use crate::config::resources;
use crate::encode::{Encoder, Facility, Header};
use crate::event::batch::Shape;
use crate::ids::{Epoch, FeedId, SourceId, TenantId};
use crate::normalize::{Normalized, Normalizer, Origin};
use crate::pipeline::spec::SinkSpec;
use crate::sinks::syslog::journey::{Journey, travel};
use crate::sinks::{Config, Framed, Stamp};
use crate::wire::v1;

/// Looks after sinks: where events go
#[derive(Debug, Args)]
pub struct SinkArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Test(Test),
    /// Lists sinks and how they fare
    List(List),
    /// Holds back what goes to a sink; nothing is lost while upstream keeps it
    Pause(Change),
    /// Lets a paused sink go on where it stopped
    Resume(Change),
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
struct Change {
    /// The sink
    name: String,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Sends one probe event the way the sink would, and says how far it came
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    siemgate sink test siem\n  \
    siemgate sink test --all -o json\n  \
    siemgate sink test --file resources.toml siem   before anything is applied\n\n\
    The event is sent from this machine, in the sink's format, with the action SiemgateSinkTest. Exit code 1 means that\n\
    it did not arrive at every receiver of every sink asked for.")]
struct Test {
    /// The sinks to test
    #[arg(required_unless_present = "all", value_name = "NAME")]
    names: Vec<String>,
    /// Every sink
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Take the sinks from these resource files or folders instead of from the cluster
    #[arg(long, value_name = "FILE")]
    file: Vec<PathBuf>,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// What came of one sink's test.
#[derive(Debug, Serialize)]
struct Tested {
    sink: String,
    kind: &'static str,
    arrived: bool,
    journeys: Vec<Journey>,
}

/// Whether all is well.
pub async fn sink(args: SinkArgs) -> anyhow::Result<bool> {
    match args.command {
        Command::Test(args) => test(args).await,
        Command::List(args) => list(args).await,
        Command::Pause(args) => pause(args, true).await,
        Command::Resume(args) => pause(args, false).await,
    }
}

async fn list(args: List) -> anyhow::Result<bool> {
    let status = super::status::ask(&args.connection, None).await?;
    let text = match args.format.output {
        Output::Json => output::json(&status.sinks)?,
        Output::Table => super::status::sinks(&status.sinks).unwrap_or_else(|| "no sink was applied yet\n".to_owned()),
    };
    output::print(&text)?;
    Ok(true)
}

/// Applies the sink as it is but for this. Doing it twice changes nothing.
async fn pause(args: Change, paused: bool) -> anyhow::Result<bool> {
    let mut admin = connect(&args.connection).await?;
    let name = args.name.parse().with_context(|| format!("`{}` is not the name of a sink", args.name))?;
    let key = key_to_wire(&ResourceKey::sink(&name));
    let found = admin.get(request(v1::GetRequest { key: Some(key.clone()) })).await.map_err(refusal)?.into_inner();
    let resource = found.resource.with_context(|| format!("there is no sink `{name}`"))?;
    let spec: SinkSpec = serde_json::from_str(&resource.body).with_context(|| format!("understand sink `{name}`"))?;
    let body = serde_json::to_string(&SinkSpec { paused, ..spec })?;
    let resources = vec![v1::Resource { key: Some(key), body }];
    let wanted = v1::ApplyRequest { resources, dry_run: false, secrets: vec![] };
    let answer = admin.apply(request(wanted)).await.map_err(refusal)?.into_inner();
    super::apply::show_changes(answer.changes, false, args.format.output)?;
    Ok(true)
}

async fn test(args: Test) -> anyhow::Result<bool> {
    let known = match args.file.is_empty() {
        true => applied(&args.connection).await?,
        false => declared(&args.file)?,
    };
    let chosen = choose(known, &args.names)?;
    let mut tested = Vec::new();
    for (name, spec) in chosen {
        let journeys = match &spec.sink {
            Config::Syslog(config) => travel(config, &probe(&spec)?.bytes).await,
            Config::Hec(config) => crate::sinks::hec::journey::travel(config, &probe(&spec)?.bytes).await,
            // They end on the node itself: whether it can write there only the node knows.
            Config::File(_) | Config::Stdout(_) | Config::Subscription(_) => Vec::new(),
        };
        let arrived = journeys.iter().all(Journey::arrived);
        tested.push(Tested { sink: name, kind: spec.sink.kind(), arrived, journeys });
    }
    let text = match args.format.output {
        Output::Json => output::json(&tested)?,
        Output::Table => tested.iter().map(Tested::words).collect(),
    };
    output::print(&text)?;
    Ok(tested.iter().all(|it| it.arrived))
}

impl Tested {
    fn words(&self) -> String {
        let Self { sink, kind, .. } = self;
        if self.journeys.is_empty() {
            return format!(
                "sink {sink} ({kind}): nothing to test from here; `siemgate status` shows whether it writes\n"
            );
        }
        let outcome =
            if self.arrived { "the probe event arrived" } else { "the probe event did NOT arrive everywhere" };
        let journeys: String = self.journeys.iter().map(|journey| output_lines(&journey.words())).collect();
        format!("sink {sink} ({kind}): {outcome}\n{journeys}")
    }
}

/// Each line by itself, because what receivers say of themselves could repaint a terminal.
fn output_lines(text: &str) -> String {
    text.lines().map(|line| format!("  {}\n", output::visible(line))).collect()
}

async fn applied(connection: &Connection) -> anyhow::Result<Vec<(String, SinkSpec)>> {
    let mut admin = connect(connection).await?;
    let wanted = v1::ListRequest { kind: kind_to_wire(ResourceKind::Sink).into(), tenant: String::new() };
    let resources = admin.list(request(wanted)).await.map_err(refusal)?.into_inner().resources;
    let spec = |it: v1::Resource| {
        let name = key_from_wire(it.key)?.name;
        let spec = serde_json::from_str(&it.body).with_context(|| format!("understand sink `{name}`"))?;
        Ok((name, spec))
    };
    resources.into_iter().map(spec).collect()
}

fn declared(files: &[PathBuf]) -> anyhow::Result<Vec<(String, SinkSpec)>> {
    let declared = resources::load(files)?;
    let sinks = declared.into_iter().filter(|it| it.key.kind == ResourceKind::Sink);
    sinks.map(|it| Ok((it.key.name, serde_json::from_str(&it.checked.body)?))).collect()
}

/// Those that were named, or all where none was.
fn choose(known: Vec<(String, SinkSpec)>, names: &[String]) -> anyhow::Result<Vec<(String, SinkSpec)>> {
    let has = |name: &String| known.iter().any(|(known, _)| known == name);
    if let Some(unknown) = names.iter().find(|name| !has(name)) {
        let names: Vec<_> = known.iter().map(|(name, _)| name.as_str()).collect();
        match names.is_empty() {
            true => bail!("there is no sink `{unknown}`, nor any other; `siemgate apply FILE` makes one"),
            false => bail!("there is no sink `{unknown}`; there are {}", names.join(", ")),
        }
    }
    if known.is_empty() {
        bail!("there is no sink yet; `siemgate apply FILE` makes one");
    }
    Ok(known.into_iter().filter(|(name, _)| names.is_empty() || names.contains(name)).collect())
}

const PROBE: &str = r#"{"category":"AdvancedHunting-DeviceEvents","properties":{"ActionType":"SiemgateSinkTest","DeviceName":"siemgate","ReportId":1}}"#;

/// A probe event in the sink's format and frame.
fn probe(spec: &SinkSpec) -> anyhow::Result<Framed> {
    let (tenant, source): (TenantId, SourceId) = ("siemgate".parse()?, "sink-test".parse()?);
    let feed: FeedId = "siemgate/sink-test/0".parse()?;
    let now = Clock::System.now();
    let origin = Origin { tenant: &tenant, source: &source, coordinates: None, published: Some(now) };
    let mut framed = Framed::default();
    let mut encoder = Encoder::new(spec.format, spec.options.clone());
    Normalizer::new().normalize(&origin, Shape::Streaming, PROBE.as_bytes(), &mut |normalized| {
        if let Normalized::Event(event) = normalized {
            let hex = event.id.to_hex();
            let id = std::str::from_utf8(&hex).unwrap_or_default();
            let mut payload = Vec::new();
            encoder.encode(event, &mut payload);
            let stamp = stamp(&Header::of(event), (&feed, id), now);
            spec.sink.framing().frame(&stamp, &payload, &mut framed);
        }
    });
    Ok(framed)
}

fn stamp<'a>(head: &Header, (feed, id): (&'a FeedId, &'a str), now: Timestamp) -> Stamp<'a> {
    Stamp {
        tenant: feed.tenant.as_str(),
        source: feed.source.as_str(),
        feed,
        epoch: Epoch(1),
        id,
        record: 0,
        time: head.time.unwrap_or(now),
        label: head.label,
        finding: head.facility == Facility::Alert,
        severity: head.severity,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(body: &str) -> SinkSpec {
        serde_json::from_str(body).unwrap()
    }

    #[test]
    fn a_probe_is_one_event_in_the_sinks_own_format_and_frame() {
        for (body, expected) in [
            (r#"{"kind":"syslog","address":"siem:514","format":"cef","framing":"lf"}"#, "CEF:0|"),
            (r#"{"kind":"syslog","address":"siem:514","format":"leef","transport":"relp"}"#, "LEEF:1.0|"),
            (r#"{"kind":"stdout","format":"microsoft"}"#, "SiemgateSinkTest"),
        ] {
            let framed = probe(&spec(body)).unwrap();
            let text = String::from_utf8(framed.bytes).unwrap();
            assert!(framed.ends.len() == 1 && text.contains(expected) && text.contains("SiemgateSinkTest"), "{text}");
        }
    }

    #[test]
    fn sinks_are_chosen_by_name() {
        let stdout = || spec(r#"{"kind":"stdout","format":"cef"}"#);
        let known = || vec![("a".to_owned(), stdout()), ("b".to_owned(), stdout())];
        let names = |chosen: Vec<(String, SinkSpec)>| chosen.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(choose(known(), &[]).unwrap()), ["a", "b"]);
        assert_eq!(names(choose(known(), &["b".into()]).unwrap()), ["b"]);
        assert!(choose(known(), &["c".into()]).unwrap_err().to_string().contains("there are a, b"));
        assert!(choose(vec![], &[]).unwrap_err().to_string().contains("siemgate apply"));
    }
}
