//! What a node may hold of what some sink has not taken yet.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::fault::Complaint;
use crate::units::ByteSize;

/// Below this a single reading from upstream may not fit, and a feed would stand still for ever.
const MEMORY_MIN: u64 = 8 << 20;
const DISK_MIN: u64 = 64 << 20;

/// The backlog of all feeds. Beyond memory it goes to disk; where both are full, reading waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spool {
    /// Where it is kept, sealed under a key of each tenant. Default: `spool` in the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Records held in memory. Default: `256MiB`.
    pub memory: ByteSize,
    /// Records held on disk. Default: `4GiB`.
    pub disk: ByteSize,
    /// Records of one tenant held on disk, so that one sink's trouble leaves room for others. Default: `2GiB`.
    pub disk_per_tenant: ByteSize,
}

impl Default for Spool {
    fn default() -> Self {
        let (memory, disk) = (ByteSize::new(256 << 20), ByteSize::new(4 << 30));
        Self { folder: None, memory, disk, disk_per_tenant: ByteSize::new(2 << 30) }
    }
}

impl Spool {
    /// What no single value shows.
    pub(super) fn faults(&self) -> Vec<Complaint> {
        let too_small = |key: &str, size: ByteSize, least: u64| {
            let least = ByteSize::new(least);
            let problem = format!("`{size}` is too small for what is read at once: use at least `{least}`");
            (size < least).then(|| Complaint { path: vec!["spool".into(), key.into()], problem })
        };
        let relative = self.folder.as_ref().filter(|folder| !folder.is_absolute()).map(|folder| Complaint {
            path: vec!["spool".into(), "folder".into()],
            problem: format!("`{}` must be an absolute path, such as `/var/spool/siemgate`", folder.display()),
        });
        let sizes = [
            too_small("memory", self.memory, MEMORY_MIN),
            too_small("disk", self.disk, DISK_MIN),
            too_small("disk_per_tenant", self.disk_per_tenant, DISK_MIN),
        ];
        sizes.into_iter().flatten().chain(relative).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_stand_still_is_refused() {
        assert!(Spool::default().faults().is_empty());
        let tight = Spool { memory: ByteSize::new(1), folder: Some("spool".into()), ..Spool::default() };
        let told: Vec<String> = tight.faults().into_iter().map(|it| it.problem).collect();
        assert!(told[0].contains("at least `8MiB`") && told[1].contains("absolute path"), "{told:?}");
    }
}
