//! The live system of a namespace, its stubs, and an executor on it that can be killed.

use crate::common::{self, World};
use agent::executor::Executor;
use agent::failpoint::{self, Observer};
use agent::frame::{ToExecutor, ToNet};
use agent::fs::Tree;
use agent::host::Host;
use agent::state::StateDir;
use catalogue::schema::Entry;
use protocol::agent::{EventKind, TaskReport};
use protocol::order::{Order, OrderKind};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

pub const SSH: &str = "ssh.service";
pub const APACHE: &str = "apache2.service";
pub const SSHD_CONFIG: &str = "/etc/ssh/sshd_config";
/// What every test begins with.
pub const BEFORE: &str = "Port 22\n";

/// A service manager of shell. A unit is a file with its state; when it starts it notes the configuration it reads. `ours`, `old`
/// and `any` say what becomes of a unit that reads a configuration with our setting in it, without it, or any. A restart is queued
/// and never waited for, as the agent asks. A file `wants-UNIT` makes a unit a wrapper of the units it names.
/// Where there is a file `looks-hang` nobody hears whether a unit is inactive.
const SYSTEMCTL: &str = r#"#!/bin/sh
cd /run/stub || exit 1
echo "$*" >> log
for unit; do :; done
configuration() { cat /etc/ssh/sshd_config /etc/apache2/conf-enabled/*.conf 2>/dev/null; }
ours() { configuration | grep -q '^LoginGraceTime 0'; }
fate() { if ours; then cat ours; else cat old; fi 2>/dev/null; cat any 2>/dev/null; }
up() {
    configuration > "reads-$unit"
    if fate | grep -q die; then echo failed > "$unit"; else echo active > "$unit"; fi
}
later() {
    sleep "$(cat seconds)"
    if [ "$(cat "job-$unit")" = $$ ]; then up; rm -f "job-$unit"; fi
}
begin() {
    if fate | grep -q hang; then sleep 120; fi
    if [ -e "masked-$unit" ]; then echo "Unit $unit is masked."; exit 1; fi
    rm -f "job-$unit"
    if fate | grep -q slow; then
        configuration > "reads-$unit"
        echo activating > "$unit"
        echo $$ > "job-$unit"
        if [ -e seconds ]; then later > /dev/null 2>&1 & fi
    elif fate | grep -q refuse; then echo failed > "$unit"
    else up
    fi
}
case $1 in
    show)
        if [ ! -e "$unit" ]; then echo LoadState=not-found; exit 0; fi
        echo LoadState=loaded
        if [ -e "wants-$unit" ]; then printf 'Type=oneshot\nRemainAfterExit=yes\nWants=a.target %s\n' "$(cat "wants-$unit")"; fi
        echo "ActiveState=$(cat "$unit")"
        if [ -e "job-$unit" ]; then echo Job=7; fi
        if [ "$2" = --property=ActiveState,SubState,Job ] && fate | grep -q flap && grep -q '^LoginGraceTime 0' "reads-$unit"; then
            if grep -q '^active' "$unit"; then echo activating > "$unit"; else echo SubState=auto-restart; echo active > "$unit"; fi
        fi ;;
    is-active)
        if [ -e looks-hang ] && grep -q inactive "$unit"; then sleep 120; fi
        cat "$unit"
        grep -q '^active' "$unit" ;;
    try-restart) if grep -q '^active' "$unit"; then begin; fi ;;
    start | restart) begin ;;
    stop) echo inactive > "$unit" ;;
    status) printf '* %s\n   Loaded: loaded\n\n%s: no such option\n' "$unit" "$unit"; exit 3 ;;
    daemon-reload)
        rm -f masked-*
        for file in /etc/systemd/system/*; do
            if [ "$(readlink "$file")" = /dev/null ]; then : > "masked-${file##*/}"; fi
        done ;;
esac
"#;
/// Refuses what somebody has not finished; where there is a file `checks-hang` it never answers.
const SSHD: &str = r#"#!/bin/sh
if [ -e /run/stub/checks-hang ]; then sleep 120; fi
file=/etc/ssh/sshd_config
if [ "$2" = -f ]; then file=$3; fi
if grep -q unfinished "$file"; then echo "line 2: Bad configuration option: unfinished"; exit 255; fi
"#;
/// Debian's makes its folders before it does anything else.
const APACHECTL: &str = r#"#!/bin/sh
if [ -e /run/stub/checks-hang ]; then sleep 120; fi
if [ ! -d /run/apache2 ]; then mkdir -p /run/apache2 || exit 1; fi
if [ ! -d /run/apache2/socks ]; then
    made=$(mktemp -d /run/apache2/socks.XXXXXXXXXX) && chmod 755 "$made" && chown www-data "$made" || exit 1
    mv -T "$made" /run/apache2/socks || exit 1
fi
if grep -rq nonsense /etc/apache2; then echo 'Invalid command: nonsense'; exit 1; fi
"#;

