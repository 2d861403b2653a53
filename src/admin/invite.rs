//! Makes the tokens by which nodes join. Only the one who asked ever sees one; the cluster keeps its hash.

use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use tonic::Status as Answer;
use zeroize::Zeroizing;

use super::access;
use super::convert::time_to_wire;
use super::proposing::propose;
use crate::clock::Clock;
use crate::cluster::pki::token::{JoinToken, Pin};
use crate::cluster::{Command, ControlPlane, InviteCommand, Role};
use crate::wire::v1;

pub(super) async fn invite(
    control: &ControlPlane,
    pin: Option<Pin>,
    clock: &Clock,
    request: v1::InviteRequest,
    by: access::Role,
) -> Result<v1::InviteResponse, Answer> {
    let pin =
        pin.ok_or_else(|| Answer::failed_precondition("this node's members know each other by no certificates"))?;
    let role = match request.role() {
        v1::MemberRole::Data => Role::Data,
        v1::MemberRole::Witness => Role::Witness,
        v1::MemberRole::Unspecified => return Err(Answer::invalid_argument("say which role the node is to have")),
    };
    let life = request.life.and_then(|life| Duration::try_from(life).ok());
    let life = life.ok_or_else(|| Answer::invalid_argument("say how long the token is to be good"))?;
    let mut chance = Zeroizing::new([0; 32]);
    SystemRandom::new().fill(&mut *chance).map_err(|_| Answer::unavailable("the system gives no randomness"))?;
    let (token, at) = (JoinToken::new(pin, &chance), clock.now());
    let expires = at.plus(life);
    let create = InviteCommand::Create { token_hash: token.hash(), role, expires, at };
    propose(control, Command::Invite(create)).await?;
    tracing::info!(by = by.name(), ?role, expires = expires.to_microsoft(), "invited a node to join");
    let view = control.view();
    let address = view.members.into_iter().find(|(node, _)| *node == view.node).map(|(_, address)| address);
    Ok(v1::InviteResponse {
        token: token.whole().expose().to_owned(),
        expires: Some(time_to_wire(expires)),
        address: address.unwrap_or_default(),
        pin: pin.to_string(),
    })
}
