//! The host owner's switches: files in the directory, read afresh whenever they count.

use super::*;

/// The host owner's choices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Controls {
    /// The file `halt` exists: nothing is changed, reverts included.
    pub halted: bool,
    /// The file `monitor-only` exists: checks and plans only.
    pub monitor_only: bool,
    /// The file `allow-restart` exists: the host may be restarted for an order whose entry needs it. Without it never.
    pub restart: bool,
    /// Entries in the file `deny`, one per line; a final `*` covers all that begin so.
    pub deny: Vec<String>,
}

impl Controls {
    /// The word in the facts.
    #[must_use]
    pub fn mode(&self) -> &'static str {
        match (self.halted, self.monitor_only) {
            (true, _) => "halted",
            (false, true) => "monitor_only",
            (false, false) => "normal",
        }
    }

    /// Whether the owner denies an entry.
    #[must_use]
    pub fn denies(&self, entry_id: &str) -> bool {
        self.deny.iter().any(|denied| match denied.strip_suffix('*') {
            Some(start) => entry_id.starts_with(start),
            None => denied == entry_id,
        })
    }
}

impl StateDir {
    /// The host owner's choices, read afresh. A switch that cannot be read counts as set: the safe side.
    #[must_use]
    pub fn controls(&self) -> Controls {
        let set = |name: &str| {
            std::fs::symlink_metadata(self.path.join(name))
                .map_or_else(|e| e.kind() != std::io::ErrorKind::NotFound, |_| true)
        };
        let (text, unreadable) = match self.text("deny") {
            Ok(text) => (text.unwrap_or_default(), false),
            Err(_) => (String::new(), true),
        };
        let deny = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Controls {
            halted: set("halt") || unreadable,
            monitor_only: set("monitor-only"),
            // This switch allows, so here the safe side is the other one.
            restart: std::fs::symlink_metadata(self.path.join("allow-restart")).is_ok(),
            deny: deny.map(str::to_owned).collect(),
        }
    }

    /// Set or clear a switch (`halt`, `monitor-only`, `allow-restart`).
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn switch(&self, name: &str, on: bool) -> Result<(), StateError> {
        let path = self.path.join(name);
        if on {
            return self.write(name, b"set by the host's owner\n");
        }
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(StateError::Io { what: "removing", path, source })
            }
            _ => Ok(()),
        }
    }
}
