//! Invitations: who may join, once and for a short while. The state knows a token by its hash only. Pure.

use std::collections::btree_map::Entry;

use serde::{Deserialize, Serialize};

use super::command::{Outcome, Refusal};
use super::limits::{INVITATION_LIFE_MAX, INVITATIONS_MAX};
use super::member::{NodeSpec, Role};
use super::state::{ControlState, Part, Touched};
use crate::clock::Timestamp;
use crate::ids::{NodeEpoch, NodeId};

/// SHA-256 of a token.
pub type TokenHash = [u8; 32];

/// What can be said of an invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum InviteCommand {
    /// Lets whoever shows this token join, as what `role` says.
    Create { token_hash: TokenHash, role: Role, expires: Timestamp, at: Timestamp },
    /// Takes an invitation back. Withdrawing it twice is one withdrawal.
    Withdraw { token_hash: TokenHash },
    /// Uses an invitation up and admits the node in the same application. `key_hash` is of the key the node will prove
    /// itself with: by it, one that did not hear its answer is told from another that knows the token too. The role is
    /// the invitation's, whatever `spec` says.
    Redeem { token_hash: TokenHash, key_hash: [u8; 32], spec: NodeSpec, at: Timestamp },
}

/// An invitation as the state keeps it until it has expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    pub role: Role,
    pub expires: Timestamp,
    pub redeemed: Option<Redeemed>,
}

/// Who joined by an invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redeemed {
    pub node: NodeId,
    pub key_hash: [u8; 32],
}

/// Why a token lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum NotInvited {
    #[error("the token is unknown or expired long ago: run `siemgate cluster invite` for another")]
    Unknown,
    #[error("the token has expired: run `siemgate cluster invite` for another")]
    Expired,
    #[error("the token was used already, and works once: run `siemgate cluster invite` for another")]
    Used,
}

impl ControlState {
    pub fn knows_invitation(&self, token_hash: &TokenHash) -> bool {
        self.invitations.contains_key(token_hash)
    }
    /// Invitations that were not used yet, also expired ones that nothing has swept.
    pub fn open_invitations(&self) -> impl Iterator<Item = &Invitation> {
        self.invitations.values().filter(|invitation| invitation.redeemed.is_none())
    }

    pub(super) fn apply_to_invitation(
        &mut self,
        command: InviteCommand,
        touched: &mut Touched,
    ) -> Result<Outcome, Refusal> {
        match command {
            InviteCommand::Create { token_hash, role, expires, at } => {
                self.create_invitation(token_hash, role, expires, at, touched)
            }
            InviteCommand::Withdraw { token_hash } => {
                if self.invitations.remove(&token_hash).is_some() {
                    touched.insert(Part::Invitation(token_hash));
                }
                Ok(Outcome::Done)
            }
            InviteCommand::Redeem { token_hash, key_hash, spec, at } => {
                self.redeem_invitation(token_hash, key_hash, spec, at, touched)
            }
        }
    }

    fn create_invitation(
        &mut self,
        token_hash: TokenHash,
        role: Role,
        expires: Timestamp,
        at: Timestamp,
        touched: &mut Touched,
    ) -> Result<Outcome, Refusal> {
        let life = expires.nanos().saturating_sub(at.nanos());
        if life <= 0 || life > INVITATION_LIFE_MAX.as_nanos() as i64 {
            let minutes = INVITATION_LIFE_MAX.as_secs() / 60;
            return Err(Refusal::Malformed { reason: format!("an invitation lives for up to {minutes} minutes") });
        }
        if let Entry::Occupied(standing) = self.invitations.entry(token_hash) {
            let Invitation { role: its_role, expires: its_end, .. } = *standing.get();
            return if (its_role, its_end) == (role, expires) {
                Ok(Outcome::Done)
            } else {
                Err(Refusal::Malformed { reason: "this token was given out already: draw another".into() })
            };
        }
        let valid = self.invitations.values().filter(|invitation| invitation.expires > at).count();
        if valid >= INVITATIONS_MAX {
            let what = "the number of open invitations".into();
            return Err(Refusal::OverLimit { what, limit: INVITATIONS_MAX as u64 });
        }
        self.invitations.retain(|hash, invitation| {
            let keep = invitation.expires > at;
            if !keep {
                touched.insert(Part::Invitation(*hash));
            }
            keep
        });
        self.invitations.insert(token_hash, Invitation { role, expires, redeemed: None });
        touched.insert(Part::Invitation(token_hash));
        Ok(Outcome::Done)
    }

    fn redeem_invitation(
        &mut self,
        token_hash: TokenHash,
        key_hash: [u8; 32],
        spec: NodeSpec,
        at: Timestamp,
        touched: &mut Touched,
    ) -> Result<Outcome, Refusal> {
        let not_invited = |why| Refusal::NotInvited { why };
        let invitation = self.invitations.get(&token_hash).ok_or(not_invited(NotInvited::Unknown))?;
        let spec = NodeSpec { role: invitation.role, ..spec };
        if let Some(redeemed) = &invitation.redeemed {
            let waits = self.members.get(&redeemed.node).is_some_and(|member| {
                member.node_epoch == NodeEpoch::default() && member.spec == spec && redeemed.key_hash == key_hash
            });
            return if waits { Ok(Outcome::Node(redeemed.node)) } else { Err(not_invited(NotInvited::Used)) };
        }
        if invitation.expires <= at {
            return Err(not_invited(NotInvited::Expired));
        }
        // Admitting it again would give two keys to one node, if one of that name never started.
        if self.name_holder(&spec.name).is_some() {
            return Err(Refusal::NameTaken { name: spec.name });
        }
        let outcome = self.admit_node(spec, at, touched)?;
        if let (Outcome::Node(node), Some(invitation)) = (&outcome, self.invitations.get_mut(&token_hash)) {
            invitation.redeemed = Some(Redeemed { node: *node, key_hash });
            touched.insert(Part::Invitation(token_hash));
        }
        Ok(outcome)
    }
}
