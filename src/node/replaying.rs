//! Which parts of which replays this node is to run, how fast, and which of them rest. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::deployment::{Deployment, digest};
use super::idle::Idle;
use crate::clock::Uptime;
use crate::cluster::{ControlState, ReplayId, ReplayOrder, ReplayPart, ReplayStanding};
use crate::ids::{Epoch, FeedId, Generation, NodeEpoch, NodeId};
use crate::sinks;
use crate::sinks::limits::REPLAY_UNREAD_AGE;
use crate::sources::{Cursor, Resume, Second};
use crate::units::Span;

/// Parts that one node reads at once. Each has a connection of its own and costs upstream's egress; the rest wait.
pub const PARTS_AT_ONCE: usize = 16;

/// One part of one replay.
pub type PartKey = (ReplayId, FeedId);

/// A part that is to run here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub order: ReplayOrder,
    pub part: ReplayPart,
    /// Of the feed, as it is owned and open now.
    pub epoch: Epoch,
    pub generation: Generation,
    /// What it is built from.
    pub fingerprint: u64,
    /// Events a second.
    pub rate: u32,
}

/// The parts of running replays whose feeds this node owns. Of a feed, only the oldest replay's: one more reader at a
/// time is what upstream allows for certain. `None` where the state knows another life of this node than the present.
pub fn wanted(
    state: &ControlState,
    deployment: &Deployment,
    node: NodeId,
    node_epoch: NodeEpoch,
) -> BTreeMap<PartKey, Wanted> {
    let mut wanted = BTreeMap::new();
    if state.member(node).is_none_or(|member| member.node_epoch != node_epoch || member.leaving) {
        return wanted;
    }
    let mut taken = BTreeSet::new();
    for (replay, job) in state.replays().filter(|(_, job)| job.standing == ReplayStanding::Running) {
        let order = &job.order;
        let left: Vec<_> = state.replay_parts(replay).filter(|(_, part)| !part.done).collect();
        let ours = left.iter().filter_map(|(feed, part)| {
            let held = state.feed(feed)?;
            let owned = held.owner == Some(node) && held.recall.is_none();
            (owned && !taken.contains(*feed)).then_some((*feed, *part, held))
        });
        let ours: Vec<_> = ours.collect();
        let running = ours.len().min(PARTS_AT_ONCE.saturating_sub(wanted.len()));
        let source = deployment.sources.get(&(order.tenant.clone(), order.source.clone()));
        let sink = deployment.sinks.get(&order.sink);
        let fingerprint = digest(&(source.map(|it| it.fingerprint), sink.map(|it| it.fingerprint)));
        for (feed, part, held) in ours.iter().take(running) {
            let rate = share(order.rate, ours.len(), left.len(), running);
            let (epoch, generation) = (held.epoch, held.generation);
            let (order, part) = (order.clone(), (*part).clone());
            wanted.insert((replay, (*feed).clone()), Wanted { order, part, epoch, generation, fingerprint, rate });
        }
        taken.extend(left.into_iter().map(|(feed, _)| feed.clone()));
    }
    wanted
}

/// Where the part's reader begins. What it noted in another generation than the open one means nothing any more.
pub fn second(it: &Wanted) -> Second {
    let Wanted { order, part, generation, epoch, .. } = it;
    let noted = part.position.clone().filter(|_| part.generation == *generation);
    let cursor = noted.map(|position| Cursor { generation: *generation, position, seen: Vec::new() });
    let resume = Resume { epoch: *epoch, generation: *generation, cursor, since: None };
    Second { resume, from: order.from, until: Some(order.to) }
}

/// Replays that run here and to which nobody comes. Each node looks at its own parts, by its own clock.
#[derive(Debug, Default)]
pub struct Unread(Idle<ReplayId>);

