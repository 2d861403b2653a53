//! Who may do what. Pure.
//!
//! Two roles are enough while the API is on loopback: whoever may read the administrator's token administers the node,
//! whoever may read the monitor's looks at status and metrics. What no rule allows is denied.

use crate::secret::Secret;

/// Longest token believed, in a file or a header: ours have 64 letters.
pub const TOKEN_LETTERS_MAX: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Administrator,
    Monitor,
}

impl Role {
    pub const ALL: [Self; 2] = [Self::Administrator, Self::Monitor];

    pub fn name(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Monitor => "monitor",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// See how the node does, tenants by name.
    Observe,
    /// See resources as they were applied.
    ReadResources,
    /// Change resources.
    ChangeResources,
    /// Say who may be a member of the cluster.
    ChangeMembers,
    /// See the content of events.
    ReadEvents,
    /// Move cursors, and deal with what is in quarantine.
    Operate,
}

/// Every method of the admin API with what it takes, by the name metrics and logs know it by.
pub const METHODS: &[(&str, Permission)] = &[
    ("Version", Permission::Observe),
    ("Status", Permission::Observe),
    ("Apply", Permission::ChangeResources),
    ("Get", Permission::ReadResources),
    ("List", Permission::ReadResources),
    ("Delete", Permission::ChangeResources),
    ("Tap", Permission::ReadEvents),
    ("Invite", Permission::ChangeMembers),
    ("Cluster", Permission::Observe),
    ("ChangeCluster", Permission::ChangeMembers),
    ("Cursors", Permission::Observe),
    ("MoveCursors", Permission::Operate),
    ("Subscriptions", Permission::Observe),
    ("Audit", Permission::ReadResources),
    ("Quarantine", Permission::ReadEvents),
    ("ChangeQuarantine", Permission::Operate),
    ("TestSink", Permission::Operate),
    ("StartReplay", Permission::Operate),
    ("ListReplays", Permission::Observe),
    ("ChangeReplay", Permission::Operate),
];

/// What takes no token, because it gives one.
pub const WITHOUT_TOKEN: &[&str] = &["Redeem"];

/// What takes a token of the resource it opens, or an administrator's; see `events`. The matrix test of tenants judges it.
pub const WITH_ITS_OWN_TOKEN: &[&str] = &["Subscribe"];

/// The one rule book.
pub fn may(role: Role, permission: Permission) -> bool {
    match (role, permission) {
        (Role::Administrator, _) => true,
        (Role::Monitor, Permission::Observe) => true,
        (
            Role::Monitor,
            Permission::ReadResources
            | Permission::ChangeResources
            | Permission::ChangeMembers
            | Permission::ReadEvents
            | Permission::Operate,
        ) => false,
    }
}

/// The tokens of this node.
#[derive(Debug, Clone)]
pub struct Tokens {
    administrator: Secret,
    monitor: Secret,
}

impl Tokens {
    pub fn new(administrator: Secret, monitor: Secret) -> Self {
        Self { administrator, monitor }
    }

    pub fn administrator(&self) -> &Secret {
        &self.administrator
    }

    /// Who shows this `authorization` header. Takes the same time for every wrong token of a length.
    pub fn role(&self, authorization: Option<&[u8]>) -> Option<Role> {
        let shown = bearer(authorization?)?;
        let matches = |secret: &Secret| same(shown, secret.expose().as_bytes());
        // Both are compared always, so that time doesn't tell which one came close.
        match (matches(&self.administrator), matches(&self.monitor)) {
            (true, _) => Some(Role::Administrator),
            (false, true) => Some(Role::Monitor),
            (false, false) => None,
        }
    }
}

/// The token of an `authorization` header.
pub(super) fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(7)?;
    (scheme.eq_ignore_ascii_case(b"bearer ") && token.len() <= TOKEN_LETTERS_MAX).then_some(token)
}

/// Compares without stopping at the first difference. The length is no secret.
fn same(shown: &[u8], secret: &[u8]) -> bool {
    shown.len() == secret.len()
        && shown.iter().zip(secret).fold(0, |sum, (a, b)| std::hint::black_box(sum | (a ^ b))) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens::new(Secret::new("a".repeat(64)), Secret::new("m".repeat(64)))
    }

    #[test]
    fn a_token_tells_the_role_and_anything_else_tells_nothing() {
        let tokens = tokens();
        let role = |header: &str| tokens.role(Some(header.as_bytes()));
        assert_eq!(role(&format!("Bearer {}", "a".repeat(64))), Some(Role::Administrator));
        assert_eq!(role(&format!("bearer {}", "m".repeat(64))), Some(Role::Monitor));
        for wrong in
            ["", "Bearer", "Bearer ", "Bearer a", &"a".repeat(64), &format!("Bearer {}b", "a".repeat(63)), "Basic YTph"]
        {
            assert_eq!(role(wrong), None, "{wrong}");
        }
        assert_eq!(tokens.role(None), None);
    }

    #[test]
    fn each_role_may_do_its_own_and_no_more() {
        let allowed = |role| METHODS.iter().filter(|(_, it)| may(role, *it)).map(|(name, _)| *name).collect::<Vec<_>>();
        assert_eq!(allowed(Role::Administrator).len(), METHODS.len());
        assert_eq!(allowed(Role::Monitor), ["Version", "Status", "Cluster", "Cursors", "Subscriptions", "ListReplays"]);
    }
}
