//! Calling a program and coming back: fixed arguments, an empty environment, a deadline, and an end in any case.
//!
//! A program runs in a process group of its own, so that what it started (dpkg below apt-get) ends with it: it is asked to end,
//! then the whole group is made to. What has left the group, a daemon started by a maintainer script, goes on; when it has kept
//! our pipe open, its output is not waited for. Which programs are called is decided elsewhere.

mod said;
mod spool;

use crate::host::Said;
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use said::{Kept, last_words};
use spool::Spool;
pub(crate) use spool::empty_if_full;
use std::cell::RefCell;
use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long output is waited for after a program has ended.
const OUTPUT_WAIT: Duration = Duration::from_secs(2);
/// Between asking a whole group to end that was asked more gently before, and making it.
const TERM_WAIT: Duration = Duration::from_secs(5);
/// Output held in memory at most, whatever a caller asks for, in bytes per stream.
const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What is kept of the errors of a program whose output is read by a program, in bytes.
const ERRORS_BYTES_MAX: usize = 3072;

/// Who is asked to end when a program has had its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// The program and everything it started.
    Group,
    /// The program alone, by an interrupt: what it started at the moment may finish first.
    Leader,
    /// Nobody: it has until then to finish by itself.
    Nobody,
}

/// How long a program may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Until it is asked to end.
    pub limit: Duration,
    /// From then until it is made to.
    pub grace: Duration,
    /// Who is asked.
    pub ask: Ask,
}

/// Why a program has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// It could not be called, or not be heard.
    #[error("{0}")]
    Failed(String),
    /// It took too long and was stopped, with what it said last.
    #[error("{0}")]
    Stopped(String),
}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        fault.to_string()
    }
}

/// Call a program whose output is for people: head and tail of it, `keep` bytes, both streams in the order in which they were
/// written.
///
/// # Errors
/// See [`Fault`].
pub(crate) fn run(program: &str, arguments: &[&str], patience: Patience, keep: usize) -> Result<Said, Fault> {
    let failed = |error| Fault::Failed(format!("starting {program}: {error}"));
    // One pipe for both streams, so that nobody has to guess their order.
    let (from, to) = std::io::pipe().map_err(failed)?;
    let mut command = command(program, arguments);
    command.stdout(to.try_clone().map_err(failed)?).stderr(to);
    let mut running = Running::start(command, program, patience)?;
    let said = running.collect(from, Kept::ends(keep.min(HELD_BYTES_MAX)));
    let status = running.end(patience, &|| text(&said), &mut || {})?;
    Ok(Said { ok: status.success(), text: text(&said) })
}

/// As [`run`], for a program that has to come to its own end when we are killed: what it says goes to the file `out`, which is kept
/// small and removed after it, and `begun` hears its process group at once.
///
/// # Errors
/// See [`Fault`].
pub(crate) fn run_noted(
    program: &str,
    arguments: &[&str],
    patience: Patience,
    keep: usize,
    out: &Path,
    begun: &mut dyn FnMut(u32),
) -> Result<Said, Fault> {
    let failed = |error| Fault::Failed(format!("starting {program}: {error}"));
    let spool = Spool::create(out, keep.min(HELD_BYTES_MAX)).map_err(failed)?;
    let mut command = command(program, arguments);
    command.stdout(spool.writer().map_err(failed)?).stderr(spool.writer().map_err(failed)?);
    let spool = RefCell::new(spool);
    let running = Running::start(command, program, patience);
    let ended = running.and_then(|running| {
        begun(running.child.id());
        running.end(patience, &|| spool.borrow_mut().text(), &mut || spool.borrow_mut().tend())
    });
    let text = spool.borrow_mut().text();
    let _ = std::fs::remove_file(out);
    Ok(Said { ok: ended?.success(), text })
}

/// Call a program whose output is read by a program: what it writes to its standard output, all of it; where it fails, its errors
/// after that.
///
/// # Errors
/// See [`Fault`]; also where it writes more than `most` bytes, because what is missing would be read as not there.
pub(crate) fn read(program: &str, arguments: &[&str], patience: Patience, most: usize) -> Result<Said, Fault> {
    let failed = |error| Fault::Failed(format!("starting {program}: {error}"));
    let (from, out) = std::io::pipe().map_err(failed)?;
    let (errors_from, errors) = std::io::pipe().map_err(failed)?;
    let mut command = command(program, arguments);
    command.stdout(out).stderr(errors);
    let mut running = Running::start(command, program, patience)?;
    let said = running.collect(from, Kept::head(most.min(HELD_BYTES_MAX)));
    let errors = running.collect(errors_from, Kept::ends(ERRORS_BYTES_MAX));
    let status = running.end(patience, &|| format!("{}\n{}", text(&said), text(&errors)), &mut || {})?;
    let (out, errors) = (text(&said), text(&errors));
    match status.success() {
        true if lock(&said).whole() => Ok(Said { ok: true, text: out }),
        true => Err(Fault::Failed(format!("{program} said more than {most} bytes, which is not read"))),
        false => Ok(Said { ok: false, text: format!("{out}\n{errors}").trim().to_owned() }),
    }
}

fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command.current_dir("/").stdin(Stdio::null()).process_group(0);
    command
}

type Shared = Arc<Mutex<Kept>>;

fn lock(said: &Shared) -> std::sync::MutexGuard<'_, Kept> {
    said.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text(said: &Shared) -> String {
    lock(said).text().trim().to_owned()
}

/// A program that was started, and who reads what it says.
struct Running<'a> {
    program: &'a str,
    child: Child,
    done: Sender<()>,
    ended: Receiver<()>,
}

impl<'a> Running<'a> {
    /// Start it. Our ends of its pipes go with the command, so that its output ends when it does.
    fn start(mut command: Command, program: &'a str, patience: Patience) -> Result<Self, Fault> {
        if patience.limit.is_zero() {
            return Err(Fault::Failed(format!("{program} was not called, because the time for it is over")));
        }
        let child = command.spawn().map_err(|error| Fault::Failed(format!("starting {program}: {error}")))?;
        let (done, ended) = channel();
        Ok(Self { program, child, done, ended })
    }

    /// Read a stream to its end, keep of it what is to be kept, and note when it ended. It is read on even when nobody waits any
    /// more, so that whoever holds the other end is never stuck on a full pipe.
    fn collect(&mut self, mut from: impl Read + Send + 'static, kept: Kept) -> Shared {
        let said = Arc::new(Mutex::new(kept));
        let (shared, done) = (Arc::clone(&said), self.done.clone());
        std::thread::spawn(move || {
            let mut block = [0; 8192];
            while let Ok(read) = from.read(&mut block) {
                let Some(new) = block.get(..read).filter(|new| !new.is_empty()) else { break };
                lock(&shared).take(new);
            }
            drop(done);
        });
        said
    }

    /// Wait for its end, or bring it about; `tend` is called again and again meanwhile.
    fn end(self, patience: Patience, said: &dyn Fn() -> String, tend: &mut dyn FnMut()) -> Result<ExitStatus, Fault> {
        let Self { program, mut child, done, ended } = self;
        drop(done);
        let waited = wait(&mut child, patience.limit, tend);
        let status = waited.map_err(|error| Fault::Failed(format!("waiting for {program}: {error}")))?;
        if status.is_none() {
            stop(&mut child, patience, tend);
        }
        // Nothing is ever sent: the channel closes when the last reader is done.
        let _ = ended.recv_timeout(OUTPUT_WAIT);
        status.ok_or_else(|| {
            let (seconds, words) = (patience.limit.as_secs().max(1), last_words(&said()));
            Fault::Stopped(format!("{program} took longer than {seconds} s and was stopped{words}"))
        })
    }
}

/// How it ended, or nothing when it has not within this time.
fn wait(child: &mut Child, limit: Duration, tend: &mut dyn FnMut()) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        tend();
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ask it to end, then make the whole group. The child is the group's leader and has not been waited for, so the number still is
/// the group's.
fn stop(child: &mut Child, patience: Patience, tend: &mut dyn FnMut()) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let signal = |signal| group.map(|group| kill_process_group(group, signal));
    match patience.ask {
        Ask::Group => {
            signal(Signal::TERM);
        }
        Ask::Leader => {
            group.map(|leader| kill_process(leader, Signal::INT));
        }
        Ask::Nobody => {}
    }
    let mut leader_ended = false;
    if emptied(child, group, patience.grace, &mut leader_ended, tend) {
        return;
    }
    if patience.ask != Ask::Group {
        signal(Signal::TERM);
        if emptied(child, group, TERM_WAIT, &mut leader_ended, tend) {
            return;
        }
    }
    signal(Signal::KILL);
    let _ = wait(child, OUTPUT_WAIT, tend);
}

