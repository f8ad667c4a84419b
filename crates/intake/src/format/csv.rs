//! Texts with separators, by the names in their header line, wherever in the first lines it stands.

use super::{Format, NO_DETECTIONS, USE_XML};

/// How many lines of preamble are looked through for a header.
const LINES_MAX: usize = 60;

/// Names the text that begins with `head`.
pub(super) fn recognise(head: &str) -> Format {
    if head.starts_with("----BEGIN_RESPONSE_HEADER_CSV") || head.starts_with("----BEGIN_RESPONSE_BODY_CSV") {
        return marked(head);
    }
    if head.starts_with("MIME-Version:") {
        return Format::foreign("a web archive (MHT)");
    }
    if head.trim() == "null" {
        return Format::foreign("a JSON document that is only null, as some scanners write when they found nothing");
    }
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(head.as_bytes());
    let mut record = ::csv::StringRecord::new();
    let mut vmdr_title = false;
    for _ in 0..LINES_MAX {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(_) => continue,
        }
        let header = Header(&record);
        vmdr_title |= header.has("Asset Vuln Datalist Report");
        if let Some(format) = header.recognise() {
            return format;
        }
    }
    if vmdr_title {
        return Format::qualys("VMDR vulnerability list (CSV) with an unknown layout", USE_XML);
    }
    Format::foreign("text that is neither XML, JSON nor a known CSV file")
}

/// API output in CSV form, between its marker lines.
fn marked(head: &str) -> Format {
    let body = head.lines().find(|line| line.contains("\"QID\"") || line.contains("\"Action\""));
    match body {
        Some(line) if line.contains("\"Action\"") => Format::qualys("activity log (CSV)", NO_DETECTIONS),
        _ => Format::qualys("host list detection (CSV)", "ask the API for XML (output_format=XML)"),
    }
}

struct Header<'r>(&'r ::csv::StringRecord);

impl Header<'_> {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|field| field.trim().trim_start_matches('\u{feff}').eq_ignore_ascii_case(name))
    }

    fn all(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.has(name))
    }

    fn recognise(&self) -> Option<Format> {
        let qualys = |name| Some(Format::qualys(name, USE_XML));
        if self.all(&["IP", "HOSTNAME", "LAST SCAN", "QID", "VULN TITLE"]) {
            return qualys("HackerGuardian report (CSV)");
        }
        if self.all(&["CVE", "CVE-Description", "QID"]) {
            return qualys("VMDR vulnerability list by CVE (CSV)");
        }
        if self.all(&["QID", "Title", "Severity", "KB Severity"]) {
            return qualys("VMDR vulnerability list by QID (CSV)");
        }
        if self.all(&["Host ID", "QID", "Type", "Status"]) {
            return Some(Format::qualys("host list detection (CSV)", "ask the API for XML (output_format=XML)"));
        }
        if self.all(&["IP", "DNS", "NetBIOS", "Tracking Method", "QID"]) {
            return qualys("host based scan report (CSV)");
        }
        if self.has("QID") && (self.has("IP") || self.has("IP Address") || self.has("DNS")) {
            return qualys("scan report (CSV, PCI or monthly layout)");
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
