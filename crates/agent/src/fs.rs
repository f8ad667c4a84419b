//! The only way to the host's files: below one root directory, component by component, following no link on the way to
//! anything that is written.
//!
//! Every directory on the way is opened with `O_NOFOLLOW` relative to the one before and must belong to root (under `--root`
//! also to ourselves) and be writable by nobody else, so nobody can swap a directory for a link under our feet. A file is
//! replaced by renaming a finished, synced one over it, exactly once. What may be written where is decided by callers.

mod held;
mod large;
mod places;

use crate::failpoint;
use crate::record::FileState;
use protocol::digest::Digest;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::CString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

pub use held::{Held, Looked, OPEN_OF_ONE_MAX};
pub use large::{Found, Hashing, Limits};
pub use places::SPECIAL_BITS;

/// A file larger than this is not read for editing and its prior bytes are not kept, in bytes.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;
/// A program larger than this neither loses nor gets setuid or setgid, in bytes: it is read through to know it again.
pub const PROGRAM_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// A fact larger than this counts as unreadable, in bytes: a package database is the largest.
pub const FACT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most names read from one directory.
pub const NAMES_MAX: usize = 20_000;
/// Starts the name of a file that is written before it is renamed.
const TEMPORARY: &str = ".quell-";

/// Why a file could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[error("{what} {path}: {why}")]
pub struct FsError {
    /// What was attempted.
    pub what: &'static str,
    /// The path on the host.
    pub path: String,
    /// Why not.
    pub why: Why,
}

/// See [`FsError`].
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// The path is not absolute, or holds `..` or a control character.
    #[error("not an absolute path without `..`")]
    Path,
    /// A link is on the way.
    #[error("a symbolic link is on the way, and links are not followed")]
    Link,
    /// Something other than a regular file or directory.
    #[error("not a {0}")]
    NotA(&'static str),
    /// A directory on the way could be changed by somebody else.
    #[error("the directory {0} belongs to or can be written by others than its owner root")]
    Unsafe(String),
    /// The file has other names: a change would reach them too.
    #[error("the file has {0} hard links")]
    HardLinks(u64),
    /// Larger than [`FILE_BYTES_MAX`].
    #[error("larger than {0} bytes")]
    TooLarge(usize),
    /// Setuid or setgid would be given to a file of which nobody knows that it had them.
    #[error("whether this is the file that had setuid or setgid is not known, so it is not given them")]
    Unmarked,
    /// Not what was read before: somebody else changed it meanwhile.
    #[error("it changed while we worked on it")]
    Changed,
    /// The kernel said no.
    #[error("{0}")]
    Os(#[from] Errno),
}

/// A regular file's bytes and attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Image {
    /// The image with its bytes replaced by their digest.
    #[must_use]
    pub fn state(&self) -> FileState {
        let digest = Digest::of(&self.bytes).to_string();
        FileState { digest, mode: self.mode, uid: self.uid, gid: self.gid }
    }
}

/// What is at a path, without following a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Nothing.
    Absent,
    /// A regular file with these permission bits.
    File {
        /// Permission bits.
        mode: u32,
    },
    /// A symbolic link to this text.
    Link(String),
    /// A directory or something else.
    Other,
}

/// The host's files.
#[derive(Debug)]
pub struct Tree {
    root: OwnedFd,
    path: PathBuf,
    live: bool,
    uid: u32,
    gid: u32,
}

