//! `sink`: looks after where events go.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use serde::Serialize;
use serde_json::{Map, Value};

use super::args::{Connection, Format, Output, Reason};
use super::client::{Operations, connect, operate, refusal, request};
use super::cursor::moving::operator;
use super::output;
use crate::admin::convert::{key_from_wire, key_to_wire, kind_to_wire};
use crate::admin::view::{SinkStatus, SinkTarget};
use crate::clock::Timestamp;
use crate::cluster::{ResourceKey, ResourceKind};
use crate::config::resources;
use crate::ids::SinkId;
use crate::node::probe;
use crate::pipeline::spec::SinkSpec;
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
    /// Shows how one sink fares, receiver by receiver
    Show(Show),
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
struct Show {
    /// The sink
    name: String,
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
    why: Reason,
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
    The event is sent by the node that is asked, which opens the sink's sealed secrets, in the sink's format, with the\n\
    action SiemgateSinkTest. With --file it is sent from here, with what the files refer to here. Exit code 1 means that\n\
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

/// Sinks that are tested side by side.
const TESTS_AT_ONCE: usize = 16;

/// What came of one sink's test.
#[derive(Debug, Serialize)]
struct Tested {
    sink: String,
    kind: String,
    arrived: bool,
    /// What an acknowledgement would mean, at the weakest of its receivers; nothing where one did not take the event.
    assurance: Option<String>,
    journeys: Vec<Value>,
    #[serde(skip)]
    words: Vec<String>,
}

/// Whether all is well.
pub async fn sink(args: SinkArgs) -> anyhow::Result<bool> {
    match args.command {
        Command::Test(args) => test(args).await,
        Command::List(args) => list(args).await,
        Command::Show(args) => show(args).await,
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

async fn show(args: Show) -> anyhow::Result<bool> {
    let status = super::status::ask(&args.connection, None).await?;
    let Some(sink) = status.sinks.iter().find(|sink| sink.sink.as_str() == args.name) else {
        bail!("{}", unknown(&args.name, status.sinks.iter().map(|sink| sink.sink.as_str())));
    };
    let text = match args.format.output {
        Output::Json => output::json(sink)?,
        Output::Table => details(sink, status.at),
    };
    output::print(&text)?;
    Ok(true)
}

fn details(sink: &SinkStatus, now: Timestamp) -> String {
    let assurance = if sink.assurance.is_empty() { "not known yet" } else { &sink.assurance };
    let mut text = format!(
        "sink          {}, {} in {}\nstate         {}\nassurance     {assurance}\nsent          {}\nacknowledged  {}\n\
         in flight     {}\nretries       {}\n",
        sink.sink, sink.kind, sink.format, sink.state, sink.sent, sink.acknowledged, sink.in_flight, sink.retries,
    );
    let held = sink.expire_after.map_or_else(|| "until it takes them".to_owned(), |after| output::span(Some(after)));
    text += &format!("holds events  {held}\n");
    if let Some(problem) = &sink.problem {
        text += &format!("problem       {}\n              {}\n", output::visible(&problem.error), problem.remedy);
    }
    let row = |target: &SinkTarget| {
        let problem = target.problem.as_ref().map_or_else(String::new, |problem| problem.error.clone());
        let (delivered, assurance) = (target.delivered.map(|at| now.since(at)), target.assurance.clone());
        vec![target.address.clone(), assurance, output::span(delivered), problem]
    };
    if !sink.targets.is_empty() {
        let rows = sink.targets.iter().map(row).collect();
        text += &format!("\n{}", output::table(&["RECEIVER", "ASSURANCE", "LAST DELIVERY", "PROBLEM"], &[2], rows));
    }
    text
}

/// Applies the sink as it is but for this. Doing it twice changes nothing.
async fn pause(args: Change, paused: bool) -> anyhow::Result<bool> {
    let mut admin = connect(&args.connection).await?;
    let name: SinkId = args.name.parse().with_context(|| format!("`{}` is not the name of a sink", args.name))?;
    let key = key_to_wire(&ResourceKey::sink(&name));
    let found = admin.get(request(v1::GetRequest { key: Some(key.clone()) })).await.map_err(refusal)?.into_inner();
    let resource = found.resource.with_context(|| format!("there is no sink `{name}`"))?;
    let mut body: Map<String, Value> =
        serde_json::from_str(&resource.body).with_context(|| format!("understand sink `{name}`"))?;
    match paused {
        true => drop(body.insert("paused".to_owned(), true.into())),
        false => drop(body.remove("paused")),
    }
    let resources = vec![v1::Resource { key: Some(key), body: Value::Object(body).to_string() }];
    let (operator, reason) = (operator(), args.why.reason);
    let wanted = v1::ApplyRequest { resources, operator, reason, ..v1::ApplyRequest::default() };
    let answer = admin.apply(request(wanted)).await.map_err(refusal)?.into_inner();
    if args.format.output == Output::Json {
        super::apply::show_changes(answer.changes, false, Output::Json)?;
        return Ok(true);
    }
    let unchanged = answer.changes.iter().all(|change| change.action() == v1::ChangeAction::Unchanged);
    output::print(&match (paused, unchanged) {
        (true, false) => {
            format!("sink `{name}` is paused; `siemgate sink resume {name}` lets it go on where it stopped")
        }
        (true, true) => format!("sink `{name}` is paused already; `siemgate sink resume {name}` lets it go on"),
        (false, false) => format!("sink `{name}` goes on where it stopped"),
        (false, true) => format!("sink `{name}` is not paused"),
    })?;
    Ok(true)
}

/// The tests that were asked for, none begun.
type Tests<'a> = Vec<BoxFuture<'a, anyhow::Result<Tested>>>;

async fn test(args: Test) -> anyhow::Result<bool> {
    let tests = match args.file.is_empty() {
        true => test_applied(&args).await?,
        false => test_declared(&args)?,
    };
    // One that keeps silent takes half a minute: the others don't wait for it, and each is told as soon as it can be.
    let mut tests = stream::iter(tests).buffered(TESTS_AT_ONCE);
    let mut tested = Vec::new();
    while let Some(it) = tests.next().await {
        let it = it?;
        if args.format.output == Output::Table {
            output::print(&it.lines())?;
        }
        tested.push(it);
    }
    if args.format.output == Output::Json {
        output::print(&output::json(&tested)?)?;
    }
    Ok(tested.iter().all(|it| it.arrived))
}

/// The node that is asked sends the event: it alone can open what is sealed.
async fn test_applied(args: &Test) -> anyhow::Result<Tests<'static>> {
    let chosen = choose(applied(&args.connection).await?, &args.names)?;
    let operations = operate(&args.connection).await?;
    Ok(chosen.into_iter().map(|sink| test_there(operations.clone(), sink).boxed()).collect())
}

async fn test_there(mut operations: Operations, sink: String) -> anyhow::Result<Tested> {
    let wanted = v1::TestSinkRequest { sink: sink.clone() };
    let answer = operations.test_sink(request(wanted)).await.map_err(refusal)?.into_inner();
    let arrived = answer.journeys.iter().all(|journey| journey.arrived);
    let words = answer.journeys.iter().map(|journey| journey.words.clone()).collect();
    let read = |journey: &v1::SinkJourney| serde_json::from_str(&journey.json);
    let journeys = answer.journeys.iter().map(read).collect::<Result<_, _>>().context("understand the node")?;
    let assurance = Some(answer.assurance).filter(|assurance| !assurance.is_empty());
    Ok(Tested { sink, kind: answer.kind, arrived, assurance, journeys, words })
}

/// Nothing is applied yet: the event goes out from here, with what the files refer to here.
fn test_declared(args: &Test) -> anyhow::Result<Tests<'static>> {
    let declared = declared(&args.file)?;
    let chosen = choose(declared.iter().map(|(name, _)| name.clone()).collect(), &args.names)?;
    let chosen = declared.into_iter().filter(|(name, _)| chosen.contains(name));
    Ok(chosen.map(|(sink, spec)| test_here(sink, spec).boxed()).collect())
}

async fn test_here(sink: String, spec: SinkSpec) -> anyhow::Result<Tested> {
    let travelled = probe::travel(&spec).await;
    let arrived = travelled.iter().all(probe::Journey::arrived);
    let assurance = probe::weakest(&travelled).map(str::to_owned);
    let words = travelled.iter().map(probe::Journey::words).collect();
    let journeys = travelled.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
    Ok(Tested { sink, kind: spec.sink.kind().to_owned(), arrived, assurance, journeys, words })
}

impl Tested {
    fn lines(&self) -> String {
        let Self { sink, kind, .. } = self;
        if self.journeys.is_empty() {
            return format!(
                "sink {sink} ({kind}): nothing to test from here; `siemgate status` shows whether it writes\n"
            );
        }
        let outcome = match (self.arrived, &self.assurance) {
            (true, Some(assurance)) => format!("the probe event arrived; assurance {assurance}"),
            (true, None) => "the probe event arrived".to_owned(),
            (false, _) => "the probe event did NOT arrive everywhere".to_owned(),
        };
        let journeys: String = self.words.iter().map(|words| output_lines(words)).collect();
        format!("sink {sink} ({kind}): {outcome}\n{journeys}")
    }
}

/// Each line by itself, because what receivers say of themselves could repaint a terminal.
fn output_lines(text: &str) -> String {
    text.lines().map(|line| format!("  {}\n", output::visible(line))).collect()
}

async fn applied(connection: &Connection) -> anyhow::Result<Vec<String>> {
    let mut admin = connect(connection).await?;
    let wanted = v1::ListRequest { kind: kind_to_wire(ResourceKind::Sink).into(), tenant: String::new() };
    let resources = admin.list(request(wanted)).await.map_err(refusal)?.into_inner().resources;
    resources.into_iter().map(|it| Ok(key_from_wire(it.key)?.name)).collect()
}

fn declared(files: &[PathBuf]) -> anyhow::Result<Vec<(String, SinkSpec)>> {
    let declared = resources::load(files)?;
    let sinks = declared.into_iter().filter(|it| it.key.kind == ResourceKind::Sink);
    sinks.map(|it| Ok((it.key.name, serde_json::from_str(&it.checked.body)?))).collect()
}

/// Those that were named, or all where none was.
fn choose(known: Vec<String>, names: &[String]) -> anyhow::Result<Vec<String>> {
    if let Some(missing) = names.iter().find(|name| !known.contains(name)) {
        bail!("{}", unknown(missing, known.iter().map(String::as_str)));
    }
    if known.is_empty() {
        bail!("there is no sink yet; `siemgate apply FILE` makes one");
    }
    Ok(known.into_iter().filter(|name| names.is_empty() || names.contains(name)).collect())
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match known.collect::<Vec<_>>().as_slice() {
        [] => format!("there is no sink `{name}`, nor any other; `siemgate apply FILE` makes one"),
        known => format!("there is no sink `{name}`; there are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sinks_are_chosen_by_name() {
        let known = || vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(choose(known(), &[]).unwrap(), ["a", "b"]);
        assert_eq!(choose(known(), &["b".into()]).unwrap(), ["b"]);
        assert!(choose(known(), &["c".into()]).unwrap_err().to_string().contains("there are a, b"));
        assert!(choose(vec![], &[]).unwrap_err().to_string().contains("siemgate apply"));
    }
}
