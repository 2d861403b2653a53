//! A value that never shows itself: not in logs, errors, debug output or serialised form, and wiped when dropped. And
//! the reference by which configuration names one, which may stand for what is sealed in the control state.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Longest secret read from a file: a certificate chain with its key fits, a mistaken path to a log does not.
const SECRET_BYTES_MAX: u64 = 256 << 10;

/// A secret text. It has no `Display` and no `Serialize`, and its `Debug` prints `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
    /// The plain text, for the one call that must send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where a secret is kept: `${env:NAME}` or `${file:/path}` where it was applied, and sealed in the control state from
/// then on. Resources hold the reference, never the secret itself.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SecretRef {
    Env(String),
    File(PathBuf),
    Sealed(SealedSecret),
}

/// A secret that is opened each time it is read, so that it stays in memory no longer than it is needed. Equal are those
/// that stand for the same sealed bytes under the same reference.
#[derive(Clone)]
pub struct SealedSecret {
    /// As people wrote it.
    reference: String,
    /// Tells sealed bytes from others.
    mark: [u8; 32],
    open: Arc<Open>,
}

type Open = dyn Fn() -> Result<Secret, SecretError> + Send + Sync;

impl SealedSecret {
    pub fn new(
        reference: &SecretRef,
        mark: [u8; 32],
        open: impl Fn() -> Result<Secret, SecretError> + Send + Sync + 'static,
    ) -> Self {
        Self { reference: reference.to_string(), mark, open: Arc::new(open) }
    }
}

impl PartialEq for SealedSecret {
    fn eq(&self, other: &Self) -> bool {
        (&self.reference, self.mark) == (&other.reference, other.mark)
    }
}
impl Eq for SealedSecret {}
impl Hash for SealedSecret {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (&self.reference, self.mark).hash(hasher);
    }
}

/// Why a secret can't be had. None of these repeats what was given in its place.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error(
        "a secret must not be written out here: store it apart and refer to it by `${{file:/path}}` or `${{env:NAME}}`"
    )]
    Literal,
    #[error("environment variable `{name}` is not set, or is not UTF-8: set it for the siemgate service")]
    Environment { name: String },
    #[error("can't read secret file `{}`: {cause}", path.display())]
    File { path: PathBuf, cause: String },
    #[error("the secret in {place} is empty")]
    Empty { place: String },
    #[error("the sealed secret of {place} can't be opened: {cause}")]
    Sealed { place: String, cause: String },
}

impl SecretRef {
    /// Fetches the secret. One newline at the end of a file is dropped, because editors put it there.
    pub fn read(&self) -> Result<Secret, SecretError> {
        let secret = match self {
            Self::Sealed(sealed) => (sealed.open)()?,
            Self::Env(name) => {
                Secret::new(std::env::var(name).map_err(|_| SecretError::Environment { name: name.clone() })?)
            }
            Self::File(path) => {
                let failed = |cause: String| SecretError::File { path: path.clone(), cause };
                let file = File::open(path).map_err(|error| failed(error.to_string()))?;
                // Room for all of it at once: growing would leave copies behind that nothing wipes.
                let mut text = Zeroizing::new(String::with_capacity(SECRET_BYTES_MAX as usize + 1));
                file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
                if text.len() as u64 > SECRET_BYTES_MAX {
                    return Err(failed(format!("it is larger than {SECRET_BYTES_MAX} bytes")));
                }
                Secret::new(text.strip_suffix('\n').map_or(&**text, |rest| rest.trim_end_matches('\r')).to_owned())
            }
        };
        if secret.expose().is_empty() {
            return Err(SecretError::Empty { place: self.to_string() });
        }
        Ok(secret)
    }
}

