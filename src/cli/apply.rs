//! `apply`, `get` and `delete`: the cluster's resources as files.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::args::{Connection, Format, Output, Reason, kind};
use super::client::{connect, refusal, request};
use super::cursor::moving::operator;
use super::{Usage, output};
use crate::admin::convert::{change_from_wire, key_from_wire, key_to_wire, kind_to_wire};
use crate::admin::plan::Action;
use crate::cluster::{ResourceKey, ResourceKind};
use crate::config::fault::Faults;
use crate::config::resources::{self, Declared};
use crate::wire::v1;

/// Largest text read from standard input; a file may be no larger either.
const INPUT_BYTES_MAX: u64 = 16 << 20;

/// Makes tenants, credentials, sources and sinks be as files say
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    siemgate apply /etc/siemgate/resources.toml\n  \
    siemgate apply --dry-run tenants.d/        show what would change\n  \
    make-resources | siemgate apply -          read standard input\n\n\
    What a file doesn't name stays as it is. Nothing changes unless everything is right. Secrets are read from where\n    \
    ${file:/path} and ${env:NAME} point on this machine, and kept sealed; apply again when they change.")]
pub struct Apply {
    /// Files, folders of `*.toml` files, or `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Check everything and show what would change, but change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    why: Reason,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

/// Shows resources as they were applied
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    siemgate get                               everything, by name\n  \
    siemgate get sources --tenant contoso\n  \
    siemgate get source contoso/defender -o toml")]
pub struct Get {
    /// tenant, credential, source or sink
    #[arg(value_parser = kind)]
    kind: Option<ResourceKind>,
    /// NAME, or TENANT/NAME for credentials and sources
    name: Option<String>,
    /// Only what belongs to this tenant
    #[arg(long, conflicts_with = "name")]
    tenant: Option<String>,
    /// Text for people, JSON for programs, or TOML that can be applied again
    #[arg(long, short, value_enum, value_name = "FORMAT", default_value_t = Shape::Table)]
    output: Shape,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shape {
    Table,
    Json,
    Toml,
}

/// Removes resources that nothing else uses
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    siemgate delete source contoso/defender\n  \
    siemgate delete sink old-siem --dry-run")]
pub struct Delete {
    /// tenant, credential, source or sink
    #[arg(value_parser = kind)]
    kind: ResourceKind,
    /// NAME, or TENANT/NAME for credentials and sources
    #[arg(required = true)]
    names: Vec<String>,
    /// Check and show what would go, but change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    why: Reason,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    connection: Connection,
}

pub async fn apply(args: Apply) -> anyhow::Result<()> {
    let declared = read(&args.files)?;
    if declared.is_empty() {
        bail!("the files name no resource; write [[tenant]], [[credential]], [[source]] or [[sink]]");
    }
    let secrets = fetch(&declared)?;
    let resource = |it: Declared| v1::Resource { key: Some(key_to_wire(&it.key)), body: it.checked.body };
    let resources = declared.into_iter().map(resource).collect();
    let (dry_run, reason, operator) = (args.dry_run, args.why.reason, operator());
    let wanted = v1::ApplyRequest { resources, dry_run, secrets, operator, reason };
    let mut admin = connect(&args.connection).await?;
    let answer = admin.apply(request(wanted)).await.map_err(refusal)?.into_inner();
    show_changes(answer.changes, args.dry_run, args.format.output)
}

/// Reads what the resources refer to, here and now: from then on the cluster keeps it sealed.
fn fetch(declared: &[Declared]) -> Result<Vec<v1::SecretValue>, Faults> {
    let mut faults = Faults::default();
    let mut secrets = Vec::new();
    for it in declared {
        for (field, reference) in &it.checked.secrets {
            match reference.read() {
                Ok(secret) => secrets.push(v1::SecretValue {
                    key: Some(key_to_wire(&it.key)),
                    field: (*field).to_owned(),
                    value: secret.expose().to_owned(),
                }),
                Err(error) => {
                    let sink = it.key.kind == ResourceKind::Sink;
                    let or = if sink { "; or give a path alone, of a file that is on every node" } else { "" };
                    faults.add(&it.file, it.place, format!("`{field}` of {}: {error}{or}", it.key));
                }
            }
        }
    }
    faults.or(Some(secrets))
}

/// Files and folders, and standard input where a `-` stands.
fn read(files: &[PathBuf]) -> anyhow::Result<Vec<Declared>> {
    let (input, files): (Vec<_>, Vec<_>) = files.iter().cloned().partition(|path| path == Path::new("-"));
    let mut declared = resources::load(&files)?;
    if !input.is_empty() {
        let mut text = String::new();
        std::io::stdin().lock().take(INPUT_BYTES_MAX).read_to_string(&mut text).context("read standard input")?;
        let mut faults = Faults::default();
        let more = resources::parse(Path::new("<standard input>"), &text, &mut faults);
        declared.extend(faults.or(Some(more))?);
    }
    Ok(declared)
}

pub async fn delete(args: Delete) -> anyhow::Result<()> {
    let keys = args.names.iter().map(|name| key(args.kind, name)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut admin = connect(&args.connection).await?;
    let (dry_run, reason, operator) = (args.dry_run, args.why.reason, operator());
    let unwanted = v1::DeleteRequest { keys: keys.iter().map(key_to_wire).collect(), dry_run, operator, reason };
    let answer = admin.delete(request(unwanted)).await.map_err(refusal)?.into_inner();
    show_changes(answer.changes, args.dry_run, args.format.output)
}

/// `NAME`, or `TENANT/NAME` for what belongs to a tenant.
fn key(kind: ResourceKind, text: &str) -> anyhow::Result<ResourceKey> {
    let (tenant, name) = match (kind.belongs_to_tenant(), text.split_once('/')) {
        (true, Some((tenant, name))) => (Some(tenant.parse()?), name),
        (true, None) => return Err(Usage(format!("a {kind} belongs to a tenant: write TENANT/{text}")).into()),
        (false, Some(_)) => return Err(Usage(format!("a {kind} belongs to no tenant: write its name alone")).into()),
        (false, None) => (None, text),
    };
    Ok(ResourceKey { kind, tenant, name: name.to_owned() })
}

pub(super) fn show_changes(changes: Vec<v1::Change>, dry_run: bool, format: Output) -> anyhow::Result<()> {
    let changes = changes.into_iter().map(change_from_wire).collect::<Result<Vec<_>, _>>()?;
    let text = match format {
        Output::Json => {
            let change = |(key, action): &(ResourceKey, Action)| json!({"kind": key.kind, "tenant": key.tenant, "name": key.name, "action": action.word()});
            let changes: Vec<_> = changes.iter().map(change).collect();
            output::json(&json!({"dry_run": dry_run, "changes": changes}))?
        }
        Output::Table => {
            let line = |(key, action): &(ResourceKey, Action)| format!("{:<9}  {key}\n", action.word());
            let mut text: String = changes.iter().map(line).collect();
            if dry_run {
                text.push_str("Nothing was changed: this was a dry run.\n");
            }
            text
        }
    };
    Ok(output::print(&text)?)
}

pub async fn get(args: Get) -> anyhow::Result<()> {
    let mut admin = connect(&args.connection).await?;
    let resources = match (args.kind, &args.name) {
        (Some(kind), Some(name)) => {
            let key = Some(key_to_wire(&key(kind, name)?));
            admin
                .get(request(v1::GetRequest { key }))
                .await
                .map_err(refusal)?
                .into_inner()
                .resource
                .into_iter()
                .collect()
        }
        (kind, _) => {
            let kind = kind.map_or(v1::ResourceKind::Unspecified, kind_to_wire).into();
            let wanted = v1::ListRequest { kind, tenant: args.tenant.unwrap_or_default() };
            admin.list(request(wanted)).await.map_err(refusal)?.into_inner().resources
        }
    };
    let resources = resources
        .into_iter()
        .map(|it| Ok((key_from_wire(it.key)?, serde_json::from_str(&it.body)?)))
        .collect::<anyhow::Result<Vec<(ResourceKey, Map<String, Value>)>>>()?;
    let text = match args.output {
        Shape::Table => listed(&resources),
        Shape::Json => output::json(&resources.iter().map(|(key, body)| whole(key, body)).collect::<Vec<_>>())?,
        Shape::Toml => as_toml(&resources)?,
    };
    Ok(output::print(&text)?)
}

fn listed(resources: &[(ResourceKey, Map<String, Value>)]) -> String {
    if resources.is_empty() {
        return "Nothing is there yet. `siemgate apply FILE` makes tenants, credentials, sources and sinks.\n".into();
    }
    let text = |body: &Map<String, Value>, names: &[&str]| {
        let found = names.iter().find_map(|name| body.get(*name)?.as_str());
        found.unwrap_or_default().to_owned()
    };
    let row = |(key, body): &(ResourceKey, Map<String, Value>)| {
        let tenant = key.tenant.as_ref().map(ToString::to_string).unwrap_or_default();
        let about = text(body, &["directory", "credential", "address", "path", "client_id", "connection_string"]);
        vec![key.kind.to_string(), tenant, key.name.clone(), text(body, &["kind", "grant"]), about]
    };
    output::table(&["RESOURCE", "TENANT", "NAME", "KIND", "ABOUT"], &[], resources.iter().map(row).collect())
}

/// A resource with its names, as a file states it.
fn whole(key: &ResourceKey, body: &Map<String, Value>) -> Map<String, Value> {
    let mut whole = Map::new();
    whole.insert("resource".into(), json!(key.kind));
    whole.extend(stated(key, body));
    whole
}

fn stated(key: &ResourceKey, body: &Map<String, Value>) -> Map<String, Value> {
    let mut stated = Map::new();
    stated.insert("name".into(), json!(key.name));
    if let Some(tenant) = &key.tenant {
        stated.insert("tenant".into(), json!(tenant));
    }
    stated.extend(body.clone());
    stated
}

fn as_toml(resources: &[(ResourceKey, Map<String, Value>)]) -> anyhow::Result<String> {
    let mut text = String::new();
    for (key, body) in resources {
        let one = json!({ key.kind.as_str(): [stated(key, body)] });
        text.push_str(&toml::to_string(&one).context("write TOML")?);
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_with_their_tenant() {
        let source = key(ResourceKind::Source, "contoso/defender").unwrap();
        assert_eq!(source.to_string(), "source `contoso/defender`");
        assert_eq!(key(ResourceKind::Sink, "siem").unwrap().to_string(), "sink `siem`");
        let told = |kind, text| key(kind, text).unwrap_err().to_string();
        assert_eq!(told(ResourceKind::Source, "defender"), "a source belongs to a tenant: write TENANT/defender");
        assert_eq!(told(ResourceKind::Sink, "a/b"), "a sink belongs to no tenant: write its name alone");
    }

    #[test]
    fn secrets_are_fetched_here_and_one_that_cannot_be_is_told_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub");
        let text = format!(
            "[[credential]]\nname = \"hub\"\ntenant = \"contoso\"\ngrant = \"connection-string\"\n\
             connection_string = \"${{file:{}}}\"\n",
            path.display()
        );
        let declared = resources::parse(Path::new("r.toml"), &text, &mut Faults::default());
        let told = fetch(&declared).unwrap_err().to_string();
        assert!(
            told.contains("r.toml:1") && told.contains("`connection_string` of credential `contoso/hub`"),
            "{told}"
        );
        std::fs::write(&path, "hunter2\n").unwrap();
        let secrets = fetch(&declared).unwrap();
        let fetched: Vec<_> = secrets.iter().map(|it| (it.field.as_str(), it.value.as_str())).collect();
        assert_eq!(fetched, [("connection_string", "hunter2")]);
        assert!(!format!("{secrets:?}").contains("hunter2"));
    }

    #[test]
    fn what_get_writes_as_toml_can_be_applied_again() {
        let body =
            json!({"kind": "syslog", "address": "siem:514", "format": "cef", "routes": {"tenants": ["contoso"]}});
        let sink = key(ResourceKind::Sink, "siem").unwrap();
        let text = as_toml(&[(sink.clone(), body.as_object().unwrap().clone())]).unwrap();
        let mut faults = Faults::default();
        let again = resources::parse(Path::new("r.toml"), &text, &mut faults);
        assert!(faults.0.is_empty(), "{faults}\n{text}");
        assert_eq!(again[0].key, sink);
        assert_eq!(again[0].checked.body, body.to_string());
    }

    #[test]
    fn the_list_says_what_each_is_about() {
        let sink = key(ResourceKind::Sink, "siem").unwrap();
        let body = json!({"kind": "syslog", "address": "siem:514"});
        let text = listed(&[(sink, body.as_object().unwrap().clone())]);
        assert_eq!(text, "RESOURCE  TENANT  NAME  KIND    ABOUT\nsink              siem  syslog  siem:514\n");
    }
}
