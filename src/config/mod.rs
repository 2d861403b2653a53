//! Configuration: the node's own file as one value, with the rules that span its sections. `resources` reads what is
//! applied to the cluster. Each component owns the type of its part; here they are only put together.

mod advertise;
pub mod document;
pub mod fault;
mod logging;
mod peers;
pub mod replaying;
pub mod resources;
mod spool;
pub mod substitute;
pub mod suggest;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::identity::http::BaseUrl;
use document::Document;
use fault::{Complaint, Fault, Faults};
pub use logging::{Log, LogFormat};
pub use peers::Peers;
pub use spool::Spool;
use substitute::Reference;

/// Where the node's file is, unless the command line says otherwise.
pub const STANDARD_PATH: &str = "/etc/siemgate/siemgate.toml";
/// Largest configuration file read; a mistaken path to something else should fail early.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Everything a node needs to know before it can join or lead. The rest is a cluster resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub node: Node,
    pub listen: Listen,
    pub log: Log,
    pub tracing: Tracing,
    pub tls: Tls,
    pub peers: Peers,
    pub spool: Spool,
}

/// Which node this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// How people tell this node from the others. Default: `siemgate`.
    pub name: String,
    /// Raft's log and state, the spool, quarantined records and the access tokens. Default: `/var/lib/siemgate`.
    pub data_dir: PathBuf,
    /// Where the other members reach this node, as `host:port`. Default: where it listens for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise: Option<String>,
    /// Resource files applied at each start; a folder stands for its `*.toml` files by name. Default: none.
    pub resources: Vec<PathBuf>,
}

impl Default for Node {
    fn default() -> Self {
        Self { name: "siemgate".into(), data_dir: "/var/lib/siemgate".into(), advertise: None, resources: Vec::new() }
    }
}

/// Where this node is reached. A port of 0 takes any that is free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// The gRPC API. Loopback only, because it speaks no TLS yet. Default: `127.0.0.1:7443`.
    pub api: SocketAddr,
    /// The other members of the cluster, over mutual TLS. Default: `127.0.0.1:7444`.
    pub peers: SocketAddr,
    /// Health and metrics over HTTP. Without a token it names no tenant. Default: `127.0.0.1:7480`.
    pub web: SocketAddr,
}

impl Default for Listen {
    fn default() -> Self {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            api: SocketAddr::new(loopback, 7443),
            peers: SocketAddr::new(loopback, 7444),
            web: SocketAddr::new(loopback, 7480),
        }
    }
}

/// Spans for a collector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tracing {
    /// Address of an OTLP receiver over gRPC, such as `http://127.0.0.1:4317`. Default: none, nothing is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<String>,
}

/// Whom this node trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM files of authorities trusted beside the system's, for a proxy that inspects TLS. Default: none.
    pub extra_ca: Vec<PathBuf>,
}

impl Config {
    /// Reads the node's file, or names everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, Faults> {
        let text = read_file(path)?;
        Self::parse(path, &text, &substitute::from_the_machine)
    }

    /// Pure but for `look_up`.
    pub fn parse(
        path: &Path,
        text: &str,
        look_up: &impl Fn(Reference<'_>) -> Result<String, String>,
    ) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let (document, syntax) = Document::parse(text);
        syntax.into_iter().for_each(|(place, problem)| faults.add(path, place, problem));
        let mut root = Value::Object(document.root.clone());
        let unresolved = substitute::substitute(&mut root, look_up);
        let Value::Object(table) = root else { return faults.or(None) };

        let read = fault::read::<Self>(&table);
        let config = match read {
            Ok(config) => {
                config.rules().into_iter().for_each(|it| it.fault(&document, &[], path, &mut faults));
                Some(config)
            }
            Err(complaints) => {
                // A reference that could not be replaced is the cause; what it then fails to be is noise.
                let known = |it: &Complaint| unresolved.iter().any(|cause| cause.path == it.path);
                complaints
                    .into_iter()
                    .filter(|it| !known(it))
                    .for_each(|it| it.fault(&document, &[], path, &mut faults));
                None
            }
        };
        unresolved.into_iter().for_each(|it| it.fault(&document, &[], path, &mut faults));
        faults.or(config)
    }

    /// What no single value shows.
    fn rules(&self) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        let mut wrong = |section: &str, key: &str, problem: String| {
            complaints.push(Complaint { path: vec![section.into(), key.into()], problem });
        };
        if self.node.name.trim().is_empty() || self.node.name.len() > NODE_NAME_BYTES_MAX {
            wrong("node", "name", format!("`name` must have 1 to {NODE_NAME_BYTES_MAX} bytes"));
        }
        if !self.node.data_dir.is_absolute() {
            wrong("node", "data_dir", "`data_dir` must be an absolute path, such as `/var/lib/siemgate`".into());
        }
        if !self.listen.api.ip().is_loopback() {
            let address = self.listen.api;
            wrong(
                "listen",
                "api",
                format!(
                    "`{address}` is reachable from other hosts, but the API speaks no TLS yet: use `127.0.0.1:{}` and a tunnel such as SSH",
                    address.port()
                ),
            );
        }
        if self.listen.peers.port() != 0 && [self.listen.api, self.listen.web].contains(&self.listen.peers) {
            wrong("listen", "peers", format!("`{}` is taken already: use another port", self.listen.peers));
        }
        if let Some(problem) = advertise::fault(self.node.advertise.as_deref(), self.listen.peers) {
            let key = if self.node.advertise.is_some() { ("node", "advertise") } else { ("listen", "peers") };
            wrong(key.0, key.1, problem);
        }
        if self.listen.api == self.listen.web && self.listen.api.port() != 0 {
            wrong("listen", "web", format!("`{}` is taken by `api` already: use another port", self.listen.web));
        }
        if let Some((given, problem)) = self.peers.fault() {
            wrong("peers", given, problem);
        }
        if let Some(problem) = self.log.fault() {
            wrong("log", "level", problem);
        }
        if let Some(problem) = self.tracing.otlp_endpoint.as_deref().and_then(otlp_fault) {
            wrong("tracing", "otlp_endpoint", problem.to_owned());
        }
        complaints.extend(self.spool.faults());
        complaints
    }

    /// The address that other members are told. A port of 0 is known only once it is bound.
    pub fn advertised(&self) -> Option<String> {
        let fixed = (self.listen.peers.port() != 0).then(|| self.listen.peers.to_string());
        self.node.advertise.clone().or(fixed)
    }
    /// The file by which a program on this host proves that its user may administer the node.
    pub fn admin_token(&self) -> PathBuf {
        self.node.data_dir.join("admin.token")
    }
    /// The file with the hash of the first administrator's code, until it is used.
    pub fn first_code(&self) -> PathBuf {
        self.node.data_dir.join("first.code")
    }
    /// The file for those that may look at metrics and status, and nothing else.
    pub fn monitor_token(&self) -> PathBuf {
        self.node.data_dir.join("monitor.token")
    }
}

