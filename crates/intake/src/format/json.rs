//! JSON documents by the keys near their top. Only the first bytes are looked at, so no parser that wants the whole.

use super::{Format, NO_DETECTIONS};
use std::collections::BTreeSet;

/// Keys deeper than this say nothing about the document.
const DEPTH_MAX: usize = 3;

/// Names the document that begins with `head`.
pub(super) fn recognise(head: &str) -> Format {
    let keys = keys(head);
    let has = |name: &str| keys.contains(name);
    let all = |names: &[&str]| names.iter().all(|name| keys.contains(*name));
    if has("scan_report_template_title") {
        return Format::qualys("fetched VM scan results (JSON)", super::USE_XML);
    }
    if has("ServiceResponse") {
        return Format::qualys("asset or web application API answer (JSON)", NO_DETECTIONS);
    }
    let name = if has("bomFormat") {
        "a CycloneDX bill of materials (JSON)"
    } else if has("spdxVersion") {
        "an SPDX bill of materials"
    } else if has("csaf_version") {
        "a CSAF advisory"
    } else if has("@context") && head.contains("openvex") {
        "an OpenVEX document"
    } else if all(&["SchemaVersion", "ArtifactName"])
        || all(&["ClusterName", "Resources"])
        || all(&["Target", "Vulnerabilities"])
    {
        "a Trivy report"
    } else if has("matches") && (has("vulnerability") || has("source") || has("distro") || has("descriptor")) {
        "a Grype report"
    } else if has("@odata.context") && (head.contains("securitycenter") || has("cveId")) || all(&["cveId", "machineId"])
    {
        "Microsoft Defender vulnerability data"
    } else if all(&["data", "affected_items"]) {
        "a Wazuh vulnerability list"
    } else if has("results") && (has("source") || has("packages")) {
        "an OSV-Scanner report"
    } else if all(&["runs", "version"]) {
        "a SARIF report"
    } else if all(&["log", "entries"]) {
        "a recording of HTTP traffic (HAR)"
    } else {
        "a JSON document of an unknown kind"
    };
    Format::foreign(name)
}

/// The keys of the objects in the first levels.
fn keys(head: &str) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let mut depth = 0usize;
    let mut last: Option<&str> = None;
    let mut characters = head.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            '"' => {
                let mut escaped = false;
                let end = characters.find(|(_, c)| {
                    let closes = *c == '"' && !escaped;
                    escaped = *c == '\\' && !escaped;
                    closes
                });
                last = end.and_then(|(end, _)| head.get(at + 1..end));
            }
            ':' => {
                if let Some(key) = last.take().filter(|key| depth <= DEPTH_MAX && key.len() < 100 && keys.len() < 500) {
                    keys.insert(key.to_owned());
                }
            }
            ',' => last = None,
            _ => {}
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_cut_document() {
        let found = keys(r#"{"a": "x:y", "b\"c": [ {"d": {"e": {"deep": 1}}}], "cut"#);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a", "b\\\"c", "d"]);
    }
}
