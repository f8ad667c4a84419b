//! Approvals: the list, one request with its plan, and the dry run of a job.

use super::chips::{Chip, When};
use super::forms::{Faults, Field};
use super::lists::{Pager, Tab};
use super::records::Fact;
use super::shell::Shell;
use askama::Template;

/// One request in the list.
#[derive(Debug, Clone)]
pub struct ApprovalRow {
    /// Its page.
    pub href: String,
    /// The job's number and run.
    pub job: String,
    /// The job's title.
    pub title: String,
    /// Its state.
    pub state: Chip,
    /// "1 of 2".
    pub signed: String,
    /// "class 2".
    pub class: Chip,
    /// Machines.
    pub machines: i64,
    /// Who asks.
    pub asker: String,
    /// When.
    pub asked: When,
    /// It holds until then.
    pub until: When,
}

/// The list.
#[derive(Debug, Clone, Template)]
#[template(path = "approvals.html")]
pub struct ApprovalsPage {
    /// The frame.
    pub shell: Shell,
    /// The states.
    pub tabs: Vec<Tab>,
    /// From which class on a second person is asked, in a sentence.
    pub policy: String,
    /// The requests.
    pub rows: Vec<ApprovalRow>,
    /// The other pages.
    pub pager: Pager,
}

/// An entry of a plan.
#[derive(Debug, Clone)]
pub struct PlanEntry {
    /// Its title.
    pub title: String,
    /// Id and revision.
    pub name: String,
    /// Class, risk, way back, reboot.
    pub marks: Vec<Chip>,
    /// What it is for.
    pub summary: String,
    /// What it may affect.
    pub side_effects: String,
    /// The wanted state, as the agent will bring it about.
    pub steps: Vec<(String, String)>,
    /// SHA-256 of its signed bytes.
    pub digest: String,
}

/// A machine of a plan.
#[derive(Debug, Clone)]
pub struct PlanMachine {
    /// Name.
    pub name: String,
    /// Address.
    pub ip: String,
    /// In which wave.
    pub wave: u32,
    /// When it is due there.
    pub due: When,
    /// The last instant at which it may start there.
    pub start_by: Option<When>,
    /// Entries.
    pub entries: String,
    /// The agent.
    pub agent: String,
}

/// One request.
#[derive(Debug, Clone, Template)]
#[template(path = "approval.html")]
pub struct ApprovalPage {
    /// The frame.
    pub shell: Shell,
    /// Its state.
    pub state: Chip,
    /// What it waits for, or how it ended.
    pub line: String,
    /// Who asks, when, until when, signatures, score.
    pub facts: Vec<Fact>,
    /// How it is rolled out: times, waves, gates, limits, restarts.
    pub rollout: Vec<Fact>,
    /// What is done.
    pub entries: Vec<PlanEntry>,
    /// Where; the first of them.
    pub machines: Vec<PlanMachine>,
    /// Machines that are not shown.
    pub more: i64,
    /// How to sign it, as a command; none when it is decided.
    pub command: Option<String>,
    /// Why this person cannot decide.
    pub reason: Option<String>,
    /// Where a signed envelope goes.
    pub to: String,
    /// The field for it.
    pub envelope: Field,
    /// What is wrong with what was sent.
    pub faults: Faults,
    /// The text that is signed.
    pub manifest: String,
}

/// A line of a diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiffLine {
    /// Comes.
    Added(String),
    /// Goes.
    Removed(String),
    /// Stays, or says where.
    Other(String),
}

/// A unified diff, cut into its lines.
#[must_use]
pub fn diff(text: &str) -> Vec<DiffLine> {
    let line = |line: &str| match line.as_bytes().first() {
        Some(b'+') if !line.starts_with("+++") => DiffLine::Added(line.to_owned()),
        Some(b'-') if !line.starts_with("---") => DiffLine::Removed(line.to_owned()),
        _ => DiffLine::Other(line.to_owned()),
    };
    text.lines().map(line).collect()
}

/// What one machine says of one entry.
#[derive(Debug, Clone)]
pub struct AnswerRow {
    /// The machine.
    pub asset: String,
    /// Its page.
    pub href: String,
    /// The entry's title.
    pub title: String,
    /// What it says.
    pub verdict: Chip,
    /// For people.
    pub message: String,
    /// The changes: what on what, before, after, diff.
    pub changes: Vec<(String, String, String, Vec<DiffLine>)>,
}

/// What would become of an item.
#[derive(Debug, Clone)]
pub struct ItemRow {
    /// Its number.
    pub number: String,
    /// Its asset.
    pub asset: String,
    /// The vulnerability.
    pub title: String,
    /// QID.
    pub qid: i64,
    /// The score now and then.
    pub change: super::chips::Change,
    /// The mitigation field then.
    pub mitigation: Chip,
}

/// The dry run of a job.
#[derive(Debug, Clone, Template)]
#[template(path = "dry_run.html")]
pub struct DryRunPage {
    /// The frame.
    pub shell: Shell,
    /// The job's title.
    pub title: String,
    /// Its own address, asked again while agents are waited for.
    pub live_from: Option<String>,
    /// Whether there is one at all.
    pub any: bool,
    /// One line: when, how far.
    pub line: String,
    /// Something that must be known.
    pub note: Option<String>,
    /// Changes, in place, would fail.
    pub counts: Vec<super::jobs::CountPart>,
    /// Sums of scores.
    pub facts: Vec<Fact>,
    /// What the machines say.
    pub answers: Vec<AnswerRow>,
    /// What would become of the items.
    pub items: Vec<ItemRow>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diffs_are_cut_by_their_first_letter() {
        use DiffLine::{Added, Other, Removed};
        let found = diff("--- /etc/x\n+++ /etc/x\n@@ -1 +1 @@\n-a\n+b\n c\n");
        let texts = |line: &DiffLine| match line {
            Added(text) | Removed(text) | Other(text) => text.clone(),
        };
        assert_eq!(found.iter().map(texts).collect::<Vec<_>>().join("|"), "--- /etc/x|+++ /etc/x|@@ -1 +1 @@|-a|+b| c");
        assert_eq!(found[3], Removed("-a".into()));
        assert_eq!(found[4], Added("+b".into()));
        assert!(matches!(found[0], Other(_)) && matches!(found[1], Other(_)));
    }
}
