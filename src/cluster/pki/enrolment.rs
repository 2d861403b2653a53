//! The side that answers: lets a node join for a token, and signs a member's name again.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use super::authority::{Authority, MEMBER_LIFE, PublicKey};
use super::{Keyring, token};
use crate::cluster::ClusterError;
use crate::cluster::admission::PeerName;
use crate::cluster::arrivals::Proof;
use crate::cluster::command::{Command, Outcome};
use crate::cluster::door::Door;
use crate::cluster::invitation::{InviteCommand, NotInvited, TokenHash};
use crate::cluster::limits::{INVITATION_ARRIVES, JOINS_AT_ONCE};
use crate::cluster::member::{NodeSpec, Role, Standing};
use crate::cluster::secret_record::SecretKey;
use crate::ids::{ClusterId, NodeId};
use crate::secret::Secret;
use crate::wire::cluster::v1 as pb;

/// Enrols nodes where the node lends a keyring; refuses where it doesn't.
pub(in crate::cluster) struct Enrolment {
    door: Door,
    keyring: Option<Arc<dyn Keyring>>,
    places: Semaphore,
}

impl Enrolment {
    pub(in crate::cluster) fn new(door: Door, keyring: Option<Arc<dyn Keyring>>) -> Self {
        Self { door, keyring, places: Semaphore::new(JOINS_AT_ONCE) }
    }

    fn keyring(&self) -> Result<&Arc<dyn Keyring>, Status> {
        let none = || Status::failed_precondition("this member signs for nobody: its certificates come from elsewhere");
        self.keyring.as_ref().ok_or_else(none)
    }

    async fn let_in(&self, asked: pb::JoinRequest) -> Result<pb::JoinAnswer, Status> {
        let keyring = self.keyring()?;
        let pb::JoinRequest { token, name, peer, api, weight, public_key, knows } = asked;
        let token_hash = token::hash(&Secret::new(token));
        let key = PublicKey::from_bytes(&public_key)
            .ok_or_else(|| Status::invalid_argument("the public key is not an uncompressed point of P-256"))?;
        let level = self.door.read(|state| state.counters().level);
        if knows < level.number() {
            return Err(Status::failed_precondition(format!(
                "the cluster is at level {level} and this program knows no more than {knows}: upgrade it first"
            )));
        }
        self.await_invitation(&token_hash).await?;
        // An invitation is used up only where the answer can be given.
        drop(self.authority(keyring)?);
        // The invitation says the role, whatever stands here.
        let spec = NodeSpec { name, peer, api, weight, role: Role::Data };
        let redeem = InviteCommand::Redeem { token_hash, key_hash: key.hash(), spec, at: keyring.now() };
        let node = match self.door.propose_anywhere(Command::Invite(redeem)).await {
            Ok(Outcome::Node(node)) => node,
            Ok(Outcome::Refused(refusal)) => return Err(Status::permission_denied(refusal.to_string())),
            Ok(_) => return Err(Status::internal("the cluster's answer belongs to another question")),
            Err(error @ ClusterError::NotYet) => return Err(Status::failed_precondition(error.to_string())),
            Err(error) => return Err(Status::unavailable(error.to_string())),
        };
        let chain = self.sign(keyring, node, &key)?;
        let keys = keyring.keys().iter().map(|key| key.to_vec().into()).collect();
        Ok(pb::JoinAnswer { node: node.0, cluster: self.cluster().0.to_vec().into(), chain, keys })
    }

    fn renew(&self, proof: Option<PeerName>, asked: &pb::RenewRequest) -> Result<(NodeId, String), Status> {
        let Some(PeerName { node, .. }) = proof else {
            return Err(Status::permission_denied("only a member's certificate is renewed, and none was shown"));
        };
        let keyring = self.keyring()?;
        match self.door.read(|state| state.standing(node)) {
            Some(Standing::Removed) | None => {
                let why = format!("node {node} is no member: it must join anew, under a new id");
                return Err(Status::permission_denied(why));
            }
            Some(Standing::Live | Standing::Draining | Standing::Expired) => {}
        }
        let key = PublicKey::from_bytes(&asked.public_key)
            .ok_or_else(|| Status::invalid_argument("the public key is not an uncompressed point of P-256"))?;
        Ok((node, self.sign(keyring, node, &key)?))
    }

    /// A guess must not cost a proposal, and an invitation may not have come here yet.
    async fn await_invitation(&self, token_hash: &TokenHash) -> Result<(), Status> {
        let mut changes = self.door.changes();
        let known = async {
            while !self.door.read(|state| state.knows_invitation(token_hash)) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        match timeout(INVITATION_ARRIVES, known).await {
            Ok(()) => Ok(()),
            Err(_) => Err(Status::permission_denied(NotInvited::Unknown.to_string())),
        }
    }

    fn sign(&self, keyring: &Arc<dyn Keyring>, node: NodeId, key: &PublicKey) -> Result<String, Status> {
        let name = PeerName { cluster: self.cluster(), node };
        self.authority(keyring)?.sign(key, name, keyring.now(), MEMBER_LIFE).map_err(|error| cannot_sign(&error))
    }

    /// The cluster's authority, open.
    fn authority(&self, keyring: &Arc<dyn Keyring>) -> Result<Authority, Status> {
        let record = self.door.read(|state| state.secret(&SecretKey::authority()).cloned());
        let record = record.ok_or_else(|| {
            Status::unavailable("the cluster's authority has not come to this member yet: try again, or ask another")
        })?;
        let cluster = self.cluster();
        let bundle = keyring.open(cluster, &SecretKey::authority(), &record).map_err(|error| cannot_sign(&error))?;
        Authority::open(cluster, &bundle).map_err(|error| cannot_sign(&error))
    }

    fn cluster(&self) -> ClusterId {
        self.door.name().cluster
    }
}

#[tonic::async_trait]
impl pb::enrol_server::Enrol for Enrolment {
    async fn join(&self, request: Request<pb::JoinRequest>) -> Result<Response<pb::JoinAnswer>, Status> {
        let _place = self.places.try_acquire().map_err(|_| {
            Status::unavailable(format!("{JOINS_AT_ONCE} nodes are joining here at this moment: try again"))
        })?;
        let asked = request.into_inner();
        let (name, address) = (short(&asked.name), short(&asked.peer));
        match self.let_in(asked).await {
            Ok(answer) => {
                tracing::info!(node = answer.node, name, address, "a node has joined by an invitation");
                Ok(Response::new(answer))
            }
            Err(status) => {
                tracing::warn!(name, address, why = status.message(), "a node was not let join");
                Err(status)
            }
        }
    }

    async fn renew(&self, request: Request<pb::RenewRequest>) -> Result<Response<pb::RenewAnswer>, Status> {
        let proof = request.extensions().get::<Proof>().and_then(|proof| proof.0);
        let (node, chain) = Self::renew(self, proof, request.get_ref())?;
        tracing::info!(%node, "signed a member's name again");
        Ok(Response::new(pb::RenewAnswer { chain }))
    }
}

fn cannot_sign(error: &dyn std::fmt::Display) -> Status {
    tracing::error!(%error, "the cluster's authority can't be used");
    Status::failed_precondition("this member can't sign, its log says why: ask another")
}

/// What a stranger says of itself, cut so that it can't fill the log.
fn short(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_default).collect()
}
