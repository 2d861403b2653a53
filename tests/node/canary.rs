//! No secret in the open: a node that works with canaries for secrets is searched for them, byte by byte.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use siemgate::cluster::{self, ControlPlane, Level, Outcome, Sizes};
use siemgate::ids::NodeId;
use siemgate::simulator;
use siemgate::simulator::splunk::{Options, Splunk};

use super::stage::{Process, Stage};

const BOUND: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// Letters that change in a URL and in JSON, so that each form of the canary is another one.
const APP_SECRET: &str = "canary~app+4711/secret=\"quoted\"";
const WRONG_SECRET: &str = "canary~wrong+4712/secret=%";
const ENV_SECRET: &str = "canary~env+4713/secret";
/// Of Splunk's HTTP Event Collector. What is sent with it must be letters that a header takes.
const SINK_TOKEN: &str = "canary~hec+4714/token";
const ENV_NAME: &str = "SIEMGATE_TEST_CANARY";

const CERTIFICATE: &[u8] = include_bytes!("../../src/simulator/entra/fixtures/client.cert.pem");
const PRIVATE_KEY: &str = include_str!("../../src/simulator/entra/fixtures/client.key.pem");

/// Every form in which a secret could lie about: as it is, in hexadecimal, percent-encoded, escaped for JSON, and in
/// either base64 at each of the three places it can have in a longer text.
fn forms(secret: &str) -> BTreeSet<Vec<u8>> {
    let bytes = secret.as_bytes();
    let each = |form: fn(&u8) -> String| bytes.iter().map(form).collect::<String>();
    let escaped = |byte: &u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    let mut forms = vec![
        secret.to_owned(),
        each(|byte| format!("{byte:02x}")),
        each(|byte| format!("{byte:02X}")),
        bytes.iter().map(escaped).collect(),
        bytes.iter().map(escaped).collect::<String>().replace('~', "%7E"),
        serde_json::to_string(secret).unwrap().trim_matches('"').to_owned(),
        format!("{bytes:?}").trim_matches(['[', ']']).to_owned(),
    ];
    for (before, skipped) in [(0, 0), (1, 2), (2, 3)] {
        let text = [&vec![0; before][..], bytes].concat();
        for encoded in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
            let whole = encoded.len() - usize::from(text.len() % 3 != 0);
            forms.push(encoded[skipped..whole].to_owned());
        }
    }
    forms.into_iter().map(String::into_bytes).collect()
}

/// What to look for, and how a person knows it.
struct Canary {
    what: &'static str,
    forms: BTreeSet<Vec<u8>>,
}

impl Canary {
    fn new(what: &'static str, secret: &str) -> Self {
        assert!(secret.len() >= 16, "a canary must not be found by chance");
        Self { what, forms: forms(secret) }
    }
    fn found_in(&self, bytes: &[u8]) -> bool {
        self.forms.iter().any(|form| memchr::memmem::find(bytes, form).is_some())
    }
}

/// Everything the node has left behind: a name and the bytes under it.
#[derive(Default)]
struct Left(Vec<(String, Vec<u8>)>);

impl Left {
    fn add(&mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.push((name.into(), bytes.into()));
    }
    fn add_folder(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.add_folder(&path);
            } else {
                self.add(path.display().to_string(), fs::read(&path).unwrap());
            }
        }
    }
    fn holds(&self, needle: &str) -> bool {
        self.0.iter().any(|(_, bytes)| memchr::memmem::find(bytes, needle.as_bytes()).is_some())
    }
    fn check(&self, canaries: &[Canary]) {
        let found = canaries.iter().flat_map(|canary| {
            let places = self.0.iter().filter(|(_, bytes)| canary.found_in(bytes));
            places.map(|(name, _)| format!("{} in {name}", canary.what))
        });
        let found: Vec<_> = found.collect();
        assert!(found.is_empty(), "secrets in the open:\n{}", found.join("\n"));
    }
}

#[test]
fn the_search_finds_a_canary_in_every_form() {
    let canary = Canary::new("the canary", APP_SECRET);
    let percent = "canary~app%2B4711%2Fsecret%3D%22quoted%22";
    let around = ["", "x", "xy", "xyz"].map(|before| format!("{before}{APP_SECRET}{before}"));
    let encoded = around.iter().flat_map(|text| [STANDARD_NO_PAD.encode(text), URL_SAFE_NO_PAD.encode(text)]);
    let json = serde_json::json!({ "secret": APP_SECRET }).to_string();
    for text in encoded.chain([percent.to_owned(), json, APP_SECRET.to_owned()]) {
        assert!(canary.found_in(format!("before {text} after").as_bytes()), "{text}");
    }
    assert!(!canary.found_in(percent.replace("4711", "4712").as_bytes()));
}

/// Makes the node say all it can say, where its API listens included.
fn say_everything(stage: &Stage) {
    let path = stage.path("siemgate.toml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, config.replace("level = \"warn\"", "level = \"trace\"")).unwrap();
}

