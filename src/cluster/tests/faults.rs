//! What may go wrong in the model of takeovers, and what may be left out of its protocol.

/// A rule of the protocol left out on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Without {
    Nothing,
    /// The state takes cursors under any epoch.
    EpochCheck,
    /// The owner commits what it has sent next, acknowledged or not.
    Acknowledgement,
    /// An owner releases what it has not committed.
    CommitBeforeRelease,
    /// A new owner begins at the newest event.
    Cursors,
}

/// How often each fault, and each planned move, may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    pub recalls: u8,
    pub crashes: u8,
    pub expiries: u8,
    /// Acknowledgements that don't arrive.
    pub unheard: u8,
    /// Proposals that are lost, and that arrive twice.
    pub lost: u8,
    pub repeated: u8,
}
