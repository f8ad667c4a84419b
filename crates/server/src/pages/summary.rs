//! The summary of a job on paper: who, what, when, the plan, what came of it, and by which digest the evidence can be
//! recognised. One document without the frame of the other pages, laid out for A4.

use super::Band;
use super::chips::Chip;
use super::records::Fact;
use super::shell::Shell;
use askama::Template;
use protocol::api::response::{JobCve, ReportLine};

/// The summary.
#[derive(Debug, Clone, Template)]
#[template(path = "job_summary.html")]
pub struct SummaryPage {
    /// The frame's title and token.
    pub shell: Shell,
    /// `MJ0000001`.
    pub number: String,
    /// Its title.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// Its status.
    pub status: Chip,
    /// Who, what and when.
    pub facts: Vec<Fact>,
    /// What is done: QID, vulnerability, mitigation, revision and digest.
    pub plan: Vec<(i64, String, String, String)>,
    /// How many by what became of them, with the word.
    pub counts: Vec<(i64, &'static str)>,
    /// The CVEs.
    pub cves: Vec<JobCve>,
    /// The lines of the report, the first of them.
    pub lines: Vec<ReportLine>,
    /// How many lines there are besides.
    pub more: i64,
    /// The digest of the evidence; empty without any.
    pub digest: String,
    /// What there is to say of it.
    pub evidence: String,
    /// The runs: ordinal, begin, end, succeeded, failed, all.
    pub runs: Vec<(i64, String, String, i64, i64, i64)>,
    /// Which run this is about; 0 before the first.
    pub run: i64,
    /// When it was printed, and by whom.
    pub printed: String,
}

/// A score with its band, or a dash.
fn scored(score: &Option<i64>) -> String {
    score.map_or_else(|| "–".to_owned(), |score| format!("{score} {}", Band::of(score).word()))
}

/// The code as people see it: `33/203`.
fn code(line: &ReportLine) -> String {
    let detail = line.mitigation_return_code.filter(|detail| Some(*detail) != line.return_code);
    line.return_code.map_or_else(|| "–".to_owned(), |code| domain::result::number(code, detail))
}
