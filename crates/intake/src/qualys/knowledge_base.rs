//! The knowledge base (`KNOWLEDGE_BASE_VULN_LIST_OUTPUT`): what each QID means.

use crate::error::{ReadError, Stop};
use crate::limits::Limits;
use crate::observation::{
    CvssReport, ExploitReport, Observation, ReferenceReport, SoftwareReport, ThreatIndicator, VulnerabilityKind,
    VulnerabilityReport,
};
use crate::qualys::{hld, page};
use crate::summary::Summary;
use crate::values;
use crate::xml::Xml;
use std::io::BufRead;

/// The root element.
pub const ROOT: &str = "KNOWLEDGE_BASE_VULN_LIST_OUTPUT";

/// Reads one answer or file; `sink` receives every vulnerability as soon as it is complete.
pub fn read(
    input: impl BufRead,
    limits: &Limits,
    sink: &mut dyn FnMut(Observation) -> Result<(), Stop>,
) -> Result<Summary, ReadError> {
    page::read(input, limits, ROOT, |xml, name| {
        if name != "VULN_LIST" {
            return Ok(());
        }
        xml.children(|xml, name| {
            if name != "VULN" {
                return page::error_in_list(xml, name);
            }
            let mut found = Box::new(VulnerabilityReport::default());
            let mut qid = None;
            xml.next_record();
            xml.children(|xml, name| match name {
                "QID" => {
                    qid = xml.number()?;
                    Ok(())
                }
                _ => field(xml, name, &mut found),
            })?;
            hand_out(xml, qid, found, sink)
        })
    })
}

/// Hands a vulnerability to the receiver, or rejects it when it has no number.
pub(crate) fn hand_out<R: BufRead>(
    xml: &mut Xml<'_, R>,
    qid: Option<i64>,
    mut found: Box<VulnerabilityReport>,
    sink: &mut dyn FnMut(Observation) -> Result<(), Stop>,
) -> Result<(), ReadError> {
    let Some(qid) = qid else {
        let row = found.title.unwrap_or_else(|| "a vulnerability without title".to_owned());
        xml.reject(row, "no QID");
        return Ok(());
    };
    found.qid = qid;
    xml.summary.vulnerabilities += 1;
    sink(Observation::Vulnerability(found))?;
    Ok(())
}

/// Reads the child `name` of a VULN or VULN_DETAILS element; the knowledge base and the glossary of a report name the
/// same things differently.
pub(crate) fn field<R: BufRead>(
    xml: &mut Xml<'_, R>,
    name: &str,
    found: &mut VulnerabilityReport,
) -> Result<(), ReadError> {
    match name {
        "VULN_TYPE" => found.kind = xml.text()?.map(|word| VulnerabilityKind::parse(&word)),
        "SEVERITY_LEVEL" | "SEVERITY" => found.severity = hld::severity(xml)?,
        "TITLE" => found.title = xml.text()?,
        "CATEGORY" => found.category = xml.text()?,
        "LAST_CUSTOMIZATION" => xml.children(|xml, name| {
            if name == "DATETIME" {
                found.customized_at = xml.instant()?;
            }
            Ok(())
        })?,
        "LAST_SERVICE_MODIFICATION_DATETIME" | "LAST_UPDATE" => found.modified_at = xml.instant()?,
        "PUBLISHED_DATETIME" => found.published_at = xml.instant()?,
        "CODE_MODIFIED_DATETIME" => found.code_modified_at = xml.instant()?,
        "PATCHABLE" => found.patchable = xml.flag()?,
        "PCI_FLAG" => found.pci = xml.flag()?,
        "IS_DISABLED" => found.disabled = xml.flag()?.unwrap_or(false),
        "DIAGNOSIS" | "THREAT" => found.threat = xml.prose()?,
        "DIAGNOSIS_COMMENT" | "THREAT_COMMENT" => found.threat_comment = xml.prose()?,
        "CONSEQUENCE" | "IMPACT" => found.impact = xml.prose()?,
        "CONSEQUENCE_COMMENT" | "IMPACT_COMMENT" => found.impact_comment = xml.prose()?,
        "SOLUTION" => found.solution = xml.prose()?,
        "SOLUTION_COMMENT" => found.solution_comment = xml.prose()?,
        "CVSS" => found.cvss2 = cvss(xml)?,
        "CVSS_V3" => found.cvss3 = cvss(xml)?,
        "CVE_LIST" | "CVE_ID_LIST" => cves(xml, found)?,
        "BUGTRAQ_LIST" | "BUGTRAQ_ID_LIST" => {
            for bugtraq in references(xml)? {
                if let Some(id) = bugtraq.id {
                    xml.push(&mut found.bugtraq_ids, id);
                }
            }
        }
        "VENDOR_REFERENCE_LIST" => found.vendor_references = references(xml)?,
        "SOFTWARE_LIST" => software(xml, found)?,
        "THREAT_INTELLIGENCE" => threat_intelligence(xml, found)?,
        "CORRELATION" => correlation(xml, found)?,
        "DISCOVERY" => discovery(xml, found)?,
        _ => {}
    }
    Ok(())
}

fn cves<R: BufRead>(xml: &mut Xml<'_, R>, found: &mut VulnerabilityReport) -> Result<(), ReadError> {
    for reference in references(xml)? {
        let Some(id) = reference.id else { continue };
        let id = id.to_ascii_uppercase();
        if !found.cves.contains(&id) {
            xml.push(&mut found.cves, id);
        }
    }
    Ok(())
}

