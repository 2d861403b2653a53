//! How a world's nodes become a cluster, by the command line as an operator would do it.

use std::io::Write;
use std::process::{Command, Stdio};

use super::front::Apis;
use super::network::{PEERS, address};
use super::stage::SOC;
use super::{World, until};
use crate::reader::Reader;

/// Tenants without sources, to have something to agree on.
const TENANTS: u64 = 200;

impl World {
    /// A cluster of all nodes that reads everything there is and delivers it.
    pub async fn works(&mut self) {
        self.works_with(self.plan.nodes).await;
    }

    /// A cluster of so many of the nodes that reads everything there is and delivers it.
    pub async fn works_with(&mut self, nodes: u64) {
        self.node(1).start();
        self.until_ready(1).await;
        for node in 2..=nodes {
            self.joins(node).await;
        }
        self.until_voters_are(nodes).await;
        self.apply().await;
        self.is_read();
        let feeds = self.feeds().len();
        self.until_all_are_owned(feeds).await;
        self.cloud().resume();
        self.receives_of(&self.streams(), 50).await;
    }

    /// Somebody reads the subscription from now on.
    fn is_read(&mut self) {
        let fronts = Apis { nodes: self.plan.nodes, folder: self.path("") };
        self.reader = Some(Reader::start(SOC, &self.path(""), fronts));
    }

    /// A node without data joins the cluster through a node that is in it, and runs.
    pub async fn joins(&mut self, node: u64) {
        let through = *self.awake().first().expect("somebody is there to be joined");
        let invited = self.run(through, &["cluster", "invite", "--output", "json"], "");
        let invited: serde_json::Value = serde_json::from_str(&invited).expect("the invitation is JSON");
        let token = invited["token"].as_str().expect("the invitation holds a token").to_owned();
        let at = format!("{}:{PEERS}", address(through));
        self.run(node, &["join", &at, "--token", "-"], &token);
        self.node(node).start();
        self.until_ready(node).await;
    }

    /// Has the cluster agree on more than fits what is left of a page, so that every member must write.
    pub async fn says_much(&mut self) {
        let through = self.leader().await;
        let tenant = |n: u64| format!("[[tenant]]\nname = \"filler-{n}\"\ndirectory = \"{}\"\n", uuid::Uuid::new_v4());
        let tenants: String = (0..TENANTS).map(tenant).collect();
        // A node that is alone may end before it answers.
        self.tried(through, &["apply", "-"], &tenants);
    }

    /// Gives the place of a voter that is gone for good to a node that joined, once that has caught up.
    pub async fn replace(&mut self, old: u64, new: u64) {
        let through = self.leader().await;
        let replaced = async || {
            let (done, _, _) = self.tried(through, &["cluster", "replace", &old.to_string(), &new.to_string()], "");
            done.then_some(())
        };
        until(&format!("node {new} takes the place of {old}"), replaced).await;
    }

    /// A node that owns feeds and leads, or does not. Where there is none, the leadership passes to where it makes one.
    pub async fn an_owner(&mut self, that_leads: bool) -> u64 {
        let (leader, owners) = (self.leader().await, self.owners().await);
        if let Some(owner) = owners.values().find(|owner| (**owner == leader) == that_leads) {
            return *owner;
        }
        let owner = *owners.values().next().expect("feeds have owners");
        let to = if that_leads { owner } else { *self.others(leader).first().expect("there are several nodes") };
        let id = self.id_of(to).to_string();
        let leads = async || {
            // It may take a while until a node that has just started may be handed the leadership.
            self.tried(self.leader().await, &["cluster", "transfer-leader", &id], "");
            (self.leader().await == to).then_some(())
        };
        until(&format!("node {to} leads"), leads).await;
        owner
    }

    /// Has a node hand over its feeds, and keeps it without any until it may have some again.
    pub async fn drain(&mut self, node: u64) {
        self.tell("drain", node);
        let (through, feeds) = (self.leader().await, self.owned_by(node).await);
        self.run(through, &["cluster", "drain", &self.id_of(node).to_string()], "");
        self.until_they_have_other_owners(&feeds, node).await;
    }

    /// Lets a drained node have feeds again.
    pub async fn undrain(&mut self, node: u64) {
        let through = self.leader().await;
        self.run(through, &["cluster", "drain", &self.id_of(node).to_string(), "--off"], "");
    }

    /// Makes tenants, sources and sinks.
    pub async fn apply(&mut self) {
        let through = *self.awake().first().expect("somebody is there to be told");
        let resources = self.path("resources.toml").display().to_string();
        self.run(through, &["apply", &resources], "");
    }

    /// Runs a command of the command line where the node is, which must succeed, and answers what it printed.
    pub fn run(&self, node: u64, arguments: &[&str], input: &str) -> String {
        let (succeeded, out, error) = self.tried(node, arguments, input);
        assert!(succeeded, "siemgate {} at node {node}: {error}", arguments.join(" "));
        out
    }

    /// The same, whether it succeeds or not: whether it did, what it printed, and what it complained of.
    pub fn tried(&self, node: u64, arguments: &[&str], input: &str) -> (bool, String, String) {
        let mut command: Command = self.network.command(node, env!("CARGO_BIN_EXE_siemgate"));
        command.args(arguments).arg("--config").arg(self.config(node));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().expect("it is piped");
        // A command that reads no input may be gone already.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    }
}
