//! The catalogue by QID, and as the flat list that some clients read. Temporary mitigations and fixes alike: what Qualys
//! gives by API are fixes only.

use super::auth::Program;
use super::ids;
use crate::app::App;
use crate::http::error::Error;
use axum::Json;
use axum::extract::{Query, State};
use domain::access::{Action, Record};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use store::catalogue::Elimination;
use store::list::{self, Order};
use store::{Transaction, catalogue, vulnerabilities};

/// Rows of a page at most, as at Qualys.
const PAGE_MAX: usize = 200;
/// QIDs in one question at most.
const QIDS_MAX: usize = 1_000;

/// Which part of the catalogue.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Wanted {
    page_number: Option<usize>,
    page_size: Option<usize>,
    qids: Option<Qids>,
    platform: Option<String>,
    implication: Option<String>,
}

/// One QID or several: the documentation says a number, its users send lists.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Qids {
    One(i64),
    Several(Vec<i64>),
}

fn platform(word: Option<&str>) -> Result<Option<&'static str>, Error> {
    match word.unwrap_or_default().to_lowercase().as_str() {
        "" => Ok(None),
        "linux" => Ok(Some("linux")),
        "windows" => Ok(Some("windows")),
        _ => Err(Error::field("platform", "bad_platform", "the platform is `Windows` or `Linux`")),
    }
}

fn implication(word: Option<&str>) -> Result<Option<&'static str>, Error> {
    match word.unwrap_or_default() {
        "" => Ok(None),
        "FIX" => Ok(Some("fix")),
        "MITIGATION" => Ok(Some("mitigation")),
        _ => {
            Err(Error::field("implication", "bad_implication", "the implication is `FIX` or `MITIGATION`, in capitals"))
        }
    }
}

/// The mitigations of the QIDs that have one.
///
/// # Errors
/// A missing permission, a platform or implication that is none.
pub async fn by_qid(
    State(app): State<App>,
    caller: Program,
    body: axum::body::Bytes,
) -> Result<Json<Vec<Value>>, Error> {
    caller.may(Action::CatalogueView, &Record::default())?;
    let wanted: Wanted = if body.is_empty() {
        Wanted::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| Error::field("body", "bad_body", error.to_string()))?
    };
    let (platform, implication) = (platform(wanted.platform.as_deref())?, implication(wanted.implication.as_deref())?);
    let size = wanted.page_size.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    let first = wanted.page_number.unwrap_or(0).saturating_mul(size);
    let qids = match wanted.qids {
        None => Vec::new(),
        Some(Qids::One(qid)) => vec![qid],
        Some(Qids::Several(qids)) => qids,
    };
    if qids.len() > QIDS_MAX {
        return Err(Error::field("qids", "too_many", format!("at most {QIDS_MAX} QIDs are taken at once")));
    }
    let (scope, context) = (caller.scope.clone(), domain::filter::Context::at(app.clock.now()));
    let read = app.database.try_read(move |tx| {
        let mut text = "is:mitigable".to_owned();
        if !qids.is_empty() {
            let any: Vec<String> = qids.iter().map(|qid| format!("qid:{qid}")).collect();
            text = format!("{text} and ({})", any.join(" or "));
        }
        let filter = domain::filter::parse(&text, &vulnerabilities::FIELDS)
            .map_err(|error| Error::field("qids", "bad_qids", error.to_string()))?;
        let mut query = list::Query::new(filter, context.clone());
        (query.order, query.limit) = (Order::parse("qid"), list::LIMIT_MAX);
        let mut found = Vec::new();
        loop {
            let clip = vulnerabilities::clip(&scope);
            let page = list::page::<vulnerabilities::VulnerabilityRow>(tx, &vulnerabilities::LIST, clip, &query)?;
            let keys: Vec<i64> = page.rows.iter().map(|row| row.id.0).collect();
            let all = catalogue::eliminations(tx, &keys)?;
            for row in page.rows {
                let of = |e: &&Elimination| {
                    e.vulnerability_id == row.id
                        && implication.is_none_or(|word| e.implication == word)
                        && platform.is_none_or(|word| e.platform == word || e.platform == "any")
                };
                let mine: Vec<&Elimination> = all.iter().filter(of).collect();
                if !mine.is_empty() {
                    found.push(record(row.qid, &mine, platform));
                }
            }
            match page.next_cursor {
                Some(next) if found.len() < first + size => query.cursor = Some(next),
                _ => break,
            }
        }
        Ok::<_, Error>(found.into_iter().skip(first).take(size).collect())
    });
    Ok(Json(read.await?))
}

