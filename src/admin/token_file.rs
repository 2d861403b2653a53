//! The files that hold the node's tokens: made at its first start, readable by their owner alone.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};

use super::access::{TOKEN_LETTERS_MAX, Tokens};
use crate::secret::{Secret, write_whole};

/// Bytes of chance in a token; nobody guesses 256 bits.
const TOKEN_BYTES: usize = 32;

/// Reads both tokens, and makes those that are not there yet.
pub fn open(administrator: &Path, monitor: &Path) -> Result<Tokens, TokenError> {
    Ok(Tokens::new(open_or_make(administrator)?, open_or_make(monitor)?))
}

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error(
        "there is no token file {}: has the node been started yet? If its data is elsewhere, give --config or \
         --token-file",
        path.display()
    )]
    Absent { path: PathBuf },
    #[error("can't read token file {}: {cause}; run as the user of the service, or as root", path.display())]
    Unreadable { path: PathBuf, cause: std::io::Error },
    #[error("can't make token file {}: {cause}; its folder must be writable by who makes it", path.display())]
    Unwritable { path: PathBuf, cause: std::io::Error },
    #[error("token file {} may be read by others: run `chmod 600` on it, or delete it to have a new one made", path.display())]
    Exposed { path: PathBuf },
    #[error("token file {} is damaged: delete it and start the node again to have a new one made", path.display())]
    Damaged { path: PathBuf },
}

fn open_or_make(path: &Path) -> Result<Secret, TokenError> {
    match read_token(path) {
        Err(TokenError::Absent { .. }) => make(path),
        read => read,
    }
}

/// Reads a token, refusing one that others may read too.
pub fn read_token(path: &Path) -> Result<Secret, TokenError> {
    let unreadable = |cause: std::io::Error| match cause.kind() {
        std::io::ErrorKind::NotFound => TokenError::Absent { path: path.to_owned() },
        _ => TokenError::Unreadable { path: path.to_owned(), cause },
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(TokenError::Exposed { path: path.to_owned() });
    }
    let mut text = zeroize::Zeroizing::new(String::with_capacity(TOKEN_LETTERS_MAX + 1));
    file.take(TOKEN_LETTERS_MAX as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
    let token = text.trim_end();
    let whole = token.len() >= TOKEN_BYTES && token.len() <= TOKEN_LETTERS_MAX;
    if !whole || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(TokenError::Damaged { path: path.to_owned() });
    }
    Ok(Secret::new(token.to_owned()))
}

fn make(path: &Path) -> Result<Secret, TokenError> {
    let unwritable = |cause| TokenError::Unwritable { path: path.to_owned(), cause };
    let secret = any_token().map_err(unwritable)?;
    keep(path, &secret)?;
    Ok(secret)
}

/// A token that nobody guesses.
pub fn any_token() -> std::io::Result<Secret> {
    let mut chance = zeroize::Zeroizing::new([0u8; TOKEN_BYTES]);
    SystemRandom::new().fill(&mut *chance).map_err(|_| std::io::Error::other("no randomness"))?;
    let text: String = chance.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Secret::new(text))
}

/// Keeps a line that is its owner's alone.
pub fn keep(path: &Path, secret: &Secret) -> Result<(), TokenError> {
    let unwritable = |cause| TokenError::Unwritable { path: path.to_owned(), cause };
    let line = zeroize::Zeroizing::new(format!("{}\n", secret.expose()));
    write_whole(path, &path.with_extension("token.new"), line.as_bytes()).map_err(unwritable)
}

#[cfg(test)]
mod tests {
    use super::super::access::Role;
    use super::*;

    #[test]
    fn a_token_file_is_made_once_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (admin, monitor) = (folder.path().join("admin.token"), folder.path().join("monitor.token"));
        let first = open(&admin, &monitor).unwrap();
        let second = open(&admin, &monitor).unwrap();
        let token = read_token(&admin).unwrap();
        assert_eq!(token.expose().len(), 2 * TOKEN_BYTES);
        assert_ne!(token, read_token(&monitor).unwrap());
        for tokens in [first, second] {
            let header = format!("Bearer {}", token.expose());
            assert_eq!(tokens.role(Some(header.as_bytes())), Some(Role::Administrator));
        }
        assert_eq!(std::fs::metadata(&admin).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn an_exposed_or_damaged_token_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.token");
        make(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read_token(&path), Err(TokenError::Exposed { .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "short\n").unwrap();
        assert!(matches!(open_or_make(&path), Err(TokenError::Damaged { .. })));
    }
}
