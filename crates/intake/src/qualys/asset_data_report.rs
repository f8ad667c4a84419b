//! Host based scan reports (`ASSET_DATA_REPORT`): machines with their findings first, then a glossary that explains
//! them.
//!
//! All three kinds of finding are kept (`Vuln`, `Practice`, `Ig`), each with its kind. Machines are handed out before
//! the glossary is seen; the QID is what joins the two. Headers, per-host risk summaries and appendices are skipped.

use crate::error::{ReadError, Stop};
use crate::limits::Limits;
use crate::observation::{CvssReport, HostReport, Observation, VulnerabilityReport};
use crate::qualys::hld::{Row, hand_out, keep, port};
use crate::qualys::{host, knowledge_base};
use crate::summary::Summary;
use crate::values;
use crate::xml::Xml;
use std::io::BufRead;

/// The root element.
pub const ROOT: &str = "ASSET_DATA_REPORT";

/// Reads one report; `sink` receives machines and then vulnerabilities, each as soon as it is complete.
pub fn read(
    input: impl BufRead,
    limits: &Limits,
    sink: &mut dyn FnMut(Observation) -> Result<(), Stop>,
) -> Result<Summary, ReadError> {
    let mut xml = Xml::new(input, limits);
    xml.open(ROOT)?;
    xml.children(|xml, name| match name {
        "HEADER" => xml.children(|xml, name| {
            if name == "GENERATION_DATETIME" {
                xml.summary.generated_at = xml.instant()?;
            }
            Ok(())
        }),
        "HOST_LIST" => xml.children(|xml, name| if name == "HOST" { machine(xml, sink) } else { Ok(()) }),
        "GLOSSARY" => xml.children(|xml, name| {
            if name != "VULN_DETAILS_LIST" {
                return Ok(());
            }
            xml.children(|xml, name| if name == "VULN_DETAILS" { details(xml, sink) } else { Ok(()) })
        }),
        _ => Ok(()),
    })?;
    xml.close()
}

fn machine<R: BufRead>(
    xml: &mut Xml<'_, R>,
    sink: &mut dyn FnMut(Observation) -> Result<(), Stop>,
) -> Result<(), ReadError> {
    let mut found = Box::new(HostReport::default());
    xml.next_record();
    xml.children(|xml, name| match name {
        "VULN_INFO_LIST" => xml.children(|xml, name| {
            if name != "VULN_INFO" {
                return Ok(());
            }
            let mut row = Row::default();
            xml.children(|xml, name| field(xml, name, &mut row))?;
            keep(xml, row, &mut found)
        }),
        _ => host::field(xml, name, &mut found),
    })?;
    let named =
        [&found.ip, &found.ipv6, &found.dns, &found.netbios, &found.agent_uuid].iter().any(|name| name.is_some());
    if found.host_id.is_none() && !named {
        xml.reject("a host".to_owned(), "no id, address or name");
        return Ok(());
    }
    hand_out(xml, found, sink)
}

fn field<R: BufRead>(xml: &mut Xml<'_, R>, name: &str, row: &mut Row) -> Result<(), ReadError> {
    match name {
        "QID" => row.qid = number(xml)?,
        "TYPE" => row.kind = xml.text()?,
        "VULN_STATUS" => row.status = xml.text()?,
        "PORT" => row.report().port = port(xml)?,
        "PROTOCOL" => row.report().protocol = xml.text()?.map(|word| word.to_ascii_lowercase()),
        "FQDN" => row.report().fqdn = xml.text()?,
        "SSL" => row.report().ssl = xml.flag()?,
        "INSTANCE" => row.report().instance = xml.text()?,
        "SERVICE" => row.report().service = xml.text()?,
        "RESULT" => row.report().results = xml.evidence()?,
        "FIRST_FOUND" => row.report().first_found_at = xml.instant()?,
        "LAST_FOUND" => row.report().last_found_at = xml.instant()?,
        "LAST_FIXED" => row.report().last_fixed_at = xml.instant()?,
        "TIMES_FOUND" => row.report().times_found = xml.number()?,
        "CVSS_FINAL" => row.report().cvss2 = xml.value("CVSS score not understood", values::cvss)?,
        "CVSS3_FINAL" => row.report().cvss3 = xml.value("CVSS score not understood", values::cvss)?,
        _ => {}
    }
    Ok(())
}

fn details<R: BufRead>(
    xml: &mut Xml<'_, R>,
    sink: &mut dyn FnMut(Observation) -> Result<(), Stop>,
) -> Result<(), ReadError> {
    let mut qid = from_attribute(xml);
    let mut found = Box::new(VulnerabilityReport::default());
    xml.next_record();
    xml.children(|xml, name| {
        match name {
            "QID" => qid = number(xml)?.or(qid),
            "CVSS_SCORE" => found.cvss2 = scores(xml, "CVSS_BASE", "CVSS_TEMPORAL")?,
            "CVSS3_SCORE" => found.cvss3 = scores(xml, "CVSS3_BASE", "CVSS3_TEMPORAL")?,
            "DISABLED" => found.disabled = xml.flag()?.unwrap_or(false),
            _ => knowledge_base::field(xml, name, &mut found)?,
        }
        Ok(())
    })?;
    knowledge_base::hand_out(xml, qid, found, sink)
}

/// A QID element: its text, else its `id` attribute (`qid_38628`), by which the report joins its own parts.
fn number<R: BufRead>(xml: &mut Xml<'_, R>) -> Result<Option<i64>, ReadError> {
    let attribute = from_attribute(xml);
    Ok(xml.number()?.or(attribute))
}

fn from_attribute<R: BufRead>(xml: &mut Xml<'_, R>) -> Option<i64> {
    xml.attribute("id")?.strip_prefix("qid_")?.parse().ok()
}

fn scores<R: BufRead>(xml: &mut Xml<'_, R>, base: &str, temporal: &str) -> Result<Option<CvssReport>, ReadError> {
    let (mut cvss, mut later) = (None, None);
    xml.children(|xml, name| {
        if name == base {
            cvss = xml.value("CVSS score not understood", values::cvss)?;
        } else if name == temporal {
            later = xml.value("CVSS score not understood", values::cvss)?;
        }
        Ok(())
    })?;
    Ok(cvss.map(|cvss| CvssReport { temporal: later.and_then(|later| later.base), ..cvss }))
}
