//! Host list detection (`HOST_LIST_VM_DETECTION_OUTPUT`): machines with their detections, the source of status.

use crate::error::{ReadError, Stop};
use crate::limits::Limits;
use crate::observation::{DetectionKind, DetectionReport, DetectionStatus, HostReport, Observation, ScoreFactor};
use crate::qualys::{host, page};
use crate::summary::{Summary, count};
use crate::values;
use crate::xml::Xml;
use std::io::BufRead;

/// The root element.
pub const ROOT: &str = "HOST_LIST_VM_DETECTION_OUTPUT";

/// Reads one answer or file; `sink` receives every machine as soon as it is complete.
///
/// A machine that shows up twice is handed out twice: the receiver joins what they list, the last counts. An error after some machines means
/// the page is void.
pub fn read(
    input: impl BufRead,
    limits: &Limits,
    sink: &mut dyn FnMut(Observation) -> Result<(), Stop>,
) -> Result<Summary, ReadError> {
    page::read(input, limits, ROOT, |xml, name| {
        if name != "HOST_LIST" {
            return Ok(());
        }
        xml.children(|xml, name| if name == "HOST" { host_element(xml, sink) } else { page::error_in_list(xml, name) })
    })
}

fn host_element<R: BufRead>(
    xml: &mut Xml<'_, R>,
    sink: &mut dyn FnMut(Observation) -> Result<(), Stop>,
) -> Result<(), ReadError> {
    let mut found = Box::new(HostReport::default());
    xml.next_record();
    xml.children(|xml, name| match name {
        "DETECTION_LIST" => {
            xml.children(
                |xml, name| {
                    if name == "DETECTION" { detection(xml, &mut found) } else { page::error_in_list(xml, name) }
                },
            )
        }
        "ASSET_GROUP_LIST" => xml.children(|xml, _| {
            if let Some(title) = xml.text()? {
                xml.push(&mut found.asset_groups, title);
            }
            Ok(())
        }),
        _ => host::field(xml, name, &mut found),
    })?;
    if found.host_id.is_none() {
        let row = host::name(&found);
        xml.reject(row, "no host id");
        return Ok(());
    }
    hand_out(xml, found, sink)
}

/// Hands a machine to the receiver and counts what it held.
pub(crate) fn hand_out<R: BufRead>(
    xml: &mut Xml<'_, R>,
    found: Box<HostReport>,
    sink: &mut dyn FnMut(Observation) -> Result<(), Stop>,
) -> Result<(), ReadError> {
    xml.summary.hosts += 1;
    xml.summary.detections += found.detections.len() as u64;
    sink(Observation::Host(found))?;
    Ok(())
}

fn detection<R: BufRead>(xml: &mut Xml<'_, R>, host: &mut HostReport) -> Result<(), ReadError> {
    let mut row = Row::default();
    xml.children(|xml, name| field(xml, name, &mut row))?;
    keep(xml, row, host)
}

/// A detection while it is being read, with the words as they came.
#[derive(Default)]
pub(crate) struct Row {
    pub(crate) qid: Option<i64>,
    pub(crate) kind: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) report: Option<DetectionReport>,
}

impl Row {
    /// The report that is being filled; number and kind are set at the end.
    pub(crate) fn report(&mut self) -> &mut DetectionReport {
        self.report.get_or_insert_with(|| empty(0, DetectionKind::Info))
    }
}

/// Puts a finished row into its machine, or rejects it.
pub(crate) fn keep<R: BufRead>(xml: &mut Xml<'_, R>, mut row: Row, host: &mut HostReport) -> Result<(), ReadError> {
    row.report();
    let Some(mut report) = row.report else { return Ok(()) };
    let Some(qid) = row.qid else {
        let name = format!("a detection of {}", host::name(host));
        xml.reject(name, "no QID");
        return Ok(());
    };
    if host.detections.len() >= xml.limits.detections_per_host {
        return Err(ReadError::TooLarge {
            what: "the number of detections of one host",
            limit: xml.limits.detections_per_host as u64,
        });
    }
    let kind = row.kind.unwrap_or_default();
    count(&mut xml.summary.detections_by_type, if kind.is_empty() { "(none)" } else { &kind });
    if let Some(status) = &row.status {
        count(&mut xml.summary.detections_by_status, status);
        report.status = Some(DetectionStatus::parse(status));
    }
    report.qid = qid;
    report.kind = DetectionKind::parse(&kind);
    host.detections.push(report);
    Ok(())
}

