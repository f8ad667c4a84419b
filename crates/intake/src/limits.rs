//! Every bound on foreign input, in one place.
//!
//! Two kinds: a *refusal* ends the reading with [`crate::ReadError::TooLarge`], a *cut* shortens one value, is counted
//! in the summary and goes on. Cuts are for evidence and prose, refusals for what would make a record wrong.

/// Bounds for one reading. [`Limits::default`] is what the product uses; tests make smaller ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Refusal: bytes of the whole input.
    pub input_bytes: u64,
    /// Refusal: bytes of one piece of markup or text (an element's text, a comment, a DOCTYPE).
    pub token_bytes: usize,
    /// Refusal: how deep elements may nest.
    pub depth: usize,
    /// Cut: bytes of a name, an address, a word.
    pub short_text_bytes: usize,
    /// Cut: bytes of a detection's evidence.
    pub results_bytes: usize,
    /// Cut: bytes of one prose text of a vulnerability.
    pub prose_bytes: usize,
    /// Cut for evidence, refusal for the rest: bytes of text kept for one host or one vulnerability.
    pub record_bytes: usize,
    /// Refusal: detections of one host in one input.
    pub detections_per_host: usize,
    /// Cut: entries of any one list of a record (tags, CVEs, references, factors).
    pub list_entries: usize,
    /// Refusal: ids of one id set, ranges expanded.
    pub set_ids: usize,
    /// Refusal: records of a small administrative answer (profiles, appliances, groups, scans).
    pub small_records: usize,
    /// Refusal: vulnerabilities that one report file explains.
    pub glossary_entries: usize,
    /// Cut: bytes of all texts about the vulnerabilities of one report file that explains them row by row.
    pub glossary_bytes: usize,
    /// Refusal: detections of a list in which each can stand several times.
    pub distinct_detections: usize,
    /// How many rejected rows are described one by one; the rest is only counted.
    pub rejections_described: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            input_bytes: 16 << 30,
            token_bytes: 16 << 20,
            depth: 64,
            short_text_bytes: 4 << 10,
            results_bytes: 512 << 10,
            prose_bytes: 256 << 10,
            record_bytes: 32 << 20,
            detections_per_host: 50_000,
            list_entries: 5_000,
            set_ids: 5_000_000,
            small_records: 100_000,
            glossary_entries: 200_000,
            glossary_bytes: 256 << 20,
            distinct_detections: 3_000_000,
            rejections_described: 20,
        }
    }
}