/// A list of things with ID and URL. Entries without an id occur and are noted.
fn references<R: BufRead>(xml: &mut Xml<'_, R>) -> Result<Vec<ReferenceReport>, ReadError> {
    let mut list = Vec::new();
    xml.children(|xml, _| {
        let mut reference = ReferenceReport::default();
        xml.children(|xml, name| {
            match name {
                "ID" => reference.id = xml.text()?,
                "URL" => reference.url = xml.text()?,
                _ => {}
            }
            Ok(())
        })?;
        if reference.id.is_some() {
            xml.push(&mut list, reference);
        } else {
            xml.note("reference without id");
        }
        Ok(())
    })?;
    Ok(list)
}

fn software<R: BufRead>(xml: &mut Xml<'_, R>, found: &mut VulnerabilityReport) -> Result<(), ReadError> {
    xml.children(|xml, _| {
        let mut software = SoftwareReport::default();
        xml.children(|xml, name| {
            match name {
                "PRODUCT" => software.product = xml.text()?,
                "VENDOR" => software.vendor = xml.text()?,
                _ => {}
            }
            Ok(())
        })?;
        if software != SoftwareReport::default() {
            xml.push(&mut found.software, software);
        }
        Ok(())
    })
}

fn threat_intelligence<R: BufRead>(xml: &mut Xml<'_, R>, found: &mut VulnerabilityReport) -> Result<(), ReadError> {
    xml.children(|xml, name| {
        if name != "THREAT_INTEL" {
            return Ok(());
        }
        let id = xml.attribute("id").and_then(|id| id.parse().ok());
        let name = xml.text()?.unwrap_or_default();
        if id.is_some() || !name.is_empty() {
            xml.push(&mut found.threat_intelligence, ThreatIndicator { id, name });
        }
        Ok(())
    })
}

/// Exploits and malware. The report's glossary calls the first `EXPLOITABILITY`, the knowledge base `EXPLOITS`.
fn correlation<R: BufRead>(xml: &mut Xml<'_, R>, found: &mut VulnerabilityReport) -> Result<(), ReadError> {
    xml.children(|xml, name| match name {
        "EXPLOITS" | "EXPLOITABILITY" => xml.children(|xml, _| exploit_source(xml, found)),
        "MALWARE" => xml.children(|xml, _| malware_source(xml, found)),
        _ => Ok(()),
    })
}

fn exploit_source<R: BufRead>(xml: &mut Xml<'_, R>, found: &mut VulnerabilityReport) -> Result<(), ReadError> {
    let mut source = None;
    let first = found.exploits.len();
    xml.children(|xml, name| match name {
        "SRC_NAME" => {
            source = xml.text()?;
            Ok(())
        }
        "EXPLT_LIST" => xml.children(|xml, _| {
            let mut exploit = ExploitReport::default();
            xml.children(|xml, name| {
                match name {
                    "REF" => exploit.reference = xml.text()?,
                    "DESC" => exploit.description = xml.text()?,
                    "LINK" => exploit.link = xml.text()?,
                    _ => {}
                }
                Ok(())
            })?;
            if exploit != ExploitReport::default() {
                xml.push(&mut found.exploits, exploit);
            }
            Ok(())
        }),
        _ => Ok(()),
    })?;
    for exploit in found.exploits.iter_mut().skip(first) {
        exploit.source.clone_from(&source);
    }
    Ok(())
}

fn malware_source<R: BufRead>(xml: &mut Xml<'_, R>, found: &mut VulnerabilityReport) -> Result<(), ReadError> {
    xml.children(|xml, name| {
        if name != "MW_LIST" {
            return Ok(());
        }
        xml.children(|xml, _| {
            let mut id = None;
            xml.children(|xml, name| {
                if name == "MW_ID" {
                    id = xml.text()?;
                }
                Ok(())
            })?;
            if let Some(id) = id.filter(|id| !found.malware.contains(id)) {
                xml.push(&mut found.malware, id);
            }
            Ok(())
        })
    })
}

fn discovery<R: BufRead>(xml: &mut Xml<'_, R>, found: &mut VulnerabilityReport) -> Result<(), ReadError> {
    xml.children(|xml, name| match name {
        "REMOTE" => {
            found.remote_discovery = xml.flag()?;
            Ok(())
        }
        "AUTH_TYPE_LIST" => xml.children(|xml, _| {
            if let Some(kind) = xml.text()? {
                xml.push(&mut found.authentication_types, kind);
            }
            Ok(())
        }),
        _ => Ok(()),
    })
}

fn cvss<R: BufRead>(xml: &mut Xml<'_, R>) -> Result<Option<CvssReport>, ReadError> {
    let mut cvss = CvssReport::default();
    xml.children(|xml, name| {
        match name {
            "BASE" => cvss.base = xml.value("CVSS score not understood", values::score)?,
            "TEMPORAL" => cvss.temporal = xml.value("CVSS score not understood", values::score)?,
            "VECTOR_STRING" => cvss.vector = xml.text()?,
            "CVSS3_VERSION" => cvss.version = xml.text()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((cvss != CvssReport::default()).then_some(cvss))
}
