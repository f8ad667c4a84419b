//! Waiting for something on the server, with one line that says how far it is.

use crate::failure::Failure;
use crate::output::{note, plain, watched};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Between two lines where nobody watches and they pile up in a log.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// What a look at something that is waited for finds.
pub enum Look<T> {
    /// There is nothing more to wait for.
    Over(T),
    /// Not yet; how far it is, in one line.
    Still(String),
    /// Not yet, and not before somebody does something: how far it is, and what has to be done. Each of these is said once.
    Waits(String, Vec<String>),
}

/// Look again and again until there is nothing more to wait for.
///
/// # Errors
/// The [`Failure`] of a look.
pub async fn until<T>(every: Duration, mut look: impl AsyncFnMut() -> Result<Look<T>, Failure>) -> Result<T, Failure> {
    let mut line = Line::new();
    loop {
        match look().await? {
            Look::Over(found) => return Ok(found),
            Look::Still(text) => line.say(&plain(&text), Instant::now()),
            Look::Waits(text, notes) => {
                for note in notes {
                    line.tell(plain(&note));
                }
                line.say(&plain(&text), Instant::now());
            }
        }
        tokio::time::sleep(every).await;
    }
}

/// The line: at a terminal in place and gone at the end, elsewhere printed when it changed. What is told above it stays.
struct Line {
    bar: Option<ProgressBar>,
    printed: Printed,
    told: BTreeSet<String>,
}

impl Line {
    fn new() -> Line {
        let bar = watched().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{spinner} {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar
        });
        Line { bar, printed: Printed::default(), told: BTreeSet::new() }
    }

    /// Print it above the line, unless it was.
    fn tell(&mut self, text: String) {
        if self.told.contains(&text) {
            return;
        }
        match &self.bar {
            Some(bar) => bar.suspend(|| note(&text)),
            None => note(&text),
        }
        self.told.insert(text);
    }

    fn say(&mut self, text: &str, now: Instant) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(text.to_owned());
                bar.tick();
            }
            None if self.printed.is_due(text, now) => note(text),
            None => {}
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What was printed last.
#[derive(Default)]
struct Printed {
    text: String,
    at: Option<Instant>,
}

impl Printed {
    /// Whether this text is to be printed now; then it counts as printed.
    fn is_due(&mut self, text: &str, now: Instant) -> bool {
        let early = self.at.is_some_and(|at| now.duration_since(at) < LINE_EVERY);
        if early || text == self.text {
            return false;
        }
        text.clone_into(&mut self.text);
        self.at = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_in_a_log_are_those_that_changed_and_not_too_many() {
        let (mut printed, begin) = (Printed::default(), Instant::now());
        for (text, second, due, why) in [
            ("0 of 9", 0, true, "the first at once"),
            ("0 of 9", 7, false, "nothing changed"),
            ("1 of 9", 8, true, "it changed"),
            ("2 of 9", 9, false, "too soon"),
            ("3 of 9", 13, true, "the newest, later"),
        ] {
            assert_eq!(printed.is_due(text, begin + Duration::from_secs(second)), due, "{text} at {second}: {why}");
        }
    }
}