fn field<R: BufRead>(xml: &mut Xml<'_, R>, name: &str, row: &mut Row) -> Result<(), ReadError> {
    match name {
        "QID" => row.qid = xml.number()?,
        "TYPE" => row.kind = xml.text()?,
        "STATUS" => row.status = xml.text()?,
        "UNIQUE_VULN_ID" => row.report().unique_id = xml.number()?,
        "SEVERITY" => row.report().severity = severity(xml)?,
        "PORT" => row.report().port = port(xml)?,
        "PROTOCOL" => row.report().protocol = xml.text()?.map(|word| word.to_ascii_lowercase()),
        "FQDN" => row.report().fqdn = xml.text()?,
        "SSL" => row.report().ssl = xml.flag()?,
        "INSTANCE" => row.report().instance = xml.text()?,
        "SERVICE" => row.report().service = xml.text()?,
        "RESULTS" => row.report().results = xml.evidence()?,
        "FIRST_FOUND_DATETIME" => row.report().first_found_at = xml.instant()?,
        "LAST_FOUND_DATETIME" => row.report().last_found_at = xml.instant()?,
        "LAST_FIXED_DATETIME" => row.report().last_fixed_at = xml.instant()?,
        "LAST_REOPENED_DATETIME" => row.report().last_reopened_at = xml.instant()?,
        "TIMES_FOUND" => row.report().times_found = xml.number()?,
        "TIMES_REOPENED" => row.report().times_reopened = xml.number()?,
        "LAST_TEST_DATETIME" => row.report().last_test_at = xml.instant()?,
        "LAST_UPDATE_DATETIME" => row.report().last_update_at = xml.instant()?,
        "LAST_PROCESSED_DATETIME" => row.report().last_processed_at = xml.instant()?,
        "QDS" => {
            row.report().score = xml.value("detection score not understood", values::detection_score)?;
        }
        "QDS_FACTORS" => factors(xml, row.report())?,
        "IS_IGNORED" => row.report().ignored = xml.flag()?.unwrap_or(false),
        "IS_DISABLED" => row.report().disabled = xml.flag()?.unwrap_or(false),
        _ => {}
    }
    Ok(())
}

/// A severity 1-5.
pub(crate) fn severity<R: BufRead>(xml: &mut Xml<'_, R>) -> Result<Option<i64>, ReadError> {
    xml.value("severity not understood", values::severity)
}

/// A port 1-65535; 0 means none.
pub(crate) fn port<R: BufRead>(xml: &mut Xml<'_, R>) -> Result<Option<i64>, ReadError> {
    Ok(xml.value("port not understood", values::port)?.filter(|port| *port > 0))
}

fn factors<R: BufRead>(xml: &mut Xml<'_, R>, report: &mut DetectionReport) -> Result<(), ReadError> {
    xml.children(|xml, name| {
        if name == "QDS_FACTOR"
            && let Some(name) = xml.attribute("name")
        {
            let value = xml.text()?.unwrap_or_default();
            xml.push(&mut report.score_factors, ScoreFactor { name, value });
        }
        Ok(())
    })
}

/// A detection about which nothing but its number and kind is known.
pub(crate) fn empty(qid: i64, kind: DetectionKind) -> DetectionReport {
    DetectionReport {
        unique_id: None,
        qid,
        kind,
        severity: None,
        port: None,
        protocol: None,
        fqdn: None,
        ssl: None,
        instance: None,
        service: None,
        results: None,
        status: None,
        first_found_at: None,
        last_found_at: None,
        last_fixed_at: None,
        last_reopened_at: None,
        times_found: None,
        times_reopened: None,
        last_test_at: None,
        last_update_at: None,
        last_processed_at: None,
        score: None,
        score_factors: Vec::new(),
        ignored: false,
        disabled: false,
        cvss2: None,
        cvss3: None,
    }
}