/// A package manager of shell with one package, `telnetd`. A removal goes as the file `removal` says: it ends at last (`slow`), or
/// never, whatever it is asked (`stuck`), or fails (`broken`); what is at work leaves an interrupt alone, as dpkg below apt-get does.
const APT_GET: &str = r#"#!/bin/sh
cd /run/stub || exit 1
status() { printf 'Package: telnetd\nStatus: %s\nVersion: 1\n' "$1" > /var/lib/dpkg/status; }
echo "apt-get $*" >> log
case " $* " in
    *" -s "*) echo "Remv telnetd [1]" ;;
    *" remove "*)
        echo "Removing telnetd (1) ..."
        case $(cat removal) in
            slow) trap '' INT; sleep 5; status "deinstall ok config-files"; echo "apt-get is done" >> log ;;
            stuck) trap '' INT TERM; echo $$ > worker; status "deinstall ok half-configured"; while :; do sleep 1; done ;;
            broken)
                echo "rm: cannot remove '/var/x': Device busy" >&2
                echo "dpkg: error processing package telnetd (--remove):" >&2
                echo " installed telnetd package pre-removal script subprocess returned error exit status 1" >&2
                echo "Errors were encountered while processing:"
                echo " telnetd"
                echo "E: Sub-process /usr/bin/dpkg returned an error code (1)" >&2
                exit 100 ;;
            *) status "deinstall ok config-files" ;;
        esac ;;
    *" install "*) status "install ok installed" ;;
esac
"#;
const DPKG: &str = r#"#!/bin/sh
cd /run/stub || exit 1
if [ -e worker ] && kill -0 "$(cat worker)" 2>/dev/null; then echo "somebody is still at work" >> log; fi
echo "dpkg $*" >> log
"#;

/// Run a part of a test in a namespace; the test with this name calls it again there.
pub fn within(name: &str, inside: impl FnOnce()) {
    const INNER: &str = "QUELL_AGENT_TEST_INNER";
    let path = name.rsplit("::").next().unwrap();
    let test = format!("services::{path}");
    if std::env::var_os(INNER).is_some() {
        lay_stubs();
        return inside();
    }
    if !rustix::process::geteuid().is_root() {
        skip::skipped(&test, "needs root for a mount namespace of its own");
        return;
    }
    // Configurations, programs and control groups of the test lie in memory of this namespace only.
    let script = "{ p=$(cat /etc/passwd) && g=$(cat /etc/group) && mount -t tmpfs -o mode=0755 none /etc && \
        mount -t tmpfs -o mode=0755 none /run && mount -t tmpfs -o mode=0755 none /var/lib/dpkg && mount -t tmpfs -o mode=0755 none /sys/fs/cgroup && \
        printf '%s\\n' \"$p\" > /etc/passwd && printf '%s\\n' \"$g\" > /etc/group && \
        mkdir -p /etc/ssh /etc/apache2/conf-enabled /etc/systemd/system/multi-user.target.wants && \
        mkdir -p /run/stub /run/bin /run/bin-work /run/sbin /run/sbin-work && \
        mount -t overlay -o lowerdir=/usr/bin,upperdir=/run/bin,workdir=/run/bin-work none /usr/bin && \
        mount -t overlay -o lowerdir=/usr/sbin,upperdir=/run/sbin,workdir=/run/sbin-work none /usr/sbin; \
        } || exit 77; exec \"$0\" \"$@\"";
    let said = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INNER, "1")
        .output();
    common::passed_inside(&test, said);
}

fn lay_stubs() {
    for (path, text) in [
        ("/usr/bin/systemctl", SYSTEMCTL),
        ("/usr/sbin/sshd", SSHD),
        ("/usr/sbin/apachectl", APACHECTL),
        ("/usr/bin/apt-get", APT_GET),
        ("/usr/bin/dpkg", DPKG),
    ] {
        // Not written through: what the machine itself has there may be a link.
        let _ = std::fs::remove_file(path);
        std::fs::write(path, text).unwrap();
        common::set_mode(Path::new(path), 0o755);
    }
    failpoint::observe(Observer { hit: passed, disk_full: || false });
}

/// The point at which the executor dies next, and how often it has to be passed for that.
static DIES_AT: Mutex<Option<(&str, u32)>> = Mutex::new(None);

fn passed(point: &str) {
    let here = |(at, left): &mut (&str, u32)| {
        *left -= u32::from(*at == point);
        *left == 0
    };
    if DIES_AT.lock().unwrap().take_if(here).is_some() {
        // Nothing below has a destructor that writes: what is on the disk now is what a killed process leaves.
        resume_unwind(Box::new("killed"));
    }
}

/// What becomes of a unit that starts with our setting: `refuse`, `die`, `flap`, `hang` (the service manager does not answer) or
/// `slow` (it starts for so many seconds as the file `seconds` says, for ever without it).
pub fn when_ours(fate: &str) {
    std::fs::write("/run/stub/ours", fate).unwrap();
}

/// The same of one that starts without it.
pub fn when_old(fate: &str) {
    std::fs::write("/run/stub/old", fate).unwrap();
}

