//! What is wrong with a file: every fault at once, each where it stands, with what to do. Pure.
//!
//! Deserialising stops at the first fault and often can't say where it is. So we find the culprit by spoiling one value
//! at a time and watching whether the complaint changes. The culprit is noted, left out, and the rest is tried again.

use std::fmt;
use std::path::{Path as FilePath, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::document::{Document, Path, Place, Step};
use super::suggest::nearest;

/// Faults told about one file; whoever has more will look again anyway.
const FAULTS_MAX: usize = 50;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    pub file: PathBuf,
    pub line: usize,
    pub column: usize,
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file.display(), self.line, self.column, self.problem)
    }
}

/// Everything that is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(transparent)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.0.iter().enumerate() {
            write!(f, "{}{fault}", if n == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl Faults {
    pub fn add(&mut self, file: &FilePath, place: Place, problem: impl Into<String>) {
        self.0.push(Fault { file: file.to_owned(), line: place.line, column: place.column, problem: problem.into() });
    }

    /// The value if nothing is wrong, otherwise the faults in the order of their places.
    pub fn or<T>(mut self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => {
                self.0.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
                self.0.dedup();
                Err(self)
            }
        }
    }
}

/// A complaint and the value it is about, relative to what was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    pub path: Path,
    pub problem: String,
}

impl Complaint {
    pub fn fault(self, document: &Document, base: &[Step], file: &FilePath, faults: &mut Faults) {
        let path: Path = base.iter().chain(&self.path).cloned().collect();
        faults.add(file, document.place(&path), self.problem);
    }
}

/// Reads a value out of a table, or everything that stands in the way.
pub fn read<T: DeserializeOwned>(table: &Map<String, Value>) -> Result<T, Vec<Complaint>> {
    let mut rest = Value::Object(table.clone());
    let mut complaints: Vec<Complaint> = Vec::new();
    // Each round takes something out of `rest`, so this ends; the bound is for the reader's patience.
    while complaints.len() < FAULTS_MAX {
        let error = match attempt::<T>(&rest) {
            Ok(value) if complaints.is_empty() => return Ok(value),
            Ok(_) => break,
            Err(error) => error,
        };
        let path = culprit::<T>(&rest, &error);
        let holder = path.clone().unwrap_or_default();
        let value = remove(&mut rest, &holder);
        if let Some(meant) = meant(&error)
            && let (Some(value), Some((_, way))) = (&value, holder.split_last())
            && let Some(Value::Object(table)) = look_up_mut(&mut rest, way)
        {
            // Read on as if it were written right: the key it was meant to be isn't missing then.
            table.entry(meant).or_insert_with(|| value.clone());
        }
        if !left_out_before(&error, &holder, &complaints) {
            let problem = explain(&error, value.as_ref().map(|value| (&holder, value)));
            complaints.push(Complaint { path: holder, problem });
        }
        if path.is_none() {
            break;
        }
    }
    Err(complaints)
}

fn attempt<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    T::deserialize(without_nulls(value)).map_err(|error| error.to_string())
}

/// TOML knows no null: what is null was an item that we left out.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(table) => table.iter().map(|(key, value)| (key.clone(), without_nulls(value))).collect(),
        Value::Array(items) => items.iter().filter(|item| !item.is_null()).map(without_nulls).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// The key that an unknown one is a slip of.
fn meant(error: &str) -> Option<String> {
    let quoted: Vec<&str> = error.split('`').skip(1).step_by(2).collect();
    match quoted.as_slice() {
        [given, known @ ..] if error.starts_with("unknown field") => nearest(given, known.iter().copied()),
        _ => None,
    }
    .map(str::to_owned)
}

/// Whether the complaint is that something lacks what we took out of it for an earlier complaint.
fn left_out_before(error: &str, holder: &[Step], complaints: &[Complaint]) -> bool {
    complaints.iter().any(|complaint| match complaint.path.split_last() {
        Some((Step::Key(key), way)) => way == holder && error == format!("missing field `{key}`"),
        _ => false,
    })
}

/// Keys that say how the rest is to be read. They are read first, wherever they stand.
const TAGS: &[&str] = &["kind", "grant"];

/// The innermost value the complaint is about; nothing where it is about the whole.
fn culprit<T: DeserializeOwned>(value: &Value, error: &str) -> Option<Path> {
    let name = error.split('`').nth(1).unwrap_or_default();
    let path = if error.starts_with("unknown field") {
        unknown::<T>(value, error, name)
    } else {
        let mut path = Path::new();
        while let Some(step) = last_that_matters::<T>(value, error, &path) {
            path.push(step);
        }
        if error.starts_with("missing field") {
            while !path.is_empty() && !lacks::<T>(value, error, &path, name) {
                path.pop();
            }
        }
        path
    };
    (!path.is_empty()).then_some(path)
}

