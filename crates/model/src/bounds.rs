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
    /// Server replicas; with more than one a transaction begins and commits in separate steps.
    pub replicas: u8,
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
    /// The server is in foreign hands: so many orders of things that are not listed, and every index at any time.
    pub hostile: u8,
}

/// Everything off but the plain way, one of each.
const PLAIN: Bounds = Bounds {
    name: "plain",
    hosts: 1,
    tasks: 1,
    replicas: 1,
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
    hostile: 0,
};

/// Small enough for every test run.
pub const REDUCED: [Bounds; 7] = [
    Bounds { name: "task", epochs: 2, loss: true, crashes: true, skew: true, silence: true, cancel: true, ..PLAIN },
    Bounds { name: "replicas", replicas: 2, epochs: 2, crashes: true, silence: true, cancel: true, ..PLAIN },
    Bounds { name: "halt", replicas: 2, epochs: 2, crashes: true, halts: 1, ..PLAIN },
    Bounds { name: "hosts", hosts: 2, crashes: true, misdelivery: true, ..PLAIN },
    Bounds { name: "tasks", tasks: 2, crashes: true, ..PLAIN },
    Bounds { name: "compaction", crashes: true, compaction: true, ..PLAIN },
    Bounds { name: "catalogue", hostile: 1, ..PLAIN },
];

/// What `cargo xtask bench model` explores.
pub const FULL: [Bounds; 8] = [
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
        ];
        for (on, word) in flags {
            if on {
                line.push_str(", ");
                line.push_str(word);
            }
        }
        for (count, word) in
            [(self.halts, "halt(s)"), (self.owner, "change(s) of the halt file"), (self.hostile, "hostile order(s)")]
        {
            if count > 0 {
                line.push_str(&format!(", {count} {word}"));
            }
        }
        line
    }
}
