//! What processes hold open, by the links in `/proc`. A user may hold very many files, so every look is bounded, and whoever asks is
//! told when a bound was hit.

use super::{NAMES_MAX, Tree};
use rustix::fs::{Dir, OFlags};
use std::collections::BTreeSet;

/// Open files looked at of one process.
pub const OPEN_OF_ONE_MAX: usize = 65_536;
/// Open files looked at of all processes: about a second of work.
const OF_ALL_MAX: usize = 500_000;

/// Files that are open still although others have their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// `process: path`, each process once.
    pub by: Vec<String>,
    /// Why it may not be all of them.
    pub gap: Option<String>,
}

/// How a look at what a process holds open ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// All of it was looked at, or enough: as many files.
    At(usize),
    /// It holds more than was to be looked at.
    Cut,
    /// Nobody may look, or there is no such process.
    Not,
}

/// Processes and descriptors are named by their numbers.
fn is_number(name: &[u8]) -> bool {
    name.iter().all(u8::is_ascii_digit)
}

impl Tree {
    /// The numbers of the processes that run, of [`NAMES_MAX`] names at most.
    #[must_use]
    pub fn processes(&self) -> Vec<String> {
        let mut names = self.names("/proc").unwrap_or_default();
        names.retain(|name| is_number(name.as_bytes()));
        names
    }

    /// Go through what a process holds open, `most` of it, until `enough` says so of what one of its descriptors leads to.
    pub fn look_at_open(&self, process: &str, most: usize, enough: &mut dyn FnMut(&str) -> bool) -> Looked {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        // Opened once: the way to it is not gone again for each of them.
        let Some(folder) = self.open_fact(&format!("/proc/{process}/fd"), flags) else { return Looked::Not };
        let Ok(entries) = Dir::read_from(&folder) else { return Looked::Not };
        let mut looked = 0;
        let mut buffer = Vec::new();
        for entry in entries.filter_map(Result::ok) {
            if !is_number(entry.file_name().to_bytes()) {
                continue;
            }
            if looked == most {
                return Looked::Cut;
            }
            looked += 1;
            // Closed since, or no link.
            let Ok(target) = rustix::fs::readlinkat(&folder, entry.file_name(), std::mem::take(&mut buffer)) else {
                continue;
            };
            if enough(&target.to_string_lossy()) {
                break;
            }
            buffer = target.into_bytes();
        }
        Looked::At(looked)
    }

    /// Files that processes hold open although others have their names now: they go on with the old ones.
    #[must_use]
    pub fn replaced_but_open(&self, paths: &[String]) -> Held {
        self.replaced_but_open_within(paths, OPEN_OF_ONE_MAX, OF_ALL_MAX)
    }

    pub(super) fn replaced_but_open_within(&self, paths: &[String], of_one: usize, of_all: usize) -> Held {
        let known: BTreeSet<&str> = paths.iter().map(String::as_str).collect();
        let mut held = Held::default();
        let Some(names) = self.names("/proc") else { return held };
        if names.len() >= NAMES_MAX {
            held.gap = Some(format!("more than {NAMES_MAX} processes run"));
        }
        let mut left = of_all;
        for process in names.iter().filter(|name| is_number(name.as_bytes())) {
            let mut found = None;
            let looked = self.look_at_open(process, of_one.min(left), &mut |target| {
                found = target.strip_suffix(" (deleted)").filter(|path| known.contains(path)).map(str::to_owned);
                found.is_some()
            });
            match looked {
                Looked::At(count) => left -= count,
                Looked::Not => {}
                Looked::Cut if left <= of_one => {
                    held.gap.get_or_insert(format!("more than {of_all} files are open"));
                    return held;
                }
                Looked::Cut => {
                    left -= of_one;
                    held.gap.get_or_insert(format!("process {process} has more than {of_one} files open"));
                }
            }
            held.by.extend(found.map(|path| format!("{process}: {path}")));
        }
        held
    }
}
