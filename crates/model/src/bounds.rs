//! What each model contains, and how much of it.

/// The size of one model. Faults without a number may happen at any time, any number of times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// What it is called in tests and in the report.
    pub name: &'static str,
    /// Hosts, each with an agent.
    pub hosts: u8,
    /// Tasks for each host.
    pub tasks: u8,
    /// Server replicas; with more than one a transaction begins and commits in separate steps, where there are no permits.
    pub replicas: u8,
    /// The answer to a question begins and commits in separate steps.
    pub racing: bool,
    /// Orders made for each task at most.
    pub epochs: u32,
    /// Everything on its way may be lost at any time. Without this a single message may still never arrive.
    pub loss: bool,
    /// Agents may die at any step.
    pub crashes: bool,
    /// The agent's clock may be on either side of an order's end at each decision.
    pub skew: bool,
    /// The server's clock may pass the margin of silence at any time.
    pub silence: bool,
    /// Somebody may cancel each task, at any time.
    pub cancel: bool,
    /// How often everything may be halted, and resumed.
    pub halts: u8,
    /// The agent may be revoked at the server at any time.
    pub revoked_agents: bool,
    /// How often the host's owner may place or remove the halt file.
    pub owner: u8,
    /// Events are acknowledged and journals compacted, nothing being remembered that may be forgotten.
    pub compaction: bool,
    /// Orders and revocations may reach the wrong host.
    pub misdelivery: bool,
    /// How many may be at work at once: every start asks for a permit. 0: none does, and there is no time.
    pub limit: u8,
    /// Every order is taken as the model begins, and nothing is on its way.
    pub taken: bool,
    /// How often the run may be halted, and resumed.
    pub run_halts: u8,
    /// The server is in foreign hands: so many orders of things that are not listed, and every index at any time.
    pub hostile: u8,
}

/// Everything off but the plain way, one of each.
const PLAIN: Bounds = Bounds {
    name: "plain",
    hosts: 1,
    tasks: 1,
    replicas: 1,
    racing: false,
    epochs: 1,
    loss: false,
    crashes: false,
    skew: false,
    silence: false,
    cancel: false,
    halts: 0,
    revoked_agents: false,
    owner: 0,
    compaction: false,
    misdelivery: false,
    limit: 0,
    taken: false,
    run_halts: 0,
    hostile: 0,
};

/// Small enough for every test run.
pub const REDUCED: [Bounds; 16] = [
    Bounds { name: "task", epochs: 2, loss: true, crashes: true, skew: true, silence: true, cancel: true, ..PLAIN },
    Bounds { name: "replicas", replicas: 2, epochs: 2, crashes: true, silence: true, cancel: true, ..PLAIN },
    Bounds { name: "halt", replicas: 2, epochs: 2, crashes: true, halts: 1, ..PLAIN },
    Bounds { name: "hosts", hosts: 2, crashes: true, misdelivery: true, ..PLAIN },
    Bounds { name: "tasks", tasks: 2, crashes: true, ..PLAIN },
    Bounds { name: "compaction", crashes: true, compaction: true, ..PLAIN },
    Bounds { name: "catalogue", hostile: 1, ..PLAIN },
    Bounds { name: "permits", hosts: 2, limit: 1, taken: true, crashes: true, ..PLAIN },
    Bounds {
        name: "permit-halt",
        limit: 1,
        taken: true,
        replicas: 2,
        racing: true,
        crashes: true,
        cancel: true,
        halts: 1,
        run_halts: 1,
        ..PLAIN
    },
    Bounds { name: "permit-replicas", hosts: 2, limit: 1, taken: true, replicas: 2, racing: true, ..PLAIN },
    Bounds { name: "permit-clocks", hosts: 2, limit: 1, taken: true, replicas: 2, skew: true, ..PLAIN },
    Bounds { name: "permit-silence", hosts: 2, limit: 1, taken: true, silence: true, ..PLAIN },
    Bounds { name: "permit-lost", hosts: 2, limit: 1, taken: true, revoked_agents: true, ..PLAIN },
    Bounds { name: "permit-tasks", tasks: 2, limit: 2, taken: true, misdelivery: true, ..PLAIN },
    Bounds { name: "permit-epochs", epochs: 2, limit: 1, silence: true, ..PLAIN },
    Bounds { name: "permit-astray", hosts: 2, limit: 1, taken: true, misdelivery: true, ..PLAIN },
];

