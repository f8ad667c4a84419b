//! What is no replacement of a file: permission bits, links, kernel parameters, directories. The rules are those of [`super`].

use super::large::state_of;
use super::{FsError, Image, Node, PROGRAM_BYTES_MAX, TEMPORARY, Tree, Why, components, os, sync};
use crate::record::FileState;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::Write as _;

/// Setuid and setgid: whoever runs such a file becomes its owner, or one of its group.
pub const SPECIAL_BITS: u32 = 0o6000;

impl Tree {
    /// Change permission bits from `before` to `after`. Setuid and setgid are given to the file `mark` alone, looked at by its content
    /// while it is open, so that no other takes its name meanwhile.
    ///
    /// # Errors
    /// [`Why::Changed`] when they are not `before`, or when it is another file that would get setuid or setgid; [`Why::Unmarked`] when
    /// it would and there is no mark.
    pub fn change_mode(&self, path: &str, before: u32, after: u32, mark: Option<&FileState>) -> Result<(), FsError> {
        let fail = |why| FsError { what: "changing the mode of", path: path.to_owned(), why };
        let (parent, name) = self.safe_parent(path).map_err(fail)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&parent, &name, flags, Mode::empty()) {
            Err(Errno::LOOP) => return Err(fail(Why::Link)),
            other => other.map_err(|e| fail(e.into()))?,
        };
        let stat = rustix::fs::fstat(&file).map_err(|e| fail(e.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(fail(Why::NotA("regular file")));
        }
        if stat.st_mode & 0o7777 != before {
            return Err(fail(Why::Changed));
        }
        let mut file = File::from(file);
        if after & !before & SPECIAL_BITS != 0 {
            let mark = mark.ok_or_else(|| fail(Why::Unmarked))?;
            if !state_of(&mut file, PROGRAM_BYTES_MAX).map_err(fail)?.is_same_file(mark) {
                return Err(fail(Why::Changed));
            }
        }
        rustix::fs::fchmod(&file, Mode::from_raw_mode(after)).map_err(|e| fail(e.into()))?;
        rustix::fs::fsync(&file).map_err(|e| fail(e.into()))
    }

    /// Set, change or remove a symbolic link in one step. `before` is what must be there now.
    ///
    /// # Errors
    /// See [`Why`].
    pub fn change_link(&self, path: &str, before: Option<&str>, after: Option<&str>, tag: &str) -> Result<(), FsError> {
        let fail = |why| FsError { what: "changing the link", path: path.to_owned(), why };
        let (parent, name) = self.safe_parent(path).map_err(fail)?;
        let present = match self.node(path)? {
            Node::Absent => None,
            Node::Link(target) => Some(target),
            Node::File { .. } | Node::Other => return Err(fail(Why::NotA("symbolic link"))),
        };
        if present.as_deref() != before {
            return Err(fail(Why::Changed));
        }
        let changed = match after {
            None if before.is_none() => Ok(()),
            None => rustix::fs::unlinkat(&parent, &name, AtFlags::empty()),
            Some(target) => {
                let temporary = format!("{TEMPORARY}{tag}-{name}");
                let _ = rustix::fs::unlinkat(&parent, &temporary, AtFlags::empty());
                rustix::fs::symlinkat(target, &parent, &temporary)
                    .and_then(|()| rustix::fs::renameat(&parent, &temporary, &parent, &name))
            }
        };
        changed.map_err(|e| fail(e.into()))?;
        sync(&parent).map_err(fail)
    }

    /// Write a kernel parameter. On the live system this is procfs and takes effect at once; below another root it is a file
    /// that stands for it.
    ///
    /// # Errors
    /// See [`Why`].
    pub fn write_kernel(&self, path: &str, before: &str, after: &str) -> Result<(), FsError> {
        let fail = |why| FsError { what: "writing the kernel parameter", path: path.to_owned(), why };
        let present = self.read(path)?.ok_or_else(|| fail(Why::Os(Errno::NOENT)))?;
        if String::from_utf8_lossy(&present.bytes).trim_end() != before {
            return Err(fail(Why::Changed));
        }
        let text = format!("{after}\n");
        if !self.live {
            let new = Image { bytes: text.into_bytes(), ..present.clone() };
            return self.replace(path, &new, Some(&present.state()), "kernel");
        }
        let (parent, name) = self.parent(path).map_err(fail)?.ok_or_else(|| fail(Why::Os(Errno::NOENT)))?;
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, &name, flags, Mode::empty()).map_err(|e| fail(e.into()))?;
        File::from(file).write_all(text.as_bytes()).map_err(|e| fail(os(&e)))
    }

    /// The directories above a path that do not exist, outermost first.
    ///
    /// # Errors
    /// See [`Why`].
    pub fn missing_parents(&self, path: &str) -> Result<Vec<String>, FsError> {
        let parts = components(path).map_err(|why| FsError { what: "looking at", path: path.to_owned(), why })?;
        let mut missing = Vec::new();
        let mut at = String::new();
        for part in parts.iter().take(parts.len().saturating_sub(1)) {
            at = format!("{at}/{part}");
            if self.node(&at)? == Node::Absent {
                missing.push(at.clone());
            }
        }
        Ok(missing)
    }

    /// Make directories of mode 0755.
    ///
    /// # Errors
    /// See [`Why`]; one that exists is no error.
    pub fn make(&self, directories: &[String]) -> Result<(), FsError> {
        for path in directories {
            let fail = |why| FsError { what: "making the directory", path: path.clone(), why };
            let (parent, name) = self.safe_parent(path).map_err(fail)?;
            match rustix::fs::mkdirat(&parent, &name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => sync(&parent).map_err(fail)?,
                Err(errno) => return Err(fail(errno.into())),
            }
        }
        Ok(())
    }

    /// Remove directories that we made, innermost first, as far as they are empty.
    pub fn unmake(&self, directories: &[String]) {
        for path in directories.iter().rev() {
            if let Ok((parent, name)) = self.safe_parent(path) {
                let _ = rustix::fs::unlinkat(&parent, &name, AtFlags::REMOVEDIR);
            }
        }
    }

    /// Remove what a crash left beside a target.
    pub fn sweep(&self, path: &str, tag: &str) {
        if let Ok((parent, name)) = self.safe_parent(path) {
            let _ = rustix::fs::unlinkat(&parent, format!("{TEMPORARY}{tag}-{name}"), AtFlags::empty());
        }
    }
}
