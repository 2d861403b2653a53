//! Three etcd processes of this machine and a client that puts keys through their gRPC, to measure ourselves by.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tonic::Request;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

const NODES: usize = 3;
const PATIENCE: Duration = Duration::from_secs(30);
const ERROR_SHOWN_BYTES: usize = 300;

/// The few fields of etcd's messages that are used here; it skips and leaves out the others.
#[derive(Clone, PartialEq, prost::Message)]
struct PutRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PutResponse {}

#[derive(Clone, PartialEq, prost::Message)]
struct StatusRequest {}

#[derive(Clone, PartialEq, prost::Message)]
struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<ResponseHeader>,
    #[prost(uint64, tag = "4")]
    leader: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ResponseHeader {
    #[prost(uint64, tag = "2")]
    member: u64,
}

/// A cluster that ends when this is dropped.
pub struct Etcd {
    processes: Vec<Child>,
    /// Where clients reach the member that leads.
    leader: String,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A connection to the leader.
#[derive(Clone)]
pub struct Client(Grpc<Channel>);

impl Etcd {
    /// Starts three members whose data lies in `folder`, if etcd is installed.
    pub async fn start(folder: &Path) -> Option<Self> {
        Command::new("etcd").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
        let ports: Vec<[u16; 2]> = (0..NODES).map(|_| [free_port(), free_port()]).collect();
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let members: Vec<String> =
            ports.iter().enumerate().map(|(n, [_, peer])| format!("e{n}={}", url(*peer))).collect();
        let members = members.join(",");
        let mut etcd = Self { processes: Vec::new(), leader: String::new() };
        for (n, [client, peer]) in ports.iter().enumerate() {
            let (name, data) = (format!("e{n}"), folder.join(format!("etcd-{n}")));
            let log = std::fs::File::create(folder.join(format!("etcd-{n}.log"))).unwrap();
            let mut command = Command::new("etcd");
            command.args(["--name", &name, "--data-dir"]).arg(data);
            command.args(["--listen-client-urls", &url(*client), "--advertise-client-urls", &url(*client)]);
            command.args(["--listen-peer-urls", &url(*peer), "--initial-advertise-peer-urls", &url(*peer)]);
            command.args(["--initial-cluster", &members, "--initial-cluster-state", "new", "--log-level", "warn"]);
            // What it keeps of old revisions is its own; without a quota of this size a long run would fill it.
            command.args(["--quota-backend-bytes", "8589934592"]);
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
            etcd.processes.push(command.spawn().unwrap());
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            for [client, _] in &ports {
                if leads(&url(*client)).await {
                    etcd.leader = url(*client);
                    return Some(etcd);
                }
            }
            assert!(Instant::now() < deadline, "etcd elects no leader; see its logs in {}", folder.display());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn client(&self) -> Client {
        Client(Grpc::new(
            Endpoint::from_shared(self.leader.clone()).unwrap().tcp_nodelay(true).connect().await.unwrap(),
        ))
    }
}

impl Client {
    pub async fn put(&mut self, key: String, value: String) {
        let request = PutRequest { key: key.into_bytes(), value: value.into_bytes() };
        let answer: Result<PutResponse, String> = call(&mut self.0, "/etcdserverpb.KV/Put", request).await;
        answer.unwrap();
    }
}

async fn leads(url: &str) -> bool {
    let Ok(channel) = Endpoint::from_shared(url.to_owned()).unwrap().connect().await else { return false };
    let status = call(&mut Grpc::new(channel), "/etcdserverpb.Maintenance/Status", StatusRequest {}).await;
    let led =
        |status: StatusResponse| status.leader != 0 && status.header.is_some_and(|own| own.member == status.leader);
    status.is_ok_and(led)
}

async fn call<Q, A>(grpc: &mut Grpc<Channel>, method: &'static str, request: Q) -> Result<A, String>
where
    Q: prost::Message + Default + 'static,
    A: prost::Message + Default + 'static,
{
    let text = |error: &dyn std::fmt::Display| error.to_string().chars().take(ERROR_SHOWN_BYTES).collect::<String>();
    grpc.ready().await.map_err(|error| text(&error))?;
    let codec: ProstCodec<Q, A> = ProstCodec::default();
    let answered = grpc.unary(Request::new(request), PathAndQuery::from_static(method), codec).await;
    answered.map(tonic::Response::into_inner).map_err(|error| text(&error))
}

/// A port that is free now, and in all likelihood a moment later.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
