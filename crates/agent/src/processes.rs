//! Processes of this machine, by what tells one from another that got its number later: when it was started.

/// A process, as the kernel lists it in `/proc/PID/stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its number.
    pub pid: i32,
    /// The name of what it runs, 15 bytes at most.
    pub name: String,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// When it was started, in [`TICKS`] of a second since boot.
    pub started: u64,
}

/// Ticks of a second in what the kernel tells programs, on every architecture that this agent is made for.
const TICKS: i64 = 100;

/// Now, as [`Process::started`] counts.
pub(crate) fn now() -> u64 {
    u64::try_from(crate::clock::boot_micros() / (1_000_000 / TICKS)).unwrap_or(0)
}

impl Process {
    /// What the kernel says of a process; nothing where there is none, or only its remains.
    pub(crate) fn look(pid: i32) -> Option<Self> {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(&String::from_utf8_lossy(&stat))
    }

    /// All processes that can be seen.
    pub(crate) fn all() -> Vec<Self> {
        let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
        let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        numbers.filter_map(Self::look).collect()
    }

    /// Whether it runs as the user that we run as.
    pub(crate) fn of_our_user(&self) -> bool {
        // Not by the owner of its folder in `/proc`, which is root for whoever does not let itself be looked at.
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let effective =
            status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().nth(1)?.parse().ok());
        effective == Some(rustix::process::geteuid().as_raw())
    }

    fn parse(stat: &str) -> Option<Self> {
        // The name stands in brackets and may hold anything, brackets and blanks included.
        let (head, rest) = stat.rsplit_once(") ")?;
        let (pid, name) = head.split_once(" (")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // Numbered from the third field of the line on: the state, the parent, the group, the session, and the 22nd.
        if matches!(*fields.first()?, "Z" | "X" | "x") {
            return None;
        }
        Some(Self {
            pid: pid.trim().parse().ok()?,
            name: name.to_owned(),
            group: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel_is_read_whatever_the_process_calls_itself() {
        let line = |name: &str, state: &str| {
            format!("42 ({name}) {state} 1 40 39 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 1 18446744073709551615")
        };
        for name in ["dpkg", "a) R 1 1 1", "(x) ", ""] {
            let found = Process::parse(&line(name, "S")).unwrap();
            assert_eq!((found.pid, found.group, found.session, found.started), (42, 40, 39, 98_765), "{name}");
            assert_eq!(found.name, name);
        }
        assert_eq!(Process::parse(&line("gone", "Z")), None, "only its remains");
        assert_eq!(Process::parse("42 (short) S 1"), None);
        assert_eq!(Process::parse(""), None);
    }

    #[test]
    fn this_process_is_found_and_was_started_before_now() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let own = Process::look(pid).unwrap();
        assert!(own.started <= now() && Process::all().contains(&own), "{own:?}");
        assert!(own.of_our_user());
    }
}
