//! Large files and large folders: a file that is changed without being held in memory, and a bounded search below a folder.
//!
//! The rules are those of [`super`]: no link is followed, every directory on the way to something that is written is safe, and a
//! file is replaced by one rename. What is written comes from the opened file itself, so that a name that somebody swaps meanwhile
//! changes nothing but the outcome.

use super::{FsError, TEMPORARY, Tree, Why, copy_attributes, os, sync};
use crate::failpoint;
use crate::record::FileState;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// Bounds of a search.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Folders below the first.
    pub depth: usize,
    /// Names looked at.
    pub names: usize,
}

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Paths of regular files, sorted.
    pub files: Vec<String>,
    /// Why it may not be all of them.
    pub gap: Option<String>,
}

impl Tree {
    /// Open a regular file for reading; nothing when there is none. No link is followed on the way.
    ///
    /// # Errors
    /// See [`Why`].
    pub fn open_large(&self, path: &str) -> Result<Option<File>, FsError> {
        let fail = |why| FsError { what: "reading", path: path.to_owned(), why };
        let Some((parent, name)) = self.parent(path).map_err(fail)? else { return Ok(None) };
        open_at(&parent, &name).map_err(fail)
    }

    /// The state of a large file, by reading it through; nothing when there is none.
    ///
    /// # Errors
    /// See [`Why`]; [`Why::TooLarge`] beyond `bytes_max`.
    pub fn large_state(&self, path: &str, bytes_max: u64) -> Result<Option<FileState>, FsError> {
        let fail = |why| FsError { what: "reading", path: path.to_owned(), why };
        match self.open_large(path)? {
            Some(mut file) => state_of(&mut file, bytes_max).map(Some).map_err(fail),
            None => Ok(None),
        }
    }

    /// Replace a regular file by what `write` makes of it, in one rename. The file must be `before`, and what is written must
    /// turn out to be `after`; mode and owner are those of `after`.
    ///
    /// # Errors
    /// See [`Why`]; the old file is in place unless the error came from syncing the directory.
    pub fn replace_large(
        &self,
        path: &str,
        before: &FileState,
        after: &FileState,
        tag: &str,
        write: &mut dyn FnMut(&mut File, &mut dyn Write) -> io::Result<()>,
    ) -> Result<(), FsError> {
        let fail = |why| FsError { what: "writing", path: path.to_owned(), why };
        let (parent, name) = self.safe_parent(path).map_err(fail)?;
        let temporary = format!("{TEMPORARY}{tag}-{name}");
        let done = self.write_large(&parent, &name, &temporary, before, after, write).and_then(|(inode, device)| {
            failpoint::hit("before-replace");
            // The file that was read is still the one that has the name.
            let now = rustix::fs::statat(&parent, &name, AtFlags::SYMLINK_NOFOLLOW)?;
            if (now.st_ino, now.st_dev) != (inode, device) {
                return Err(Why::Changed);
            }
            rustix::fs::renameat(&parent, &temporary, &parent, &name)?;
            failpoint::hit("after-replace");
            sync(&parent)
        });
        if done.is_err() {
            let _ = rustix::fs::unlinkat(&parent, &temporary, AtFlags::empty());
        }
        done.map_err(fail)
    }

