//! Where what can't be read goes: named on standard error, or kept whole in a file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::lines::LINE_BYTES_MAX;
use crate::normalize::Rejected;

pub(super) struct Quarantine {
    file: Option<BufWriter<File>>,
    /// Bytes of a long line that don't fill a group of Base64 yet; nothing while no long line is being written.
    pending: Option<Vec<u8>>,
}

impl Quarantine {
    pub(super) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let file = path.map(|path| File::create(path).with_context(|| format!("create {}", path.display())));
        Ok(Self { file: file.transpose()?.map(BufWriter::new), pending: None })
    }

    pub(super) fn take(&mut self, line: u64, rejected: &Rejected<'_>) -> anyhow::Result<()> {
        let Some(file) = &mut self.file else {
            let place = rejected.index.map_or_else(String::new, |index| format!(", record {}", index + 1));
            writeln!(io::stderr(), "line {line}{place}: {}", rejected.reason)?;
            return Ok(());
        };
        let mut entry = serde_json::json!({
            "line": line,
            "record": rejected.index,
            "id": rejected.id.to_string(),
            "reason": rejected.reason.to_string(),
            "remedy": rejected.reason.remedy(),
        });
        match std::str::from_utf8(rejected.raw) {
            Ok(text) => entry["text"] = text.into(),
            Err(_) => entry["base64"] = STANDARD.encode(rejected.raw).into(),
        }
        serde_json::to_writer(&mut *file, &entry).context("write the quarantine file")?;
        file.write_all(b"\n").context("write the quarantine file")
    }

    /// A line that is never in memory as a whole goes to the file whole nevertheless.
    pub(super) fn piece_of_long_line(&mut self, line: u64, piece: &[u8], is_last: bool) -> anyhow::Result<()> {
        let reason = format!("it is longer than {} MiB", LINE_BYTES_MAX >> 20);
        let Some(file) = &mut self.file else {
            if is_last {
                writeln!(io::stderr(), "line {line}: {reason}")?;
            }
            return Ok(());
        };
        if self.pending.is_none() {
            write!(file, "{{\"line\":{line},\"record\":null,\"reason\":\"{reason}\",\"base64\":\"")?;
        }
        let mut bytes = self.pending.take().unwrap_or_default();
        bytes.extend_from_slice(piece);
        let whole = if is_last { bytes.len() } else { bytes.len() / 3 * 3 };
        file.write_all(STANDARD.encode(&bytes[..whole]).as_bytes())?;
        if is_last {
            file.write_all(b"\"}\n")?;
        } else {
            self.pending = Some(bytes.split_off(whole));
        }
        Ok(())
    }

    pub(super) fn close(&mut self) -> anyhow::Result<()> {
        self.file.as_mut().map_or(Ok(()), BufWriter::flush).context("write the quarantine file")
    }
}
