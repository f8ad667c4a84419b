//! Results of one scan (`SCAN`): machines with what was found on them, weaknesses and facts in sections of their own.
//!
//! A scan says what it found, when it was begun; what it does not list may be gone or was not looked for, so it never says that
//! something is fixed. Each finding explains itself: what it says of its vulnerability is handed out once, at the end.

use crate::error::ReadError;
use crate::limits::Limits;
use crate::observation::{CvssReport, DetectionKind, DetectionReport, HostReport, Micros, VulnerabilityReport};
use crate::qualys::hld;
use crate::qualys::rows::{self, Glossary, Sink, Words};
use crate::qualys::{host, knowledge_base};
use crate::summary::Summary;
use crate::values;
use crate::xml::Xml;
use std::io::BufRead;

/// The root element.
pub const ROOT: &str = "SCAN";

/// Reads one result; `sink` receives machines and then vulnerabilities.
pub fn read(input: impl BufRead, limits: &Limits, sink: Sink<'_>) -> Result<Summary, ReadError> {
    let mut xml = Xml::new(input, limits);
    xml.open(ROOT)?;
    let (mut begun_at, mut glossary) = (None, Glossary::default());
    xml.children(|xml, name| match name {
        "HEADER" => xml.children(|xml, name| {
            if name == "KEY" && xml.attribute("value").is_some_and(|key| key.eq_ignore_ascii_case("DATE")) {
                begun_at = xml.instant()?;
                xml.summary.generated_at = begun_at;
            }
            Ok(())
        }),
        "IP" => machine(xml, begun_at, &mut glossary, sink),
        "ERROR" => {
            let code = xml.attribute("number");
            let text = xml.text()?.unwrap_or_default();
            Err(ReadError::ApiError { code, text, items: Vec::new() })
        }
        _ => Ok(()),
    })?;
    glossary.finish(&mut xml.summary, sink)?;
    xml.close()
}

fn machine<R: BufRead>(
    xml: &mut Xml<'_, R>,
    begun_at: Option<Micros>,
    glossary: &mut Glossary,
    sink: Sink<'_>,
) -> Result<(), ReadError> {
    xml.next_record();
    let address = xml.attribute("value");
    let is_ipv6 = address.as_ref().is_some_and(|address| address.contains(':'));
    let (ip, ipv6) = if is_ipv6 { (None, address) } else { (address, None) };
    let mut found = Box::new(HostReport {
        ip,
        ipv6,
        dns: xml.attribute("name").filter(|name| !name.eq_ignore_ascii_case("No registered hostname")),
        last_vm_scan_at: begun_at,
        ..HostReport::default()
    });
    xml.children(|xml, name| match name {
        "INFOS" | "SERVICES" | "VULNS" | "PRACTICES" => xml.children(|xml, name| {
            if name != "CAT" {
                return Ok(());
            }
            let place = Place::of(xml);
            xml.children(|xml, name| finding(xml, name, &place, begun_at, &mut found, glossary))
        }),
        "NETBIOS_HOSTNAME" => {
            found.netbios = xml.text()?;
            Ok(())
        }
        _ => host::field(xml, name, &mut found),
    })?;
    if found.ip.is_none() && found.ipv6.is_none() && found.dns.is_none() {
        xml.reject(host::name(&found), "neither an address nor a name");
        return Ok(());
    }
    hld::hand_out(xml, found, sink)
}

/// Where the findings of a CAT element are, and what they have in common.
struct Place {
    category: Option<String>,
    port: Option<i64>,
    protocol: Option<String>,
    fqdn: Option<String>,
    ssl: Option<bool>,
}

impl Place {
    fn of<R: BufRead>(xml: &mut Xml<'_, R>) -> Place {
        let port = xml.attribute("port").and_then(|port| values::port(&port));
        Place {
            category: xml.attribute("value"),
            port: port.filter(|port| *port > 0),
            protocol: xml.attribute("protocol").map(|word| word.to_ascii_lowercase()),
            fqdn: xml.attribute("fqdn"),
            ssl: xml.attribute("misc").map(|misc| misc.eq_ignore_ascii_case("over ssl")),
        }
    }
}

fn finding<R: BufRead>(
    xml: &mut Xml<'_, R>,
    element: &str,
    place: &Place,
    begun_at: Option<Micros>,
    host: &mut HostReport,
    glossary: &mut Glossary,
) -> Result<(), ReadError> {
    let (kind, weakness) = match element {
        "VULN" => ("Vuln", true),
        "PRACTICE" => ("Practice", true),
        "INFO" | "SERVICE" => ("Ig", false),
        _ => return Ok(()),
    };
    let number = xml.attribute("number").and_then(|number| number.parse().ok());
    let severity = xml.attribute("severity").and_then(|severity| values::severity(&severity));
    let named = rows::cves(xml.attribute("cveid").unwrap_or_default().split(',').map(str::to_owned));
    let Some(qid) = number else {
        xml.reject(format!("a detection of {}", host::name(host)), "no QID");
        return Ok(());
    };
    let mut entry =
        VulnerabilityReport { qid, severity, category: place.category.clone(), ..VulnerabilityReport::default() };
    let mut results = None;
    xml.children(|xml, name| {
        let score = "CVSS score not understood";
        match name {
            "RESULT" => results = xml.evidence()?,
            "CVSS_BASE" => base(&mut entry.cvss2, xml.value(score, values::score)?),
            "CVSS3_BASE" => base(&mut entry.cvss3, xml.value(score, values::score)?),
            "CVSS_TEMPORAL" => temporal(&mut entry.cvss2, xml.value(score, values::score)?),
            "CVSS3_TEMPORAL" => temporal(&mut entry.cvss3, xml.value(score, values::score)?),
            _ => knowledge_base::field(xml, name, &mut entry)?,
        }
        Ok(())
    })?;
    let report = DetectionReport {
        severity,
        port: place.port,
        protocol: place.protocol.clone(),
        fqdn: place.fqdn.clone(),
        ssl: place.ssl,
        results,
        last_found_at: begun_at,
        ..hld::empty(qid, DetectionKind::Info)
    };
    let words = Words { kind: Some(kind.to_owned()), status: weakness.then(|| "Active".to_owned()) };
    rows::keep(xml.limits, &mut xml.summary, host, words, report)?;
    if glossary.lacks(qid) {
        entry.cves = rows::cves(std::mem::take(&mut entry.cves).into_iter().chain(named));
        glossary.add(xml.limits, &mut xml.summary, entry)?;
    }
    Ok(())
}

fn base(cvss: &mut Option<CvssReport>, score: Option<f64>) {
    if score.is_some() {
        cvss.get_or_insert_default().base = score;
    }
}

fn temporal(cvss: &mut Option<CvssReport>, score: Option<f64>) {
    if score.is_some() {
        cvss.get_or_insert_default().temporal = score;
    }
}
