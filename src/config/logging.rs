//! What a node says about itself, and how loudly. Pure.

use serde::{Deserialize, Serialize};

use super::suggest::nearest;

/// What this node says about itself on standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A level (`error`, `warn`, `info`, `debug`, `trace`), or directives such as `info,siemgate::sources=debug`.
    /// Default: `info`.
    pub level: String,
    /// Default: `text`.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Text }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

impl Log {
    /// What is wrong with the settings, if anything. A word alone that is no level would be taken for the name of a module,
    /// and nothing else would be logged.
    pub(super) fn fault(&self) -> Option<String> {
        let level =
            |directive: &str| directive.rsplit_once('=').map_or(directive, |(_, level)| level).trim().to_owned();
        // Numbers are levels, too, from 0 for none to 5 for all.
        let is_level = |level: &str| {
            matches!(level.as_bytes(), [b'0'..=b'5']) || LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level))
        };
        // The fields of a span are between braces, with commas of their own.
        let plain = !self.level.contains('{');
        if let Some(bad) = self.level.split(',').map(level).find(|level| plain && !is_level(level)) {
            let meant = nearest(&bad.to_lowercase(), LEVELS);
            let meant = meant.map_or_else(
                || format!("use {}, or directives such as `info,siemgate::sources=debug`", LEVELS.join(", ")),
                |meant| format!("did you mean `{meant}`?"),
            );
            return Some(format!("`level`: `{}` is not a log level: {meant}", bad.escape_default()));
        }
        let refused = tracing_subscriber::EnvFilter::try_new(&self.level).err()?;
        Some(format!("`level`: `{}` can't be followed: {refused}", self.level.escape_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_told_and_silences_nothing() {
        let fault = |level: &str| Log { level: level.into(), ..Log::default() }.fault();
        for good in
            ["info", "WARN", "info,siemgate::sources=debug", "off,siemgate=trace", "siemgate=3", "siemgate[feed]=info"]
        {
            assert_eq!(fault(good), None, "{good}");
        }
        for (bad, told) in [
            ("loud", "`level`: `loud` is not a log level: use error, warn"),
            ("wran", "did you mean `warn`?"),
            ("info,siemgate", "`siemgate` is not a log level"),
            ("info,siemgate=lots", "`lots` is not a log level"),
            ("", "`` is not a log level"),
        ] {
            assert!(fault(bad).unwrap().contains(told), "{bad}: {:?}", fault(bad));
        }
    }
}
