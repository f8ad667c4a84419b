//! What happened, line by line: as a digest always, as text for whoever replays a seed.

use sha2::{Digest as _, Sha256};

/// The trace.
pub struct Trace {
    digest: Sha256,
    lines: u64,
    print: bool,
}

impl Trace {
    /// An empty one.
    pub fn new(print: bool) -> Self {
        Self { digest: Sha256::new(), lines: 0, print }
    }

    /// Something happened at `now`, in microseconds since the world began. The text names nothing that differs between two
    /// runs of a seed: no random id, no key, no address.
    pub fn note(&mut self, now: i64, text: &str) {
        self.lines += 1;
        let line = format!("{:>12.3} {text}\n", seconds(now));
        self.digest.update(line.as_bytes());
        if self.print {
            print!("{line}");
        }
    }

    /// Lines so far, and their digest.
    pub fn end(&self) -> (u64, String) {
        let digest: Vec<String> =
            self.digest.clone().finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        (self.lines, digest.concat())
    }
}

fn seconds(micros: i64) -> f64 {
    std::time::Duration::from_micros(micros.unsigned_abs()).as_secs_f64()
}
