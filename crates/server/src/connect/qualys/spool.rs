//! An answer put aside whole: in memory while it is small, in an unnamed temporary file when it is not.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Seek, Write};
use std::path::PathBuf;

/// Answers up to this size never touch the disk.
const MEMORY_BYTES: usize = 1 << 20;

/// One answer's body. It can be read as often as needed, by one reader at a time. Never shown: bodies hold evidence.
pub struct Spool {
    folder: Option<PathBuf>,
    memory: Vec<u8>,
    file: Option<File>,
    length: u64,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Spool({} bytes)", self.length)
    }
}

impl Spool {
    /// An empty body; a large one will lie in `folder`, else in the system's folder for temporary files.
    pub fn new(folder: Option<PathBuf>) -> Spool {
        Spool { folder, memory: Vec::new(), file: None, length: 0 }
    }

    /// Bytes put aside so far.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether nothing was put aside.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The first bytes, for an error message.
    pub fn head(&self, bytes: usize) -> &[u8] {
        self.memory.get(..bytes).unwrap_or(&self.memory)
    }

    /// Adds to the body. Writes to the file are rare and large, the system's cache takes them.
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        if self.file.is_none() && self.memory.len() + bytes.len() <= MEMORY_BYTES {
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        if self.file.is_none() {
            // Unnamed: nobody else can open it, and it is gone when the process is.
            let mut file = match &self.folder {
                Some(folder) => tempfile::tempfile_in(folder)?,
                None => tempfile::tempfile()?,
            };
            file.write_all(&self.memory)?;
            self.memory.truncate(super::error::BODY_BYTES);
            self.memory.shrink_to_fit();
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write_all(bytes),
            None => Ok(()),
        }
    }

    /// The body from its beginning.
    pub fn reader(&mut self) -> io::Result<Box<dyn BufRead + '_>> {
        match &mut self.file {
            Some(file) => {
                file.rewind()?;
                Ok(Box::new(BufReader::with_capacity(64 << 10, file)))
            }
            None => Ok(Box::new(Cursor::new(&self.memory))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_bodies_read_back_twice() {
        for pieces in [0, 1, 3, 40] {
            let mut spool = Spool::new(None);
            let mut wanted = Vec::new();
            for piece in 0..pieces {
                let bytes = vec![piece as u8; 50_000];
                spool.push(&bytes).expect("room");
                wanted.extend_from_slice(&bytes);
            }
            assert_eq!(spool.file.is_some(), wanted.len() > MEMORY_BYTES);
            assert_eq!(spool.len(), wanted.len() as u64);
            for _ in 0..2 {
                let mut found = Vec::new();
                spool.reader().expect("reader").read_to_end(&mut found).expect("readable");
                assert!(found == wanted, "{pieces} pieces");
            }
            assert!(wanted.starts_with(spool.head(100)));
        }
    }
}
