//! One agent per directory. Who holds it stands in the lock's file, so that `status` can tell without taking it from anybody.

use super::*;
use crate::processes::Process;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

/// How often the lock is tried for, and the pause between two tries: whoever only looks holds it for an instant.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);
/// In the place of who holds it.
const NOBODY: &str = "nobody\n";

/// The lock on a directory, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Write down who holds it. On a full disk it is only harder to tell.
    fn say(&self, who: &str) {
        let _ = self.file.set_len(0).and_then(|()| self.file.write_all_at(who.as_bytes(), 0));
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.say(NOBODY);
    }
}

impl StateDir {
    /// Be the only agent that uses it, until what is returned is dropped.
    ///
    /// # Errors
    /// [`StateError::Locked`].
    pub fn lock(&self) -> Result<Lock, StateError> {
        let path = self.path.join("lock");
        let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = open.map_err(|source| StateError::Io { what: "opening", path: path.clone(), source })?;
        let free = |file: &File| rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok();
        let mut left = TRIES;
        while !free(&file) {
            left -= 1;
            if left == 0 {
                return Err(StateError::Locked(self.path.clone()));
            }
            std::thread::sleep(PAUSE);
        }
        let lock = Lock { file };
        let own = i32::try_from(std::process::id()).ok().and_then(Process::look);
        lock.say(&own.map_or_else(String::new, |own| format!("{} {}\n", own.pid, own.started)));
        Ok(lock)
    }

    /// Whether an agent, or a revert of the host's owner, is at work with this directory. Nobody who begins at this moment is kept
    /// from it.
    #[must_use]
    pub fn running(&self) -> bool {
        let text = self.text("lock").ok().flatten().unwrap_or_default();
        let holder = text.trim().split_once(' ');
        let holder = holder.and_then(|(pid, at)| Some((pid.parse::<i32>().ok()?, at.parse::<u64>().ok()?)));
        match holder {
            Some((pid, started)) => Process::look(pid).is_some_and(|process| process.started == started),
            None if !text.is_empty() => false,
            // Of an agent that says nothing there, as those of before. Looked at for an instant; `lock` waits longer than that.
            None => {
                let Ok(file) = File::open(self.path.join("lock")) else { return false };
                rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared).is_err()
            }
        }
    }
}
