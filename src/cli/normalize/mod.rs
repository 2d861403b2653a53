//! `siemgate normalize`: Microsoft records in, one a line; a SIEM's lines out. No cluster, no network, one core.

mod lines;
mod quarantine;
mod shape;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use self::lines::{Lines, Next};
use self::quarantine::Quarantine;
use self::shape::Part;
use crate::encode::{CefOptions, CefUnmappedKeys, CefVersion, Encoder, Format, Options};
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
    kcat -C -t insights-logs-advancedhunting | siemgate normalize --format microsoft\n\n\
    Exit code: 0 if every record became an event or went to --quarantine, else 1.")]
pub struct Args {
    /// Read this file instead of standard input
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// What the records are
    #[arg(long, value_enum, default_value_t = From::Auto)]
    pub from: From,
    /// What to write: `cef`, or `microsoft` for the untouched record
    #[arg(long, default_value_t = Format::Cef)]
    pub format: Format,
    /// Write CEF:1 instead of CEF:0
    #[arg(long)]
    pub cef1: bool,
    /// For which records CEF also carries columns that have no key of their own
    #[arg(long, value_enum, default_value_t = Unmapped::Generic)]
    pub unmapped: Unmapped,
    /// The tenant the records belong to
    #[arg(long, default_value = "local")]
    pub tenant: TenantId,
    /// The source the records came from
    #[arg(long, default_value = "file")]
    pub source: SourceId,
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
    }
    Ok(summary.exit_code())
}

/// Reads records from `input` and writes events to `output` until either ends. Memory is bounded by the longest line.
pub fn run(args: &Args, input: impl Read, output: impl Write) -> anyhow::Result<ExitSummary> {
    let mut summary = ExitSummary { is_quarantined: args.quarantine.is_some(), ..ExitSummary::default() };
    let mut run = Run {
        origin: Origin { tenant: &args.tenant, source: &args.source, coordinates: None, published: None },
        from: args.from,
        normalizer: Normalizer::new(),
        encoder: Encoder::new(args.format, options(args)),
        quarantine: Quarantine::open(args.quarantine.as_deref())?,
        written: Vec::with_capacity(2 * OUTPUT_BYTES),
        summary: &mut summary,
    };
    match run.all(Lines::of(input), output) {
        Err(error) if is_broken_pipe(&error) => summary.ended_early = true,
        other => other?,
    }
    Ok(summary)
}

fn options(args: &Args) -> Options {
    Options {
        cef: CefOptions {
            version: if args.cef1 { CefVersion::One } else { CefVersion::Zero },
            unmapped: match args.unmapped {
                Unmapped::Never => CefUnmappedKeys::Never,
                Unmapped::Generic => CefUnmappedKeys::Generic,
                Unmapped::Always => CefUnmappedKeys::Always,
            },
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
    quarantine: Quarantine,
    written: Vec<u8>,
    summary: &'a mut ExitSummary,
}

impl Run<'_> {
    fn all(&mut self, mut lines: Lines<impl Read>, mut output: impl Write) -> anyhow::Result<()> {
        loop {
            match lines.next()? {
                Next::Line(line) => {
                    self.summary.lines += 1;
                    self.line(line)?;
                    if self.written.len() >= OUTPUT_BYTES {
                        self.flush(&mut output)?;
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

    fn flush(&mut self, output: &mut impl Write) -> io::Result<()> {
        output.write_all(&self.written)?;
        self.written.clear();
        output.flush()
    }

    fn line(&mut self, line: &[u8]) -> anyhow::Result<()> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let mut result = Ok(());
        match self.from {
            From::Streaming => result = self.part(Shape::Streaming, line),
            From::Auto if shape::is_streaming(line) => result = self.part(Shape::Streaming, line),
            From::Auto | From::GraphIncident | From::GraphAlert => {
                let fixed = match self.from {
                    From::GraphIncident => Some(Shape::GraphIncident),
                    From::GraphAlert => Some(Shape::GraphAlert),
                    From::Auto | From::Streaming => None,
                };
                shape::split(line, fixed, |part| {
                    if result.is_ok() {
                        result = match part {
                            Part::Object(shape, bytes) => self.part(shape, bytes),
                            Part::Stranger(bytes) => {
                                let id = EventId::of_content(bytes);
                                let reason = Reason::NotAnObject;
                                self.reject(&Rejected { id, index: None, raw: bytes, reason })
                            }
                        };
                    }
                });
            }
        }
        result
    }

    fn part(&mut self, shape: Shape, bytes: &[u8]) -> anyhow::Result<()> {
        let Self { encoder, written, summary, quarantine, .. } = self;
        let mut result = Ok(());
        self.normalizer.normalize(&self.origin, shape, bytes, &mut |normalized| match normalized {
            Normalized::Event(event) => {
                summary.cut += u64::from(encoder.encode(event, written).cut);
                written.push(b'\n');
                summary.events += 1;
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