impl Tree {
    /// Open a root directory. `/` is the live system.
    ///
    /// # Errors
    /// When it is no directory that we may read.
    pub fn open(root: &Path) -> Result<Self, FsError> {
        let live = root == Path::new("/");
        let fail = |why: Why| FsError { what: "opening the root directory", path: root.display().to_string(), why };
        // Links in the path of the root itself are the caller's own.
        let path = root.canonicalize().map_err(|e| fail(Why::Os(Errno::from_io_error(&e).unwrap_or(Errno::NOENT))))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&path, flags, Mode::empty()).map_err(|e| fail(e.into()))?;
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Ok(Self { root, path, live, uid, gid })
    }

    /// Whether this is the running system rather than a directory that looks like one.
    #[must_use]
    pub fn live(&self) -> bool {
        self.live
    }

    /// The directory below which everything happens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Owner and group that a new file gets.
    #[must_use]
    pub fn owner(&self) -> (u32, u32) {
        (self.uid, self.gid)
    }

    /// Read a regular file for editing; nothing when there is none.
    ///
    /// # Errors
    /// See [`Why`].
    pub fn read(&self, path: &str) -> Result<Option<Image>, FsError> {
        let fail = |why| FsError { what: "reading", path: path.to_owned(), why };
        let Some((parent, name)) = self.parent(path).map_err(fail)? else { return Ok(None) };
        self.read_at(&parent, &name).map_err(fail)
    }

    /// Whether what is at a path could be changed, as far as that can be told before it is: the directories on the way are safe,
    /// and a file that is to be replaced (`whole`) has no other name.
    ///
    /// # Errors
    /// Why it could not.
    pub fn changeable(&self, path: &str, whole: bool) -> Result<(), FsError> {
        let fail = |why| FsError { what: "changing", path: path.to_owned(), why };
        // Directories that are missing are made, with safe ones above them.
        let Some((parent, name)) = self.walk(path, true).map_err(fail)? else { return Ok(()) };
        match sole_name(&parent, &name) {
            Err(Why::Os(Errno::NOENT)) => Ok(()),
            checked if whole => checked.map_err(fail),
            _ => Ok(()),
        }
    }

    fn read_at(&self, parent: &OwnedFd, name: &str) -> Result<Option<Image>, Why> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(Why::Link),
            Err(errno) => return Err(errno.into()),
        };
        let stat = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Why::NotA("regular file"));
        }
        let mut bytes = Vec::new();
        let limit = FILE_BYTES_MAX as u64 + 1;
        File::from(file).take(limit).read_to_end(&mut bytes).map_err(|error| os(&error))?;
        if bytes.len() > FILE_BYTES_MAX {
            return Err(Why::TooLarge(FILE_BYTES_MAX));
        }
        Ok(Some(Image { bytes, mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid }))
    }

    /// What is at a path; a missing parent means nothing is.
    ///
    /// # Errors
    /// See [`Why`].
    pub fn node(&self, path: &str) -> Result<Node, FsError> {
        let fail = |why| FsError { what: "looking at", path: path.to_owned(), why };
        let Some((parent, name)) = self.parent(path).map_err(fail)? else { return Ok(Node::Absent) };
        let stat = match rustix::fs::statat(&parent, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(Node::Absent),
            Err(errno) => return Err(fail(errno.into())),
        };
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Node::File { mode: stat.st_mode & 0o7777 },
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&parent, &name, Vec::new()).map_err(|e| fail(e.into()))?;
                Node::Link(target.to_string_lossy().into_owned())
            }
            _ => Node::Other,
        })
    }

    /// What tells a file from the same file written again: when it was changed, its length and its number. Links are followed
    /// within the root. Nothing when there is none.
    #[must_use]
    pub fn mark(&self, path: &str) -> Option<String> {
        let stat = rustix::fs::fstat(self.open_fact(path, OFlags::RDONLY)?).ok()?;
        Some(format!("{}.{:09}:{}:{}", stat.st_mtime, stat.st_mtime_nsec, stat.st_size, stat.st_ino))
    }

    /// Read a fact: links are followed, but never out of the root. Nothing when it cannot be read.
    #[must_use]
    pub fn fact(&self, path: &str) -> Option<String> {
        let file = self.open_fact(path, OFlags::RDONLY)?;
        let mut bytes = Vec::new();
        File::from(file).take(FACT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).ok()?;
        if bytes.len() > FACT_BYTES_MAX {
            return None;
        }
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The names in a directory, sorted, links followed within the root; nothing when it cannot be read.
    #[must_use]
    pub fn names(&self, path: &str) -> Option<Vec<String>> {
        let directory = self.open_fact(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let entries = Dir::new(directory).ok()?;
        let names = entries.filter_map(Result::ok).map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter(|name| name != "." && name != "..").take(NAMES_MAX).collect();
        names.sort_unstable();
        Some(names)
    }

    /// Where a link points, as text, without following it.
    #[must_use]
    pub fn link(&self, path: &str) -> Option<String> {
        match self.node(path) {
            Ok(Node::Link(target)) => Some(target),
            _ => None,
        }
    }

    fn open_fact(&self, path: &str, flags: OFlags) -> Option<OwnedFd> {
        let path = path.strip_prefix('/')?;
        let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), inside) {
            Ok(file) => Some(file),
            // An old kernel or a container that forbids the call: without links, which is less but never wrong.
            Err(Errno::NOSYS | Errno::PERM) => {
                let (parent, name) = self.parent(&format!("/{path}")).ok()??;
                rustix::fs::openat(&parent, &name, flags | OFlags::NOFOLLOW, Mode::empty()).ok()
            }
            Err(_) => None,
        }
    }

    /// Replace or make a regular file in one rename. `expected` is what must be there now.
    ///
    /// # Errors
    /// See [`Why`]; the old file is in place unless the error came from syncing the directory.
    pub fn replace(&self, path: &str, new: &Image, expected: Option<&FileState>, tag: &str) -> Result<(), FsError> {
        let fail = |why| FsError { what: "writing", path: path.to_owned(), why };
        let (parent, name) = self.safe_parent(path).map_err(fail)?;
        self.expect(&parent, &name, expected).map_err(fail)?;
        let temporary = format!("{TEMPORARY}{tag}-{name}");
        let written = self.write_temporary(&parent, &name, &temporary, new).and_then(|()| {
            failpoint::hit("before-replace");
            // Looked at again just before the rename: the gap in which somebody else's edit could be lost is microseconds.
            self.expect(&parent, &name, expected)?;
            rustix::fs::renameat(&parent, &temporary, &parent, &name)?;
            failpoint::hit("after-replace");
            sync(&parent)
        });
        if written.is_err() {
            let _ = rustix::fs::unlinkat(&parent, &temporary, AtFlags::empty());
        }
        written.map_err(fail)
    }

    fn write_temporary(&self, parent: &OwnedFd, name: &str, temporary: &str, new: &Image) -> Result<(), Why> {
        // Left over from a crash of ours: the name holds the task, nobody else makes it.
        let _ = rustix::fs::unlinkat(parent, temporary, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(parent, temporary, flags, Mode::from_raw_mode(0o600))?;
        if (new.uid, new.gid) != (self.uid, self.gid) {
            let (uid, gid) = (rustix::fs::Uid::from_raw(new.uid), rustix::fs::Gid::from_raw(new.gid));
            rustix::fs::fchown(&file, Some(uid), Some(gid))?;
        }
        rustix::fs::fchmod(&file, Mode::from_raw_mode(new.mode))?;
        copy_attributes(parent, name, &file);
        let mut file = File::from(file);
        file.write_all(&new.bytes).and_then(|()| file.sync_all()).map_err(|error| os(&error))
    }

    /// Remove a regular file. `expected` is what must be there now.
    ///
    /// # Errors
    /// See [`Why`].
    pub fn remove(&self, path: &str, expected: &FileState) -> Result<(), FsError> {
        let fail = |why| FsError { what: "removing", path: path.to_owned(), why };
        let (parent, name) = self.safe_parent(path).map_err(fail)?;
        self.expect(&parent, &name, Some(expected)).map_err(fail)?;
        rustix::fs::unlinkat(&parent, &name, AtFlags::empty()).map_err(|e| fail(e.into()))?;
        sync(&parent).map_err(fail)
    }

    fn expect(&self, parent: &OwnedFd, name: &str, expected: Option<&FileState>) -> Result<(), Why> {
        let present = self.read_at(parent, name)?;
        if present.as_ref().map(Image::state).as_ref() != expected {
            return Err(Why::Changed);
        }
        if present.is_some() { sole_name(parent, name) } else { Ok(()) }
    }

    /// The directory of a path; nothing when a directory on the way does not exist.
    fn parent(&self, path: &str) -> Result<Option<(OwnedFd, String)>, Why> {
        self.walk(path, false)
    }

    fn safe_parent(&self, path: &str) -> Result<(OwnedFd, String), Why> {
        self.walk(path, true)?.ok_or(Why::Os(Errno::NOENT))
    }

    fn walk(&self, path: &str, safe: bool) -> Result<Option<(OwnedFd, String)>, Why> {
        let mut parts = components(path)?;
        let name = parts.pop().ok_or(Why::Path)?;
        let mut at = self.root.try_clone().map_err(|error| os(&error))?;
        let mut shown = String::new();
        if safe {
            self.require_safe(&at, "/")?;
        }
        for part in parts {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            at = match rustix::fs::openat(&at, part, flags, Mode::empty()) {
                Ok(next) => next,
                Err(Errno::NOENT) => return Ok(None),
                Err(Errno::LOOP) => return Err(Why::Link),
                Err(Errno::NOTDIR) => return Err(self.why_not_a_directory(&at, part)),
                Err(errno) => return Err(errno.into()),
            };
            shown = format!("{shown}/{part}");
            if safe {
                self.require_safe(&at, &shown)?;
            }
        }
        Ok(Some((at, name.to_owned())))
    }

    fn why_not_a_directory(&self, at: &OwnedFd, part: &str) -> Why {
        let link = rustix::fs::statat(at, part, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink);
        if link { Why::Link } else { Why::NotA("directory") }
    }

    fn require_safe(&self, directory: &OwnedFd, shown: &str) -> Result<(), Why> {
        let stat = rustix::fs::fstat(directory)?;
        let owned = stat.st_uid == 0 || (!self.live && stat.st_uid == self.uid);
        // Under `--root` with our own group: the usual 0002 mask of private groups is fine.
        let group = stat.st_mode & 0o020 != 0 && (self.live || stat.st_gid != self.gid);
        if !owned || group || stat.st_mode & 0o002 != 0 {
            return Err(Why::Unsafe(shown.to_owned()));
        }
        Ok(())
    }
}