    fn write_large(
        &self,
        parent: &OwnedFd,
        name: &str,
        temporary: &str,
        before: &FileState,
        after: &FileState,
        write: &mut dyn FnMut(&mut File, &mut dyn Write) -> io::Result<()>,
    ) -> Result<(u64, u64), Why> {
        let mut old = open_at(parent, name)?.ok_or(Why::Changed)?;
        let stat = rustix::fs::fstat(&old)?;
        let links = u64::try_from(u128::from(stat.st_nlink)).unwrap_or(u64::MAX);
        if links > 1 {
            return Err(Why::HardLinks(links));
        }
        if state_of(&mut old, u64::MAX)? != *before {
            return Err(Why::Changed);
        }
        let _ = rustix::fs::unlinkat(parent, temporary, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let new = rustix::fs::openat(parent, temporary, flags, Mode::from_raw_mode(0o600))?;
        if (after.uid, after.gid) != (self.uid, self.gid) {
            let (uid, gid) = (rustix::fs::Uid::from_raw(after.uid), rustix::fs::Gid::from_raw(after.gid));
            rustix::fs::fchown(&new, Some(uid), Some(gid))?;
        }
        rustix::fs::fchmod(&new, Mode::from_raw_mode(after.mode))?;
        copy_attributes(parent, name, &new);
        let mut to = Hashing { to: io::BufWriter::new(File::from(new)), hash: Sha256::new() };
        old.seek(SeekFrom::Start(0)).map_err(|error| os(&error))?;
        write(&mut old, &mut to).map_err(|error| os(&error))?;
        let Hashing { to, hash } = to;
        if hex(&hash.finalize()) != after.digest {
            return Err(Why::Changed);
        }
        let new = to.into_inner().map_err(|error| os(error.error()))?;
        new.sync_all().map_err(|error| os(&error))?;
        Ok((stat.st_ino, stat.st_dev))
    }

    /// All regular files below a folder whose name fits, without following a link, within bounds.
    ///
    /// # Errors
    /// When the folder itself cannot be opened; one that does not exist holds nothing.
    pub fn find(&self, folder: &str, limits: Limits, fits: &dyn Fn(&str) -> bool) -> Result<Found, FsError> {
        let mut found = Found::default();
        let probe = format!("{folder}/x");
        let opened = self.walk(&probe, false);
        let start = match opened {
            Ok(Some((start, _))) => start,
            Ok(None) => return Ok(found),
            Err(Why::Link) => {
                found.gap = Some(format!("{folder} is behind a link, which is not followed"));
                return Ok(found);
            }
            Err(why) => return Err(FsError { what: "searching", path: folder.to_owned(), why }),
        };
        let mut left = limits.names;
        // A folder is opened when its turn comes: held open are those above it, however many lie side by side.
        let mut todo = vec![(Rc::new(start), None::<String>, folder.to_owned(), 0_usize)];
        while let Some((above, name, shown, depth)) = todo.pop() {
            let directory = match name {
                None => above,
                Some(name) => {
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    match rustix::fs::openat(&*above, &name, flags, Mode::empty()) {
                        Ok(directory) => Rc::new(directory),
                        // Removed or swapped for a link since: not followed.
                        Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => continue,
                        Err(_) => {
                            found.gap.get_or_insert(format!("{shown} cannot be read"));
                            continue;
                        }
                    }
                }
            };
            let Ok(entries) = Dir::read_from(&*directory) else {
                found.gap.get_or_insert(format!("{shown} cannot be read"));
                continue;
            };
            for entry in entries.filter_map(Result::ok) {
                let shown_name = entry.file_name().to_string_lossy();
                if shown_name == "." || shown_name == ".." {
                    continue;
                }
                if left == 0 {
                    found.gap.get_or_insert(format!("{folder} holds more than {} names", limits.names));
                    found.files.sort_unstable();
                    return Ok(found);
                }
                left -= 1;
                let path = format!("{shown}/{shown_name}");
                let kind = kind_of(&directory, entry.file_name(), entry.file_type());
                let Ok(name) = entry.file_name().to_str() else {
                    // It cannot be named in a plan, so it is not passed over as if it were not there.
                    if kind == FileType::Directory || (kind == FileType::RegularFile && fits(&shown_name)) {
                        found.gap.get_or_insert(format!("{path} has a name that is no text"));
                    }
                    continue;
                };
                match kind {
                    FileType::RegularFile if fits(name) => found.files.push(path),
                    FileType::Directory if depth >= limits.depth => {
                        found.gap.get_or_insert(format!("{path} is nested too deep"));
                    }
                    FileType::Directory => todo.push((Rc::clone(&directory), Some(name.to_owned()), path, depth + 1)),
                    _ => {}
                }
            }
        }
        found.files.sort_unstable();
        Ok(found)
    }
}

fn kind_of(directory: &OwnedFd, name: &CStr, told: FileType) -> FileType {
    if told != FileType::Unknown {
        return told;
    }
    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
    stat.map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode))
}

fn open_at(parent: &OwnedFd, name: &str) -> Result<Option<File>, Why> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(Why::Link),
        Err(errno) => return Err(errno.into()),
    };
    match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(Some(File::from(file))),
        _ => Err(Why::NotA("regular file")),
    }
}

/// State of an open file, read from its start.
pub(super) fn state_of(file: &mut File, bytes_max: u64) -> Result<FileState, Why> {
    let stat = rustix::fs::fstat(&*file)?;
    let too_large = || Why::TooLarge(usize::try_from(bytes_max).unwrap_or(usize::MAX));
    if u64::try_from(stat.st_size).unwrap_or(u64::MAX) > bytes_max {
        return Err(too_large());
    }
    file.seek(SeekFrom::Start(0)).map_err(|error| os(&error))?;
    let mut to = Hashing { to: io::sink(), hash: Sha256::new() };
    let mut limited = (&*file).take(bytes_max.saturating_add(1));
    let read = io::copy(&mut limited, &mut to).map_err(|error| os(&error))?;
    if read > bytes_max {
        return Err(too_large());
    }
    let digest = hex(&to.hash.finalize());
    Ok(FileState { digest, mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid })
}

/// Hands everything on and keeps its SHA-256.
pub struct Hashing<W> {
    to: W,
    hash: Sha256,
}

impl Hashing<io::Sink> {
    /// The digest of what `write` writes, which goes nowhere.
    ///
    /// # Errors
    /// What `write` says.
    pub fn digest_of<E>(write: impl FnOnce(&mut dyn Write) -> Result<(), E>) -> Result<String, E> {
        let mut to = Hashing { to: io::sink(), hash: Sha256::new() };
        write(&mut to)?;
        Ok(hex(&to.hash.finalize()))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
