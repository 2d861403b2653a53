//! Every bound of the vault, with its reason.

/// Longest secret: a certificate chain with its key fits several times, and sealed it fits into one command of the log.
pub const SECRET_BYTES_MAX: usize = 31 << 10;
/// Longest name of a secret: three names of resources and what stands between them.
pub const NAME_BYTES_MAX: usize = 200;
/// Key-encryption keys held at once: the newest, the one before it while secrets are sealed anew, and room for a
/// rotation that was interrupted.
pub const KEKS_MAX: usize = 4;
/// Largest key file a reader believes: a line for each key, none of them longer than 128 letters.
pub const KEY_FILE_BYTES_MAX: usize = KEKS_MAX * 128;
/// What sealing adds to a secret: two nonces, two tags, a key, a digest, an id and the words between them.
pub const ENVELOPE_OVERHEAD_BYTES: usize = 256;
/// Largest backup: the largest state the control plane takes, several times.
pub const BACKUP_BYTES_MAX: usize = 1 << 30;