/// The same of every unit that starts.
pub fn when_any(fate: &str) {
    std::fs::write("/run/stub/any", fate).unwrap();
}

/// A unit is in this state.
pub fn put(unit: &str, state: &str) {
    std::fs::write(format!("/run/stub/{unit}"), format!("{state}\n")).unwrap();
}

/// The state of a unit.
pub fn is(unit: &str) -> String {
    text(&format!("/run/stub/{unit}")).trim().to_owned()
}

/// The configuration that a unit has read.
pub fn runs_with(unit: &str) -> String {
    text(&format!("/run/stub/reads-{unit}"))
}

/// What `systemctl` was asked for.
pub fn log() -> String {
    text("/run/stub/log")
}

/// Forget what it was asked for.
pub fn forget_log() {
    std::fs::write("/run/stub/log", "").unwrap();
}

pub fn text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

pub struct Site {
    world: World,
    executor: Option<Executor>,
    task: u128,
    /// Whether the server is heard when that has to be proven.
    pub heard: bool,
    /// The time of an order, in seconds.
    pub seconds: u32,
}

impl Site {
    pub fn new(entries: Vec<Entry>) -> Self {
        let mut site = Self { world: World::new(entries), executor: None, task: 0, heard: true, seconds: 60 };
        site.open();
        site
    }

    /// The host as it was at first, with sshd in this state.
    pub fn host(&self, ssh: &str) {
        for name in std::fs::read_dir("/run/stub").unwrap() {
            std::fs::remove_file(name.unwrap().path()).unwrap();
        }
        std::fs::write(SSHD_CONFIG, BEFORE).unwrap();
        put(SSH, ssh);
        std::fs::write("/run/stub/reads-ssh.service", BEFORE).unwrap();
        forget_log();
    }

    /// Start the agent, after its death too.
    pub fn open(&mut self) {
        // One at a time: the directory is locked.
        self.executor = None;
        self.executor = Some(self.opened());
    }

    fn opened(&self) -> Executor {
        let mut host = Host::new(Tree::open(Path::new("/")).unwrap());
        host.settle = Duration::from_millis(400);
        host.package_grace = Duration::from_secs(2);
        let mut executor = Executor::open(StateDir::open(&self.world.state()).unwrap(), host, false).unwrap();
        executor.handle(ToExecutor::Time { server: common::now() });
        executor.handle(ToExecutor::Index { envelope: self.world.index.clone() });
        executor
    }

    /// The agent is stopped, and the host's owner puts everything back; dies at this point where one is given.
    pub fn owner_reverts(&mut self, point: Option<&'static str>) -> Option<(String, bool)> {
        self.executor = None;
        let executor = self.opened();
        *DIES_AT.lock().unwrap() = point.map(|point| (point, 1));
        let done = catch_unwind(AssertUnwindSafe(|| agent::owner::revert(executor, None, false)));
        assert_eq!(done.is_err(), point.is_some(), "{point:?} is never passed");
        done.ok()
    }

    pub fn executor(&mut self) -> &mut Executor {
        self.executor.as_mut().unwrap()
    }

    /// Give an order and let it be done; what the network half would get.
    pub fn order(&mut self, kind: OrderKind, id: &str) -> Vec<ToNet> {
        self.task += 1;
        let order = Order { run_timeout_seconds: self.seconds, ..self.world.order(kind, id, self.task, 1) };
        common::carry_out(self.executor.as_mut().unwrap(), &order, &self.world.entries[id], self.heard)
    }

    pub fn run(&mut self, kind: OrderKind, id: &str) -> TaskReport {
        common::report(&common::events(&self.order(kind, id)))
    }

    /// Apply, and die at this point; what the next start reports of it.
    pub fn apply_and_die(&mut self, point: &'static str, id: &str) -> EventKind {
        self.die(point, OrderKind::Apply, id)
    }

    /// As [`Site::apply_and_die`], with any order.
    pub fn die(&mut self, point: &'static str, kind: OrderKind, id: &str) -> EventKind {
        self.dies(point, 1, kind, id);
        self.ended()
    }

    /// Die where this point is passed for the n-th time, and stay dead.
    pub fn dies(&mut self, point: &'static str, nth: u32, kind: OrderKind, id: &str) {
        *DIES_AT.lock().unwrap() = Some((point, nth));
        let died = catch_unwind(AssertUnwindSafe(|| self.order(kind, id))).is_err();
        assert!(died, "{point} is never passed");
    }

    /// Where the agent keeps what it knows.
    pub fn state(&self) -> std::path::PathBuf {
        self.world.state()
    }

    /// Start again; how the newest try ended.
    pub fn ended(&mut self) -> EventKind {
        self.open();
        let events = common::events(&self.executor().undelivered());
        let newest = uuid_of(&self.world, self.task);
        events.into_iter().rfind(|event| event.task == newest).expect("its end is reported").event
    }
}

fn uuid_of(world: &World, task: u128) -> uuid::Uuid {
    let id = world.entries.keys().next().unwrap();
    world.order(OrderKind::Check, id, task, 1).task
}
