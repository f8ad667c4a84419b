//! Files nobody here wrote, in `../shared/fixtures` beside the repository: not part of it, so a test has to do without.

use std::path::PathBuf;

/// The folder; `None`, said loudly, where it is absent.
pub fn folder() -> Option<PathBuf> {
    skip::fixtures(env!("CARGO_MANIFEST_DIR"))
}
