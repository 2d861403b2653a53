//! The seeded bugs of `tests/seeded` must fit the sources, or their runner would prove nothing. Running them is the long
//! form: see `src/manual/seeded_bugs.md`.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs;
use std::path::{Path, PathBuf};

/// What a patch expects to find, hunk by hunk.
fn expected_by(patch: &str) -> Vec<String> {
    let hunks = patch.split("\n@@ ").skip(1).map(|hunk| hunk.lines().skip(1));
    let old = |line: &str| line.strip_prefix([' ', '-']).map(|line| format!("{line}\n"));
    hunks.map(|lines| lines.filter_map(old).collect()).collect()
}

#[test]
fn every_seeded_bug_still_fits_the_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let patches: Vec<PathBuf> = fs::read_dir(root.join("tests/seeded")).unwrap().map(|it| it.unwrap().path()).collect();
    let mut faults = Vec::new();
    for path in patches.iter().filter(|path| path.extension().is_some_and(|e| e == "patch")) {
        let patch = fs::read_to_string(path).unwrap();
        let target = patch.lines().find_map(|line| line.strip_prefix("+++ b/")).expect("a patch names its file");
        let source = fs::read_to_string(root.join(target)).unwrap_or_default();
        if !expected_by(&patch).iter().all(|hunk| !hunk.is_empty() && source.contains(hunk.as_str())) {
            faults.push(path.display().to_string());
        }
    }
    assert!(faults.is_empty(), "bugs that fit nowhere any more:\n{}", faults.join("\n"));
}
