//! Reads a file of a format that is found out from its content.
//!
//! The reader hands out observations before it has seen the end. Who must not act on a broken file (a file import is
//! all or nothing) reads it twice: once with [`check`], which keeps nothing, and again for the content.

use crate::error::{ReadError, Stop};
use crate::format::{self, Format, HEAD_BYTES, Kind, Layout, Readable};
use crate::limits::Limits;
use crate::observation::Observation;
use crate::qualys::{
    asset_data_report, hackerguardian_csv, hld, hld_csv, knowledge_base, report_csv, returns, scan_results, vmdr_csv,
};
use crate::summary::Summary;
use serde::Serialize;
use std::io::{BufRead, Cursor, Read};

/// What a file was and what it held.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileReport {
    /// The format's name.
    pub format: String,
    /// The account of the reading.
    #[serde(flatten)]
    pub summary: Summary,
}

/// Recognises and reads a file; `sink` receives what it holds, one record at a time.
///
/// A format without a reader is a [`ReadError::Refused`] that names it.
pub fn read(
    mut input: impl BufRead,
    limits: &Limits,
    sink: &mut dyn FnMut(Observation) -> Result<(), Stop>,
) -> Result<FileReport, ReadError> {
    let mut head = Vec::new();
    input.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(ReadError::Io)?;
    let Format { name, kind } = format::recognise(&head)?;
    let input = Cursor::new(head).chain(input);
    let summary = match kind {
        Kind::Readable(Readable::HostListDetection) => hld::read(input, limits, sink)?,
        Kind::Readable(Readable::KnowledgeBase) => knowledge_base::read(input, limits, sink)?,
        Kind::Readable(Readable::AssetDataReport) => asset_data_report::read(input, limits, sink)?,
        Kind::Readable(Readable::ScanResults) => scan_results::read(input, limits, sink)?,
        Kind::Readable(Readable::Table(layout)) => match layout {
            Layout::HostListDetection => hld_csv::read(input, limits, sink)?,
            Layout::ScanReport => report_csv::read(input, limits, sink)?,
            Layout::VmdrByQid | Layout::VmdrByCve => vmdr_csv::read(input, limits, sink)?,
            Layout::HackerGuardian => hackerguardian_csv::read(input, limits, sink)?,
        },
        Kind::Readable(Readable::StatusAnswer) => {
            returns::answer(input, limits)?;
            return Err(Format { name, kind: Kind::Qualys(format::NO_DETECTIONS) }.refusal());
        }
        Kind::Qualys(_) | Kind::Foreign => return Err(Format { name, kind }.refusal()),
    };
    Ok(FileReport { format: name.into_owned(), summary })
}

/// Reads a file to its end and keeps nothing: whether it is good, and what it would amount to.
pub fn check(input: impl BufRead, limits: &Limits) -> Result<FileReport, ReadError> {
    read(input, limits, &mut |_| Ok(()))
}
