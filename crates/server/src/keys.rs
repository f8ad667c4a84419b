//! The private keys the server holds in its data folder: the authority's, the order key and the key that seals
//! scanners' credentials, each in a file that only its owner can read. The content and organisation keys of the trust root never come here.

use crate::secrets::Sealer;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use sha2::{Digest as _, Sha256};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a key file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("cannot read or write the key file {}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read the file.
    #[error("the key file {} can be read by others; run chmod 600 on it, and replace the key if they may have", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
    },
    /// The file holds no usable key.
    #[error("the key file {} does not hold a usable private key", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
    },
}

/// The keys of the running server.
#[derive(Clone)]
pub struct Keys {
    /// Signs orders for agents.
    pub order: Arc<SigningKey>,
    /// Signs the seals of the audit log.
    pub audit: Arc<SigningKey>,
    /// Seals the credentials of scanners.
    pub sealer: Arc<Sealer>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    /// Load the keys from `data_dir/keys`, making those that do not exist.
    ///
    /// # Errors
    /// [`KeyError`] for files that cannot be used; a broken key is never replaced silently.
    pub fn load_or_create(data_dir: &Path) -> Result<Keys, KeyError> {
        let path = data_dir.join("keys").join("secrets.key");
        let text = load_or_create(&path, Sealer::fresh_key)?;
        let sealer = Sealer::from_key(&text).ok_or(KeyError::Unusable { path })?;
        let (order, audit) = (signing(data_dir, "order.pem")?, signing(data_dir, "audit.pem")?);
        Ok(Keys { order, audit, sealer: Arc::new(sealer) })
    }

    /// The name of the audit key in seals: `audit-` and the first 16 digits of the SHA-256 of its public half.
    #[must_use]
    pub fn audit_id(&self) -> String {
        let digest = Sha256::digest(self.audit.verifying_key().as_bytes());
        format!("audit-{}", digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>())
    }
}

fn signing(data_dir: &Path, name: &str) -> Result<Arc<SigningKey>, KeyError> {
    let path = data_dir.join("keys").join(name);
    let pem = load_or_create(&path, || {
        let key = SigningKey::from_bytes(&rand::random());
        key.to_pkcs8_pem(LineEnding::LF).expect("an ed25519 key can be encoded").to_string()
    })?;
    SigningKey::from_pkcs8_pem(&pem).map(Arc::new).map_err(|_| KeyError::Unusable { path })
}

/// The text of the secret file at `path`; when there is none, `make` it and keep it with mode 0600 in a folder of mode
/// 0700, complete or not at all.
///
/// # Errors
/// [`KeyError`] when the file cannot be read or written, or when others can read it.
pub fn load_or_create(path: &Path, make: impl FnOnce() -> String) -> Result<String, KeyError> {
    let wrap = |source| KeyError::File { path: path.to_owned(), source };
    match fs::metadata(path) {
        Ok(meta) if meta.permissions().mode() & 0o077 != 0 => return Err(KeyError::Open { path: path.to_owned() }),
        Ok(_) => return fs::read_to_string(path).map_err(wrap),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(wrap(error)),
        Err(_) => {}
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(wrap)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(wrap)?;
    }
    let text = make();
    let draft = path.with_extension(format!("new-{}", std::process::id()));
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        // A second server that starts at the same time on the same folder must not get another key: linking fails
        // where renaming would replace.
        fs::hard_link(&draft, path)
    });
    let _ = fs::remove_file(&draft);
    match written {
        Ok(()) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::read_to_string(path).map_err(wrap),
        Err(error) => Err(wrap(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_kept_private_and_refused_when_others_can_read_it() {
        let folder = std::env::temp_dir().join(format!("quell-keys-{}", uuid::Uuid::new_v4()));
        let first = Keys::load_or_create(&folder).unwrap();
        let again = Keys::load_or_create(&folder).unwrap();
        assert_eq!(first.order.to_bytes(), again.order.to_bytes());
        let path = folder.join("keys/order.pem");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Keys::load_or_create(&folder), Err(KeyError::Open { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "garbage").unwrap();
        assert!(matches!(Keys::load_or_create(&folder), Err(KeyError::Unusable { .. })));
        fs::remove_dir_all(&folder).unwrap();
    }
}