/// Reading goes in order and stops at the fault. So whatever is spoilt before the fault changes the complaint, and
/// whatever is spoilt after it does not. Of those that matter, the fault is the one that may be left out to be rid of
/// it; among those that may not, the one the complaint quotes, or else the last.
fn last_that_matters<T: DeserializeOwned>(value: &Value, error: &str, path: &Path) -> Option<Step> {
    let mut steps = inner_steps(look_up(value, path)?);
    steps.sort_by_key(|step| matches!(step, Step::Key(key) if !TAGS.contains(&key.as_str())));
    let changes = |changed: &Value| attempt::<T>(changed).err().filter(|other| other == error).is_none();
    let mut required: Option<(bool, Step)> = None;
    for step in steps.into_iter().rev() {
        let path: Path = path.iter().chain([&step]).cloned().collect();
        let (mut spoilt, mut without) = (value.clone(), value.clone());
        let Some(inner) = look_up_mut(&mut spoilt, &path) else { continue };
        let quoted = inner.as_str().is_some_and(|text| error.contains(&format!("`{text}`")));
        *inner = if inner.is_object() || inner.is_array() { Value::Bool(true) } else { json!({"\0": true}) };
        remove(&mut without, &path);
        if !changes(&spoilt) || !changes(&without) {
            continue;
        }
        let lacking = match &step {
            Step::Key(key) => attempt::<T>(&without).err() == Some(format!("missing field `{key}`")),
            Step::Index(_) => false,
        };
        if !lacking {
            return Some(step);
        }
        if required.as_ref().is_none_or(|(known, _)| quoted && !known) {
            required = Some((quoted, step));
        }
    }
    required.map(|(_, step)| step)
}

/// Whether a field added here would be read. A value of the wrong type tells: it changes the complaint.
fn lacks<T: DeserializeOwned>(value: &Value, error: &str, path: &[Step], field: &str) -> bool {
    let mut filled = value.clone();
    let Some(Value::Object(table)) = look_up_mut(&mut filled, path) else { return false };
    if table.contains_key(field) {
        return false;
    }
    table.insert(field.to_owned(), Value::Array(Vec::new()));
    attempt::<T>(&filled).err().is_none_or(|other| other != error && !other.starts_with("unknown field"))
}

/// The key that nobody knows: the one of its name without which the complaint is gone.
fn unknown<T: DeserializeOwned>(value: &Value, error: &str, name: &str) -> Path {
    let mut paths = Vec::new();
    collect(value, &mut Path::new(), &mut paths);
    let named = |path: &Path| matches!(path.last(), Some(Step::Key(key)) if key == name);
    let found = paths.into_iter().filter(named).find(|path| {
        let mut without = value.clone();
        remove(&mut without, path);
        attempt::<T>(&without).err().as_deref() != Some(error)
    });
    found.unwrap_or_default()
}

fn collect(value: &Value, path: &mut Path, paths: &mut Vec<Path>) {
    for step in inner_steps(value) {
        let Some(inner) = look_up(value, std::slice::from_ref(&step)) else { continue };
        path.push(step);
        paths.push(path.clone());
        collect(inner, path, paths);
        path.pop();
    }
}

/// In the order in which they are read.
fn inner_steps(value: &Value) -> Vec<Step> {
    match value {
        Value::Object(table) => table.keys().cloned().map(Step::Key).collect(),
        Value::Array(items) => (0..items.len()).map(Step::Index).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

fn look_up<'v>(value: &'v Value, path: &[Step]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
    })
}

fn look_up_mut<'v>(value: &'v mut Value, path: &[Step]) -> Option<&'v mut Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(index),
    })
}

fn remove(value: &mut Value, path: &[Step]) -> Option<Value> {
    let (last, way) = path.split_last()?;
    let holder = look_up_mut(value, way)?;
    match (holder, last) {
        (Value::Object(table), Step::Key(key)) => table.remove(key),
        // Leaving an item out would renumber its neighbours and move their faults, so it turns into nothing.
        (Value::Array(items), Step::Index(index)) => items.get_mut(*index).map(Value::take),
        _ => None,
    }
}

