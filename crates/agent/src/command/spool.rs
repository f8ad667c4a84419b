//! What a program writes to a file instead of a pipe, because it has to come to its own end when we do not: heard from there, and kept
//! from filling the disk.
//!
//! The program is never told that there is too much: a limit of the system's would kill it, and an error in the place of a write may
//! make it give up half way. It appends, so whoever looks after the file takes over what is in it and empties it, and it goes on.

use super::said::Kept;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

/// A larger file is emptied, in bytes. It is more than is ever kept of it, so what is written between the last look and the emptying is
/// missing where the text says that something was cut.
pub(super) const SPOOL_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The file, and what is kept of what was in it.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    kept: Kept,
    /// Up to where it was taken in.
    at: u64,
}

impl Spool {
    /// Make the file, of which `keep` bytes are kept.
    pub fn create(path: &Path, keep: usize) -> io::Result<Self> {
        // One of an agent before may still be written to: it is left to its writer.
        let _ = std::fs::remove_file(path);
        let file = OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(path)?;
        Ok(Self { file, kept: Kept::ends(keep), at: 0 })
    }

    /// The end that a program writes to.
    pub fn writer(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Keep the file small. To be called again and again while somebody writes.
    pub fn tend(&mut self) {
        if self.length() > SPOOL_BYTES_MAX {
            self.take();
            if self.file.set_len(0).is_ok() {
                self.at = 0;
            }
        }
    }

    /// What was said so far.
    pub fn text(&mut self) -> String {
        self.take();
        self.kept.text().trim().to_owned()
    }

    fn length(&self) -> u64 {
        self.file.metadata().map_or(0, |meta| meta.len())
    }

    /// Take in what is there now; who writes faster than this reads does not keep it here.
    fn take(&mut self) {
        let until = self.length();
        let mut block = [0; 8192];
        while self.at < until
            && let Ok(read) = self.file.read_at(&mut block, self.at)
        {
            let Some(new) = block.get(..read).filter(|new| !new.is_empty()) else { break };
            self.kept.take(new);
            self.at += new.len() as u64;
        }
    }
}

/// Empty a file that a program of an agent that died has filled; what it said is for nobody any more.
pub(crate) fn empty_if_full(path: &Path) {
    if std::fs::metadata(path).is_ok_and(|meta| meta.len() > SPOOL_BYTES_MAX) {
        let emptied = OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(0));
        if let Err(error) = emptied {
            tracing::warn!("{} is large and was not emptied: {error}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn the_file_stays_small_and_head_and_tail_of_all_of_it_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("said");
        let mut spool = Spool::create(&path, 1000).unwrap();
        let mut program = spool.writer().unwrap();
        program.write_all(b"begins\n").unwrap();
        let much = vec![b'y'; usize::try_from(SPOOL_BYTES_MAX).unwrap() + 1];
        let length = || std::fs::metadata(&path).unwrap().len();
        for _ in 0..3 {
            program.write_all(&much).unwrap();
            spool.tend();
            assert_eq!(length(), 0);
        }
        program.write_all(b"\nthe cause\n").unwrap();
        spool.tend();
        assert_eq!(length(), 11, "little is left where it is");
        for _ in 0..2 {
            let text = spool.text();
            assert!(text.starts_with("begins\ny") && text.ends_with("y\nthe cause"), "{text}");
            assert!(text.contains(" bytes cut ...]") && text.len() <= 1000, "{text}");
        }
        program.write_all(&much).unwrap();
        empty_if_full(&path);
        assert_eq!(length(), 0);
        program.write_all(b"goes on").unwrap();
        empty_if_full(&path);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "goes on");
    }
}
