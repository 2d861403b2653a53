//! Resources as operators write them: TOML files of `[[tenant]]`, `[[credential]]`, `[[source]]` and `[[sink]]`.
//!
//! A body is checked against the type of its component and then kept as canonical JSON. Secrets stay references.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::document::{Document, Place, Step};
use super::fault::{Complaint, Faults, read};
use super::read_file;
use super::suggest::nearest;
use crate::cluster::{ResourceKey, ResourceKind};
use crate::identity;
use crate::ids::TenantId;
use crate::pipeline::spec::SinkSpec;
use crate::secret::SecretRef;
use crate::sources::{self, rest};

/// Resource files in one folder; a folder with more is not one of ours.
const FILES_MAX: usize = 1_000;

/// A resource in a file, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    pub key: ResourceKey,
    pub checked: Checked,
    pub file: PathBuf,
    pub place: Place,
}

/// A body that its component can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Canonical JSON: keys in order, no spaces, what was left out is left out.
    pub body: String,
    /// Resources that must exist as long as this one does.
    pub uses: Vec<ResourceKey>,
    /// Where its secrets are read, by the keys that refer to them: `tls.key` is `key` in the table `tls`.
    pub secrets: Vec<(&'static str, SecretRef)>,
}

/// Reads every resource of the given files and folders, or everything that is wrong with them.
pub fn load(paths: &[PathBuf]) -> Result<Vec<Declared>, Faults> {
    let mut faults = Faults::default();
    let mut declared = Vec::new();
    for path in paths {
        match expand(path) {
            Ok(files) => {
                for file in files {
                    match read_file(&file) {
                        Ok(text) => declared.extend(parse(&file, &text, &mut faults)),
                        Err(unreadable) => faults.0.extend(unreadable.0),
                    }
                }
            }
            Err(problem) => faults.add(path, Place { line: 1, column: 1 }, problem),
        }
    }
    duplicates(&declared, &mut faults);
    shared_files(&declared, &mut faults);
    faults.or(Some(declared))
}

/// A folder stands for its `*.toml` files in the order of their names.
fn expand(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |error: std::io::Error| format!("can't read the folder: {error}");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file.extension().is_some_and(|extension| extension == "toml") {
            files.push(file);
        }
        if files.len() > FILES_MAX {
            return Err(format!("the folder holds more than {FILES_MAX} files"));
        }
    }
    if files.is_empty() {
        return Err("the folder holds no `*.toml` file".to_owned());
    }
    files.sort();
    Ok(files)
}

/// Reads one file's resources, leaving out what is wrong and noting why.
pub fn parse(file: &Path, text: &str, faults: &mut Faults) -> Vec<Declared> {
    let (document, syntax) = Document::parse(text);
    syntax.into_iter().for_each(|(place, problem)| faults.add(file, place, problem));
    let mut declared = Vec::new();
    for (name, value) in &document.root {
        let at = [Step::Key(name.clone())];
        let Some(kind) = ResourceKind::ALL.into_iter().find(|kind| kind.as_str() == name) else {
            faults.add(file, document.place(&at), unknown_kind(name));
            continue;
        };
        let Some(items) = value.as_array() else {
            faults.add(file, document.place(&at), format!("write `[[{name}]]`: there may be several"));
            continue;
        };
        for (index, item) in items.iter().enumerate() {
            let base = [Step::Key(name.clone()), Step::Index(index)];
            match resource(kind, item) {
                Ok((key, checked)) => {
                    declared.push(Declared { key, checked, file: file.to_owned(), place: document.place(&base) });
                }
                Err(complaints) => {
                    complaints.into_iter().for_each(|it| it.fault(&document, &base, file, faults));
                }
            }
        }
    }
    declared.sort_by_key(|it| it.place);
    declared
}

fn unknown_kind(name: &str) -> String {
    let kinds = ResourceKind::ALL.map(ResourceKind::as_str);
    match nearest(name, kinds) {
        Some(near) => format!("unknown resource `{name}`; did you mean `[[{near}]]`?"),
        None if ["node", "listen", "log", "tracing", "tls"].contains(&name) => {
            format!("`{name}` belongs into the node's own file, this one holds resources: {}", kinds.join(", "))
        }
        None => format!("unknown resource `{name}`; known: {}", kinds.join(", ")),
    }
}

fn resource(kind: ResourceKind, item: &Value) -> Result<(ResourceKey, Checked), Vec<Complaint>> {
    let Some(mut body) = item.as_object().cloned() else {
        return Err(vec![Complaint { path: Vec::new(), problem: format!("write `[[{kind}]]` and its keys below") }]);
    };
    let mut complaints = Vec::new();
    let name = take_name(&mut body, "name", &mut complaints);
    let tenant = if kind.belongs_to_tenant() { take_name(&mut body, "tenant", &mut complaints) } else { None };
    let tenant = tenant.and_then(|tenant| tenant.parse::<TenantId>().ok());
    // The key is only wrong here if it was complained about; the body is checked in any case, to tell all at once.
    let key = ResourceKey { kind, tenant, name: name.unwrap_or_default() };
    match check(&key, &body) {
        Ok(checked) if complaints.is_empty() => return Ok((key, checked)),
        Ok(_) => {}
        Err(more) => complaints.extend(more),
    }
    Err(complaints)
}

