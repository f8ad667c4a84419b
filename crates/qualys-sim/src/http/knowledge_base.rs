//! The knowledge base (spec section 6).

use super::call::Call;
use super::faults::FaultKind;
use super::params::{Kind, Known};
use super::reply::{Refusal, Reply};
use super::select::within;
use super::xml::Xml;
use crate::knowledge::{Entry, EntryKind};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;

const ROOT: &str = "KNOWLEDGE_BASE_VULN_LIST_OUTPUT";

const LIST: &[Known] = &[
    ("details", Kind::OneOf(&["Basic", "All", "None"])),
    ("ids", Kind::Ids),
    ("id_min", Kind::Number),
    ("id_max", Kind::Number),
    ("is_patchable", Kind::Flag),
    ("last_modified_after", Kind::Date),
    ("last_modified_before", Kind::Date),
    ("last_modified_by_user_after", Kind::Date),
    ("last_modified_by_user_before", Kind::Date),
    ("last_modified_by_service_after", Kind::Date),
    ("last_modified_by_service_before", Kind::Date),
    ("published_after", Kind::Date),
    ("published_before", Kind::Date),
    ("code_modified_after", Kind::Date),
    ("code_modified_before", Kind::Date),
    (
        "discovery_method",
        Kind::OneOf(&["Remote", "Authenticated", "RemoteOnly", "AuthenticatedOnly", "RemoteAndAuthenticated"]),
    ),
    ("discovery_auth_types", Kind::Text),
    ("show_pci_reasons", Kind::Flag),
    ("show_supported_modules_info", Kind::Flag),
    ("show_disabled_flag", Kind::Flag),
    ("show_qid_change_log", Kind::Flag),
    ("cve", Kind::Text),
];

/// Answers a call.
pub(crate) fn answer(call: &Call) -> Result<Reply, Refusal> {
    let action = call.action()?;
    if action != "list" {
        return Err(call.unknown_action(action));
    }
    call.params.check(&[LIST])?;
    let knowledge = *call.app.world.knowledge();
    let wanted = Wanted::read(call);
    let only_ids = call.params.get("details") == Some("None");
    let prologue = call
        .prologue(ROOT, &format!("/api/{}.0/fo/knowledge_base/vuln/knowledge_base_vuln_list_output.dtd", call.version));
    let with_cvss = call.app.world.options.switches.cvss;
    let disabled = wanted.with_flag.then(|| Arc::clone(&wanted.disabled));
    let call_at_end = call.clone();
    let mut entries =
        knowledge.qids().filter_map(move |qid| knowledge.entry(qid)).filter(move |entry| wanted.holds(entry));
    let Some(first) = entries.next() else {
        return Ok(Reply::xml(prologue + &call.epilogue(ROOT)));
    };
    let (list, depth) = if only_ids { ("ID_SET", 3) } else { ("VULN_LIST", 3) };
    let fail_after = match call.fault {
        Some(FaultKind::ErrorMidway { after }) => after,
        _ => usize::MAX,
    };
    let mut opening = Xml::at_depth(2);
    opening.open(list);
    let head = prologue + &opening.finish();
    let rows = std::iter::once(first).chain(entries).take(fail_after).map(move |entry| {
        let mut xml = Xml::at_depth(depth);
        if only_ids {
            xml.number("ID", entry.qid);
        } else {
            vuln(&mut xml, &entry, with_cvss, disabled.as_ref().map(|disabled| disabled.contains(&entry.qid)));
        }
        xml.finish().into_bytes()
    });
    let tail = std::iter::once_with(move || {
        let mut closing = Xml::at_depth(3);
        if fail_after == usize::MAX {
            closing.close(list);
            (closing.finish() + &call_at_end.epilogue(ROOT)).into_bytes()
        } else {
            closing.element("GENERIC_RETURN", "<RETURN status=\"FAILED\" number=\"999\">Internal error.</RETURN>");
            closing.finish().into_bytes()
        }
    });
    let body = std::iter::once(head.into_bytes()).chain(rows).chain(tail);
    Ok(Reply::stream("application/xml", Box::new(body)))
}

/// What a call asks for.
#[derive(Debug)]
struct Wanted {
    ids: Option<Vec<(u64, u64)>>,
    range: (u64, u64),
    patchable: Option<bool>,
    modified: (Option<Timestamp>, Option<Timestamp>),
    published: (Option<Timestamp>, Option<Timestamp>),
    method: Option<String>,
    cves: Option<Vec<String>>,
    nothing: bool,
    /// Disabled QIDs, which only a call that asks for their flag is told of.
    disabled: Arc<BTreeSet<u32>>,
    with_flag: bool,
}

impl Wanted {
    fn read(call: &Call) -> Self {
        let params = &call.params;
        let first = |names: &[&str]| names.iter().find_map(|name| params.date(name));
        Self {
            ids: params.ids("ids"),
            range: (params.number("id_min").unwrap_or(0), params.number("id_max").unwrap_or(u64::MAX)),
            patchable: params.get("is_patchable").map(|value| value == "1"),
            modified: (
                first(&["last_modified_after", "last_modified_by_service_after", "code_modified_after"]),
                first(&["last_modified_before", "last_modified_by_service_before", "code_modified_before"]),
            ),
            published: (params.date("published_after"), params.date("published_before")),
            method: params.get("discovery_method").map(str::to_owned),
            cves: params.list("cve").map(|list| list.into_iter().map(str::to_owned).collect()),
            // Nobody customised an entry here, so nothing was modified by a user.
            disabled: Arc::new(call.app.world.disabled()),
            with_flag: params.flag("show_disabled_flag", false),
            nothing: params.date("last_modified_by_user_after").is_some(),
        }
    }

