//! Scores per CVE (spec section 6, QVS): JSON keyed by CVE, only on version 3.0.

use super::call::Call;
use super::params::{Kind, Known};
use super::reply::{Family, Refusal, Reply};
use serde_json::{Map, Value, json};

const KNOWN: &[Known] = &[
    ("cve", Kind::Text),
    ("details", Kind::OneOf(&["Basic", "All"])),
    ("qvs_min", Kind::Number),
    ("qvs_max", Kind::Number),
    ("qvs_last_modified_after", Kind::Date),
    ("qvs_last_modified_before", Kind::Date),
    ("nvd_published_after", Kind::Date),
    ("nvd_published_before", Kind::Date),
];

/// Answers a call.
pub(super) fn answer(call: &Call) -> Result<Reply, Refusal> {
    let action = call.action()?;
    if action != "list" {
        return Err(call.unknown_action(action));
    }
    call.params.check(&[KNOWN])?;
    let params = &call.params;
    let knowledge = call.app.world.knowledge();
    let wanted = params.list("cve");
    let range = params.number("qvs_min").unwrap_or(0)..=params.number("qvs_max").unwrap_or(100);
    let with_factors = params.get("details") == Some("All");
    let mut found = Map::new();
    for entry in knowledge.qids().filter_map(|qid| knowledge.entry(qid)) {
        for (at, cve) in entry.cves.iter().enumerate() {
            if wanted.as_ref().is_some_and(|wanted| !wanted.contains(&cve.as_str())) {
                continue;
            }
            let score = knowledge.cve_score(&entry, at);
            let known = found.get(cve).and_then(|value: &Value| value.pointer("/base/qvs")).and_then(Value::as_str);
            let is_higher = known.and_then(|known| known.parse::<u8>().ok()).is_none_or(|known| score > known);
            if !is_higher || !range.contains(&u64::from(score)) {
                continue;
            }
            let mut value = json!({ "base": {
                "id": cve, "idType": "CVE", "qvs": score.to_string(),
                "qvsLastChangedDate": entry.modified.as_second(), "nvdPublishedDate": entry.published.as_second(),
            }});
            if let (true, Some(object)) = (with_factors, value.as_object_mut()) {
                let threats: Vec<&str> = entry.threat_intelligence.iter().map(|(_, name)| name.as_str()).collect();
                let cvss = entry.cvss3.as_ref().map(|(base, _)| format!("{base:.1}"));
                let factors = json!({
                    "cvss": cvss, "cvssVersion": "v3.x", "epss": [format!("{:.5}", entry.epss)], "rti": threats,
                });
                object.insert("contributingFactors".to_owned(), factors);
            }
            found.insert(cve.clone(), value);
        }
    }
    Ok(Reply::new(200, "application/json", Value::Object(found).to_string(), Family::Api))
}