/// Names of all kinds obey the same rule.
fn take_name(body: &mut Map<String, Value>, field: &str, complaints: &mut Vec<Complaint>) -> Option<String> {
    let mut wrong = |path: Vec<Step>, problem: String| {
        complaints.push(Complaint { path, problem });
        None
    };
    match body.remove(field) {
        None => wrong(Vec::new(), format!("`{field}` is missing")),
        Some(Value::String(text)) => match text.parse::<TenantId>() {
            Ok(_) => Some(text),
            Err(error) => wrong(vec![field.into()], error.to_string()),
        },
        Some(_) => wrong(vec![field.into()], format!("`{field}` must be a text")),
    }
}

fn duplicates(declared: &[Declared], faults: &mut Faults) {
    let mut first: BTreeMap<&ResourceKey, &Declared> = BTreeMap::new();
    for it in declared {
        match first.get(&it.key) {
            Some(earlier) => {
                let (file, line) = (earlier.file.display(), earlier.place.line);
                faults.add(&it.file, it.place, format!("{} is given already at {file}:{line}", it.key));
            }
            None => {
                first.insert(&it.key, it);
            }
        }
    }
}

fn shared_files(declared: &[Declared], faults: &mut Faults) {
    let bodies: Vec<_> = declared.iter().map(|it| (&it.key, it.checked.body.as_str())).collect();
    for (second, first, path) in sharing_files(&bodies) {
        let (it, writer) = (&declared[second], &declared[first].key);
        if *writer != it.key {
            let problem = format!("{} would write to the file of {writer}, {}", it.key, path.display());
            faults.add(&it.file, it.place, format!("{problem}: give each a `path` of its own"));
        } // Otherwise it is given twice, which is told already.
    }
}

/// Which of these would write to a file that one before them writes to: its place, the other's, and the file.
pub fn sharing_files(resources: &[(&ResourceKey, &str)]) -> Vec<(usize, usize, PathBuf)> {
    let (mut writers, mut sharing) = (BTreeMap::new(), Vec::new());
    for (place, (key, body)) in resources.iter().enumerate() {
        let Some(path) = file_of(key, body) else { continue };
        match writers.get(&path) {
            Some(first) => sharing.push((place, *first, path)),
            None => drop(writers.insert(path, place)),
        }
    }
    sharing
}

/// The file that a resource writes to, where it is a sink that does.
fn file_of(key: &ResourceKey, body: &str) -> Option<PathBuf> {
    let sink = (key.kind == ResourceKind::Sink).then_some(body)?;
    let spec: SinkSpec = serde_json::from_str(sink).ok()?;
    spec.sink.file().map(Path::to_owned)
}

/// Checks a body against the type of its component.
pub fn check(key: &ResourceKey, body: &Map<String, Value>) -> Result<Checked, Vec<Complaint>> {
    let mut secrets = Vec::new();
    let uses = match key.kind {
        ResourceKind::Tenant => typed::<identity::TenantConfig>(body, |_| None).map(|_| Vec::new())?,
        ResourceKind::Credential => {
            let config = typed::<identity::Config>(body, |_| None)?;
            secrets.extend(config.secrets().into_iter().map(|(field, reference)| (field, reference.clone())));
            Vec::new()
        }
        ResourceKind::Source => {
            let config = typed(body, source_fault)?;
            let credential = |tenant: &TenantId| ResourceKey::credential(tenant, config.credential().as_str());
            key.tenant.iter().map(credential).collect()
        }
        ResourceKind::Sink => {
            let spec = typed::<SinkSpec>(body, SinkSpec::fault)?;
            secrets.extend(spec.sink.secrets().into_iter().map(|(field, reference)| (field, reference.clone())));
            Vec::new()
        }
    };
    Ok(Checked { body: Value::Object(body.clone()).to_string(), uses, secrets })
}

fn typed<T: DeserializeOwned>(
    body: &Map<String, Value>,
    fault: impl FnOnce(&T) -> Option<String>,
) -> Result<T, Vec<Complaint>> {
    let value: T = read(body)?;
    match fault(&value) {
        None => Ok(value),
        Some(problem) => {
            // A fault begins with the key it is about, where it is about one.
            let key = problem.split('`').nth(1).filter(|key| body.contains_key(*key));
            Err(vec![Complaint { path: key.into_iter().map(Step::from).collect(), problem }])
        }
    }
}

