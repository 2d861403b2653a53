//! `siemgate normalize`: Microsoft records in, one a line; a SIEM's lines out. No cluster, no network, one core.

mod explain;
mod lines;
mod passing;
mod quarantine;
mod reading;
mod shape;
mod stats;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use self::explain::Explainer;
use self::lines::{Lines, Next};
use self::quarantine::Quarantine;
use self::shape::Part;
use self::stats::Stats;
use crate::encode::{
    CefOptions, CefVersion, Encoder, Format, LeefOptions, LeefVersion, Options, SplunkMode, SplunkOptions, UnmappedKeys,
};
use crate::event::EventId;
use crate::event::batch::Shape;
use crate::ids::{SourceId, TenantId};
use crate::normalize::{Normalized, Normalizer, Origin, Reason, Rejected};

/// Written out when this much has gathered, or when the input has nothing more for the moment.
const OUTPUT_BYTES: usize = 128 << 10;

/// Turns Microsoft security records into lines for a SIEM.
///
/// Reads one record, message or page a line (NDJSON) and writes one event a line. What can't be read is reported with
/// its line and the reason, and never stops the rest.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    siemgate normalize < records.ndjson > events.cef\n  \
    siemgate normalize --input incidents.ndjson --from graph-incident --quarantine bad.ndjson\n  \
    siemgate normalize --input records.ndjson --explain\n  \
    siemgate normalize --input records.ndjson --format ocsf --stats > events.ndjson\n  \
    siemgate normalize --input records.ndjson --format leef --leef2 --leef-strict\n  \
    kcat -C -t insights-logs-advancedhunting | siemgate normalize --format microsoft\n\n\
    Exit code: 0 if every record became an event or went to --quarantine, else 1.")]
pub struct Args {
    /// Read this file instead of standard input
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// What the records are
    #[arg(long, value_enum, default_value_t = From::Auto)]
    pub from: From,
    /// What to write: `cef` for ArcSight, `leef` for QRadar, `splunk` for its HTTP Event Collector, `ecs` for Elastic,
    /// `ocsf` for security lakes, or `microsoft` for the untouched record
    #[arg(long, default_value_t = Format::Cef, value_parser = text_format)]
    pub format: Format,
    /// With `cef`: write CEF:1, which knows IPv6 in `src` and `dst`, instead of CEF:0, which every receiver reads
    #[arg(long)]
    pub cef1: bool,
    /// With `leef`: write LEEF:2.0, which names its delimiter, instead of LEEF:1.0, which every QRadar reads
    #[arg(long)]
    pub leef2: bool,
    /// With `leef`: keep `|` and `^` out of values too, as IBM advises; each becomes a blank
    #[arg(long)]
    pub leef_strict: bool,
    /// With `splunk`: write the untouched record under the sourcetypes of Splunk's own add-ons, which then map it,
    /// instead of our JSON in the names of the Common Information Model
    #[arg(long)]
    pub splunk_add_on: bool,
    /// With `cef` and `leef`: which records also carry the columns that have no key of their own; the other formats
    /// always do
    #[arg(long, value_enum, default_value_t = Unmapped::Generic)]
    pub unmapped: Unmapped,
    /// With `microsoft`: read streaming records to their last byte, instead of passing them on after a look at their
    /// envelope
    #[arg(long)]
    pub strict: bool,
    /// The tenant the records belong to
    #[arg(long, default_value = "local")]
    pub tenant: TenantId,
    /// The source the records came from
    #[arg(long, default_value = "file")]
    pub source: SourceId,
    /// Instead of events, show where each column of the N-th record went in every format
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "1")]
    pub explain: Option<u64>,
    /// Report afterwards, on standard error, which kinds of records came and which tables, columns and evidence are
    /// unknown here
    #[arg(long)]
    pub stats: bool,
    /// Write what can't be read into this file, whole, one JSON object a line, instead of naming it on standard error
    #[arg(long, value_name = "FILE")]
    pub quarantine: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum From {
    /// Look at each line
    Auto,
    /// Defender streaming: a message, a record or an array of records a line
    Streaming,
    /// Graph security/incidents: an incident or a page a line; expanded alerts become events of their own
    GraphIncident,
    /// Graph security/alerts_v2: an alert or a page a line
    GraphAlert,
    /// Defender XDR api/incidents: as with Graph's
    XdrIncident,
    /// Alerts taken out of such incidents
    XdrAlert,
    /// Defender for Endpoint api/alerts: an alert or a page a line
    EndpointAlert,
    /// Detections of the retired API for SIEMs: an array or a detection a line
    SiemDetection,
}

