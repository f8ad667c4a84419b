//! Files nobody here wrote, in `../shared/fixtures` beside the repository: not part of it, so a test has to do without.

use std::path::{Path, PathBuf};

/// The folder; `None`, said loudly, where it is absent.
pub fn folder() -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let found = above.map(|folder| folder.join("shared/fixtures")).find(|folder| folder.is_dir());
    if found.is_none() {
        eprintln!("SKIPPED: no ../shared/fixtures beside the repository");
    }
    found
}
