//! The worlds that the other tests live in: they are apart from the host, and nothing of them stays.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Stdio;

use crate::world::{Plan, World, network, until};

#[test]
fn nothing_of_a_world_outlives_it_even_when_its_scenario_fails() {
    let (mut namespaces, mut process, mut folder) = (Vec::new(), 0, None);
    let failed = catch_unwind(AssertUnwindSafe(|| {
        Plan { raft_kib: Some(40 << 10), ..Plan::of(1) }.run(async |world| {
            world.node(1).start();
            until("node 1 answers", async || world.says(1).await).await;
            (namespaces, process, folder) = (world.namespaces(), world.node(1).id(), Some(world.path("")));
            panic!("the scenario fails, as this test wants it to");
        });
    }));
    assert!(failed.is_err(), "a scenario that fails fails its test");
    assert_eq!(namespaces.len(), 2);
    let left: Vec<_> = namespaces.iter().filter(|name| Path::new("/run/netns").join(name).exists()).collect();
    assert!(left.is_empty(), "namespaces stay: {left:?}");
    assert!(!Path::new(&format!("/proc/{process}")).exists(), "process {process} stays");
    let folder = folder.unwrap();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(&*folder.to_string_lossy()), "a disk stays");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn nodes_reach_cloud_and_receiver_and_nothing_of_the_host() {
    Plan::of(2).run(async |world| {
        let reaches = |node: u64, address: String, port: u16| {
            let script = format!("exec 3<>/dev/tcp/{address}/{port}");
            world.command(node, "timeout").args(["1", "bash", "-c", &script]).output().unwrap().status.success()
        };
        assert!(reaches(1, "127.0.0.1".into(), network::AMQP), "the cloud, on the node's own loopback");
        assert!(!reaches(1, "127.0.0.1".into(), 1), "no other port of it");
        assert!(TcpStream::connect(("127.0.0.1", network::RECEIVER)).is_ok(), "the receiver is where the test is");
        // TEST-NET-1 stands for the rest of the world.
        assert!(!reaches(1, "192.0.2.1".into(), 80), "nothing beyond the bridge");
    });
}

#[test]
fn a_cut_loses_packets_one_way_and_healing_ends_it() {
    Plan::of(2).run(async |world| {
        let hears = |world: &World, from: u64, to: u64| {
            let serve = "import socket,sys\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\ns.bind(('0.0.0.0',9))\n\
                         s.settimeout(1.5)\nprint('up',flush=True)\ns.recv(1)";
            let mut server = world.command(to, "python3");
            server.args(["-c", serve]).stdout(Stdio::piped()).stderr(Stdio::null());
            let mut server = server.spawn().unwrap();
            server.stdout.as_mut().unwrap().read_exact(&mut [0; 2]).unwrap();
            let script = format!("echo x >/dev/udp/{}/9", network::address(to));
            world.command(from, "bash").args(["-c", &script]).status().unwrap();
            server.wait().unwrap().success()
        };
        assert!(hears(world, 1, 2) && hears(world, 2, 1));
        world.node(1).cut_to(2);
        assert!(!hears(world, 1, 2), "what node 1 sends is lost");
        assert!(hears(world, 2, 1), "what node 2 sends still arrives");
        world.heal();
        assert!(hears(world, 1, 2));
    });
}