fn sole_name(parent: &OwnedFd, name: &str) -> Result<(), Why> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    // The type of the field differs between architectures.
    let links = u64::try_from(u128::from(stat.st_nlink)).unwrap_or(u64::MAX);
    if links > 1 { Err(Why::HardLinks(links)) } else { Ok(()) }
}

fn components(path: &str) -> Result<Vec<&str>, Why> {
    let rest = path.strip_prefix('/').ok_or(Why::Path)?;
    let parts: Vec<&str> = rest.split('/').collect();
    let bad = |part: &&str| part.is_empty() || *part == "." || *part == ".." || part.contains(|c: char| c.is_control());
    if parts.iter().any(bad) { Err(Why::Path) } else { Ok(parts) }
}

fn sync(directory: &OwnedFd) -> Result<(), Why> {
    rustix::fs::fsync(directory).map_err(Why::Os)
}

/// Extended attributes (access lists, SELinux labels) of the old file, as far as the file system takes them.
fn copy_attributes(parent: &OwnedFd, name: &str, new: &impl AsFd) {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(old) = rustix::fs::openat(parent, name, flags, Mode::empty()) else { return };
    let mut list = vec![0_u8; 4096];
    let Ok(size) = rustix::fs::flistxattr(&old, list.as_mut_slice()) else { return };
    for attribute in list.get(..size).unwrap_or_default().split(|byte| *byte == 0).filter(|a| !a.is_empty()) {
        let Ok(attribute) = CString::new(attribute) else { continue };
        let mut value = vec![0_u8; 16 * 1024];
        if let Ok(size) = rustix::fs::fgetxattr(&old, attribute.as_c_str(), value.as_mut_slice()) {
            let value = value.get(..size).unwrap_or_default();
            let _ = rustix::fs::fsetxattr(new, attribute.as_c_str(), value, rustix::fs::XattrFlags::empty());
        }
    }
}

fn os(error: &std::io::Error) -> Why {
    Why::Os(Errno::from_io_error(error).unwrap_or(Errno::IO))
}

#[cfg(test)]
#[path = "fs_tests.rs"]
mod tests;
