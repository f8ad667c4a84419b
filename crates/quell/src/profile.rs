//! Which server is used and with which token: flags and environment, else the file that `quell login` writes.

use crate::failure::Failure;
use crate::trust::Fingerprint;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use url::Url;

/// How to reach the server; each may also come from the file that `quell login` writes.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Server")]
pub struct ServerArguments {
    /// Address of the server: https://host:8443
    #[arg(long, global = true, env = "QUELL_SERVER", value_name = "URL")]
    pub server: Option<Url>,
    /// API token
    #[arg(long, global = true, env = "QUELL_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<String>,
    /// SHA-256 fingerprint of the server's own certificate authority
    #[arg(long, global = true, env = "QUELL_CA_SHA256", value_name = "HEX")]
    pub ca_sha256: Option<Fingerprint>,
    /// File with server, token and fingerprint [default: quell/config.toml in the configuration folder]
    #[arg(long, global = true, env = "QUELL_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What the file holds.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    server: Option<Url>,
    token: Option<String>,
    ca_sha256: Option<String>,
}

/// A server to talk to.
#[derive(Clone)]
pub struct Profile {
    /// Its address.
    pub server: Url,
    /// The token to send.
    pub token: Option<String>,
    /// The authority to trust; without it the system's.
    pub ca_sha256: Option<Fingerprint>,
}

impl ServerArguments {
    /// Where the file is.
    pub fn path(&self) -> PathBuf {
        if let Some(path) = &self.config {
            return path.clone();
        }
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
        folder.unwrap_or_default().join("quell").join("config.toml")
    }

    /// The server these arguments, else the file, name.
    ///
    /// # Errors
    /// [`Failure::NoServer`] where nobody names one.
    pub fn profile(&self) -> Result<Profile, Failure> {
        let saved = read(&self.path())?;
        let server = self.server.clone().or_else(|| saved.server.clone()).ok_or(Failure::NoServer)?;
        // What was saved belongs to the saved server: a token must not be sent to another one.
        let same = saved.server.as_ref() == Some(&server);
        let pinned = saved.ca_sha256.filter(|_| same).map(|text| text.parse().map_err(Failure::Said)).transpose()?;
        Ok(Profile {
            token: self.token.clone().or(saved.token.filter(|_| same)),
            ca_sha256: self.ca_sha256.or(pinned),
            server,
        })
    }

    /// Keep a profile in the file, readable by its owner only.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn save(&self, profile: &Profile) -> Result<PathBuf, Failure> {
        let path = self.path();
        let saved = Saved {
            server: Some(profile.server.clone()),
            token: profile.token.clone(),
            ca_sha256: profile.ca_sha256.map(|fingerprint| fingerprint.to_string()),
        };
        let text =
            toml::to_string(&saved).map_err(|error| Failure::internal("cannot write the configuration", error))?;
        write(&path, &text).map_err(|source| Failure::File { doing: "write", path: path.clone(), source })?;
        Ok(path)
    }
}

fn read(path: &Path) -> Result<Saved, Failure> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Saved::default()),
        Err(source) => return Err(Failure::File { doing: "read", path: path.to_owned(), source }),
    };
    let mode = std::fs::metadata(path).map(|meta| meta.permissions().mode()).unwrap_or_default();
    if mode & 0o077 != 0 {
        let path = path.display();
        return Err(Failure::Said(format!("{path} holds a token and can be read by others; run chmod 600 on it")));
    }
    toml::from_str(&text).map_err(|error| Failure::internal(&format!("{} is not valid", path.display()), error))
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let draft = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written =
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(&draft, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(config: PathBuf) -> ServerArguments {
        ServerArguments { server: None, token: None, ca_sha256: None, config: Some(config) }
    }

    #[test]
    fn a_saved_token_is_private_and_goes_to_its_own_server_only() {
        let folder = tempfile::tempdir().unwrap();
        let mut arguments = arguments(folder.path().join("deep/config.toml"));
        assert!(matches!(arguments.profile(), Err(Failure::NoServer)));
        let profile = Profile {
            server: "https://one.example:8443".parse().unwrap(),
            token: Some("quell_secret".to_owned()),
            ca_sha256: Some("ab".repeat(32).parse().unwrap()),
        };
        let path = arguments.save(&profile).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = arguments.profile().unwrap();
        assert_eq!((read.token, read.ca_sha256), (profile.token.clone(), profile.ca_sha256));
        arguments.server = Some("https://two.example:8443".parse().unwrap());
        let other = arguments.profile().unwrap();
        assert_eq!((other.token, other.ca_sha256), (None, None));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(arguments.profile(), Err(Failure::Said(_))));
    }
}
