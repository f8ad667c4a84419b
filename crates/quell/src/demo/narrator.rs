//! What the demo says while it plays: numbered steps with a spinner, facts below them, addresses at the end.

use super::stage::Stage;
use super::summary::Summary;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The narrator. With `--json` everything goes to standard error, so that standard output holds the summary alone.
#[derive(Debug)]
pub struct Narrator {
    to_stderr: bool,
    step: AtomicU32,
}

/// A step that is under way; says so when it is dropped without having ended.
#[derive(Debug)]
pub struct Step<'n> {
    narrator: &'n Narrator,
    bar: ProgressBar,
    title: String,
}

impl Narrator {
    /// A narrator for this run.
    pub fn new(to_stderr: bool) -> Self {
        Narrator { to_stderr, step: AtomicU32::new(0) }
    }

    /// Begin a step.
    pub fn step(&self, title: &str) -> Step<'_> {
        let number = self.step.fetch_add(1, Ordering::Relaxed) + 1;
        let title = format!("{number:>2}  {title}");
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(
            ProgressStyle::with_template("{msg} {spinner}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        bar.set_message(title.clone());
        bar.enable_steady_tick(Duration::from_millis(120));
        Step { narrator: self, bar, title }
    }

    fn say(&self, text: &str) {
        if self.to_stderr {
            let _ = writeln!(std::io::stderr(), "{text}");
        } else {
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }

    /// The end of the story.
    pub fn close(&self, summary: &Summary) {
        let (score, scan) = (&summary.score, &summary.scan);
        self.say("");
        self.say("The loop is closed:");
        self.say(&format!(
            "    {} ended {}: {} succeeded, {} failed, {} skipped",
            summary.job.number,
            summary.job.status,
            summary.job.tasks.succeeded,
            summary.job.tasks.failed,
            summary.job.tasks.skipped
        ));
        self.say(&format!(
            "    {} on QID {}: {} - {} = {}",
            score.cve, score.qid, score.before, score.points, score.after
        ));
        self.say(&format!(
            "    {} items are mitigated, {} closed as fixed by {}",
            summary.mitigated_items, summary.closed_fixed, scan.number
        ));
    }

    /// Where to go on, while everything stays up.
    pub fn stay(&self, stage: &Stage) {
        self.say("");
        self.say("Everything stays up. Look around:");
        self.say(&format!("    address    {}", stage.server.app.site.public_url));
        self.say(&format!("    name       {}", stage.name));
        self.say(&format!("    password   {}", stage.password));
        self.say(&format!("    scanner    {}  (simulated Qualys)", stage.simulator.api_url()));
        self.say(&format!("    files      {}", stage.folder().display()));
        self.say("Ctrl+C ends it.");
    }
}

impl Step<'_> {
    /// Show how far it is.
    pub fn progress(&self, text: &str) {
        self.bar.set_message(format!("{}: {text}", self.title));
    }

    /// End the step with what came of it.
    pub fn done(self, facts: &[String]) {
        self.bar.finish_and_clear();
        self.narrator.say(&self.title);
        for fact in facts {
            self.narrator.say(&format!("      {fact}"));
        }
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        if !self.bar.is_finished() {
            self.bar.finish_and_clear();
            self.narrator.say(&format!("{}: did not succeed", self.title));
        }
    }
}
