//! The scan list (`SCAN_LIST_OUTPUT`): where launched scans are.

use crate::error::ReadError;
use crate::limits::Limits;
use crate::observation::Micros;
use crate::qualys::page::{self, Listing};
use crate::xml::Xml;
use serde::Serialize;
use std::io::BufRead;

/// The root element.
pub const ROOT: &str = "SCAN_LIST_OUTPUT";

/// One scan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ScanReport {
    /// By which it is followed and stopped, `scan/1577836800.12345`.
    pub reference: String,
    /// The title it was launched with.
    pub title: Option<String>,
    /// `On-Demand`, `Scheduled`, `API`.
    pub kind: Option<String>,
    /// Who launched it.
    pub user: Option<String>,
    /// When.
    pub launched_at: Option<Micros>,
    /// How long it took, in seconds; absent while it runs.
    pub duration_seconds: Option<i64>,
    /// Where it is.
    pub state: Option<ScanState>,
    /// More about it: `No_Vuln`, `No_Host`, an open list.
    pub sub_state: Option<String>,
    /// Whether its results are in the detections. Only then is a finished scan of use.
    pub processed: bool,
    /// What was scanned, as written.
    pub target: Option<String>,
    /// The option profile's title.
    pub option_profile: Option<String>,
}

/// Where a scan is, in the scanner's words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ScanState {
    /// Waits for a scanner.
    Queued,
    /// Runs.
    Running,
    /// Was halted and can go on.
    Paused,
    /// Its results are being stored.
    Loading,
    /// Ended by itself.
    Finished,
    /// Ended by a person; may hold results.
    Canceled,
    /// Ended by a fault.
    Error,
    /// A word we do not know, as it came.
    Other(String),
}

impl ScanState {
    /// Reads the word, in any case.
    pub fn parse(word: &str) -> ScanState {
        match word.to_ascii_lowercase().as_str() {
            "queued" => ScanState::Queued,
            "running" => ScanState::Running,
            "paused" => ScanState::Paused,
            "loading" => ScanState::Loading,
            "finished" => ScanState::Finished,
            "canceled" | "cancelled" => ScanState::Canceled,
            "error" => ScanState::Error,
            _ => ScanState::Other(word.to_owned()),
        }
    }

    /// Whether the scan will not move again by itself. An unknown word counts as moving.
    pub fn ended(&self) -> bool {
        matches!(self, ScanState::Finished | ScanState::Canceled | ScanState::Error)
    }
}

/// Reads one answer; none found is an empty list. Scans without a reference are rejected.
pub fn read(input: impl BufRead, limits: &Limits) -> Result<Listing<ScanReport>, ReadError> {
    let mut listing = page::listing(input, limits, [ROOT, "SCAN_LIST", "SCAN"], |xml| {
        let mut found = ScanReport::default();
        xml.children(|xml, name| field(xml, name, &mut found))?;
        if found.reference.is_empty() {
            xml.reject(found.title.clone().unwrap_or_else(|| "a scan".to_owned()), "no reference");
        }
        Ok(found)
    })?;
    listing.entries.retain(|scan| !scan.reference.is_empty());
    Ok(listing)
}

fn field<R: BufRead>(xml: &mut Xml<'_, R>, name: &str, found: &mut ScanReport) -> Result<(), ReadError> {
    match name {
        "REF" => found.reference = xml.text()?.unwrap_or_default(),
        "TITLE" => found.title = xml.text()?,
        "TYPE" => found.kind = xml.text()?,
        "USER_LOGIN" => found.user = xml.text()?,
        "LAUNCH_DATETIME" => found.launched_at = xml.instant()?,
        "DURATION" => found.duration_seconds = xml.text()?.and_then(|text| duration_seconds(&text)),
        "PROCESSED" => found.processed = xml.flag()?.unwrap_or(false),
        "TARGET" => found.target = xml.prose()?,
        "STATUS" => xml.children(|xml, name| {
            match name {
                "STATE" => found.state = xml.text()?.map(|word| ScanState::parse(&word)),
                "SUB_STATE" => found.sub_state = xml.text()?,
                _ => {}
            }
            Ok(())
        })?,
        "OPTION_PROFILE" => xml.children(|xml, name| {
            if name == "TITLE" {
                found.option_profile = xml.text()?;
            }
            Ok(())
        })?,
        _ => {}
    }
    Ok(())
}

/// `00:11:14` or `2 days 03:04:05`; `Pending` and `Running` are none.
fn duration_seconds(text: &str) -> Option<i64> {
    let (days, clock) = match text.split_once("day") {
        Some((days, rest)) => (days.trim().parse::<i64>().ok()?, rest.trim_start_matches('s').trim()),
        None => (0, text),
    };
    let mut parts = clock.split(':').map(|part| part.parse::<i64>().ok().filter(|n| (0..100_000).contains(n)));
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    days.checked_mul(86_400)?.checked_add(hours * 3600 + minutes * 60 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, wanted) in [
            ("00:11:14", Some(674)),
            ("2 days 03:04:05", Some(2 * 86_400 + 11_045)),
            ("1 day 00:00:01", Some(86_401)),
            ("Pending", None),
            ("Running", None),
            ("1:2", None),
            ("99999999999999999999 days 00:00:00", None),
            ("", None),
        ] {
            assert_eq!(duration_seconds(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_scan_with_and_without_extras() {
        let text = "<SCAN_LIST_OUTPUT><RESPONSE><SCAN_LIST><SCAN><ID>1</ID><REF>scan/1.2</REF><TYPE>API</TYPE><TITLE><![CDATA[t]]></TITLE>
            <LAUNCH_DATETIME>2020-01-01T00:00:00Z</LAUNCH_DATETIME><DURATION>00:00:10</DURATION><PROCESSED>1</PROCESSED>
            <STATUS><STATE>Finished</STATE><SUB_STATE>No_Vuln</SUB_STATE></STATUS><TARGET><![CDATA[10.0.0.1]]></TARGET></SCAN>
            <SCAN><REF>scan/2.2</REF><STATUS><STATE>Frozen</STATE></STATUS></SCAN><SCAN><TITLE>lost</TITLE></SCAN></SCAN_LIST></RESPONSE>
            </SCAN_LIST_OUTPUT>";
        let listing = read(text.as_bytes(), &Limits::default()).expect("good");
        let [first, second] = &listing.entries[..] else { panic!("{listing:?}") };
        assert_eq!(
            (first.state.as_ref(), first.processed, first.duration_seconds),
            (Some(&ScanState::Finished), true, Some(10))
        );
        assert_eq!(second.state, Some(ScanState::Other("Frozen".to_owned())));
        assert!(!second.processed && !second.state.as_ref().is_some_and(ScanState::ended));
        assert_eq!(listing.summary.rejected, 1);
    }
}
