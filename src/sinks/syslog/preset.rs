//! What receivers are known to want. A preset only chooses where nothing else is said. Pure.

use serde::{Deserialize, Serialize};

use super::config::{Delimiting, HeaderStyle};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    SplunkSc4s,
    Arcsight,
    Qradar,
    Elastic,
    Rsyslog,
    SyslogNg,
}

impl Preset {
    pub fn delimiting(self) -> Delimiting {
        match self {
            // Their usual listeners take lines alone, and would glue counted frames together.
            Self::SplunkSc4s | Self::Arcsight | Self::Qradar | Self::Elastic => Delimiting::Lf,
            // imtcp tells the two apart frame by frame; the `syslog` driver of syslog-ng takes counted frames alone.
            Self::Rsyslog | Self::SyslogNg => Delimiting::OctetCounting,
        }
    }

    pub fn header(self) -> HeaderStyle {
        match self {
            Self::Arcsight | Self::Qradar => HeaderStyle::Rfc3164,
            Self::SplunkSc4s | Self::Elastic | Self::Rsyslog | Self::SyslogNg => HeaderStyle::Rfc5424,
        }
    }

    /// The longest message its receiver takes on a stream as it is installed.
    pub fn message_bytes(self) -> u64 {
        match self {
            // Four thousand is what QRadar takes of TCP before an operator raises it.
            Self::Qradar => 4_096,
            Self::Arcsight | Self::Rsyslog => 8_192,
            Self::SplunkSc4s | Self::SyslogNg | Self::Elastic => 65_536,
        }
    }
}