/// What is wrong with a collector's address. It may hold a password, so that it is never repeated.
fn otlp_fault(endpoint: &str) -> Option<&'static str> {
    match endpoint.parse::<BaseUrl>() {
        Ok(url) if url.as_url().scheme() == "http" && url.as_url().path() == "/" => None,
        Ok(url) if url.as_url().scheme() == "https" => Some(
            "`otlp_endpoint` must begin with `http://`: spans are sent without TLS. Run a collector beside the node that \
             sends on over TLS, and give its address, such as `http://127.0.0.1:4317`",
        ),
        Ok(_) | Err(_) => Some(
            "`otlp_endpoint` must be the address of an OTLP collector for gRPC, such as `http://127.0.0.1:4317`, without \
             user, path or query",
        ),
    }
}

/// Node names go into logs, metrics and certificates.
const NODE_NAME_BYTES_MAX: usize = 64;

/// Reads a whole configuration file; whatever prevents that is a fault of its first line.
pub fn read_file(path: &Path) -> Result<String, Faults> {
    let fault = |problem: String| Faults(vec![Fault { file: path.to_owned(), line: 1, column: 1, problem }]);
    match std::fs::metadata(path) {
        Ok(found) if found.len() > FILE_BYTES_MAX => {
            return Err(fault(format!("the file is larger than {FILE_BYTES_MAX} bytes: it is not a configuration")));
        }
        Ok(found) if found.is_dir() => return Err(fault("this is a folder: name a file".into())),
        Ok(_) | Err(_) => {}
    }
    let unread = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file: write it, or name another".to_owned(),
        _ => format!("can't read the file: {error}"),
    };
    std::fs::read_to_string(path).map_err(|error| fault(unread(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let look_up = |reference: Reference<'_>| match reference {
            Reference::Env("PORT") => Ok("7000".to_owned()),
            Reference::Env(name) => Err(format!("environment variable `{name}` is not set: set it for siemgate")),
            Reference::File(path) => Err(format!("can't read `{path}`")),
        };
        Config::parse(Path::new("siemgate.toml"), text, &look_up).map_err(|faults| faults.to_string())
    }

    #[test]
    fn an_empty_file_is_a_whole_configuration() {
        let config = parse("").unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(config.admin_token(), Path::new("/var/lib/siemgate/admin.token"));
    }

    #[test]
    fn references_are_resolved_before_values_are_read() {
        assert_eq!(parse("[listen]\nweb = \"0.0.0.0:${env:PORT}\"\n").unwrap().listen.web.port(), 7000);
    }

    #[test]
    fn each_fault_is_told_with_its_place_and_what_to_do() {
        let cases = [
            ("[lisen]\n", "siemgate.toml:1:2: unknown key `lisen`; did you mean `listen`?"),
            ("[node]\nnmae = \"a\"\n", "siemgate.toml:2:1: unknown key `nmae`; did you mean `name`?"),
            (
                "[node]\ncolour = 1\n",
                "siemgate.toml:2:1: unknown key `colour`; known: name, data_dir, advertise, resources",
            ),
            ("[node]\nname = 5\n", "siemgate.toml:2:1: `node.name`: invalid type: integer `5`, expected a string"),
            (
                "[node]\ndata_dir = \"data\"\n",
                "siemgate.toml:2:1: `data_dir` must be an absolute path, such as `/var/lib/siemgate`",
            ),
            (
                "[listen]\nweb = \"localhost\"\n",
                "siemgate.toml:2:1: `listen.web`: `localhost` is not an address and a port, such as `127.0.0.1:7443`",
            ),
            (
                "[listen]\napi = \"0.0.0.0:7443\"\n",
                "siemgate.toml:2:1: `0.0.0.0:7443` is reachable from other hosts, but the API speaks no TLS yet: use `127.0.0.1:7443` and a tunnel such as SSH",
            ),
            (
                "[listen]\nweb = \"127.0.0.1:7443\"\n",
                "siemgate.toml:2:1: `127.0.0.1:7443` is taken by `api` already: use another port",
            ),
            (
                "[listen]\npeers = \"127.0.0.1:7443\"\n",
                "siemgate.toml:2:1: `127.0.0.1:7443` is taken already: use another port",
            ),
            (
                "[listen]\npeers = \"0.0.0.0:7444\"\n",
                "siemgate.toml:2:1: no member can reach `0.0.0.0:7444`: set `advertise` under `[node]` to the address they are to use",
            ),
            (
                "[node]\nadvertise = \"siem-1\"\n",
                "siemgate.toml:2:1: `siem-1` is no address: give a host and a port, such as `siem-1.example:7444`",
            ),
            (
                "[node]\nadvertise = \"[::]:7444\"\n",
                "siemgate.toml:2:1: no member can reach `[::]:7444`: give an address of this host",
            ),
            (
                "[peers]\ncertificate = \"/c\"\nauthority = \"/a\"\n",
                "siemgate.toml:2:1: `private_key` is missing beside it: give all three files, or none",
            ),
            (
                "[log]\nformat = \"jsn\"\n",
                "siemgate.toml:2:1: `log.format`: `jsn` is not known here; did you mean `json`?",
            ),
            (
                "[listen]\nweb = \"${env:NOPE}\"\n",
                "siemgate.toml:2:1: environment variable `NOPE` is not set: set it for siemgate",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).unwrap_err(), expected, "{text}");
        }
        assert!(
            parse("[log]\nlevel = \"siemgate=lots\"\n")
                .unwrap_err()
                .starts_with("siemgate.toml:2:1: `level`: `lots` is not a log level")
        );
        assert!(parse("[node\n").unwrap_err().starts_with("siemgate.toml:1:6: "));
    }

    #[test]
    fn a_collectors_address_is_checked_before_anything_is_sent() {
        let told = |endpoint: &str| parse(&format!("[tracing]\notlp_endpoint = \"{endpoint}\"\n"));
        for good in ["http://127.0.0.1:4317", "http://collector.example:4317/", "http://[::1]:4317", "http://otel"] {
            assert!(told(good).is_ok(), "{good}");
        }
        let tls = told("https://collector.example:4317").unwrap_err();
        assert!(tls.starts_with("siemgate.toml:2:1: `otlp_endpoint` must begin with `http://`"), "{tls}");
        for bad in ["127.0.0.1:4317", "", "http://", "http://a b", "grpc://x:1", "http://x:99999", "http://x/v1/traces"]
        {
            let problem = told(bad).unwrap_err();
            assert!(problem.starts_with("siemgate.toml:2:1: `otlp_endpoint` must be the address"), "{bad}: {problem}");
        }
        let secret = told("http://user:hunter2@collector:4317").unwrap_err();
        assert!(!secret.contains("hunter2"), "{secret}");
    }

    #[test]
    fn faults_are_told_all_at_once_in_their_order() {
        let text = "[node]\nnmae = \"a\"\nname = 5\n[log]\nformat = \"xml\"\n[oops]\n";
        let told = parse(text).unwrap_err();
        let lines: Vec<_> = told.lines().map(|line| line.split(':').nth(1).unwrap()).collect();
        assert_eq!(lines, ["2", "3", "5", "6"], "{told}");
    }

    #[test]
    fn the_example_states_every_key_and_its_default() {
        let text = include_str!("../../deploy/siemgate.toml");
        assert_eq!(parse(text).unwrap(), Config::default());
        let optional = ["otlp_endpoint", "advertise", "certificate", "private_key", "authority"];
        let endpoint =
            optional.iter().fold(text.to_owned(), |text, key| text.replace(&format!("# {key} ="), &format!("{key} =")));
        let stated = serde_json::to_value(parse(&endpoint).unwrap()).unwrap();
        let (document, _) = Document::parse(&endpoint);
        assert_eq!(Value::Object(document.root), stated, "a key is missing in deploy/siemgate.toml");
    }

    #[test]
    fn the_example_resources_can_be_applied() {
        let mut faults = Faults::default();
        let text = include_str!("../../deploy/resources.toml");
        let declared = resources::parse(Path::new("deploy/resources.toml"), text, &mut faults);
        assert!(faults.0.is_empty(), "{faults}");
        assert_eq!(declared.len(), 8);
    }
}