/// What an operator adds by hand: a certificate, a secret that Entra refuses, one from the environment, and a sink with
/// a token.
fn by_hand(stage: &Stage, splunk: &Splunk) {
    let access = &stage.cloud.access;
    let tenant = &access.tenants[0];
    fs::write(stage.path("cert.pem"), CERTIFICATE).unwrap();
    fs::write(stage.path("key.pem"), PRIVATE_KEY).unwrap();
    fs::write(stage.path("wrong"), WRONG_SECRET).unwrap();
    fs::write(stage.path("token"), SINK_TOKEN).unwrap();
    let file = |name: &str| format!("${{file:{}}}", stage.path(name).display());
    let credential = |name: &str, grant: &str, proof: &str| {
        format!(
            "[[credential]]\nname = \"{name}\"\ntenant = \"{}\"\ngrant = \"{grant}\"\nclient_id = \"{}\"\n\
             authority = \"{}\"\n{proof}\n",
            tenant.name, tenant.client_id, access.authority
        )
    };
    let source = |name: &str, credential: &str| {
        format!(
            "[[source]]\nname = \"{name}\"\ntenant = \"{}\"\nkind = \"graph-alerts\"\ncredential = \"{credential}\"\n\
             base_url = \"{}/v1.0\"\ninterval = \"1s\"\noverlap = \"30s\"\nstart = \"earliest\"\n\
             requests_per_minute = 10000\n",
            tenant.name, access.graph
        )
    };
    let proof = format!("certificate = \"{}\"\nprivate_key = \"{}\"", file("cert.pem"), file("key.pem"));
    let text = [
        credential("signed", "client-certificate", &proof),
        credential("wrong", "client-secret", &format!("secret = \"{}\"", file("wrong"))),
        credential("env", "client-secret", &format!("secret = \"${{env:{ENV_NAME}}}\"")),
        source("alerts-signed", "signed"),
        source("alerts-wrong", "wrong"),
        source("alerts-env", "env"),
    ];
    fs::write(stage.path("by-hand.toml"), text.concat()).unwrap();
    let (url, token) = (splunk.url(), file("token"));
    let sink = format!("[[sink]]\nname = \"splunk\"\nkind = \"hec\"\nurl = \"{url}\"\ntoken = \"{token}\"\n");
    fs::write(stage.path("sink.toml"), sink + "format = \"splunk\"\n").unwrap();
}

/// Runs a command against the node and returns all it said.
fn siemgate(stage: &Stage, api: &str, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_siemgate"));
    command.args(args).args(["--api", api, "--config"]).arg(stage.path("siemgate.toml"));
    let output = command.env(ENV_NAME, ENV_SECRET).stdin(Stdio::null()).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{args:?}: {said}\n{}", tail(&stage.log()));
    said
}

fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().filter(|line| line.contains("siemgate")).collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

/// Where the node said it listens.
fn address(stage: &Stage, node: &mut Process, what: &str) -> String {
    let mark = format!(" {what}=");
    let deadline = Instant::now() + BOUND;
    loop {
        let log = stage.log();
        let line = log.lines().find(|line| line.ends_with("listening") || line.contains("listening api="));
        if let Some((_, rest)) = line.and_then(|line| line.split_once(&mark)) {
            return rest.split_whitespace().next().unwrap().to_owned();
        }
        assert!(node.0.try_wait().unwrap().is_none(), "the node ended by itself\n{}", tail(&log));
        assert!(Instant::now() < deadline, "the node does not listen\n{}", tail(&log));
        std::thread::sleep(POLL);
    }
}

fn until(stage: &Stage, what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !done() {
        assert!(Instant::now() < deadline, "not seen: {what}\n{}", tail(&stage.log()));
        std::thread::sleep(POLL);
    }
}

/// What the console's port says to who has the monitor's token.
fn metrics(stage: &Stage, web: &str) -> String {
    let token = fs::read_to_string(stage.path("data").join("monitor.token")).unwrap();
    let mut stream = TcpStream::connect(web).unwrap();
    let token = token.trim_end();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}

/// Asks everything there is to ask, and keeps the answers.
fn ask(stage: &Stage, node: &mut Process, left: &mut Left) {
    let (api, web) = (address(stage, node, "api"), address(stage, node, "web"));
    for args in [
        &["status"][..],
        &["status", "--output", "json"],
        &["get", "--output", "json"],
        &["get", "--output", "toml"],
        &["get"],
        &["sink", "test", "splunk", "--output", "json"],
        &["sink", "pause", "splunk"],
        &["sink", "resume", "splunk"],
        &["apply", "--dry-run", "--output", "json"],
    ] {
        let file = stage.path("by-hand.toml").display().to_string();
        let args = if args[0] == "apply" { [args, &[&*file]].concat() } else { args.to_vec() };
        left.add(args.join(" "), siemgate(stage, &api, &args));
    }
    left.add("metrics", metrics(stage, &web));
    left.add("the command line", fs::read(format!("/proc/{}/cmdline", node.0.id())).unwrap());
}