/// Whether the group is empty within this time.
fn emptied(
    child: &mut Child,
    group: Option<Pid>,
    within: Duration,
    leader_ended: &mut bool,
    tend: &mut dyn FnMut(),
) -> bool {
    let deadline = Instant::now() + within;
    loop {
        // The leader may end before those it started; the group is empty when there is nobody left to ask.
        *leader_ended = *leader_ended || !matches!(child.try_wait(), Ok(None));
        if *leader_ended && group.is_none_or(|group| test_kill_process_group(group).is_err()) {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        tend();
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BRIEF: Patience =
        Patience { limit: Duration::from_millis(500), grace: Duration::from_millis(500), ask: Ask::Group };
    const LONG: Patience = Patience { limit: Duration::from_secs(60), grace: Duration::from_secs(1), ask: Ask::Group };

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
            assert!(matches!(&error, Fault::Stopped(text) if text.contains("was stopped")), "{error}");
            let pid = std::fs::read_to_string(&note).unwrap();
            assert!(gone(pid.trim()), "{script}");
        }
    }

    #[test]
    fn what_a_package_manager_started_may_finish_when_that_one_is_asked_to_end() {
        let folder = tempfile::tempdir().unwrap();
        let (note, patience) = (folder.path().join("end"), Patience { grace: Duration::from_secs(30), ..BRIEF });
        // As apt-get and dpkg: the interrupt does not reach what is at work.
        let script = "sh -c 'trap \"echo killed > $0; exit\" INT TERM; sleep 2; echo finished > $0' \"$0\" & wait";
        for (ask, end) in [(Ask::Leader, "finished"), (Ask::Nobody, "finished"), (Ask::Group, "killed")] {
            let patience = Patience { ask, ..patience };
            let error = run("/bin/sh", &["-c", script, note.to_str().unwrap()], patience, 100).unwrap_err();
            assert!(matches!(error, Fault::Stopped(_)), "{ask:?}: {error}");
            assert_eq!(std::fs::read_to_string(&note).unwrap().trim(), end, "{ask:?}");
        }
    }

    #[test]
    fn a_daemon_that_keeps_our_pipe_open_is_not_waited_for() {
        let before = Instant::now();
        let said = run("/bin/sh", &["-c", "sleep 45 & echo done"], LONG, 100).unwrap();
        assert!(before.elapsed() < Duration::from_secs(30), "{:?}", before.elapsed());
        assert_eq!((said.ok, said.text.as_str()), (true, "done"));
    }

    #[test]
    fn both_streams_are_kept_in_their_order_with_head_and_tail() {
        let said = run("/bin/sh", &["-c", "echo first >&2; echo second; echo third >&2; exit 3"], BRIEF, 100).unwrap();
        assert_eq!((said.ok, said.text.as_str()), (false, "first\nsecond\nthird"));
        let script = "echo begins; yes 2>/dev/null | head -c 300000; echo the cause >&2; exit 1";
        let said = run("/bin/sh", &["-c", script], LONG, 1000).unwrap();
        assert!(!said.ok && said.text.len() <= 1000, "{}", said.text.len());
        assert!(said.text.starts_with("begins\ny\n") && said.text.ends_with("y\nthe cause"), "{}", said.text);
        assert!(said.text.contains("bytes cut ...]"), "{}", said.text);
        let error = run("/bin/sh", &["-c", "echo Unpacking x >&2; sleep 60"], BRIEF, 100).unwrap_err();
        assert!(error.to_string().ends_with("; it said last: Unpacking x"), "{error}");
    }

    #[test]
    fn a_program_that_outlives_us_writes_to_a_file_and_is_heard_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("said");
        std::fs::write(&out, "of an agent before").unwrap();
        let mut group = 0;
        let script = "echo $$; echo second >&2; yes 2>/dev/null | head -c 300000; echo the cause >&2; exit 3";
        let said = run_noted("/bin/sh", &["-c", script], LONG, 1000, &out, &mut |begun| group = begun).unwrap();
        assert!(!said.ok && said.text.len() <= 1000, "{}", said.text.len());
        let head = format!("{group}\nsecond\ny\n");
        assert!(said.text.starts_with(&head) && said.text.ends_with("y\nthe cause"), "{}", said.text);
        let script = ["-c", "echo Unpacking x; sleep 60"];
        let error = run_noted("/bin/sh", &script, BRIEF, 100, &out, &mut |_| {}).unwrap_err();
        assert!(error.to_string().ends_with("; it said last: Unpacking x"), "{error}");
        assert!(!out.exists());
    }

    #[test]
    fn a_program_that_says_too_much_fills_no_disk_and_is_not_stopped_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("said");
        // It goes on when its file was made small, which is looked at by the one who wrote too much.
        let script = "echo begins; yes 2>/dev/null | head -c 50000000 || exit 7; \
                      while [ $(stat -c %s \"$0\") -gt 8388608 ]; do :; done; echo the cause >&2; exit 3";
        let said = run_noted("/bin/sh", &["-c", script, out.to_str().unwrap()], LONG, 1000, &out, &mut |_| {}).unwrap();
        assert!(!said.ok && said.text.starts_with("begins\ny\n"), "{}", said.text);
        assert!(said.text.ends_with("y\nthe cause") && said.text.contains(" bytes cut ...]"), "{}", said.text);
    }

    #[test]
    fn what_a_program_reads_is_whole_and_without_warnings() {
        let said = read("/bin/sh", &["-c", "echo W: old >&2; echo '{}'"], BRIEF, 100).unwrap();
        assert_eq!((said.ok, said.text.as_str()), (true, "{}"));
        let said = read("/bin/sh", &["-c", "echo E: no >&2; echo '{}'; exit 1"], BRIEF, 100).unwrap();
        assert_eq!((said.ok, said.text.as_str()), (false, "{}\nE: no"));
        let error = read("/bin/sh", &["-c", "yes | head -c 300000"], LONG, 1000).unwrap_err();
        assert!(error.to_string().contains("more than 1000 bytes"), "{error}");
    }

    #[test]
    fn nothing_is_called_once_the_time_is_over() {
        let error = run("/bin/sh", &["-c", "true"], Patience { limit: Duration::ZERO, ..BRIEF }, 100).unwrap_err();
        assert!(matches!(&error, Fault::Failed(text) if text.contains("was not called")), "{error}");
    }
}
