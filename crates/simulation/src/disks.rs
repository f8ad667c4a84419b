//! What is on the hosts' disks.

use std::path::{Path, PathBuf};

/// Files below `root` that are not as they are below `template`.
pub fn changed(template: &Path, root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    compare(template, root, Path::new(""), &mut found);
    found.sort();
    found
}

fn compare(template: &Path, root: &Path, below: &Path, found: &mut Vec<PathBuf>) {
    use std::os::unix::fs::MetadataExt as _;
    let mut names = std::collections::BTreeSet::new();
    for side in [template, root] {
        if let Ok(entries) = std::fs::read_dir(side.join(below)) {
            names.extend(entries.flatten().map(|entry| entry.file_name()));
        }
    }
    for name in names {
        let path = below.join(name);
        let meta = |side: &Path| std::fs::symlink_metadata(side.join(&path)).ok();
        match (meta(template), meta(root)) {
            (Some(before), Some(after)) if before.is_dir() && after.is_dir() => compare(template, root, &path, found),
            (None, Some(after)) if after.is_dir() => compare(template, root, &path, found),
            (Some(before), Some(after)) if before.mode() == after.mode() => {
                let same = if before.is_symlink() {
                    std::fs::read_link(template.join(&path)).ok() == std::fs::read_link(root.join(&path)).ok()
                } else {
                    std::fs::read(template.join(&path)).ok() == std::fs::read(root.join(&path)).ok()
                };
                if !same {
                    found.push(path);
                }
            }
            _ => found.push(path),
        }
    }
}
