//! The code by which the first administrator proves who he is: drawn where a node is made, shown once there, good for one
//! use within an hour. The node keeps its hash alone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

use super::token_file::{self, TokenError};
use crate::clock::Timestamp;
use crate::secret::Secret;

/// How long a code is good for: the time it takes to hand it to somebody.
pub const CODE_LIFE: Duration = Duration::from_secs(3_600);
/// Letters that can't be mistaken for each other, five bits each.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// A hundred bits: nobody guesses them, so wrong codes need not be counted.
const LETTERS: usize = 20;
const GROUP: usize = 5;
/// A file of ours has about ninety bytes.
const FILE_BYTES_MAX: usize = 256;

#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    #[error(
        "this node waits for no code: it was used already, or none was drawn; run `siemgate init --new-code` on it"
    )]
    None,
    #[error("the code is wrong: type it as it was shown, or run `siemgate init --new-code` on the node for another")]
    Wrong,
    #[error("the code is older than an hour: run `siemgate init --new-code` on the node for another")]
    Expired,
    #[error("can't use {}: {cause}; the data directory must belong to the service's user", path.display())]
    File { path: PathBuf, cause: std::io::Error },
    #[error(transparent)]
    Unwritable(#[from] TokenError),
}

/// What the node knows of a code that was drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Drawn {
    hash: [u8; 32],
    expires: Timestamp,
}

impl Drawn {
    fn read(text: &str) -> Option<Self> {
        let (hash, expires) = text.trim_end().split_once(' ')?;
        let mut drawn = Self { hash: [0; 32], expires: Timestamp::parse(expires)? };
        let pairs = hash.as_bytes().chunks_exact(2);
        if pairs.len() != drawn.hash.len() || hash.len() != 2 * drawn.hash.len() {
            return None;
        }
        for (byte, pair) in drawn.hash.iter_mut().zip(pairs) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(drawn)
    }

    fn print(&self) -> String {
        let hash: String = self.hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{hash} {}", self.expires.to_microsoft())
    }

    /// Hashes are compared, so the time this takes tells nothing of the code.
    fn check(&self, shown: &Secret, now: Timestamp) -> Result<(), CodeError> {
        if hash(&plain(shown)) != self.hash {
            return Err(CodeError::Wrong);
        }
        if now >= self.expires { Err(CodeError::Expired) } else { Ok(()) }
    }
}

/// Draws a code in place of the one before, and leaves its hash at `path`.
pub fn draw(path: &Path, now: Timestamp) -> Result<Secret, CodeError> {
    let failed = |cause| CodeError::File { path: path.to_owned(), cause };
    let mut chance = zeroize::Zeroizing::new([0_u8; LETTERS]);
    SystemRandom::new().fill(&mut *chance).map_err(|_| failed(std::io::Error::other("no randomness")))?;
    let letters: Vec<char> = chance.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    let groups: Vec<String> = letters.chunks(GROUP).map(|group| group.iter().collect()).collect();
    let code = Secret::new(groups.join("-"));
    let drawn = Drawn { hash: hash(&plain(&code)), expires: now.plus(CODE_LIFE) };
    token_file::keep(path, &Secret::new(drawn.print()))?;
    Ok(code)
}

/// Uses the code up. Of several who show it at once, one succeeds: the one who removes the file.
pub fn redeem(path: &Path, shown: &Secret, now: Timestamp) -> Result<(), CodeError> {
    let failed = |cause: std::io::Error| match cause.kind() {
        std::io::ErrorKind::NotFound => CodeError::None,
        _ => CodeError::File { path: path.to_owned(), cause },
    };
    let text = std::fs::read(path).map_err(failed)?;
    let text = text.get(..FILE_BYTES_MAX.min(text.len())).unwrap_or_default();
    let drawn = Drawn::read(&String::from_utf8_lossy(text)).ok_or(CodeError::None)?;
    drawn.check(shown, now)?;
    std::fs::remove_file(path).map_err(failed)
}

fn hash(text: &Secret) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, text.expose().as_bytes()).as_ref());
    hash
}

/// A code as it was meant, however somebody typed it.
fn plain(shown: &Secret) -> Secret {
    let letters = shown.expose().chars().filter(|letter| !letter.is_whitespace() && *letter != '-');
    let meant = letters.map(|letter| match letter.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    });
    Secret::new(meant.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_900_000_000_000);

    #[test]
    fn a_code_works_once_however_it_is_typed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("first.code");
        let code = draw(&path, NOW).unwrap();
        assert_eq!(code.expose().len(), 23);
        let kept = std::fs::read_to_string(&path).unwrap();
        assert!(!kept.contains(&code.expose()[..5]) && !kept.contains(plain(&code).expose()), "the hash alone is kept");
        let sloppy = Secret::new(format!(" {} \n", code.expose().to_lowercase().replace('-', " ").replace('0', "o")));
        redeem(&path, &sloppy, NOW).unwrap();
        assert!(matches!(redeem(&path, &code, NOW), Err(CodeError::None)));
    }

    #[test]
    fn a_wrong_an_old_and_a_replaced_code_open_nothing_and_use_nothing_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("first.code");
        assert!(matches!(redeem(&path, &Secret::new("any".into()), NOW), Err(CodeError::None)));
        let replaced = draw(&path, NOW).unwrap();
        let code = draw(&path, NOW).unwrap();
        for wrong in [replaced, Secret::new(String::new()), Secret::new("0".repeat(100_000))] {
            assert!(matches!(redeem(&path, &wrong, NOW), Err(CodeError::Wrong)));
        }
        let late = NOW.plus(CODE_LIFE);
        assert!(matches!(redeem(&path, &code, late), Err(CodeError::Expired)));
        redeem(&path, &code, late.minus(Duration::from_secs(1))).unwrap();
    }

    #[test]
    fn a_damaged_file_is_no_code() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("first.code");
        for damaged in ["", " ", "00 2030-01-01T00:00:00Z", &format!("{} never", "0".repeat(64)), "\u{fffd}"] {
            std::fs::write(&path, damaged).unwrap();
            assert!(matches!(redeem(&path, &Secret::new(String::new()), NOW), Err(CodeError::None)), "{damaged}");
        }
    }
}
