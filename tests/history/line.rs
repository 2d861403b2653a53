//! The lines of a history, read and put into the order in which things happened.

use std::collections::HashSet;

use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Line {
    Produced(Produced),
    /// An indexer has it in memory, and may lose it there.
    Accepted(Received),
    Received(Received),
    Confirmed(Confirmed),
    Malformed(Malformed),
    Epoch(Assigned),
    Committed(Committed),
    Read(Read),
    Quarantined(Resolved),
    Filtered(Resolved),
    Gap(Gap),
    Rewound {
        at: i64,
        feed: String,
        sink: String,
        applied: Option<u64>,
    },
    State(State),
    Fault {
        at: i64,
        what: String,
    },
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Produced {
    pub at: i64,
    pub stream: String,
    #[serde(flatten)]
    pub what: Thing,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Thing {
    Message {
        generation: u64,
        partition: String,
        sequence: i64,
        records: u64,
        #[serde(default)]
        sha256: Vec<String>,
    },
    Version {
        object: String,
        updated: String,
        visible: i64,
        /// Of an alert: the incident that it is also seen inside of.
        incident: Option<String>,
    },
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Received {
    pub at: i64,
    #[serde(default)]
    pub sink: String,
    pub conn: u64,
    pub id: String,
    pub feed: String,
    pub epoch: u64,
    /// Its number within its message, where the sink is told.
    pub record: Option<u64>,
    #[serde(default)]
    pub sha256: String,
}

/// The sender was told that these arrived, or is about to be.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Confirmed {
    pub at: i64,
    #[serde(default)]
    pub sink: String,
    pub ids: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Malformed {
    pub at: i64,
    #[serde(default)]
    pub sink: String,
    pub conn: u64,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Assigned {
    pub at: i64,
    pub feed: String,
    pub epoch: u64,
    pub applied: Option<u64>,
    /// The command's number within that entry.
    #[serde(default)]
    pub step: u64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Committed {
    pub at: i64,
    pub feed: String,
    pub sink: String,
    pub epoch: u64,
    #[serde(default)]
    pub generation: u64,
    pub sequence: Option<i64>,
    pub from: Option<String>,
    pub applied: Option<u64>,
    /// The command's number within that entry.
    #[serde(default)]
    pub step: u64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Read {
    pub at: i64,
    pub feed: String,
    pub epoch: u64,
    pub object: String,
    pub updated: String,
    pub digest: String,
    pub id: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Resolved {
    pub at: i64,
    pub feed: String,
    pub id: String,
    pub sink: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Gap {
    pub at: i64,
    pub feed: String,
    pub generation: u64,
    pub after: Option<i64>,
    pub before: Option<i64>,
}

/// What a node's state was with everything up to an entry applied.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct State {
    pub at: i64,
    pub node: u64,
    pub applied: u64,
    pub digest: String,
}

impl Gap {
    pub fn covers(&self, sequence: i64) -> bool {
        self.after.is_none_or(|after| sequence > after) && self.before.is_none_or(|before| sequence < before)
    }
}

impl Line {
    pub fn at(&self) -> i64 {
        match self {
            Self::Produced(line) => line.at,
            Self::Accepted(line) | Self::Received(line) => line.at,
            Self::Confirmed(line) => line.at,
            Self::Epoch(line) => line.at,
            Self::Committed(line) => line.at,
            Self::Read(line) => line.at,
            Self::Quarantined(line) | Self::Filtered(line) => line.at,
            Self::Gap(line) => line.at,
            Self::Malformed(line) => line.at,
            Self::State(line) => line.at,
            Self::Rewound { at, .. } | Self::Fault { at, .. } => *at,
        }
    }

    /// The sink of a line that its receiver writes.
    fn sink_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Accepted(line) | Self::Received(line) => Some(&mut line.sink),
            Self::Confirmed(line) => Some(&mut line.sink),
            Self::Malformed(line) => Some(&mut line.sink),
            _ => None,
        }
    }

    /// What a line says of an entry of the cluster's log. Each node says it, and says it again after a restart; that is
    /// one thing, known from the first time on.
    fn of_an_entry(&self) -> Option<String> {
        match self {
            Self::Epoch(line) if line.applied.is_some() => Some(format!("{:?}", Assigned { at: 0, ..line.clone() })),
            Self::Committed(line) if line.applied.is_some() => {
                Some(format!("{:?}", Committed { at: 0, ..line.clone() }))
            }
            _ => None,
        }
    }

    /// Causes before effects, where the clock can't tell them apart.
    fn rank(&self) -> u8 {
        match self {
            Self::Fault { .. } => 0,
            Self::Produced(_) => 1,
            Self::Epoch(_) => 2,
            Self::Read(_) => 3,
            Self::Accepted(_) | Self::Received(_) | Self::Malformed(_) => 4,
            Self::Quarantined(_) | Self::Filtered(_) | Self::Gap(_) | Self::Confirmed(_) => 5,
            Self::Committed(_) | Self::Rewound { .. } => 6,
            Self::State(_) => 7,
        }
    }
}

/// All lines of a run, in order.
#[derive(Debug, Clone, Default)]
pub struct History {
    pub lines: Vec<Line>,
}

impl History {
    pub fn of(mut lines: Vec<Line>) -> Self {
        lines.sort_by_key(|line| (line.at(), line.rank()));
        let mut told = HashSet::new();
        lines.retain(|line| line.of_an_entry().is_none_or(|entry| told.insert(entry)));
        Self { lines }
    }

    /// Reads the text of several files, each with the name of the sink whose receiver wrote it, or an empty one. A line
    /// that a killed process left torn at the end of its file is forgotten; one anywhere else is an error.
    pub fn parse(files: &[(&str, &str)]) -> Result<Self, String> {
        let mut lines = Vec::new();
        for (sink, text) in files {
            let whole = text.ends_with('\n') || text.is_empty();
            let count = text.lines().count();
            for (number, line) in text.lines().enumerate() {
                match serde_json::from_str::<Line>(line) {
                    Ok(mut line) => {
                        if let Some(named) = line.sink_mut().filter(|named| named.is_empty()) {
                            (*sink).clone_into(named);
                        }
                        lines.push(line);
                    }
                    Err(_) if !whole && number + 1 == count => {}
                    Err(error) => return Err(format!("line {}: {error}: {line}", number + 1)),
                }
            }
        }
        Ok(Self::of(lines))
    }

    pub fn received(&self) -> impl Iterator<Item = &Received> {
        self.lines.iter().filter_map(|line| if let Line::Received(line) = line { Some(line) } else { None })
    }

    pub fn produced(&self) -> impl Iterator<Item = &Produced> {
        self.lines.iter().filter_map(|line| if let Line::Produced(line) = line { Some(line) } else { None })
    }

    pub fn committed(&self) -> impl Iterator<Item = &Committed> {
        self.lines.iter().filter_map(|line| if let Line::Committed(line) = line { Some(line) } else { None })
    }

    pub fn reads(&self) -> impl Iterator<Item = &Read> {
        self.lines.iter().filter_map(|line| if let Line::Read(line) = line { Some(line) } else { None })
    }

    pub fn gaps(&self) -> impl Iterator<Item = &Gap> {
        self.lines.iter().filter_map(|line| if let Line::Gap(line) = line { Some(line) } else { None })
    }

    pub fn states(&self) -> impl Iterator<Item = &State> {
        self.lines.iter().filter_map(|line| if let Line::State(line) = line { Some(line) } else { None })
    }

    /// Quarantined and filtered alike: what no sink, or one sink, will ever receive.
    pub fn resolved(&self) -> impl Iterator<Item = &Resolved> {
        self.lines.iter().filter_map(|line| match line {
            Line::Quarantined(line) | Line::Filtered(line) => Some(line),
            _ => None,
        })
    }
}
