//! XML documents by their root element.

use super::{Format, NO_DETECTIONS, Readable, USE_XML};
use crate::error::ReadError;
use crate::limits::Limits;
use crate::qualys;
use crate::xml::Xml;

/// Qualys roots without a reader.
const QUALYS: &[(&str, &str, &str)] = &[
    (
        "WAS_SCAN_REPORT",
        "web application scan report (WAS_SCAN_REPORT XML)",
        "web application findings are not imported",
    ),
    (
        "WAS_WEBAPP_REPORT",
        "web application report (WAS_WEBAPP_REPORT XML)",
        "web application findings are not imported",
    ),
    ("HOST_LIST_OUTPUT", "host list (HOST_LIST_OUTPUT XML)", NO_DETECTIONS),
    ("SCAN_LIST_OUTPUT", "scan list (SCAN_LIST_OUTPUT XML)", NO_DETECTIONS),
    ("SCHEDULE_SCAN_LIST_OUTPUT", "list of scheduled scans", NO_DETECTIONS),
    ("OPTION_PROFILES", "option profiles (OPTION_PROFILES XML)", NO_DETECTIONS),
    ("APPLIANCE_LIST_OUTPUT", "scanner appliance list", NO_DETECTIONS),
    ("ASSET_GROUP_LIST_OUTPUT", "asset group list", NO_DETECTIONS),
    ("ASSET_GROUP_LIST", "asset group list", NO_DETECTIONS),
    ("ASSET_SEARCH_REPORT", "asset search report", NO_DETECTIONS),
    ("ASSET_RANGE_INFO", "asset range report", USE_XML),
    ("HOST_LIST_VM_CVE_DETECTION_OUTPUT", "host list detection by CVE", USE_XML),
    ("SERVICERESPONSE", "asset or web application API answer (ServiceResponse XML)", NO_DETECTIONS),
    ("MAP", "network map results (MAP XML)", NO_DETECTIONS),
    ("MAPREPORT", "network map report", NO_DETECTIONS),
    ("REMEDIATION_TICKETS", "remediation tickets", NO_DETECTIONS),
    ("TICKET_LIST_OUTPUT", "remediation tickets", NO_DETECTIONS),
    ("IGNORE_VULN_OUTPUT", "list of ignored vulnerabilities", NO_DETECTIONS),
    ("REPORT_LIST_OUTPUT", "report list", NO_DETECTIONS),
    ("REPORT_TEMPLATE_LIST", "report template list", NO_DETECTIONS),
    ("USER_LIST_OUTPUT", "user list", NO_DETECTIONS),
    ("ABOUT", "version answer (about.php)", NO_DETECTIONS),
    ("POSTURE_INFO_LIST_OUTPUT", "compliance posture", NO_DETECTIONS),
    ("COMPLIANCE_POLICY_REPORT", "compliance policy report", NO_DETECTIONS),
    ("COMPLIANCE_SCAN", "compliance scan results", NO_DETECTIONS),
    ("POLICY_LIST_OUTPUT", "compliance policy list", NO_DETECTIONS),
    ("CONTROL_LIST_OUTPUT", "compliance control list", NO_DETECTIONS),
    ("PCI_SCAN_LIST_OUTPUT", "PCI scan list", NO_DETECTIONS),
    ("PATCH_REPORT", "patch report", NO_DETECTIONS),
    ("VULN_SCORECARD_REPORT", "scorecard report", NO_DETECTIONS),
    ("ASSET_GROUP_SCORECARD", "scorecard report", NO_DETECTIONS),
];

/// Roots of other products.
const FOREIGN: &[(&str, &str)] = &[
    ("NESSUSCLIENTDATA_V2", "Nessus XML (NessusClientData_v2)"),
    ("NESSUSCLIENTDATA", "Nessus XML (version 1)"),
    ("NEXPOSEREPORT", "a Rapid7 Nexpose report (NexposeReport XML)"),
    ("NEXPOSESIMPLEXML", "a Rapid7 Nexpose report (simple XML)"),
    ("GET_REPORTS_RESPONSE", "an OpenVAS report (GMP XML)"),
    ("BOM", "a CycloneDX bill of materials (XML)"),
    ("NMAPRUN", "Nmap XML"),
    ("OWASPZAPREPORT", "an OWASP ZAP report"),
    ("NIKTOSCAN", "a Nikto report"),
    ("ISSUES", "a Burp Suite report"),
    ("ANALYSIS", "an OWASP Dependency-Check report"),
    ("SCANGROUP", "an Acunetix report"),
    ("OVAL_RESULTS", "OVAL results"),
    ("OVAL_DEFINITIONS", "OVAL definitions"),
    ("BENCHMARK", "an XCCDF benchmark"),
    ("TESTRESULT", "XCCDF results"),
    ("TESTSUITES", "a JUnit test report"),
    ("CVRFDOC", "a CVRF advisory"),
    ("HTML", "an HTML page"),
];

/// Names the document whose first bytes are `head`.
pub(super) fn recognise(head: &[u8]) -> Result<Format, ReadError> {
    let limits = Limits::default();
    let mut xml = Xml::new(head, &limits);
    let root = match xml.root("a Qualys document") {
        Ok(root) => root,
        Err(error @ ReadError::EntityRefused { .. }) => return Err(error),
        Err(_) => return Ok(Format::foreign("XML that is not well-formed before its first element")),
    };
    let name = root.as_str();
    match name {
        qualys::hld::ROOT => {
            return Ok(Format::readable("Qualys host list detection (HLD XML)", Readable::HostListDetection));
        }
        qualys::knowledge_base::ROOT => {
            return Ok(Format::readable("Qualys knowledge base (KB XML)", Readable::KnowledgeBase));
        }
        qualys::asset_data_report::ROOT => {
            return Ok(Format::readable(
                "Qualys host based scan report (ASSET_DATA_REPORT XML)",
                Readable::AssetDataReport,
            ));
        }
        qualys::scan_results::ROOT => {
            return Ok(Format::readable("Qualys VM scan results (SCAN XML)", Readable::ScanResults));
        }
        "SIMPLE_RETURN" | "GENERIC_RETURN" | "BATCH_RETURN" => {
            return Ok(Format::readable("Qualys status answer", Readable::StatusAnswer));
        }
        "REPORT" if xml.attribute("format_id").is_some() || xml.attribute("content_type").is_some() => {
            return Ok(Format::foreign("an OpenVAS report (GMP XML)"));
        }
        _ => {}
    }
    if let Some((_, name, advice)) = QUALYS.iter().find(|(root, ..)| *root == name) {
        return Ok(Format::qualys(name, advice));
    }
    if let Some((_, name)) = FOREIGN.iter().find(|(root, _)| *root == name) {
        return Ok(Format::foreign(*name));
    }
    Ok(Format::foreign(format!("an XML document `{name}`")))
}