impl Unread {
    /// Those that are to rest, and why.
    pub fn look(
        &mut self,
        state: &ControlState,
        deployment: &Deployment,
        running: &BTreeSet<ReplayId>,
        now: Uptime,
    ) -> Vec<(ReplayId, String)> {
        let to_subscription = |replay| {
            let sink = &state.replay(replay)?.order.sink;
            let sinks::Config::Subscription(config) = &deployment.sinks.get(sink)?.spec.sink else { return None };
            let most = config.idle_ttl.map_or(REPLAY_UNREAD_AGE, |ttl| ttl.get().min(REPLAY_UNREAD_AGE));
            Some((sink, most))
        };
        let all = running.iter().filter_map(|replay| {
            let (sink, most) = to_subscription(*replay)?;
            let is_read = state.subscription(sink).is_some_and(|of| !of.members.is_empty());
            Some((replay, is_read, most))
        });
        self.0.look(now, all);
        let unread = running.iter().filter(|replay| self.0.has(replay));
        let told = unread.filter_map(|replay| {
            let (sink, most) = to_subscription(*replay)?;
            let why = format!(
                "nobody has read subscription `{sink}` for {}: let somebody read it, then `siemgate replay resume {replay}`",
                Span::from_secs(most.as_secs()),
            );
            Some((*replay, why))
        });
        told.collect()
    }
}

