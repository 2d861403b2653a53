//! The architecture as a test: who may import whom, what pure files may not name, and how large things may grow.
//! Every failure names a file and a line.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "tidy/rules.rs"]
mod rules;

use rules::{MAY_IMPORT, PURE, WORDS};

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
const FOLDER_DEPTH_MAX: usize = 4;

const IMPURE_WORDS: &[&str] = &[
    "tokio::",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "std::fs",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "rand::",
    "sled::",
    "reqwest::Client",
    "Clock::",
    "std::env",
];

/// Calls that no file under `src` may make, with the reason and the files excepted. Test modules are exempt.
const FORBIDDEN: &[(&str, &str, &[&str])] = &[
    ("tokio::spawn(", "spawn into a JoinSet, so that the task ends with its owner", &[]),
    ("unbounded_channel", "every queue has a bound", &[]),
    ("SystemTime::now", "take a Clock", &["src/clock.rs"]),
    ("anyhow", "errors have causes outside the command line", &["src/cli/", "src/main.rs"]),
    ("todo!(", "finish it", &[]),
    ("unimplemented!(", "finish it", &[]),
];

struct Source {
    path: String,
    lines: Vec<String>,
    /// The line of the test module, where the rules for the product end.
    tests_from: usize,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn walk(folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("the folder can be listed").path();
        if path.is_dir() && !path.ends_with("target") {
            walk(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).expect("a source file is UTF-8");
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let tests_from = lines.iter().position(|line| line.starts_with("#[cfg(test)]")).unwrap_or(lines.len());
            let path = path.strip_prefix(root()).expect("found under the root").display().to_string();
            found.push(Source { path, lines, tests_from });
        }
    }
}

/// A file that is a test module of its own, by name.
fn holds_tests(source: &Source) -> bool {
    source.path.ends_with("tests.rs") || source.path.contains("/tests/")
}

fn check(what: &str, faults: Vec<String>) {
    assert!(faults.is_empty(), "{what}:\n{}", faults.join("\n"));
}

fn module_of(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
}