fn end(stage: &Stage, mut node: Process, left: &mut Left) {
    let id = rustix::process::Pid::from_child(&node.0);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let ended = node.0.wait().unwrap();
    assert!(ended.success(), "{ended}\n{}", tail(&stage.log()));
    left.add("the log", stage.log());
    // Now, because a snapshot lets go of what the log held.
    left.add_folder(&stage.path("data"));
}

/// Has a snapshot written of what the node keeps.
async fn snapshot(stage: &Stage) {
    let sizes = Sizes { snapshot_entries: 2, kept_entries: 0, ..Sizes::default() };
    let settings = cluster::Settings { sizes, ..cluster::Settings::new(stage.path("data").join("raft"), NodeId(1)) };
    let control = ControlPlane::open(settings).await.unwrap();
    let deadline = Instant::now() + BOUND;
    let before = control.view().snapshot;
    while control.view().snapshot == before {
        let nothing = cluster::Command::RaiseLevel { level: Level::NEWEST };
        assert_eq!(control.propose(nothing).await.unwrap(), Outcome::Done);
        assert!(Instant::now() < deadline, "no snapshot is written");
        tokio::time::sleep(POLL).await;
    }
    control.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_any_file_log_or_answer_of_a_node() {
    let mut settings = simulator::Settings::new(9, 1).unwrap();
    settings.workload.records_per_second = 200;
    settings.graph.requests_per_minute = 100_000;
    settings.tenants[0].app.secret = APP_SECRET.to_owned();
    settings.tenants[0].app.certificates = vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap().to_vec()];
    let mut stage = Stage::set(settings, false).await;
    stage.configure(true);
    say_everything(&stage);
    let splunk = Splunk::start(Options { token: SINK_TOKEN.to_owned(), ..Options::default() }).await.unwrap();
    by_hand(&stage, &splunk);
    let connection = stage.cloud.access.tenants[0].connection_string.clone();
    let key = connection.split("SharedAccessKey=").nth(1).unwrap().split(';').next().unwrap();
    let one_line = PRIVATE_KEY.lines().nth(10).unwrap();
    let canaries = [
        Canary::new("the app's secret", APP_SECRET),
        Canary::new("the refused secret", WRONG_SECRET),
        Canary::new("the secret from the environment", ENV_SECRET),
        Canary::new("the key of the connection string", key),
        Canary::new("the connection string", &connection),
        Canary::new("the private key", one_line),
        Canary::new("the sink's token", SINK_TOKEN),
    ];
    let mut left = Left::default();

    let mut node = stage.start_node(false);
    let api = address(&stage, &mut node, "api");
    let file = stage.path("by-hand.toml").display().to_string();
    left.add("apply", siemgate(&stage, &api, &["apply", &file]));
    let file = stage.path("sink.toml").display().to_string();
    left.add("apply the sink", siemgate(&stage, &api, &["apply", &file]));
    until(&stage, "the sink sends with its token", || splunk.tally().received > 0);
    until(&stage, "records arrive", || stage.streamed() > 400);
    let source = |name: &str| stage.receiver.tally().source(&format!("{}/{name}", stage.cloud.access.tenants[0].name));
    until(&stage, "alerts arrive by secret and by certificate", || {
        source("alerts").distinct > 0 && source("alerts-signed").distinct > 0
    });
    until(&stage, "Entra refuses a secret", || {
        siemgate(&stage, &api, &["status", "--output", "json"]).contains("AADSTS7000215")
    });
    ask(&stage, &mut node, &mut left);
    end(&stage, node, &mut left);

    // What is sealed is enough: the files are gone, and everything goes on.
    for name in ["app", "hub", "token"] {
        fs::remove_file(stage.path(name)).unwrap();
    }
    let taken = || splunk.tally().received;
    let taken_before = taken();
    let (streamed, alerts) = (stage.streamed(), source("alerts-signed").distinct);
    let mut node = stage.start_node(false);
    until(&stage, "records and alerts arrive after a restart", || {
        stage.streamed() > streamed + 100
            && stage.receiver.tally().source(&format!("{}/alerts-signed", stage.cloud.access.tenants[0].name)).distinct
                > alerts
            && taken() > taken_before
    });
    ask(&stage, &mut node, &mut left);
    end(&stage, node, &mut left);

    snapshot(&stage).await;
    left.add_folder(&stage.path("data"));
    for proof in ["client-certificate", "${file:", "AADSTS7000215", "alerts-wrong"] {
        assert!(left.holds(proof), "the search must see what the node writes, and it does not see {proof}");
    }
    let snapshots = left.0.iter().filter(|(name, _)| name.ends_with(".snapshot"));
    assert!(snapshots.count() > 0, "there is no snapshot to search");
    left.check(&canaries);
}