impl From {
    /// Nothing where each line is to be looked at.
    const fn shape(self) -> Option<Shape> {
        Some(match self {
            Self::Auto => return None,
            Self::Streaming => Shape::Streaming,
            Self::GraphIncident => Shape::GraphIncident,
            Self::GraphAlert => Shape::GraphAlert,
            Self::XdrIncident => Shape::XdrIncident,
            Self::XdrAlert => Shape::XdrAlert,
            Self::EndpointAlert => Shape::EndpointAlert,
            Self::SiemDetection => Shape::SiemDetection,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Unmapped {
    Never,
    /// Those of tables without a mapping
    Generic,
    Always,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExitSummary {
    pub lines: u64,
    pub events: u64,
    pub rejected: u64,
    /// Values that were longer than their key allows.
    pub cut: u64,
    /// Nobody reads the output any more, so that the rest of the input wasn't read.
    pub ended_early: bool,
    is_quarantined: bool,
}

impl ExitSummary {
    pub fn exit_code(&self) -> ExitCode {
        if self.rejected == 0 || self.is_quarantined { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// The whole command: opens what the arguments name, runs, and says on standard error what came of it.
pub fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let output = io::stdout().lock();
    let summary = match &args.input {
        Some(path) => {
            let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
            run(args, file, output)?
        }
        None => run(args, io::stdin().lock(), output)?,
    };
    if !summary.ended_early {
        let ExitSummary { lines, events, rejected, cut, .. } = summary;
        writeln!(io::stderr(), "{lines} lines read: {events} events, {rejected} rejected, {cut} values cut to length")?;
        if let Some(wanted) = args.explain
            && events < wanted
        {
            writeln!(io::stderr(), "there is no record number {wanted} to explain: the input has {events}")?;
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(summary.exit_code())
}

/// What is written here are lines.
fn text_format(name: &str) -> Result<Format, String> {
    match name.parse() {
        Ok(Format::Typed) => {
            Err("`typed` is protobuf, which is for subscribers: choose a format that is text".to_owned())
        }
        Ok(format) => Ok(format),
        Err(bad) => Err(bad.to_string()),
    }
}

/// Reads records from `input` and writes events to `output` until either ends. Memory is bounded by the longest line.
pub fn run(args: &Args, input: impl Read, output: impl Write) -> anyhow::Result<ExitSummary> {
    let mut summary = ExitSummary { is_quarantined: args.quarantine.is_some(), ..ExitSummary::default() };
    let mut run = Run {
        origin: Origin { tenant: &args.tenant, source: &args.source, coordinates: None, published: None },
        from: args.from,
        normalizer: Normalizer::new(),
        encoder: Encoder::new(args.format, options(args)),
        options: options(args),
        quarantine: Quarantine::open(args.quarantine.as_deref())?,
        written: Vec::with_capacity(2 * OUTPUT_BYTES),
        stats: args.stats.then(Stats::default),
        explain: args.explain,
        passes_on: args.format == Format::Microsoft
            && !args.strict
            && !args.stats
            && args.explain.is_none()
            && matches!(args.from, From::Auto | From::Streaming),
        summary: &mut summary,
    };
    let ended = run.all(Lines::of(input), output);
    let report = run.stats.map(|stats| stats.report());
    match ended {
        Err(error) if is_broken_pipe(&error) => summary.ended_early = true,
        other => other.context("read records and write events")?,
    }
    if let Some(report) = report {
        write!(io::stderr(), "{report}")?;
    }
    Ok(summary)
}

fn options(args: &Args) -> Options {
    let unmapped = match args.unmapped {
        Unmapped::Never => UnmappedKeys::Never,
        Unmapped::Generic => UnmappedKeys::Generic,
        Unmapped::Always => UnmappedKeys::Always,
    };
    Options {
        cef: CefOptions { version: if args.cef1 { CefVersion::One } else { CefVersion::Zero }, unmapped },
        leef: LeefOptions {
            version: if args.leef2 { LeefVersion::Two } else { LeefVersion::One },
            unmapped,
            strict: args.leef_strict,
        },
        splunk: SplunkOptions {
            mode: if args.splunk_add_on { SplunkMode::AddOn } else { SplunkMode::Cim },
            ..SplunkOptions::default()
        },
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

struct Run<'a> {
    origin: Origin<'a>,
    from: From,
    normalizer: Normalizer,
    encoder: Encoder,
    options: Options,
    quarantine: Quarantine,
    written: Vec<u8>,
    stats: Option<Stats>,
    /// The number of the event to explain instead of writing events.
    explain: Option<u64>,
    /// Whether plain records go through without being taken apart.
    passes_on: bool,
    summary: &'a mut ExitSummary,
}

impl Run<'_> {
    fn all(&mut self, mut lines: Lines<impl Read>, mut output: impl Write) -> anyhow::Result<()> {
        loop {
            if self.passes_on {
                self.pass_on(&mut lines, &mut output)?;
            }
            match lines.next()? {
                Next::Line(line) => {
                    self.summary.lines += 1;
                    self.line(line)?;
                    if self.written.len() >= OUTPUT_BYTES {
                        self.flush(&mut output)?;
                    }
                    if self.explain.is_some_and(|wanted| self.summary.events >= wanted) {
                        return self.flush(&mut output).map_err(Into::into);
                    }
                }
                Next::TooLong { piece, is_last } => {
                    let number = self.summary.lines + 1;
                    self.quarantine.piece_of_long_line(number, piece, is_last)?;
                    self.summary.lines += u64::from(is_last);
                    self.summary.rejected += u64::from(is_last);
                }
                // Whoever waits at the other end of a slow input gets what there is.
                Next::Pause => self.flush(&mut output)?,
                Next::End => {
                    self.flush(&mut output)?;
                    return self.quarantine.close();
                }
            }
        }
    }

    /// Lines that nothing has to be done about.
    fn pass_on(&mut self, lines: &mut Lines<impl Read>, output: &mut impl Write) -> io::Result<()> {
        let (length, count) = passing::run(lines.at_hand());
        if count > 0 {
            self.flush(output)?;
            output.write_all(&lines.at_hand()[..length])?;
            lines.advance(length);
            self.summary.lines += count;
            self.summary.events += count;
        }
        Ok(())
    }

    fn flush(&mut self, output: &mut impl Write) -> io::Result<()> {
        output.write_all(&self.written)?;
        self.written.clear();
        output.flush()
    }

    fn line(&mut self, line: &[u8]) -> anyhow::Result<()> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let fixed = self.from.shape();
        if fixed == Some(Shape::Streaming) || (fixed.is_none() && shape::is_streaming(line)) {
            return self.part(Shape::Streaming, line);
        }
        let mut result = Ok(());
        shape::split(line, fixed, |part| {
            if result.is_ok() {
                result = match part {
                    Part::Object(shape, bytes) => self.part(shape, bytes),
                    Part::Stranger(bytes) => {
                        let id = EventId::of_content(bytes);
                        self.reject(&Rejected { id, index: None, raw: bytes, reason: Reason::NotAnObject })
                    }
                };
            }
        });
        result
    }

    fn part(&mut self, shape: Shape, bytes: &[u8]) -> anyhow::Result<()> {
        let Self { encoder, written, summary, quarantine, stats, explain, origin, options, .. } = self;
        let mut result = Ok(());
        self.normalizer.normalize(origin, shape, bytes, &mut |normalized| match normalized {
            Normalized::Event(event) => {
                summary.events += 1;
                if let Some(stats) = stats {
                    stats.count(event);
                }
                if let Some(wanted) = *explain {
                    if summary.events == wanted {
                        let explainer = Explainer { tenant: origin.tenant, source: origin.source, options };
                        written.extend(explainer.explain(shape, event.record).unwrap_or_default().bytes());
                    }
                    return;
                }
                summary.cut += u64::from(encoder.encode(event, written).cut);
                written.push(b'\n');
            }
            Normalized::Rejected(rejected) => {
                summary.rejected += 1;
                if result.is_ok() {
                    result = quarantine.take(summary.lines, &rejected);
                }
            }
        });
        result
    }

    fn reject(&mut self, rejected: &Rejected<'_>) -> anyhow::Result<()> {
        self.summary.rejected += 1;
        self.quarantine.take(self.summary.lines, rejected)
    }
}

#[cfg(test)]
mod tests;