fn record(qid: i64, entries: &[&Elimination], only: Option<&str>) -> Value {
    let mut platforms: BTreeMap<&str, BTreeMap<String, Vec<Value>>> = BTreeMap::new();
    for entry in entries {
        let on: &[&str] = match entry.platform.as_str() {
            "any" => &["Linux", "Windows"],
            "windows" => &["Windows"],
            _ => &["Linux"],
        };
        let cve = if entry.cve.is_empty() { format!("QID-{qid}") } else { entry.cve.clone() };
        for platform in on.iter().filter(|on| only.is_none_or(|only| on.eq_ignore_ascii_case(only))) {
            platforms.entry(platform).or_default().entry(cve.clone()).or_default().push(json!({
                "mitigationId": ids::named("mitigation", &entry.entry),
                "mitigationName": entry.entry,
                "mitigationTitle": entry.title,
                "mitigationType": "Enforce System Hardening",
                "mitigationCategory": if entry.implication == "fix" { Value::Null } else { json!("Virtual Patching") },
                "description": entry.title,
                "implication": entry.implication.to_uppercase(),
                "impactFactor": if entry.implication == "fix" { 100 } else { entry.points },
                "coverage": entry.coverage.as_str(),
                "reversible": entry.reversible,
                "risk": entry.risk,
            }));
        }
    }
    let by_platform: Map<String, Value> =
        platforms.into_iter().map(|(platform, cves)| (platform.to_owned(), json!({ "scriptBased": cves }))).collect();
    json!({ "qid": qid, "vulnMitigation": by_platform })
}

/// How long a flat list is to be.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Flat {
    page_size: Option<usize>,
    page_number: Option<usize>,
}

/// The catalogue as a flat list: technique, QIDs, CVEs.
///
/// # Errors
/// A missing permission.
pub async fn all(State(app): State<App>, caller: Program, Query(flat): Query<Flat>) -> Result<Json<Vec<Value>>, Error> {
    caller.may(Action::CatalogueView, &Record::default())?;
    let size = flat.page_size.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    let first = flat.page_number.unwrap_or(0).saturating_mul(size);
    let read = app.database.try_read(move |tx| flat_list(tx, first, size));
    Ok(Json(read.await?))
}

fn flat_list(tx: &mut Transaction<'_>, first: usize, size: usize) -> Result<Vec<Value>, Error> {
    let entries: Vec<_> = catalogue::current(tx)?.into_iter().skip(first).take(size).collect();
    let keys: Vec<i64> = entries.iter().map(|entry| entry.id).collect();
    let mut qids: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    let mut cves: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for (entry, qid) in catalogue::known_qids(tx, &keys)? {
        qids.entry(entry).or_default().push(qid);
    }
    for (entry, cve) in catalogue::named_cves(tx, &keys)? {
        cves.entry(entry).or_default().push(cve);
    }
    let row = |entry: catalogue::EntryRow| {
        let registry = entry.needs.split_whitespace().any(|kind| kind.starts_with("registry"));
        json!({
            "mitigationId": ids::named("mitigation", &entry.entry),
            "name": entry.entry,
            "title": entry.title,
            "techniqueType": if registry { "REGISTRY" } else { "CONFIG" },
            "implication": entry.implication.to_uppercase(),
            "platform": entry.platform,
            "qids": qids.remove(&entry.id).unwrap_or_default(),
            "cves": cves.remove(&entry.id).unwrap_or_default(),
        })
    };
    Ok(entries.into_iter().map(row).collect())
}
