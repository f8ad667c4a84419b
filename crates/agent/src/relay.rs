//! What the network half prints, in the log of this half. It handles foreign bytes, and is not believed to print only what it should:
//! each line is bounded, cannot steer a terminal, says whose it is, and there are so many in a minute.

use crate::printable::one_line;
use std::io::Read;
use std::time::{Duration, Instant};

/// More of a line is cut, in bytes.
const LINE_BYTES_MAX: usize = 1000;
/// Lines of a period; what is more is counted only.
const LINES_MAX: usize = 100;
/// See [`LINES_MAX`].
const PERIOD: Duration = Duration::from_secs(60);

/// Log what comes from the network half, on a thread of its own, until it ends. It is read on however much it is, so that nobody is
/// stuck on a full pipe.
///
/// # Errors
/// When the thread cannot be started.
pub(crate) fn start(mut from: impl Read + Send + 'static) -> std::io::Result<()> {
    let work = move || {
        let mut relay = Relay::default();
        let mut block = [0; 8192];
        let log = |lines: Vec<String>| lines.iter().for_each(|line| tracing::info!("{line}"));
        loop {
            match from.read(&mut block) {
                Ok(0) => return log(relay.end()),
                Ok(read) => log(relay.take(block.get(..read).unwrap_or_default(), Instant::now())),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return log(relay.end()),
            }
        }
    };
    std::thread::Builder::new().name("relay".to_owned()).stack_size(256 * 1024).spawn(work).map(drop)
}

/// What is to be logged of a stream of bytes.
#[derive(Debug, Default)]
struct Relay {
    /// The line that has not ended yet, and how much of it was cut.
    line: Vec<u8>,
    cut: usize,
    /// When the period began, and the lines logged in it.
    began: Option<Instant>,
    logged: usize,
    /// Lines left out since the last one that was logged.
    left_out: u64,
}

impl Relay {
    /// Take in what came at this time; gives the lines to log.
    fn take(&mut self, bytes: &[u8], now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = match part.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (part, false),
            };
            let (kept, cut) = text.split_at(text.len().min(LINE_BYTES_MAX.saturating_sub(self.line.len())));
            self.line.extend_from_slice(kept);
            self.cut += cut.len();
            if ended {
                self.end_line(now, &mut lines);
            }
        }
        lines
    }

    /// The stream is over.
    fn end(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.line.is_empty() {
            let now = self.began.unwrap_or_else(Instant::now);
            self.end_line(now, &mut lines);
        }
        lines.extend(self.silence());
        lines
    }

    fn end_line(&mut self, now: Instant, lines: &mut Vec<String>) {
        let (line, cut) = (std::mem::take(&mut self.line), std::mem::take(&mut self.cut));
        if self.began.is_none_or(|began| now.saturating_duration_since(began) >= PERIOD) {
            (self.began, self.logged) = (Some(now), 0);
        }
        if self.logged >= LINES_MAX {
            self.left_out += 1;
            return;
        }
        lines.extend(self.silence());
        self.logged += 1;
        let text = one_line(String::from_utf8_lossy(&line).trim());
        let end = if cut > 0 { format!(" [... {cut} bytes cut]") } else { String::new() };
        lines.push(format!("network half: {text}{end}"));
    }

    /// What was left out, if anything.
    fn silence(&mut self) -> Option<String> {
        let left_out = std::mem::take(&mut self.left_out);
        (left_out > 0).then(|| format!("network half: {left_out} lines were left out, because there were too many"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::printable::steers;
    use proptest::prelude::*;

    #[test]
    fn lines_are_bounded_prefixed_and_steer_nothing() {
        let now = Instant::now();
        let mut relay = Relay::default();
        let lines = relay.take(b"  WARN no\r\n\x1b[2J\xff ERROR forged\nbeg", now);
        assert_eq!(lines, ["network half: WARN no", "network half: \\u{1b}[2J\u{fffd} ERROR forged"]);
        assert_eq!(relay.take(b"un\n", now), ["network half: begun"]);
        assert_eq!(relay.take(&vec![b'x'; 5_000_000], now), Vec::<String>::new());
        let [line] = <[String; 1]>::try_from(relay.take(b"yz\n", now)).unwrap();
        assert!(line.ends_with("x [... 4999002 bytes cut]") && line.len() < 1100, "{}", line.len());
        assert_eq!(relay.take(b"last words", now), Vec::<String>::new());
        assert_eq!(relay.end(), ["network half: last words"]);
    }

    #[test]
    fn of_too_many_lines_the_number_is_said() {
        let now = Instant::now();
        let mut relay = Relay::default();
        let flood = "no\n".repeat(10_000);
        assert_eq!(relay.take(flood.as_bytes(), now).len(), LINES_MAX);
        assert_eq!(relay.take(flood.as_bytes(), now + PERIOD / 2).len(), 0);
        let lines = relay.take(b"again\n", now + PERIOD);
        let said = format!("network half: {} lines were left out, because there were too many", 20_000 - LINES_MAX);
        assert_eq!(lines, [said.as_str(), "network half: again"]);
        assert_eq!(relay.take(flood.as_bytes(), now + PERIOD).len(), LINES_MAX - 1);
        assert_eq!(relay.end().len(), 1, "what was left out last is said at the end");
    }

    proptest! {
        #[test]
        fn however_bytes_come_no_line_steers_or_is_long_and_there_are_few(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..20),
        ) {
            let now = Instant::now();
            let mut relay = Relay::default();
            let mut lines: Vec<String> = pieces.iter().flat_map(|piece| relay.take(piece, now)).collect();
            lines.extend(relay.end());
            prop_assert!(lines.len() <= LINES_MAX + 1);
            for line in lines {
                prop_assert!(line.starts_with("network half: ") && !line.chars().any(steers));
                // A byte becomes eight at most, written out.
                prop_assert!(line.len() <= 8 * LINE_BYTES_MAX + 100);
            }
        }
    }
}
