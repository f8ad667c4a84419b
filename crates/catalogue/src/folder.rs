//! A signed catalogue as a folder of files: what `quell catalogue sign` writes and a server reads.
//!
//! ```text
//! roots/1.json            sealed root metadata, one file per version, any of them may be missing
//! index.json              the sealed index
//! entries/<digest>.json   the bytes of each entry
//! ```
//!
//! Reading caps every size and verifies nothing; see [`crate::index::verify_bundle`].

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use protocol::{
    digest::Digest,
    root::{ROOT_BYTES_MAX, ROOT_CHAIN_MAX},
};

use crate::{
    bundle::Bundle,
    index::{INDEX_BYTES_MAX, INDEX_ENTRIES_MAX},
    schema::ENTRY_BYTES_MAX,
};

/// Why a folder could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The system refused.
    #[error("{doing} {path}: {source}", path = path.display())]
    System {
        /// What was attempted.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is larger than anything of its kind.
    #[error("reading {path}: more than {max} bytes", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The cap, in bytes.
        max: usize,
    },
    /// More files than anything sensible.
    #[error("reading {path}: more than {max} files", path = path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
        /// The cap.
        max: usize,
    },
    /// A file whose name is not what this folder holds.
    #[error("reading {path}: unexpected file, move it away", path = path.display())]
    Unexpected {
        /// The file.
        path: PathBuf,
    },
}

fn system(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::System { doing, path, source }
}

/// Read a file of at most `max` bytes.
///
/// # Errors
/// See [`FolderError`].
pub fn read_capped(path: &Path, max: usize) -> Result<Vec<u8>, FolderError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(system("opening", path))?;
    file.take(max as u64 + 1).read_to_end(&mut bytes).map_err(system("reading", path))?;
    if bytes.len() > max { Err(FolderError::TooLarge { path: path.to_owned(), max }) } else { Ok(bytes) }
}

impl Bundle {
    /// Read the folder. Nothing in it is verified yet; the digests are taken from the file names and checked later.
    ///
    /// # Errors
    /// See [`FolderError`].
    pub fn read_from(folder: &Path) -> Result<Self, FolderError> {
        let mut bundle = Self { index: read_capped(&folder.join("index.json"), INDEX_BYTES_MAX)?, ..Self::default() };
        let roots = folder.join("roots");
        if roots.is_dir() {
            let mut versions = Vec::new();
            for path in files(&roots, ROOT_CHAIN_MAX)? {
                versions.push((stem::<u64>(&path)?, path));
            }
            versions.sort();
            for (_, path) in versions {
                bundle.roots.push(read_capped(&path, ROOT_BYTES_MAX)?);
            }
        }
        for path in files(&folder.join("entries"), INDEX_ENTRIES_MAX)? {
            let digest = stem::<Digest>(&path)?;
            bundle.entries.insert(digest, read_capped(&path, ENTRY_BYTES_MAX)?);
        }
        Ok(bundle)
    }

    /// Write the folder: entries first, the index last, each file complete or not there at all. Entries of an earlier bundle
    /// that this one does not list are removed at the end, so that the folder holds this bundle only.
    ///
    /// Roots are named by the version each claims, which is what [`Bundle::read_from`] sorts by.
    ///
    /// # Errors
    /// See [`FolderError`].
    pub fn write_to(&self, folder: &Path) -> Result<(), FolderError> {
        let entries = folder.join("entries");
        let roots = folder.join("roots");
        fs::create_dir_all(&entries).map_err(system("creating", &entries))?;
        for (digest, bytes) in &self.entries {
            write_whole(&entries.join(format!("{digest}.json")), bytes)?;
        }
        for (number, sealed) in self.roots.iter().enumerate() {
            fs::create_dir_all(&roots).map_err(system("creating", &roots))?;
            let version = claimed_version(sealed).unwrap_or(number as u64 + 1);
            write_whole(&roots.join(format!("{version}.json")), sealed)?;
        }
        write_whole(&folder.join("index.json"), &self.index)?;
        for path in files(&entries, INDEX_ENTRIES_MAX.saturating_mul(2))? {
            if stem::<Digest>(&path).is_ok_and(|digest| !self.entries.contains_key(&digest)) {
                fs::remove_file(&path).map_err(system("removing", &path))?;
            }
        }
        Ok(())
    }
}

fn claimed_version(sealed: &[u8]) -> Option<u64> {
    let envelope = protocol::signed::Envelope::parse(sealed, ROOT_BYTES_MAX).ok()?;
    let root: protocol::root::Root = serde_json::from_slice(envelope.unverified_payload()).ok()?;
    Some(root.version)
}

fn files(folder: &Path, max: usize) -> Result<Vec<PathBuf>, FolderError> {
    let mut paths = Vec::new();
    for item in fs::read_dir(folder).map_err(system("reading", folder))? {
        let item = item.map_err(system("reading", folder))?;
        if paths.len() == max {
            return Err(FolderError::TooMany { path: folder.to_owned(), max });
        }
        paths.push(item.path());
    }
    Ok(paths)
}

/// What the name of a `.json` file says.
fn stem<T: std::str::FromStr>(path: &Path) -> Result<T, FolderError> {
    let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".json"));
    name.and_then(|name| name.parse().ok()).ok_or_else(|| FolderError::Unexpected { path: path.to_owned() })
}

/// Write a file under a name of its own and rename it, so that no reader sees half of it.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    let draft = path.with_extension("new");
    let mut file = File::create(&draft).map_err(system("creating", &draft))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(system("writing", &draft))?;
    fs::rename(&draft, path).map_err(system("renaming", &draft))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bundle::verify_bundle, embedded, ephemeral::Ephemeral};

    #[test]
    fn a_bundle_survives_the_folder() {
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let order = protocol::signed::SigningKey::from_secret(&[9; 32]).public();
        let made = Ephemeral::make(&order, &embedded::entries().unwrap(), 3, now, 3600).unwrap();
        let folder = tempfile::tempdir().unwrap();
        made.bundle.write_to(folder.path()).unwrap();
        let read = Bundle::read_from(folder.path()).unwrap();
        assert_eq!(read, made.bundle);
        let verified = verify_bundle(&made.root, &read.index, &read.entries, now, 0).unwrap();
        assert_eq!(verified.entries().count(), embedded::sources().len());
        // A smaller bundle over a bigger one leaves nothing behind.
        let small = Ephemeral::make(&order, &embedded::entries().unwrap()[..2], 4, now, 3600).unwrap();
        small.bundle.write_to(folder.path()).unwrap();
        assert_eq!(Bundle::read_from(folder.path()).unwrap().entries.len(), 2);
    }

    #[test]
    fn strange_and_large_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Bundle::read_from(folder.path()), Err(FolderError::System { .. })));
        fs::create_dir(folder.path().join("entries")).unwrap();
        fs::write(folder.path().join("index.json"), vec![b' '; INDEX_BYTES_MAX + 1]).unwrap();
        assert!(matches!(Bundle::read_from(folder.path()), Err(FolderError::TooLarge { .. })));
        fs::write(folder.path().join("index.json"), "{}").unwrap();
        fs::write(folder.path().join("entries/x.json"), "{}").unwrap();
        assert!(matches!(Bundle::read_from(folder.path()), Err(FolderError::Unexpected { .. })));
    }
}
