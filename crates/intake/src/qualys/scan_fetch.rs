//! Fetched scan results in JSON: one array of unlike objects, of which only "what was reached" is kept.
//!
//! Status comes from the host list detection, never from here. Findings are counted per machine, their texts dropped.

use crate::clean::Clean;
use crate::error::ReadError;
use crate::limits::Limits;
use crate::observation::Micros;
use crate::values;
use serde::Serialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::io::BufRead;

/// What a scan reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ScanResult {
    /// The scan's reference.
    pub reference: Option<String>,
    /// `Finished` and so on, as written.
    pub status: Option<String>,
    /// When it was launched.
    pub launched_at: Option<Micros>,
    /// Machines that answered, as the scanner counts them.
    pub active_hosts: Option<i64>,
    /// Machines that were asked, as the scanner counts them.
    pub total_hosts: Option<i64>,
    /// The target as written.
    pub target: Option<String>,
    /// Machines with at least one row, by address.
    pub reached: BTreeMap<String, ReachedHost>,
    /// What the scanner says about machines it did not scan, by its own key (`hosts_not_scanned_...`), as written.
    pub not_scanned: BTreeMap<String, String>,
}

/// A machine with at least one row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReachedHost {
    /// DNS name.
    pub dns: Option<String>,
    /// NetBIOS name.
    pub netbios: Option<String>,
    /// Operating system.
    pub os: Option<String>,
    /// `host scanned, found vuln` and the like.
    pub ip_status: Option<String>,
    /// QIDs that were reported on it, with how often.
    pub qids: BTreeMap<i64, u64>,
}

/// Reads one result.
pub fn read(input: impl BufRead, limits: &Limits) -> Result<ScanResult, ReadError> {
    let mut clean = Clean::new(input, limits.input_bytes, usize::MAX);
    let mut parser = serde_json::Deserializer::from_reader(&mut clean);
    let outcome = parser.deserialize_seq(Elements { limits }).and_then(|found| parser.end().map(|()| found));
    match outcome {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(error),
        Err(error) => Err(failure(&mut clean, &error)),
    }
}

fn failure<R: BufRead>(clean: &mut Clean<R>, error: &serde_json::Error) -> ReadError {
    let line = error.line() as u64;
    if let Some((what, limit)) = clean.exceeded() {
        return ReadError::TooLarge { what, limit };
    }
    if let Some(failure) = clean.take_failure() {
        return ReadError::Io(failure);
    }
    match error.classify() {
        serde_json::error::Category::Eof => ReadError::Truncated { line },
        serde_json::error::Category::Data => {
            ReadError::WrongRoot { expected: "the JSON array of a fetched scan", found: "other JSON".to_owned() }
        }
        _ => ReadError::NotWellFormed { line, problem: error.to_string() },
    }
}

struct Elements<'l> {
    limits: &'l Limits,
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = Result<ScanResult, ReadError>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the array of a fetched scan")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut found = ScanResult::default();
        let mut known = false;
        while let Some(mut element) = seq.next_element::<Map<String, Value>>()? {
            known |= element.contains_key("scan_report_template_title") || element.contains_key("reference");
            if let Some(ip) = text(&mut element, "ip").filter(|_| element.contains_key("qid")) {
                if found.reached.len() >= self.limits.small_records && !found.reached.contains_key(&ip) {
                    let limit = self.limits.small_records as u64;
                    while seq.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(Err(ReadError::TooLarge { what: "the list of scanned hosts", limit }));
                }
                row(&mut element, found.reached.entry(ip).or_default());
            } else {
                about(element, &mut found);
            }
        }
        if !known {
            let found = "an array without the title of a scan".to_owned();
            return Ok(Err(ReadError::WrongRoot { expected: "the JSON array of a fetched scan", found }));
        }
        Ok(Ok(found))
    }
}

fn row(element: &mut Map<String, Value>, host: &mut ReachedHost) {
    host.dns = host.dns.take().or_else(|| text(element, "dns"));
    host.netbios = host.netbios.take().or_else(|| text(element, "netbios"));
    host.os = host.os.take().or_else(|| text(element, "os"));
    host.ip_status = host.ip_status.take().or_else(|| text(element, "ip_status"));
    if let Some(qid) = number(element, "qid") {
        *host.qids.entry(qid).or_insert(0) += 1;
    }
}

fn about(mut element: Map<String, Value>, found: &mut ScanResult) {
    if element.contains_key("reference") {
        found.reference = text(&mut element, "reference");
        found.status = text(&mut element, "status");
        found.launched_at = text(&mut element, "launch_date").and_then(|date| values::american_instant(&date));
        found.active_hosts = number(&mut element, "active_hosts");
        found.total_hosts = number(&mut element, "total_hosts");
        found.target = text(&mut element, "ips");
    }
    for (key, value) in element {
        let lower = key.to_ascii_lowercase();
        if (lower.contains("not_scanned") || lower.contains("not_alive"))
            && let Value::String(value) = value
            && found.not_scanned.len() < 50
        {
            found.not_scanned.insert(key, value);
        }
    }
}

fn text(element: &mut Map<String, Value>, key: &str) -> Option<String> {
    match element.get_mut(key)?.take() {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn number(element: &mut Map<String, Value>, key: &str) -> Option<i64> {
    text(element, key)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"[
        {"scan_report_template_title":"Scan Results","result_date":"04/01/2019 00:29:48"},
        {"launch_date":"04/01/2019 00:00:00","active_hosts":"1","total_hosts":2,"status":"Finished","reference":"scan/1.2","ips":"10.0.0.1-10.0.0.2"},
        {"ip":"10.0.0.1","dns":"a.example","qid":38170,"type":"Vuln","results":null},
        {"ip":"10.0.0.1","dns":"","qid":"38170","ip_status":"host scanned, found vuln"},
        {"target_distribution_across_scanner_appliances":"x","hosts_not_scanned_host_not_alive_ip":"10.0.0.2"}]"#;

    #[test]
    fn what_was_reached() {
        let found = read(GOOD.as_bytes(), &Limits::default()).expect("good");
        assert_eq!((found.active_hosts, found.total_hosts), (Some(1), Some(2)));
        assert_eq!(found.launched_at, values::instant("2019-04-01T00:00:00Z"));
        let host = &found.reached["10.0.0.1"];
        assert_eq!((host.dns.as_deref(), host.qids.get(&38170)), (Some("a.example"), Some(&2)));
        assert_eq!(found.not_scanned["hosts_not_scanned_host_not_alive_ip"], "10.0.0.2");
    }

    #[test]
    fn every_cut_is_an_error() {
        for end in 0..GOOD.len() {
            assert!(read(&GOOD.as_bytes()[..end], &Limits::default()).is_err(), "cut at {end}");
        }
        for (text, kind) in
            [("{}", "wrong_root"), ("[]", "wrong_root"), ("[1]", "wrong_root"), ("[{]", "not_well_formed")]
        {
            assert_eq!(read(text.as_bytes(), &Limits::default()).expect_err(text).kind(), kind, "{text}");
        }
    }
}