    fn holds(&self, entry: &Entry) -> bool {
        let qid = u64::from(entry.qid);
        let between = |(from, until): (Option<Timestamp>, Option<Timestamp>), at: Timestamp| {
            from.is_none_or(|from| at >= from) && until.is_none_or(|until| at <= until)
        };
        let method = match self.method.as_deref() {
            Some("Remote" | "RemoteOnly") => entry.remote,
            Some("RemoteAndAuthenticated") => entry.remote && !entry.auth_types.is_empty(),
            Some("AuthenticatedOnly") => !entry.remote,
            _ => true,
        };
        !self.nothing
            && (self.with_flag || !self.disabled.contains(&entry.qid))
            && method
            && self.ids.as_ref().is_none_or(|ids| within(ids, qid))
            && (self.range.0..=self.range.1).contains(&qid)
            && self.patchable.is_none_or(|patchable| patchable == entry.patchable)
            && between(self.modified, entry.modified)
            && between(self.published, entry.published)
            && self.cves.as_ref().is_none_or(|cves| cves.iter().any(|cve| entry.cves.contains(cve)))
    }
}

fn vuln(xml: &mut Xml, entry: &Entry, with_cvss: bool, disabled: Option<bool>) {
    xml.open("VULN");
    xml.number("QID", entry.qid);
    xml.leaf("VULN_TYPE", entry.kind.vuln_type());
    xml.number("SEVERITY_LEVEL", entry.severity);
    xml.cdata("TITLE", &entry.title);
    xml.leaf("CATEGORY", &entry.category);
    xml.time("LAST_SERVICE_MODIFICATION_DATETIME", entry.modified);
    xml.time("PUBLISHED_DATETIME", entry.published);
    xml.time("CODE_MODIFIED_DATETIME", entry.modified);
    xml.number("PATCHABLE", u64::from(entry.patchable));
    lists(xml, entry);
    xml.cdata("DIAGNOSIS", &entry.diagnosis);
    if entry.kind != EntryKind::Information {
        xml.cdata("CONSEQUENCE", &entry.consequence);
        xml.cdata("SOLUTION", &entry.solution);
    }
    if with_cvss {
        cvss(xml, entry);
    }
    xml.number("PCI_FLAG", u64::from(entry.severity >= 3));
    if !entry.threat_intelligence.is_empty() {
        xml.open("THREAT_INTELLIGENCE");
        for (id, name) in &entry.threat_intelligence {
            xml.element(&format!("THREAT_INTEL id=\"{id}\""), &format!("<![CDATA[{name}]]>"));
        }
        xml.close("THREAT_INTELLIGENCE");
    }
    xml.open("DISCOVERY");
    xml.number("REMOTE", u64::from(entry.remote));
    if !entry.auth_types.is_empty() {
        xml.open("AUTH_TYPE_LIST");
        for kind in &entry.auth_types {
            xml.leaf("AUTH_TYPE", kind);
        }
        xml.close("AUTH_TYPE_LIST");
    }
    if entry.patchable {
        xml.leaf("ADDITIONAL_INFO", "Patch Available");
    }
    xml.close("DISCOVERY");
    if let Some(disabled) = disabled {
        xml.number("IS_DISABLED", u64::from(disabled));
    }
    xml.close("VULN");
}

fn lists(xml: &mut Xml, entry: &Entry) {
    if let Some((product, vendor)) = &entry.software {
        xml.open("SOFTWARE_LIST");
        xml.open("SOFTWARE");
        xml.cdata("PRODUCT", product);
        xml.cdata("VENDOR", vendor);
        xml.close("SOFTWARE");
        xml.close("SOFTWARE_LIST");
    }
    if let Some((id, url)) = &entry.reference {
        xml.open("VENDOR_REFERENCE_LIST");
        xml.open("VENDOR_REFERENCE");
        xml.cdata("ID", id);
        xml.cdata("URL", url);
        xml.close("VENDOR_REFERENCE");
        xml.close("VENDOR_REFERENCE_LIST");
    }
    if !entry.cves.is_empty() {
        xml.open("CVE_LIST");
        for cve in &entry.cves {
            xml.open("CVE");
            xml.cdata("ID", cve);
            xml.cdata("URL", &format!("http://cve.mitre.org/cgi-bin/cvename.cgi?name={cve}"));
            xml.close("CVE");
        }
        xml.close("CVE_LIST");
    }
}

fn cvss(xml: &mut Xml, entry: &Entry) {
    let Some((base, vector)) = &entry.cvss3 else { return };
    xml.open("CVSS");
    xml.element("BASE source=\"service\"", &format!("{:.1}", (base - 0.3).max(0.0)));
    xml.leaf("TEMPORAL", &format!("{:.1}", (base - 1.2).max(0.0)));
    xml.close("CVSS");
    xml.open("CVSS_V3");
    xml.leaf("BASE", &format!("{base:.1}"));
    xml.leaf("TEMPORAL", &format!("{:.1}", (base - 0.8).max(0.0)));
    xml.leaf("VECTOR_STRING", vector);
    xml.leaf("CVSS3_VERSION", "3.1");
    xml.close("CVSS_V3");
}
