//! Sealed secrets and invitations as protobuf: what is said of them in the log, and what the state keeps of them.

use super::node::{role_from_wire, role_to_wire, spec_from_wire, spec_to_wire};
use super::{CodecError, array, parse};
use crate::clock::Timestamp;
use crate::cluster::invitation::{Invitation, InviteCommand, Redeemed};
use crate::cluster::secret_record::{Sealed, SecretCommand, SecretKey, SecretKind, SecretRecord};
use crate::ids::NodeId;
use crate::wire::cluster::v1 as pb;

pub(super) fn secret_to_wire(command: &SecretCommand) -> pb::SecretCommand {
    use pb::secret_command::Kind;
    let kind = match command {
        SecretCommand::Put { key, replaces, sealed, at } => Kind::Put(pb::PutSecret {
            key: Some(secret_key_to_wire(key)),
            replaces: *replaces,
            sealed: sealed.as_bytes().to_vec().into(),
            at_nanos: at.nanos(),
        }),
        SecretCommand::Delete { key } => Kind::Delete(pb::DeleteSecret { key: Some(secret_key_to_wire(key)) }),
    };
    pb::SecretCommand { kind: Some(kind) }
}

pub(super) fn secret_from_wire(wire: pb::SecretCommand) -> Result<SecretCommand, CodecError> {
    use pb::secret_command::Kind;
    Ok(match wire.kind.ok_or_else(|| CodecError::newer("a command about a secret"))? {
        Kind::Put(put) => SecretCommand::Put {
            key: secret_key_from_wire(put.key)?,
            replaces: put.replaces,
            sealed: Sealed::new(put.sealed.into()),
            at: Timestamp::from_nanos(put.at_nanos),
        },
        Kind::Delete(delete) => SecretCommand::Delete { key: secret_key_from_wire(delete.key)? },
    })
}

pub(super) fn secret_key_to_wire(key: &SecretKey) -> pb::SecretKey {
    let kind = match key.kind {
        SecretKind::Authority => pb::SecretKind::Authority,
        SecretKind::Credential => pb::SecretKind::Credential,
        SecretKind::RefreshToken => pb::SecretKind::RefreshToken,
        SecretKind::Sink => pb::SecretKind::Sink,
    };
    let tenant = key.tenant.as_ref().map(ToString::to_string).unwrap_or_default();
    pb::SecretKey { kind: kind.into(), tenant, name: key.name.clone() }
}

pub(super) fn secret_key_from_wire(wire: Option<pb::SecretKey>) -> Result<SecretKey, CodecError> {
    let wire = wire.ok_or_else(|| CodecError::absent("secret key"))?;
    let kind = match pb::SecretKind::try_from(wire.kind) {
        Ok(pb::SecretKind::Authority) => SecretKind::Authority,
        Ok(pb::SecretKind::Credential) => SecretKind::Credential,
        Ok(pb::SecretKind::RefreshToken) => SecretKind::RefreshToken,
        Ok(pb::SecretKind::Sink) => SecretKind::Sink,
        Ok(pb::SecretKind::Unspecified) => return Err(CodecError::absent("secret kind")),
        Err(_) => return Err(CodecError::newer(format!("secret kind {}", wire.kind))),
    };
    let tenant = if wire.tenant.is_empty() { None } else { Some(parse("tenant", &wire.tenant)?) };
    Ok(SecretKey { kind, tenant, name: wire.name })
}

pub(super) fn record_to_wire(record: &SecretRecord) -> pb::SecretRecord {
    pb::SecretRecord {
        sealed: record.sealed.as_bytes().to_vec().into(),
        generation: record.generation,
        updated_nanos: record.updated_at.nanos(),
    }
}

pub(super) fn record_from_wire(wire: pb::SecretRecord) -> SecretRecord {
    SecretRecord {
        sealed: Sealed::new(wire.sealed.into()),
        generation: wire.generation,
        updated_at: Timestamp::from_nanos(wire.updated_nanos),
    }
}

pub(super) fn invite_to_wire(command: &InviteCommand) -> pb::InviteCommand {
    use pb::invite_command::Kind;
    let hash = |hash: &[u8; 32]| hash.to_vec().into();
    let kind = match command {
        InviteCommand::Create { token_hash, role, expires, at } => Kind::Create(pb::CreateInvitation {
            token_hash: hash(token_hash),
            role: role_to_wire(*role).into(),
            expires_nanos: expires.nanos(),
            at_nanos: at.nanos(),
        }),
        InviteCommand::Withdraw { token_hash } => {
            Kind::Withdraw(pb::WithdrawInvitation { token_hash: hash(token_hash) })
        }
        InviteCommand::Redeem { token_hash, key_hash, spec, at } => Kind::Redeem(pb::RedeemInvitation {
            token_hash: hash(token_hash),
            key_hash: hash(key_hash),
            spec: Some(spec_to_wire(spec)),
            at_nanos: at.nanos(),
        }),
    };
    pb::InviteCommand { kind: Some(kind) }
}

pub(super) fn invite_from_wire(wire: pb::InviteCommand) -> Result<InviteCommand, CodecError> {
    use pb::invite_command::Kind;
    Ok(match wire.kind.ok_or_else(|| CodecError::newer("a command about an invitation"))? {
        Kind::Create(create) => InviteCommand::Create {
            token_hash: array("token hash", &create.token_hash)?,
            role: role_from_wire(create.role)?,
            expires: Timestamp::from_nanos(create.expires_nanos),
            at: Timestamp::from_nanos(create.at_nanos),
        },
        Kind::Withdraw(withdraw) => InviteCommand::Withdraw { token_hash: array("token hash", &withdraw.token_hash)? },
        Kind::Redeem(redeem) => InviteCommand::Redeem {
            token_hash: array("token hash", &redeem.token_hash)?,
            key_hash: array("key hash", &redeem.key_hash)?,
            spec: spec_from_wire(redeem.spec)?,
            at: Timestamp::from_nanos(redeem.at_nanos),
        },
    })
}

pub(super) fn invitation_to_wire(invitation: &Invitation) -> pb::Invitation {
    let redeemed =
        |redeemed: &Redeemed| pb::Redeemed { node: redeemed.node.0, key_hash: redeemed.key_hash.to_vec().into() };
    pb::Invitation {
        role: role_to_wire(invitation.role).into(),
        expires_nanos: invitation.expires.nanos(),
        redeemed: invitation.redeemed.as_ref().map(redeemed),
    }
}

pub(super) fn invitation_from_wire(wire: pb::Invitation) -> Result<Invitation, CodecError> {
    let redeemed = |wire: pb::Redeemed| -> Result<_, CodecError> {
        Ok(Redeemed { node: NodeId(wire.node), key_hash: array("key hash", &wire.key_hash)? })
    };
    Ok(Invitation {
        role: role_from_wire(wire.role)?,
        expires: Timestamp::from_nanos(wire.expires_nanos),
        redeemed: wire.redeemed.map(redeemed).transpose()?,
    })
}
