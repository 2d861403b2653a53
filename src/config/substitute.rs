//! `${env:NAME}` and `${file:/path}` inside the texts of the node's configuration. Pure: the caller looks things up.

use serde_json::Value;

use super::document::{Path, Step};
use super::fault::Complaint;

/// Longest text a reference may turn into: a setting, not a document.
pub const SUBSTITUTE_BYTES_MAX: usize = 4 << 10;

/// What a reference names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference<'a> {
    Env(&'a str),
    File(&'a str),
}

/// Replaces every reference in `value`, and says which could not be. `look_up` fails with the reason.
pub fn substitute(value: &mut Value, look_up: &impl Fn(Reference<'_>) -> Result<String, String>) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    walk(value, &mut Path::new(), look_up, &mut complaints);
    complaints
}

fn walk(
    value: &mut Value,
    path: &mut Path,
    look_up: &impl Fn(Reference<'_>) -> Result<String, String>,
    complaints: &mut Vec<Complaint>,
) {
    let mut enter = |step: Step, inner: &mut Value, path: &mut Path| {
        path.push(step);
        walk(inner, path, look_up, complaints);
        path.pop();
    };
    match value {
        Value::Object(table) => table.iter_mut().for_each(|(key, inner)| enter(Step::Key(key.clone()), inner, path)),
        Value::Array(items) => items.iter_mut().enumerate().for_each(|(n, inner)| enter(Step::Index(n), inner, path)),
        Value::String(text) if text.contains("${") => match replaced(text, look_up) {
            Ok(done) => *text = done,
            Err(problem) => complaints.push(Complaint { path: path.clone(), problem }),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn replaced(text: &str, look_up: &impl Fn(Reference<'_>) -> Result<String, String>) -> Result<String, String> {
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        done.push_str(&rest[..start]);
        let inner = &rest[start + 2..];
        let end = inner.find('}').ok_or_else(|| format!("`{}` has no closing `}}`", &rest[start..]))?;
        let reference = match inner[..end].split_once(':') {
            Some(("env", name)) => Reference::Env(name),
            Some(("file", path)) => Reference::File(path),
            _ => return Err(format!("`${{{}}}` is neither `${{env:NAME}}` nor `${{file:/path}}`", &inner[..end])),
        };
        done.push_str(&look_up(reference)?);
        rest = &inner[end + 1..];
    }
    done.push_str(rest);
    Ok(done)
}

/// Looks references up in the process's environment and file system.
pub fn from_the_machine(reference: Reference<'_>) -> Result<String, String> {
    match reference {
        Reference::Env(name) => {
            std::env::var(name).map_err(|_| format!("environment variable `{name}` is not set: set it for siemgate"))
        }
        Reference::File(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| format!("can't read `{path}`: {error}"))?;
            if text.len() > SUBSTITUTE_BYTES_MAX {
                return Err(format!("`{path}` is larger than {SUBSTITUTE_BYTES_MAX} bytes: it is not a setting"));
            }
            Ok(text.trim_end_matches(['\r', '\n']).to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fake(reference: Reference<'_>) -> Result<String, String> {
        match reference {
            Reference::Env("HOST") => Ok("gw1".into()),
            Reference::File("/etc/zone") => Ok("eu".into()),
            other => Err(format!("no {other:?}")),
        }
    }

    #[test]
    fn references_are_replaced_wherever_they_stand() {
        let mut value = json!({"name": "${env:HOST}-${file:/etc/zone}.x", "list": ["plain", "${env:HOST}"], "n": 1});
        assert!(substitute(&mut value, &fake).is_empty());
        assert_eq!(value, json!({"name": "gw1-eu.x", "list": ["plain", "gw1"], "n": 1}));
    }

    #[test]
    fn what_can_not_be_replaced_is_said() {
        let mut value = json!({"a": "${env:NOPE}", "b": "${vault:x}", "c": "${env:HOST"});
        let problems: Vec<_> = substitute(&mut value, &fake).into_iter().map(|it| it.problem).collect();
        assert_eq!(
            problems,
            [
                "no Env(\"NOPE\")",
                "`${vault:x}` is neither `${env:NAME}` nor `${file:/path}`",
                "`${env:HOST` has no closing `}`",
            ]
        );
    }
}
