//! The supervisor: the executor half with its pipes. Starts the network half, gives up its own network, and works.
//!
//! When the network half dies it is started again; when this half dies the network half ends, and whoever started us (systemd)
//! starts us again.

use crate::executor::{Executor, ExecutorError};
use crate::frame::{self, Settings, ToExecutor, ToNet};
use crate::launcher::{self, NetCommand, NetProcess};
use crate::relay;
use crate::teller::{ROOM_WAIT, Teller};
use std::process::Child;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Frames that may wait between the halves; a full queue makes the network half wait.
const QUEUE_MAX: usize = 32;
// While an order is done for minutes nobody takes frames: a network half or a server that sends the largest ones again and again
// must not fill the memory of all of the agent (1 GiB by its unit).
const _: () = assert!(QUEUE_MAX * frame::FRAME_BYTES_MAX <= 256 * 1024 * 1024);
/// How often the host's facts and the owner's switches are looked at, in seconds.
const FACTS_SECONDS: u64 = 60;
/// The longest pause before the network half is started again, in seconds.
const RESTART_SECONDS_MAX: u64 = 60;

/// Why the agent stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not begin.
    #[error(transparent)]
    Executor(#[from] ExecutorError),
    /// The network half cannot be started.
    #[error("starting the network half {program}: {source}")]
    Net {
        /// Which executable.
        program: String,
        /// Why not.
        source: std::io::Error,
    },
}

enum Heard {
    Frame(u64, Box<ToExecutor>),
    Ended(u64, String),
}

struct NetHalf {
    child: Child,
    teller: Teller,
    number: u64,
    started: Instant,
}

/// Run until killed. `quiet_seal` is for tests that cannot use the filter.
///
/// # Errors
/// See [`RunError`].
pub fn supervise(mut executor: Executor, command: &NetCommand, settings: &Settings) -> Result<(), RunError> {
    launcher::start();
    match launcher::seal() {
        Ok(()) => tracing::info!("the executor half has no network"),
        Err(reason) => tracing::warn!("the executor half keeps its network, this system cannot take it away: {reason}"),
    }
    let (to, from) = sync_channel(QUEUE_MAX);
    let mut number = 0;
    let mut pause = 0;
    loop {
        number += 1;
        let mut net = start(&executor, command, settings, number, to.clone())?;
        executor.tell_by(Some(net.teller.clone()));
        let reason = converse(&mut executor, &mut net, &from);
        executor.tell_by(None);
        let _ = net.child.kill();
        let _ = net.child.wait();
        let lived = net.started.elapsed();
        pause = if lived > Duration::from_secs(60) { 0 } else { (pause * 2 + 1).min(RESTART_SECONDS_MAX) };
        tracing::warn!("the network half ended ({reason}), started again in {pause} s");
        std::thread::sleep(Duration::from_secs(pause));
    }
}

fn start(
    executor: &Executor,
    command: &NetCommand,
    settings: &Settings,
    number: u64,
    to: SyncSender<Heard>,
) -> Result<NetHalf, RunError> {
    let fail = |source| RunError::Net { program: command.program.display().to_string(), source };
    let NetProcess { mut child, stderr } = launcher::net(command.clone()).map_err(fail)?;
    let gone = || fail(std::io::Error::other("its pipes are missing"));
    let (Some(pipe), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else { return Err(gone()) };
    relay::start(stderr).map_err(fail)?;
    let read = move || loop {
        let heard = match frame::read::<ToExecutor>(&mut stdout) {
            Ok(frame) => Heard::Frame(number, Box::new(frame)),
            Err(error) => Heard::Ended(number, error.to_string()),
        };
        let ended = matches!(heard, Heard::Ended(..));
        if to.send(heard).is_err() || ended {
            return;
        }
    };
    std::thread::Builder::new().name("frames".to_owned()).stack_size(256 * 1024).spawn(read).map_err(fail)?;
    let hello = ToNet::Hello(Box::new(executor.hello(settings.clone())?));
    // A pipe that breaks at once is noticed by the reader.
    let teller = Teller::of(pipe).map_err(fail)?;
    let _ = teller.tell(&hello, ROOM_WAIT);
    Ok(NetHalf { child, teller, number, started: Instant::now() })
}

/// Work until the network half ends; says why it did.
fn converse(executor: &mut Executor, net: &mut NetHalf, from: &Receiver<Heard>) -> String {
    // Whatever was queued for an earlier network half, this one gets all of it now.
    executor.take_out();
    let mut out = executor.undelivered();
    let mut facts = executor.facts();
    let mut looked = Instant::now();
    loop {
        for frame in out.drain(..) {
            if let Err(error) = net.teller.tell(&frame, ROOM_WAIT) {
                return error.to_string();
            }
        }
        if looked.elapsed() >= Duration::from_secs(FACTS_SECONDS) {
            looked = Instant::now();
            executor.tend_leftover();
            let now = executor.facts();
            if now != facts {
                facts = now;
                executor.refresh_facts();
            }
            // Orders come first, and a change that may have to be undone: a look waits for the next time round.
            if !executor.has_work() && executor.unproven_for(Instant::now()).is_none() {
                executor.look(crate::clock::boot_micros());
            }
        }
        // Everything that has arrived comes before the next piece of work: a revocation may be among it.
        let busy = executor.has_work();
        executor.tend(Instant::now());
        executor.tend_restart();
        let proof = executor.unproven_for(Instant::now()).unwrap_or(Duration::MAX);
        let rest = executor.rest_micros().map_or(Duration::MAX, Duration::from_micros).min(proof);
        // A permit that cannot be asked for yet must not make this spin.
        let rest = rest.clamp(Duration::from_millis(20), Duration::from_secs(FACTS_SECONDS));
        match next(from, if busy { Duration::ZERO } else { rest }) {
            Some(Heard::Frame(number, frame)) if number == net.number => executor.handle(*frame),
            Some(Heard::Ended(number, reason)) if number == net.number => return reason,
            // The last words of an earlier network half: orders are signed and acknowledgements true, whoever carries them,
            // but it will all come again.
            Some(_) => {}
            None if busy => {
                executor.step();
            }
            None => {}
        }
        out = executor.take_out();
    }
}

fn next(from: &Receiver<Heard>, wait: Duration) -> Option<Heard> {
    from.recv_timeout(wait).ok()
}