/// The modules a line names through `crate::`.
fn crate_names(line: &str) -> Vec<String> {
    let word =
        |text: &str| -> String { text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    line.match_indices("crate::")
        .filter(|(at, _)| !line[..*at].ends_with('$'))
        .flat_map(|(at, prefix)| {
            let rest = &line[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(inner) => inner.split(',').map(word).collect(),
                None => vec![word(rest)],
            }
        })
        .filter(|name| name.chars().next().is_some_and(char::is_lowercase))
        .collect()
}

fn code(line: &str) -> &str {
    if line.trim_start().starts_with("//") { "" } else { line }
}

#[test]
fn modules_import_only_what_the_design_allows() {
    let mut faults = Vec::new();
    for source in sources("src") {
        let module = module_of(&source.path);
        if matches!(module, "lib" | "main") || holds_tests(&source) {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
            faults.push(format!("{}:1: module `{module}` has no rule in tests/tidy.rs", source.path));
            continue;
        };
        for (number, line) in source.lines.iter().enumerate().take(source.tests_from) {
            for name in crate_names(code(line)) {
                if name != module && !WORDS.contains(&name.as_str()) && !allowed.contains(&name.as_str()) {
                    faults.push(format!("{}:{}: `{module}` may not import `{name}`", source.path, number + 1));
                }
            }
        }
    }
    check("imports against the design", faults);
}

#[test]
fn pure_files_do_not_touch_the_world() {
    let mut faults = Vec::new();
    for source in sources("src") {
        if !PURE.iter().any(|pure| source.path.starts_with(pure)) || holds_tests(&source) {
            continue;
        }
        for (number, line) in source.lines.iter().enumerate().take(source.tests_from) {
            for word in IMPURE_WORDS.iter().filter(|word| code(line).contains(*word)) {
                faults.push(format!("{}:{}: a pure file names `{word}`", source.path, number + 1));
            }
        }
    }
    check("pure files that touch the world", faults);
}

#[test]
fn every_pure_rule_still_names_a_file() {
    let all = sources("src");
    assert!(!all.is_empty(), "no sources found under the root");
    let stale = PURE.iter().filter(|pure| !all.iter().any(|source| source.path.starts_with(*pure)));
    check("rules without a file", stale.map(|pure| format!("{pure}: nothing there")).collect());
}

#[test]
fn forbidden_calls_are_absent() {
    let mut faults = Vec::new();
    for source in sources("src").iter().filter(|source| !holds_tests(source)) {
        for (number, line) in source.lines.iter().enumerate().take(source.tests_from) {
            for (call, reason, except) in FORBIDDEN {
                if code(line).contains(call) && !except.iter().any(|prefix| source.path.starts_with(prefix)) {
                    faults.push(format!("{}:{}: `{call}`: {reason}", source.path, number + 1));
                }
            }
        }
    }
    check("forbidden calls", faults);
}

#[test]
fn no_test_is_ignored() {
    let mark = concat!("#[", "ignore");
    let mut faults = Vec::new();
    for source in ["src", "tests"].iter().flat_map(|folder| sources(folder)) {
        for (number, _) in source.lines.iter().enumerate().filter(|(_, line)| line.contains(mark)) {
            faults.push(format!("{}:{}: a test that does not run proves nothing", source.path, number + 1));
        }
    }
    check("ignored tests", faults);
}

#[test]
fn files_functions_and_folders_stay_small() {
    let mut faults = Vec::new();
    for source in ["src", "tests", "benches"].iter().flat_map(|folder| sources(folder)) {
        if source.lines.len() > FILE_LINES_MAX {
            faults.push(format!("{}:{}: more than {FILE_LINES_MAX} lines", source.path, source.lines.len()));
        }
        if source.path.matches('/').count() > FOLDER_DEPTH_MAX {
            faults.push(format!("{}:1: more than {FOLDER_DEPTH_MAX} folders deep", source.path));
        }
        for (line, length) in functions(&source.lines) {
            if length > FUNCTION_LINES_MAX {
                faults.push(format!("{}:{line}: a function of {length} lines", source.path));
            }
        }
    }
    check("things that grew too large", faults);
}

/// First line and length of every function, found by its indentation, which rustfmt guarantees.
fn functions(lines: &[String]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let is_function = line.split_whitespace().take(5).any(|word| word == "fn") && !code(line).is_empty();
        if !is_function || line.trim_end().ends_with([';', '}']) {
            continue;
        }
        let close = " ".repeat(indent) + "}";
        if let Some(length) = lines[start..].iter().position(|other| *other == close) {
            found.push((start + 1, length + 1));
        }
    }
    found
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = ["src", "tests", "benches"].iter().flat_map(|folder| sources(folder)).filter(|source| {
        !holds_tests(source)
            && !source.lines.first().is_some_and(|line| line.starts_with("//!") || line.starts_with("#![doc"))
    });
    check("files without a first paragraph", silent.map(|source| format!("{}:1", source.path)).collect());
}

#[test]
fn the_root_holds_only_what_was_agreed() {
    const ROOT: &[&str] = &[
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "proto",
        "src",
        "deploy",
        "tests",
        "benches",
        ".ci",
        ".cargo",
        ".git",
        ".gitignore",
        "rustfmt.toml",
        "clippy.toml",
        "deny.toml",
        "target",
    ];
    let entries = fs::read_dir(root()).expect("the root can be listed");
    let names = entries.map(|entry| entry.expect("the root can be listed").file_name().to_string_lossy().into_owned());
    let strangers = names.filter(|name| !ROOT.contains(&name.as_str()));
    check("not part of the agreed root", strangers.collect());
}

#[test]
fn the_rules_find_what_they_look_for() {
    assert_eq!(crate_names("use crate::cluster::state::ControlState;"), ["cluster"]);
    assert_eq!(crate_names("use crate::{event, sinks::Sink};"), ["event", "sinks"]);
    assert_eq!(crate_names("let x = crate::node::run();"), ["node"]);
    let lines: Vec<String> = ["fn long() {", "    body();", "}"].map(str::to_owned).to_vec();
    assert_eq!(functions(&lines), [(1, 3)]);
    assert_eq!(module_of("src/cluster/state.rs"), "cluster");
    assert_eq!(module_of("src/config.rs"), "config");
}
