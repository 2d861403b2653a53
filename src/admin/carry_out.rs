//! Carries a plan out: proposes its changes in their order and says how far it came. Who wants something for good has it
//! planned anew where others were quicker.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use tokio::time::sleep;

use super::limits::{PLAN_PAUSE, PLANS_TRIED_MAX, PROPOSALS_AT_ONCE};
use super::plan::{self, Action, Change, PlanError, Wanted};
use super::sealing::{SealError, Sealer};
use crate::clock::Clock;
use crate::cluster::{ClusterError, Command, ControlPlane, Outcome, Refusal, ResourceKey, SecretCommand};

/// What stopped a plan. The changes before it were made, those after it were not.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {cause} ({done} of {total} changes were made)")]
pub struct Stopped {
    pub key: ResourceKey,
    pub cause: Cause,
    pub done: usize,
    pub total: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum Cause {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Unsealed(#[from] SealError),
}

impl Cause {
    /// Whether the same wish may be granted once it is planned from what stands then.
    fn passes(&self) -> bool {
        match self {
            Self::Refused(refusal) => matches!(refusal, Refusal::StaleSecret { .. }),
            Self::Cluster(error) => matches!(
                error,
                ClusterError::Unknown { .. }
                    | ClusterError::NoQuorum { .. }
                    | ClusterError::NotLeader { .. }
                    | ClusterError::Busy
            ),
            Self::Unsealed(_) => false,
        }
    }
}

/// Why the cluster does not have what is wanted.
#[derive(Debug, thiserror::Error)]
pub enum Unmet {
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unplanned(Vec<PlanError>),
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// What a plan is carried out with.
#[derive(Clone)]
pub struct Tools {
    pub control: ControlPlane,
    pub sealer: Arc<dyn Sealer>,
    pub clock: Clock,
}

/// Plans what is wanted and carries it out. Nodes that start together with the same files replace the same secrets in the
/// same moment, and all but one are refused: those look again, find it done, or replace what stands there now.
pub async fn bring_about(tools: &Tools, wanted: &[Wanted], by: &str) -> Result<(), Unmet> {
    let mut tried = 1;
    loop {
        let (at, sealer) = (tools.clock.now(), &*tools.sealer);
        let planned = tools.control.read(|state| plan::apply(state, wanted.to_vec(), at, sealer));
        match carry_out(tools, planned.map_err(Unmet::Unplanned)?, by).await {
            Err(Stopped { key, cause, .. }) if cause.passes() && tried < PLANS_TRIED_MAX => {
                tracing::info!(by, resource = %key, %cause, tried, "others were quicker; planning it anew");
            }
            ended => return Ok(ended?),
        }
        sleep(PLAN_PAUSE * tried).await;
        tried += 1;
        // What the others did may still be on its way here. Where it can't be told, the next plan finds out.
        let _ = tools.control.current().await;
    }
}

/// Kind after kind, those of one kind together. `by` is who wanted it, for the log.
pub async fn carry_out(tools: &Tools, changes: Vec<Change>, by: &str) -> Result<(), Stopped> {
    let does = |change: &Change| change.command.is_some() || !change.idle.is_empty();
    let mut left: Vec<Change> = changes.into_iter().filter(does).collect();
    let total = left.len();
    let mut done = 0;
    while let Some(kind) = left.first().map(|change| change.key.kind) {
        let rest = left.split_off(left.iter().take_while(|change| change.key.kind == kind).count());
        let group = std::mem::replace(&mut left, rest);
        let proposals: Vec<_> = group.into_iter().map(|change| propose(tools.clone(), change)).collect();
        let mut outcomes = stream::iter(proposals).buffered(PROPOSALS_AT_ONCE);
        while let Some((key, action, outcome)) = outcomes.next().await {
            if let Err(cause) = outcome {
                return Err(Stopped { key, cause, done, total });
            }
            done += 1;
            tracing::info!(by, resource = %key, action = action.word(), "resource changed");
        }
    }
    Ok(())
}

async fn propose(tools: Tools, change: Change) -> (ResourceKey, Action, Result<(), Cause>) {
    let (key, action) = (change.key.clone(), change.action);
    (key, action, in_order(&tools, change).await)
}

/// Secrets are there before what refers to them, and go after it.
async fn in_order(tools: &Tools, change: Change) -> Result<(), Cause> {
    for seal in change.seals {
        let sealed = tools.sealer.seal(&seal.key, seal.replaces + 1, &seal.secret)?;
        let put = SecretCommand::Put { key: seal.key, replaces: seal.replaces, sealed, at: tools.clock.now() };
        done(tools, Command::Secret(put)).await?;
    }
    if let Some(command) = change.command {
        done(tools, command).await?;
    }
    for key in change.idle {
        done(tools, Command::Secret(SecretCommand::Delete { key })).await?;
    }
    Ok(())
}

async fn done(tools: &Tools, command: Command) -> Result<(), Cause> {
    match tools.control.propose(command).await? {
        Outcome::Refused(refusal) => Err(refusal.into()),
        Outcome::Done
        | Outcome::Epoch(_)
        | Outcome::Items(_)
        | Outcome::Node(_)
        | Outcome::Life(_)
        | Outcome::Leadership(_)
        | Outcome::Assigned(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;
    use crate::admin::sealing::{Fetched, Secrets};
    use crate::admin::service_tests::StillBackend;
    use crate::cluster::{Level, ResourceKind, Sealed, SecretKey, SecretRecord};
    use crate::secret::Secret;

    /// Seals as a vault does in one respect: the same text looks different each time.
    struct Salted(std::sync::atomic::AtomicU64);

    impl Sealer for Salted {
        fn stands(&self, _: &SecretKey, record: Option<&SecretRecord>, secret: &Secret) -> Result<bool, SealError> {
            Ok(record.is_some_and(|record| &record.sealed.as_bytes()[8..] == secret.expose().as_bytes()))
        }
        fn seal(&self, _: &SecretKey, _: u64, secret: &Secret) -> Result<Sealed, SealError> {
            let salt = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_be_bytes();
            Ok(Sealed::new([&salt, secret.expose().as_bytes()].concat()))
        }
    }

    fn sink() -> ResourceKey {
        ResourceKey { kind: ResourceKind::Sink, tenant: None, name: "splunk".into() }
    }
    fn wanted(token: &str) -> Vec<Wanted> {
        let secrets = Secrets::from([("token".to_owned(), Fetched::Value(Secret::new(token.to_owned())))]);
        vec![Wanted { key: sink(), body: r#"{"kind":"hec"}"#.into(), uses: vec![], secrets }]
    }
    async fn tools() -> (StillBackend, Tools) {
        let backend = StillBackend::new().await;
        let control = backend.control.clone();
        let raise = Command::RaiseLevel { level: Level::SINK_SECRETS };
        assert_eq!(control.propose(raise).await.unwrap(), Outcome::Done);
        (backend, Tools { control, sealer: Arc::new(Salted(0.into())), clock: Clock::System })
    }
    fn generation(tools: &Tools) -> u64 {
        let place = SecretKey::of(&sink(), "token").unwrap();
        tools.control.read(|state| state.secret(&place).unwrap().generation)
    }
    /// Each plans before any of them is heard.
    async fn together(tools: &Tools, tokens: [&str; 3]) {
        let wanted = tokens.map(wanted);
        for brought in join_all(wanted.iter().map(|it| bring_about(tools, it, "test"))).await {
            brought.unwrap();
        }
    }

    #[tokio::test]
    async fn nodes_that_start_together_with_the_same_changed_secret_all_come_up() {
        let (_backend, tools) = tools().await;
        together(&tools, ["one"; 3]).await;
        assert_eq!(generation(&tools), 1, "one has sealed it, and the others have found that");
        together(&tools, ["two"; 3]).await;
        assert_eq!(generation(&tools), 2);
        together(&tools, ["two"; 3]).await;
        assert_eq!(generation(&tools), 2);
        let body = tools.control.read(|state| state.resource(&sink()).unwrap().body.clone());
        assert_eq!(body, r#"{"kind":"hec","sealed":{"token":2}}"#, "the sink goes with what is sealed last");
    }

    #[tokio::test]
    async fn nodes_whose_secrets_differ_come_up_too_and_one_of_them_stands() {
        let (_backend, tools) = tools().await;
        together(&tools, ["one", "two", "three"]).await;
        assert_eq!(generation(&tools), 3);
        let body = tools.control.read(|state| state.resource(&sink()).unwrap().body.clone());
        assert!(body.contains(r#""token":3"#), "{body}");
    }

    #[tokio::test]
    async fn what_no_patience_would_mend_is_said_at_once() {
        let (_backend, tools) = tools().await;
        let tenant = ResourceKey::tenant(&"contoso".parse().unwrap());
        let orphan = Wanted { uses: vec![tenant], ..wanted("one").remove(0) };
        let told = bring_about(&tools, &[orphan], "test").await.unwrap_err();
        assert_eq!(told.to_string(), "sink `splunk` needs tenant `contoso`, which does not exist: apply it too");
        let long = Wanted { body: "x".repeat(1 << 20), ..wanted("one").remove(0) };
        let refused = bring_about(&tools, &[long], "test").await.unwrap_err();
        assert!(matches!(refused, Unmet::Stopped(_)), "{refused}");
    }
}