impl FromStr for SecretRef {
    type Err = SecretError;
    fn from_str(text: &str) -> Result<Self, SecretError> {
        let inner = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).ok_or(SecretError::Literal)?;
        match inner.split_once(':') {
            Some(("env", name)) if !name.is_empty() && !name.contains(['=', '\0', '$', '}']) => {
                Ok(Self::Env(name.to_owned()))
            }
            Some(("file", path)) if path.starts_with('/') && !path.contains(['\0', '}']) => {
                Ok(Self::File(PathBuf::from(path)))
            }
            _ => Err(SecretError::Literal),
        }
    }
}
impl TryFrom<String> for SecretRef {
    type Error = SecretError;
    fn try_from(text: String) -> Result<Self, SecretError> {
        Zeroizing::new(text).parse()
    }
}
impl From<SecretRef> for String {
    fn from(reference: SecretRef) -> Self {
        reference.to_string()
    }
}
impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "${{env:{name}}}"),
            Self::File(path) => write!(f, "${{file:{}}}", path.display()),
            Self::Sealed(sealed) => f.write_str(&sealed.reference),
        }
    }
}
impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Writes a file that is its owner's alone: `beside` its place, synced and moved there, so that a crash leaves the old file
/// or the new one, whole. What an earlier crash left beside it goes.
pub fn write_whole(path: &Path, beside: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(OWNERS_ALONE).open(beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(beside, path)?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(folder)?.sync_all()
}

/// Others on the host are other people.
const OWNERS_ALONE: u32 = 0o600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_as_stars() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".into())), "***");
    }

    #[test]
    fn a_reference_reads_back_from_what_it_prints() {
        for text in ["${env:CONTOSO_SECRET}", "${file:/run/credentials/siemgate/contoso}"] {
            assert_eq!(text.parse::<SecretRef>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_sealed_secret_shows_its_reference_and_is_opened_when_it_is_read() {
        let reference: SecretRef = "${env:CONTOSO_SECRET}".parse().unwrap();
        let sealed = |mark| {
            let open = || Ok(Secret::new("hunter2".into()));
            SecretRef::Sealed(SealedSecret::new(&reference, [mark; 32], open))
        };
        assert_eq!(sealed(1).read().unwrap().expose(), "hunter2");
        assert_eq!(format!("{} {:?}", sealed(1), sealed(1)), format!("{reference} {reference}"));
        assert_eq!(serde_json::to_string(&sealed(1)).unwrap(), "\"${env:CONTOSO_SECRET}\"");
        assert!(sealed(1) == sealed(1) && sealed(1) != sealed(2) && sealed(1) != reference);
    }

    #[test]
    fn a_literal_is_refused_without_being_repeated() {
        for bad in
            ["hunter2", "", "${env:}", "${file:relative}", "${vault:x}", "${env:A}hunter2", "${file:/a}/hunter2}"]
        {
            let error = bad.parse::<SecretRef>().unwrap_err();
            assert!(matches!(error, SecretError::Literal), "{bad}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_file_is_read_without_its_last_newline() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        for (content, expected) in [("hunter2\n", "hunter2"), ("a\r\nb\r\n", "a\r\nb"), ("plain", "plain")] {
            fs::write(&path, content).unwrap();
            assert_eq!(SecretRef::File(path.clone()).read().unwrap().expose(), expected);
        }
        fs::write(&path, "\n").unwrap();
        assert!(matches!(SecretRef::File(path.clone()).read(), Err(SecretError::Empty { .. })));
        fs::write(&path, vec![b'x'; SECRET_BYTES_MAX as usize + 1]).unwrap();
        assert!(matches!(SecretRef::File(path).read(), Err(SecretError::File { .. })));
        assert!(matches!(SecretRef::File("/nowhere".into()).read(), Err(SecretError::File { .. })));
        assert!(matches!(SecretRef::Env("SIEMGATE_NOT_SET".into()).read(), Err(SecretError::Environment { .. })));
    }

    #[test]
    fn a_file_is_replaced_whole_and_is_its_owners_alone_whatever_a_crash_left_beside_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (path, beside) = (folder.path().join("key"), folder.path().join("key.new"));
        for old in [path.as_path(), beside.as_path()] {
            fs::write(old, "half of something longer").unwrap();
            fs::set_permissions(old, fs::Permissions::from_mode(0o644)).unwrap();
        }
        write_whole(&path, &beside, b"whole").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!beside.exists());
        assert!(write_whole(&folder.path().join("gone/key"), &folder.path().join("gone/new"), b"x").is_err());
    }
}
