//! Calling a program and coming back: fixed arguments, an empty environment, a deadline, and an end in any case.
//!
//! A program runs in a process group of its own, so that what it started (dpkg below apt-get) ends with it: the group is asked
//! to end, then made to. What has left the group, a daemon started by a maintainer script, goes on; when it has kept our pipe
//! open, its output is not waited for. Which programs are called is decided elsewhere.

use crate::host::Said;
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long output is waited for after a program has ended.
const OUTPUT_WAIT: Duration = Duration::from_secs(2);
/// Output held in memory at most, whatever a caller asks for, in bytes per stream.
const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long a program may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Until it is asked to end.
    pub limit: Duration,
    /// From then until it is made to.
    pub grace: Duration,
}

/// Call a program; `keep` bytes of its output are kept.
///
/// # Errors
/// A sentence when it cannot be started or takes too long.
pub(crate) fn run(program: &str, arguments: &[&str], patience: Patience, keep: usize) -> Result<Said, String> {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0);
    let mut child = command.spawn().map_err(|error| format!("starting {program}: {error}"))?;
    let (done, ended) = channel();
    let held = keep.min(HELD_BYTES_MAX);
    let streams: [Option<Box<dyn Read + Send>>; 2] =
        [child.stdout.take().map(|out| Box::new(out) as _), child.stderr.take().map(|out| Box::new(out) as _)];
    let outputs = streams.map(|from| from.map(|from| collect(from, held, done.clone())));
    drop(done);
    let waited = |error| format!("waiting for {program}: {error}");
    let Some(status) = wait(&mut child, patience.limit).map_err(waited)? else {
        stop(&mut child, patience.grace);
        return Err(format!("{program} took longer than {} s and was stopped", patience.limit.as_secs()));
    };
    wait_for_output(&ended);
    let mut text = String::new();
    for output in outputs.into_iter().flatten() {
        let bytes = output.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str(&String::from_utf8_lossy(&bytes));
    }
    let cut = text.char_indices().map(|(at, _)| at).find(|at| *at >= keep);
    text.truncate(cut.unwrap_or(text.len()));
    Ok(Said { ok: status.success(), text: text.trim().to_owned() })
}

/// How it ended, or nothing when it has not within this time.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ask the whole group to end, then make it. The child is the group's leader and has not been waited for, so the number still
/// is the group's.
fn stop(child: &mut Child, grace: Duration) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let signal = |signal| group.map(|group| kill_process_group(group, signal));
    signal(Signal::TERM);
    let deadline = Instant::now() + grace;
    // The leader may end before those it started; the group is empty when there is nobody left to ask.
    let mut leader_ended = false;
    while Instant::now() < deadline {
        leader_ended = leader_ended || !matches!(child.try_wait(), Ok(None));
        let alone = leader_ended && group.is_none_or(|group| rustix::process::test_kill_process_group(group).is_err());
        if alone {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    signal(Signal::KILL);
    let _ = wait(child, OUTPUT_WAIT);
}

/// Read a stream to its end, hold the first bytes of it, and say when it ended. It is read on even when nobody waits any more,
/// so that whoever holds the other end is never stuck on a full pipe.
fn collect(mut from: Box<dyn Read + Send>, held: usize, done: Sender<()>) -> Arc<Mutex<Vec<u8>>> {
    let output = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&output);
    std::thread::spawn(move || {
        let mut block = [0; 8192];
        while let Ok(read) = from.read(&mut block) {
            let Some(new) = block.get(..read).filter(|new| !new.is_empty()) else { break };
            let mut bytes = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let room = held.saturating_sub(bytes.len()).min(new.len());
            bytes.extend_from_slice(new.get(..room).unwrap_or_default());
        }
        drop(done);
    });
    output
}

/// Until both streams have ended, or no longer.
fn wait_for_output(ended: &Receiver<()>) {
    // Nothing is ever sent: the channel closes when the last reader is done.
    let _ = ended.recv_timeout(OUTPUT_WAIT);
}

#[cfg(test)]
mod tests {
    use super::*;

    const BRIEF: Patience = Patience { limit: Duration::from_millis(500), grace: Duration::from_millis(500) };

    fn alive(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
    }

    fn gone(pid: &str) -> bool {
        (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            !alive(pid)
        })
    }

    #[test]
    fn what_a_program_started_ends_with_it_even_when_it_will_not() {
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("pid");
        for script in ["sleep 300 & echo $! > \"$0\"; wait", "trap '' TERM; sleep 300 & echo $! > \"$0\"; wait; wait"] {
            let error = run("/bin/sh", &["-c", script, note.to_str().unwrap()], BRIEF, 100).unwrap_err();
            assert!(error.contains("was stopped"), "{error}");
            let pid = std::fs::read_to_string(&note).unwrap();
            assert!(gone(pid.trim()), "{script}");
        }
    }

    #[test]
    fn a_daemon_that_keeps_our_pipe_open_is_not_waited_for() {
        let patience = Patience { limit: Duration::from_secs(60), grace: Duration::from_secs(1) };
        let before = Instant::now();
        let said = run("/bin/sh", &["-c", "sleep 45 & echo done"], patience, 100).unwrap();
        assert!(before.elapsed() < Duration::from_secs(30), "{:?}", before.elapsed());
        assert_eq!((said.ok, said.text.as_str()), (true, "done"));
    }

    #[test]
    fn output_is_cut_and_both_streams_are_read() {
        let said = run("/bin/sh", &["-c", "echo out; echo err >&2; exit 3"], BRIEF, 100).unwrap();
        assert_eq!((said.ok, said.text.as_str()), (false, "out\nerr"));
        let patience = Patience { limit: Duration::from_secs(60), ..BRIEF };
        let said = run("/bin/sh", &["-c", "yes | head -c 300000"], patience, 1000).unwrap();
        assert!(said.ok && said.text.len() <= 1000);
    }
}
