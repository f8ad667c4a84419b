//! Power cuts: the processes die and everything that was not synced is gone.
//!
//! Server data, agent state and the host's files lie on an ext4 file system of their own, mounted from an image. A cut is
//! SIGKILL for everybody, then a copy of the image as it is at that moment: what only the kernel's page cache held has
//! not reached it. The copy is mounted in the place of the original, which is thrown away, and everything starts again.
//! `noauto_da_alloc` takes away ext4's help for programs that forget to sync before a rename, `commit=300` its
//! committing of unsynced changes every five seconds. What this does not show: a disk that lies about its flushes, and
//! blocks written half.
//!
//! Needs root, loop devices and `mkfs.ext4`; skipped loudly elsewhere. `QUELL_POWER_CUTS` sets the number of random
//! instants (default 12), `QUELL_CRASH_SEED` their seed.

use crate::crash::{Dice, PAUSES, number};
use crate::invariants::{History, journal, stored_events};
use crate::processes::{Process, until};
use crate::world::World;
use protocol::agent::Event;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Size of the file system, in bytes; sparse.
const BYTES: u64 = 192 * 1024 * 1024;
/// Where the executor dies before the power goes.
const POINTS: [&str; 8] = [
    "after-accepted",
    "after-intent",
    "after-prior",
    "before-replace",
    "after-replace",
    "after-finished",
    "revert-before-write",
    "revert-after-write",
];
const OPTIONS: &str = "loop,noauto_da_alloc,commit=300";

struct Disk {
    folder: TempDir,
    image: PathBuf,
    cuts: u32,
}

fn call(program: &str, arguments: &[&Path]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{program}: {said}")) }
}

impl Disk {
    fn new() -> Result<Self, String> {
        let folder = TempDir::with_prefix("quell-power-").unwrap();
        let image = folder.path().join("image-0");
        std::fs::File::create(&image).unwrap().set_len(BYTES).unwrap();
        std::fs::create_dir(folder.path().join("mounted")).unwrap();
        call("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), &image])?;
        let disk = Disk { folder, image, cuts: 0 };
        disk.mount()?;
        Ok(disk)
    }

    fn mounted(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    fn mount(&self) -> Result<(), String> {
        call("mount", &["-o".as_ref(), OPTIONS.as_ref(), &self.image, &self.mounted()])
    }

    /// The processes are dead; what is not on the disk is lost.
    fn cut(&mut self) {
        self.cuts += 1;
        let next = self.folder.path().join(format!("image-{}", self.cuts));
        call("cp", &["--sparse=always".as_ref(), &self.image, &next]).unwrap();
        // What this writes goes to the image that is thrown away. A process that has just died may hold it a moment.
        let mounted = self.mounted();
        until("unmounting", 20, || call("umount", &[&mounted]).ok());
        std::fs::remove_file(&self.image).unwrap();
        self.image = next;
        self.mount().unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = call("umount", &["-l".as_ref(), &self.mounted()]);
    }
}

/// Everybody dies, then the power goes. Proves that it did: bytes that nobody synced are gone.
fn cut(world: &mut World, disk: &mut Disk) {
    let marker = disk.mounted().join("never-synced");
    std::fs::write(&marker, "x".repeat(100_000)).unwrap();
    if let Some(mut agent) = world.agent.take() {
        agent.kill_net();
        agent.kill();
    }
    world.server.take();
    disk.cut();
    let left = std::fs::metadata(&marker).map_or(0, |meta| meta.len());
    assert_eq!(left, 0, "the cut did not take what was not synced");
    let _ = std::fs::remove_file(&marker);
}

/// What the server had stored is still in the journal: an agent reports only what is durable.
fn the_server_knows_nothing_that_the_agent_forgot(world: &World, what: &str) {
    let records = serde_json::to_string(&journal(world)).unwrap();
    for text in stored_events(world) {
        let quoted = serde_json::to_string(&text).unwrap();
        let event: Event = serde_json::from_str(&text).unwrap();
        assert!(records.contains(&quoted), "{what}: the agent has forgotten {event:?}");
    }
}

fn round(world: &mut World, disk: &mut Disk, history: &mut History, what: &str, worst: impl FnOnce(&mut World, &str)) {
    let (number, kind) = world.next_job();
    let what = format!("{what} during a {kind}");
    worst(world, &number);
    cut(world, disk);
    the_server_knows_nothing_that_the_agent_forgot(world, &what);
    world.supervise();
    world.enable(&number);
    let ended = world.finish(&number);
    history.check(world, &ended, None, &what);
    eprintln!("{what}: {} {:?}", ended.status, ended.tasks);
}

#[test]
fn s1_to_s5_hold_when_everything_that_was_not_synced_is_lost() {
    let mut disk = match Disk::new() {
        Ok(disk) => disk,
        Err(why) => return skip::skipped("s1_to_s5_hold_when_everything_that_was_not_synced_is_lost", &why),
    };
    let mut world = World::on(TempDir::with_prefix("quell-crash-").unwrap(), disk.mounted());
    let (mut history, mut dice) = (History::default(), Dice::new());
    // What was enrolled and imported long ago is on the disk.
    let _ = call("sync", &[]);
    for point in POINTS {
        world.prepare(point.starts_with("revert-"));
        round(&mut world, &mut disk, &mut history, &format!("power cut at {point}"), |world, number| {
            world.agent.take();
            world.start_agent(Some(&format!("{point}:kill")));
            world.enable(number);
            let agent = world.agent.as_mut().unwrap();
            until(&format!("passing {point}"), 60, || agent.is_dead().then_some(()));
        });
    }
    for point in ["order.sent", "events.after_commit"] {
        round(&mut world, &mut disk, &mut history, &format!("power cut at {point}"), |world, number| {
            world.server.take();
            world.start_server(Some(point));
            world.enable_once(number);
            let server = world.server.as_mut().unwrap();
            until(&format!("passing {point}"), 60, || Process::is_dead(server).then_some(()));
        });
    }
    world.restart_with(PAUSES);
    let cuts = number("QUELL_POWER_CUTS", 12);
    for n in 1..=cuts {
        round(&mut world, &mut disk, &mut history, &format!("power cut {n}"), |world, number| {
            world.enable(number);
            std::thread::sleep(std::time::Duration::from_millis(dice.below(600)));
        });
    }
    eprintln!("{} power cuts, {cuts} of them at random instants", disk.cuts);
}
