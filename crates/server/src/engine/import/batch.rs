//! Observations in portions: large enough for set-based merging, small enough for memory and for the single writer.

use super::convert;
use intake::{Observation, Stop};
use store::detections::Machine;
use store::vulnerabilities::VulnerabilitySeen;
use tokio::sync::mpsc;

/// Detections in a portion, beyond which it is full; a machine is never split.
const DETECTIONS_MAX: usize = 5_000;
/// Entries of the knowledge base in a portion.
const VULNERABILITIES_MAX: usize = 500;
/// Bytes of text in a portion, beyond which it is full.
const BYTES_MAX: usize = 8 << 20;
/// Portions read ahead of the merge.
const AHEAD: usize = 1;

/// A portion: whole machines and whole entries.
#[derive(Debug, Default)]
pub struct Batch {
    /// Machines with their detections.
    pub machines: Vec<Machine>,
    /// Entries of the knowledge base.
    pub vulnerabilities: Vec<VulnerabilitySeen>,
    detections: usize,
    bytes: usize,
}

impl Batch {
    fn full(&self) -> bool {
        self.detections >= DETECTIONS_MAX
            || self.vulnerabilities.len() >= VULNERABILITIES_MAX
            || self.bytes >= BYTES_MAX
    }

    fn is_empty(&self) -> bool {
        self.machines.is_empty() && self.vulnerabilities.is_empty()
    }

    fn push(&mut self, observation: Observation, told_of_tags: bool) {
        // A row costs about this much beside its texts.
        const ROW_BYTES: usize = 512;
        match observation {
            Observation::Host(host) => {
                let mut machine = convert::machine(*host);
                if told_of_tags {
                    machine.host.tags.get_or_insert_default();
                }
                self.detections += machine.detections.len().max(1);
                self.bytes += machine.detections.iter().map(|row| row.results.len() + ROW_BYTES).sum::<usize>();
                self.machines.push(machine);
            }
            Observation::Vulnerability(entry) => {
                let entry = convert::vulnerability(*entry);
                self.bytes += entry.threat.len() + entry.impact.len() + entry.solution.len() + ROW_BYTES;
                self.vulnerabilities.push(entry);
            }
        }
    }
}

/// Which observations of an input are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of them.
    Everything,
    /// Entries of the knowledge base only.
    Vulnerabilities,
    /// Machines only.
    Machines,
}

impl Wanted {
    fn takes(self, observation: &Observation) -> bool {
        match observation {
            Observation::Host(_) => self != Wanted::Vulnerabilities,
            Observation::Vulnerability(_) => self != Wanted::Machines,
        }
    }
}

/// Where a reader puts what it finds; sends full portions to the merge and waits while it is behind.
#[derive(Debug)]
pub struct Collector {
    wanted: Wanted,
    told_of_tags: bool,
    batch: Batch,
    to: mpsc::Sender<Batch>,
}

/// A collector for a reader on a blocking thread, and where its portions come out.
#[must_use]
pub fn channel(wanted: Wanted) -> (Collector, mpsc::Receiver<Batch>) {
    let (to, from) = mpsc::channel(AHEAD);
    (Collector { wanted, told_of_tags: false, batch: Batch::default(), to }, from)
}

impl Collector {
    /// The input tells every tag of a machine: one without any has none.
    #[must_use]
    pub fn told_of_tags(self) -> Collector {
        Collector { told_of_tags: true, ..self }
    }

    /// Take one observation; [`Stop`] once nobody merges any more.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn push(&mut self, observation: Observation) -> Result<(), Stop> {
        if self.wanted.takes(&observation) {
            self.batch.push(observation, self.told_of_tags);
        }
        if self.batch.full() { self.send() } else { Ok(()) }
    }

    /// Send what is left.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn finish(mut self) -> Result<(), Stop> {
        if self.batch.is_empty() { Ok(()) } else { self.send() }
    }

    fn send(&mut self) -> Result<(), Stop> {
        self.to.blocking_send(std::mem::take(&mut self.batch)).map_err(|_| Stop)
    }
}
