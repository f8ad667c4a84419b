//! Texts with separators, by the names in their header line, wherever in the first lines it stands.

use super::{Format, NO_DETECTIONS, Readable, USE_XML};
use crate::qualys::vmdr_csv::TITLE;
use crate::table::{self, PREAMBLE_RECORDS_MAX};

/// Names the text that begins with `head`.
pub(super) fn recognise(head: &str) -> Format {
    if head.starts_with("MIME-Version:") {
        return Format::foreign("a web archive (MHT)");
    }
    if head.trim() == "null" {
        return Format::foreign("a JSON document that is only null, as some scanners write when they found nothing");
    }
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(head.as_bytes());
    let mut record = ::csv::StringRecord::new();
    let mut vmdr_title = false;
    for _ in 0..PREAMBLE_RECORDS_MAX {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(_) => continue,
        }
        let header = Header(&record);
        vmdr_title |= header.has(TITLE);
        if let Some(format) = Layout::of(&record).map(Layout::format).or_else(|| header.recognise()) {
            return format;
        }
    }
    if vmdr_title {
        return Format::qualys("VMDR vulnerability list (CSV) with an unknown layout", USE_XML);
    }
    Format::foreign("text that is neither XML, JSON nor a known CSV file")
}

/// Layouts with a reader, told by the names of their columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Host list detection in CSV form.
    HostListDetection,
    /// Host based scan report, scan results, PCI and monthly reports.
    ScanReport,
    /// VMDR list by QID.
    VmdrByQid,
    /// VMDR list by CVE.
    VmdrByCve,
    /// HackerGuardian report.
    HackerGuardian,
}

impl Layout {
    /// The layout whose columns this record names.
    pub(crate) fn of(record: &::csv::StringRecord) -> Option<Layout> {
        let header = Header(record);
        if !header.has("QID") {
            return None;
        }
        let known: [(&[&str], Layout); 5] = [
            (&["IP", "HOSTNAME", "LAST SCAN", "VULN TITLE"], Layout::HackerGuardian),
            (&["CVE", "CVE-Description"], Layout::VmdrByCve),
            (&["Title", "Severity", "KB Severity"], Layout::VmdrByQid),
            (&["Host ID", "Type", "Status"], Layout::HostListDetection),
            (&["Type", "Severity"], Layout::ScanReport),
        ];
        let machine =
            ["IP", "IP Address", "DNS", "Asset Id", "Asset Name", "Host ID"].iter().any(|name| header.has(name));
        known.iter().find(|(names, _)| machine && header.all(names)).map(|(_, layout)| *layout)
    }

    fn format(self) -> Format {
        let name = match self {
            Layout::HostListDetection => "Qualys host list detection (HLD CSV)",
            Layout::ScanReport => "Qualys scan report (CSV)",
            Layout::VmdrByQid => "Qualys VMDR vulnerability list by QID (CSV)",
            Layout::VmdrByCve => "Qualys VMDR vulnerability list by CVE (CSV)",
            Layout::HackerGuardian => "HackerGuardian report (CSV)",
        };
        Format::readable(name, Readable::Table(self))
    }
}

struct Header<'r>(&'r ::csv::StringRecord);

impl Header<'_> {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|field| table::name(field).eq_ignore_ascii_case(name))
    }

    fn all(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.has(name))
    }

    fn recognise(&self) -> Option<Format> {
        if self.has("QID") && (self.has("IP") || self.has("IP Address") || self.has("DNS")) {
            return Some(Format::qualys("scan report (CSV) without the columns Type and Severity", USE_XML));
        }
        if self.all(&["Date", "Action", "Module", "Details", "User Name"]) {
            return Some(Format::qualys("activity log (CSV)", NO_DETECTIONS));
        }
        if self.all(&["QID", "Title"]) {
            return Some(Format::qualys("knowledge base (CSV)", "save the knowledge base API output as XML"));
        }
        let foreign = |name: &'static str| Some(Format::foreign(name));
        if self.all(&["Plugin ID", "Risk", "Host"]) || self.all(&["Plugin", "Plugin Name", "Family"]) {
            return foreign("Nessus or Tenable CSV");
        }
        if self.all(&["NVT Name", "NVT OID"]) {
            return foreign("OpenVAS CSV");
        }
        if self.all(&["Asset IP Address", "Vulnerability ID"]) {
            return foreign("Rapid7 InsightVM CSV");
        }
        None
    }
}