/// A part's share of its replay's rate: each node has what falls to the parts it owns, whether or not all of them run.
fn share(rate: u32, ours: usize, left: usize, running: usize) -> u32 {
    let whole = u64::from(rate) * ours as u64 / (left.max(1) as u64 * running.max(1) as u64);
    u32::try_from(whole).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::cluster::{
        Command, NodeCommand, NodeSpec, Outcome, ReplayCommand, ResourceKey, ResourceKind, Role, SubscriptionCommand,
    };
    use crate::node::deployment::Configured;

    fn put(kind: ResourceKind, tenant: Option<&str>, name: &str, uses: Vec<ResourceKey>) -> Command {
        let (tenant, name) = (tenant.map(|tenant| tenant.parse().unwrap()), name.to_owned());
        Command::PutResource { kind, tenant, name, body: "{}".into(), uses, at: Timestamp::ZERO }
    }

    /// A source of `parts` feeds: the even ones are node 1's, the odd ones node 2's.
    fn cluster(parts: u8) -> ControlState {
        let mut state = ControlState::default();
        let tenant = "contoso".parse().unwrap();
        let credential = ResourceKey::credential(&tenant, "c");
        let feed = |n: u8| format!("contoso/hub/{n}").parse::<FeedId>().unwrap();
        let at = Timestamp::ZERO;
        let mut commands = vec![
            put(ResourceKind::Tenant, None, "contoso", vec![]),
            put(ResourceKind::Credential, Some("contoso"), "c", vec![]),
            put(ResourceKind::Source, Some("contoso"), "hub", vec![credential]),
            put(ResourceKind::Sink, None, "siem", vec![]),
            Command::DeclareFeeds {
                tenant,
                source: "hub".parse().unwrap(),
                parts: (0..parts).map(|n| feed(n).part).collect(),
            },
        ];
        for n in [1, 2] {
            let spec = NodeSpec {
                name: format!("n{n}"),
                peer: format!("n{n}:1"),
                api: String::new(),
                weight: 100,
                role: Role::Data,
            };
            commands.push(Command::Node(NodeCommand::Admit { spec, at }));
            commands.push(Command::Node(NodeCommand::Start { node: NodeId(n), knows: 99, at }));
        }
        let moves = (0..parts).map(|n| (feed(n), NodeId(1 + u64::from(n % 2)))).collect();
        commands.push(Command::AssignFeeds { moves, at });
        for command in commands {
            assert!(!matches!(state.apply(command), Outcome::Refused(_)));
        }
        state
    }

    fn begin(state: &mut ControlState, rate: u32) -> ReplayId {
        let (replay, at) = (state.next_replay(), Timestamp::from_millis(9_000));
        let order = ReplayOrder {
            tenant: "contoso".parse().unwrap(),
            source: "hub".parse().unwrap(),
            sink: "siem".parse().unwrap(),
            from: Timestamp::ZERO,
            to: at,
            rate,
            by: String::new(),
            reason: String::new(),
        };
        assert_eq!(state.apply(Command::Replay(ReplayCommand::Begin { replay, order, at })), Outcome::Done);
        replay
    }

    fn of(state: &ControlState, node: u64) -> Vec<(u64, String, u32)> {
        let wanted = wanted(state, &Deployment::default(), NodeId(node), NodeEpoch(1));
        wanted.iter().map(|((replay, feed), it)| (replay.0, feed.part.to_string(), it.rate)).collect()
    }

    #[test]
    fn each_owner_runs_its_parts_and_all_together_keep_the_rate() {
        let mut state = cluster(4);
        begin(&mut state, 400);
        assert_eq!(of(&state, 1), [(1, "0".into(), 100), (1, "2".into(), 100)]);
        assert_eq!(of(&state, 2), [(1, "1".into(), 100), (1, "3".into(), 100)]);
        assert_eq!(wanted(&state, &Deployment::default(), NodeId(1), NodeEpoch(2)), BTreeMap::new(), "another life");
    }

    #[test]
    fn of_two_replays_of_a_feed_the_older_goes_first() {
        let mut state = cluster(2);
        let first = begin(&mut state, 400);
        begin(&mut state, 50);
        assert_eq!(of(&state, 1), [(1, "0".into(), 200)]);
        state.apply(Command::Replay(ReplayCommand::Pause {
            replay: first,
            by: String::new(),
            reason: String::new(),
            at: Timestamp::ZERO,
        }));
        assert_eq!(of(&state, 1), [(2, "0".into(), 25)]);
    }

    #[test]
    fn few_parts_run_at_once_and_share_what_falls_to_all() {
        let mut state = cluster(100);
        begin(&mut state, 1_000);
        let running = of(&state, 1);
        assert_eq!(running.len(), PARTS_AT_ONCE);
        assert!(running.iter().all(|(_, _, rate)| *rate == 31), "500 for 16: {running:?}");
        assert_eq!(share(1, 1, 1_000, 1), 1, "every part gets on");
    }

    #[test]
    fn a_replay_to_a_subscription_that_nobody_reads_rests_after_a_day_or_its_idle_ttl() {
        let mut state = cluster(1);
        let replay = begin(&mut state, 400);
        let day = 24 * 3_600;
        let configured = |spec: &str| {
            let mut deployment = Deployment::default();
            let spec = serde_json::from_str(spec).unwrap();
            deployment.sinks.insert("siem".parse().unwrap(), Configured { spec, fingerprint: 1 });
            deployment
        };
        let patient = configured(r#"{"kind": "subscription", "format": "ecs"}"#);
        let hasty = configured(r#"{"kind": "subscription", "format": "ecs", "idle_ttl": "10m"}"#);
        let other = configured(r#"{"kind": "stdout", "format": "ecs"}"#);
        let at = |second: u64| Uptime::from_nanos(second * 1_000_000_000);
        let running = BTreeSet::from([replay]);
        for (deployment, first) in [(&patient, Some(day)), (&hasty, Some(600)), (&other, None)] {
            let mut unread = Unread::default();
            let mut rests = |second: u64| unread.look(&state, deployment, &running, at(1_000 + second));
            assert!(rests(0).is_empty());
            let Some(first) = first else { return assert!(rests(10 * day).is_empty()) };
            assert!(rests(first - 1).is_empty());
            let told = rests(first);
            assert!(told.len() == 1 && told == rests(first + 1), "{told:?} until it does");
            assert!(told[0].0 == replay && told[0].1.contains("`siemgate replay resume 1`"), "{told:?}");
        }
    }

    #[test]
    fn a_replay_that_somebody_reads_does_not_rest() {
        let mut state = cluster(1);
        let running = BTreeSet::from([begin(&mut state, 400)]);
        let mut deployment = Deployment::default();
        let spec = serde_json::from_str(r#"{"kind": "subscription", "format": "ecs"}"#).unwrap();
        deployment.sinks.insert("siem".parse().unwrap(), Configured { spec, fingerprint: 1 });
        let join = SubscriptionCommand::Join {
            subscription: "siem".parse().unwrap(),
            member: "a".parse().unwrap(),
            node: NodeId(1),
            node_epoch: NodeEpoch(1),
            connection: 1,
            at: Timestamp::ZERO,
        };
        assert!(matches!(state.apply(Command::Subscription(join)), Outcome::Epoch(_)));
        let mut unread = Unread::default();
        let days = |days: u64| Uptime::from_nanos(days * 24 * 3_600 * 1_000_000_000);
        assert!((1..9).all(|day| unread.look(&state, &deployment, &running, days(day)).is_empty()));
    }
}