fn source_fault(config: &sources::Config) -> Option<String> {
    let graph = |config: &rest::Config, kind| config.check(kind).err().map(|error| error.to_string());
    match config {
        sources::Config::GraphIncidents(config) => graph(config, rest::Kind::GraphIncidents),
        sources::Config::GraphAlerts(config) => graph(config, rest::Kind::GraphAlerts),
        // What spans a hub and its credential is known on the node alone, which holds the secret.
        sources::Config::EventHub(config) => config.fault(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[[tenant]]
name = "contoso"
directory = "11111111-2222-3333-4444-555555555555"

[[credential]]
name = "hub"
tenant = "contoso"
grant = "connection-string"
connection_string = "${file:/run/credentials/siemgate/contoso-hub}"

[[source]]
name = "defender"
tenant = "contoso"
kind = "event-hub"
credential = "hub"
hub = "defender"

[[sink]]
name = "siem"
kind = "syslog"
address = "siem.example.net:6514"
format = "cef"
"#;

    fn faults(text: &str) -> Vec<String> {
        let mut faults = Faults::default();
        let declared = parse(Path::new("r.toml"), text, &mut faults);
        duplicates(&declared, &mut faults);
        shared_files(&declared, &mut faults);
        faults.or::<()>(None).unwrap_err().0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn resources_are_read_with_what_they_use() {
        let mut faults = Faults::default();
        let declared = parse(Path::new("r.toml"), GOOD, &mut faults);
        assert!(faults.0.is_empty(), "{faults}");
        let keys: Vec<_> = declared.iter().map(|it| it.key.to_string()).collect();
        assert_eq!(keys, ["tenant `contoso`", "credential `contoso/hub`", "source `contoso/defender`", "sink `siem`"]);
        assert_eq!(declared[2].checked.uses, [declared[1].key.clone()]);
        assert_eq!(declared[2].checked.body, r#"{"credential":"hub","hub":"defender","kind":"event-hub"}"#);
        assert!(declared[1].checked.body.contains("${file:/run/credentials/siemgate/contoso-hub}"));
    }

    #[test]
    fn each_fault_is_told_where_it_is() {
        let source = "[[source]]\nname = \"a\"\ntenant = \"b\"\ncredential = \"c\"\n";
        let cases = [
            ("[[tennant]]", "r.toml:1:3: unknown resource `tennant`; did you mean `[[tenant]]`?".to_owned()),
            ("[tenant]\nname = \"a\"", "r.toml:1:2: write `[[tenant]]`: there may be several".into()),
            (
                "[node]\nname = \"a\"",
                "r.toml:1:2: `node` belongs into the node's own file, this one holds resources: tenant, credential, \
                 source, sink"
                    .into(),
            ),
            (
                "[[tenant]]\nname = \"Contoso\"\ndirectory = \"11111111-2222-3333-4444-555555555555\"",
                "r.toml:2:1: `Contoso` is not a name: use 1 to 64 of a-z, 0-9, `-`, `_` and `.`, starting with a letter \
                 or digit"
                    .into(),
            ),
            (
                "[[tenant]]\nname = \"a\"\ndirectory = \"contoso.com\"",
                "r.toml:3:1: `directory`: `contoso.com` is not a GUID such as `11111111-2222-3333-4444-555555555555`: \
                 copy it from the overview page in Entra"
                    .into(),
            ),
            (
                "[[credential]]\nname = \"a\"\ngrant = \"connection-string\"\nconnection_string = \"${env:A}\"",
                "r.toml:1:1: `tenant` is missing".into(),
            ),
            (
                "[[credential]]\nname = \"a\"\ntenant = \"b\"\ngrant = \"conection-string\"",
                "r.toml:4:1: `grant`: `conection-string` is not known here; did you mean `connection-string`?".into(),
            ),
            (
                &format!("{source}kind = \"event-hub\"\nhubb = \"x\""),
                "r.toml:6:1: unknown key `hubb`; did you mean `hub`?".into(),
            ),
            (
                &format!("{source}kind = \"graph-alerts\"\ninterval = \"2h\""),
                "r.toml:6:1: `interval` is 2h; give `1s` to `1h`".into(),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(faults(text), [expected], "{text}");
        }
    }

    #[test]
    fn a_secret_written_out_is_refused_and_not_repeated() {
        let told = faults(
            "[[credential]]\nname = \"a\"\ntenant = \"b\"\ngrant = \"client-secret\"\n\
             client_id = \"11111111-2222-3333-4444-555555555555\"\nsecret = \"hunter2\"\n",
        );
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("r.toml:6:1: `secret`: a secret must not be written out here"), "{told:?}");
        assert!(!told[0].contains("hunter2"));
    }

    #[test]
    fn the_same_resource_twice_is_a_fault_of_the_second() {
        let again = "[[tenant]]\nname = \"contoso\"\ndirectory = \"11111111-2222-3333-4444-555555555555\"\n";
        let told = faults(&format!("{GOOD}{again}"));
        assert_eq!(told, ["r.toml:24:1: tenant `contoso` is given already at r.toml:2"]);
    }

    #[test]
    fn two_sinks_of_one_file_are_a_fault_of_the_second() {
        let sink = |name: &str, path: &str| {
            format!("[[sink]]\nname = \"{name}\"\nkind = \"file\"\npath = \"{path}\"\nformat = \"cef\"\n")
        };
        let told = faults(&(sink("a", "/events.log") + &sink("b", "/other.log") + &sink("c", "//events.log")));
        assert_eq!(
            told,
            ["r.toml:11:1: sink `c` would write to the file of sink `a`, //events.log: give each a `path` of its own"]
        );
    }
}