/// The deserialiser's words in ours, with a suggestion where a name is a slip.
fn explain(error: &str, blamed: Option<(&Path, &Value)>) -> String {
    let quoted: Vec<&str> = error.split('`').skip(1).step_by(2).collect();
    let suggestion = |given: &str, known: &[&str]| match nearest(given, known.iter().copied()) {
        Some(near) => format!("; did you mean `{near}`?"),
        None if known.is_empty() => String::new(),
        None => format!("; known: {}", known.join(", ")),
    };
    let key = blamed.map(|(path, _)| path.iter().map(ToString::to_string).collect::<Vec<_>>().join("."));
    let at = |problem: String| match &key {
        Some(key) => format!("`{key}`: {problem}"),
        None => problem,
    };
    match quoted.as_slice() {
        [given, known @ ..] if error.starts_with("unknown field") => {
            format!("unknown key `{given}`{}", suggestion(given, known))
        }
        [given, known @ ..] if error.starts_with("unknown variant") => {
            at(format!("`{}` is not known here{}", shown(given, blamed), suggestion(given, known)))
        }
        [missing] if error.starts_with("missing field") => format!("`{missing}` is missing"),
        [] if error.starts_with("invalid socket address") => {
            let given = blamed.and_then(|(_, value)| value.as_str()).unwrap_or_default().escape_default();
            at(format!("`{given}` is not an address and a port, such as `127.0.0.1:7443`"))
        }
        _ => at(blamed.map_or_else(|| error.to_owned(), |(path, value)| redacted(error, path, value))),
    }
}

fn shown<'a>(given: &'a str, blamed: Option<(&Path, &Value)>) -> &'a str {
    if blamed.is_some_and(|(path, _)| sounds_secret(path)) { "…" } else { given }
}

/// A complaint often repeats the value. Where somebody wrote out a secret, it must not.
fn redacted(error: &str, path: &Path, value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() && sounds_secret(path) => error.replace(text.as_str(), "…"),
        _ => error.to_owned(),
    }
}

fn sounds_secret(path: &Path) -> bool {
    let words = ["secret", "password", "token", "key", "connection", "signature", "certificate"];
    path.iter().any(|step| matches!(step, Step::Key(key) if words.iter().any(|word| key.contains(word))))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::units::Span;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Outer {
        name: String,
        #[serde(default)]
        wait: Option<Span>,
        #[serde(default)]
        inner: Vec<Inner>,
    }
    #[derive(Debug, Deserialize)]
    #[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    enum Inner {
        Tcp { port: u16, client_secret: Option<bool> },
        Udp,
    }

    fn complaints(value: Value) -> Vec<(String, String)> {
        read::<Outer>(value.as_object().unwrap())
            .unwrap_err()
            .into_iter()
            .map(|it| (it.path.iter().map(ToString::to_string).collect::<Vec<_>>().join("."), it.problem))
            .collect()
    }

    #[test]
    fn every_fault_is_found_where_it_is() {
        let found = complaints(json!({
            "nmae": "x",
            "wait": "30 parsecs",
            "inner": [{"kind": "tcp", "port": 70_000}, {"kind": "udb"}, {"kind": "tcp", "port": 1, "prot": 2}],
        }));
        let problems: Vec<_> = found.iter().map(|(path, problem)| format!("{path} {problem}")).collect();
        for expected in [
            "inner.1.port `inner.1.port`: invalid value: integer `70000`, expected u16",
            "inner.2.kind `inner.2.kind`: `udb` is not known here; did you mean `udp`?",
            "inner.3.prot unknown key `prot`; did you mean `port`?",
            "nmae unknown key `nmae`; did you mean `name`?",
            "wait `wait`: `30 parsecs` is not a duration: write a number and `ms`, `s`, `m`, `h` or `d`, such as `30s`",
        ] {
            assert!(problems.iter().any(|problem| problem == expected), "{expected}\nin {problems:#?}");
        }
        assert_eq!(problems.len(), 5, "{problems:#?}");
    }

    #[test]
    fn what_is_missing_is_told_where_it_belongs() {
        let found = complaints(json!({"wait": "30s", "inner": [{"kind": "tcp"}]}));
        assert_eq!(
            found,
            [("inner.1".into(), "`port` is missing".into()), (String::new(), "`name` is missing".to_owned())]
        );
    }

    #[test]
    fn a_secret_written_out_is_not_repeated() {
        let found = complaints(json!({"name": "x", "inner": [{"kind": "tcp", "port": 1, "client_secret": "hunter2"}]}));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
    }
}