/// What `cargo xtask bench model` explores.
pub const FULL: [Bounds; 15] = [
    Bounds {
        name: "task",
        epochs: 3,
        loss: true,
        crashes: true,
        skew: true,
        silence: true,
        cancel: true,
        revoked_agents: true,
        ..PLAIN
    },
    Bounds { name: "owner", epochs: 2, loss: true, crashes: true, silence: true, cancel: true, owner: 2, ..PLAIN },
    Bounds {
        name: "replicas",
        replicas: 2,
        epochs: 2,
        loss: true,
        crashes: true,
        silence: true,
        cancel: true,
        ..PLAIN
    },
    Bounds { name: "halt", replicas: 2, epochs: 2, crashes: true, silence: true, cancel: true, halts: 2, ..PLAIN },
    Bounds { name: "hosts", hosts: 2, crashes: true, cancel: true, misdelivery: true, ..PLAIN },
    Bounds { name: "tasks", tasks: 2, crashes: true, ..PLAIN },
    Bounds { name: "compaction", crashes: true, compaction: true, ..PLAIN },
    Bounds { name: "catalogue", crashes: true, hostile: 3, ..PLAIN },
    Bounds {
        name: "permits",
        hosts: 2,
        limit: 1,
        taken: true,
        crashes: true,
        cancel: true,
        misdelivery: true,
        run_halts: 1,
        ..PLAIN
    },
    Bounds { name: "permit-halt", hosts: 2, limit: 1, taken: true, halts: 1, run_halts: 2, ..PLAIN },
    Bounds { name: "permit-replicas", hosts: 2, limit: 1, taken: true, replicas: 2, racing: true, ..PLAIN },
    Bounds { name: "permit-clocks", hosts: 2, limit: 1, taken: true, replicas: 2, skew: true, crashes: true, ..PLAIN },
    Bounds { name: "permit-silence", hosts: 2, limit: 1, taken: true, silence: true, revoked_agents: true, ..PLAIN },
    Bounds {
        name: "permit-tasks",
        tasks: 2,
        limit: 1,
        taken: true,
        crashes: true,
        cancel: true,
        misdelivery: true,
        ..PLAIN
    },
    Bounds {
        name: "permit-epochs",
        epochs: 2,
        limit: 1,
        loss: true,
        crashes: true,
        skew: true,
        silence: true,
        cancel: true,
        halts: 1,
        ..PLAIN
    },
];

impl Bounds {
    /// The bounds in one line.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = format!(
            "{} host(s) x {} task(s), {} replica(s), {} epoch(s)",
            self.hosts, self.tasks, self.replicas, self.epochs
        );
        let flags = [
            (self.loss, "loss"),
            (self.crashes, "crashes"),
            (self.skew, "skew"),
            (self.silence, "silence"),
            (self.cancel, "cancel"),
            (self.revoked_agents, "revoked agents"),
            (self.compaction, "compaction"),
            (self.misdelivery, "misdelivery"),
            (self.limit > 0, "permits, time"),
            (self.taken, "orders taken"),
            (self.racing, "racing answers"),
        ];
        for (on, word) in flags {
            if on {
                line.push_str(", ");
                line.push_str(word);
            }
        }
        for (count, word) in [
            (self.limit, "at work at once"),
            (self.halts, "halt(s)"),
            (self.run_halts, "halt(s) of the run"),
            (self.owner, "change(s) of the halt file"),
            (self.hostile, "hostile order(s)"),
        ] {
            if count > 0 {
                line.push_str(&format!(", {count} {word}"));
            }
        }
        line
    }
}
