//! Search lists on the wire: static ones, whose QIDs somebody typed, and dynamic ones, whose QIDs follow from criteria.

use super::call::Call;
use super::params::Kind;
use super::reply::{Refusal, Reply};
use super::select::within;
use super::subscription::{document, only_list};
use super::xml::Xml;
use crate::subscription::{PROFILES, QidSet, SEARCH_LISTS, SearchList};

/// Static search lists.
pub(super) fn fixed(call: &Call) -> Result<Reply, Refusal> {
    only_list(call, &[&[("ids", Kind::Ids)]])?;
    let dtd = "/api/2.0/fo/qid/search_list/static/static_list_output.dtd";
    let content = lists(
        call,
        "STATIC_LISTS",
        |list| !list.is_dynamic(),
        |xml, list| {
            xml.open("STATIC_LIST");
            head(xml, call, list);
            qids(xml, call, list);
            xml.close("STATIC_LIST");
        },
    );
    Ok(document(call, "STATIC_SEARCH_LIST_OUTPUT", dtd, &content))
}

/// Dynamic search lists; their QIDs come unless `show_qids=0`.
pub(super) fn dynamic(call: &Call) -> Result<Reply, Refusal> {
    let known = [
        ("ids", Kind::Ids),
        ("show_qids", Kind::Flag),
        ("show_option_profiles", Kind::Flag),
        ("show_distribution_groups", Kind::Flag),
        ("show_report_templates", Kind::Flag),
        ("show_remediation_policies", Kind::Flag),
    ];
    only_list(call, &[&known])?;
    let shows = |name: &str| call.params.flag(name, true);
    let dtd = "/api/2.0/fo/qid/search_list/dynamic/dynamic_list_output.dtd";
    let content = lists(call, "DYNAMIC_LISTS", SearchList::is_dynamic, |xml, list| {
        xml.open("DYNAMIC_LIST");
        head(xml, call, list);
        let made = call.app.world.source.origin;
        xml.time("CREATED", made);
        xml.time("MODIFIED", made);
        xml.leaf("MODIFIED_BY", &call.app.world.options.username);
        if shows("show_qids") {
            qids(xml, call, list);
        }
        if let QidSet::Severe(least) = list.qids {
            let levels: Vec<String> = (least..=5).map(|level| level.to_string()).collect();
            xml.open("CRITERIA");
            xml.leaf("CONFIRMED_SEVERITY", &levels.join(", "));
            xml.close("CRITERIA");
        }
        let users: Vec<_> = PROFILES.iter().filter(|profile| profile.search_list == Some(*list)).collect();
        if shows("show_option_profiles") && !users.is_empty() {
            xml.open("OPTION_PROFILES");
            for profile in users {
                xml.open("OPTION_PROFILE");
                xml.number("ID", profile.id);
                xml.cdata("TITLE", profile.title);
                xml.close("OPTION_PROFILE");
            }
            xml.close("OPTION_PROFILES");
        }
        xml.close("DYNAMIC_LIST");
    });
    Ok(document(call, "DYNAMIC_SEARCH_LIST_OUTPUT", dtd, &content))
}

/// The lists of one kind that are asked for; nothing at all where there are none.
fn lists(
    call: &Call,
    name: &str,
    of_kind: impl Fn(&SearchList) -> bool,
    mut write: impl FnMut(&mut Xml, &SearchList),
) -> String {
    let ids = call.params.ids("ids");
    let wanted = |list: &&SearchList| of_kind(list) && ids.as_ref().is_none_or(|ids| within(ids, u64::from(list.id)));
    let found: Vec<&SearchList> = SEARCH_LISTS.iter().filter(wanted).collect();
    let mut xml = Xml::at_depth(2);
    if !found.is_empty() {
        xml.open(name);
        for list in found {
            write(&mut xml, list);
        }
        xml.close(name);
    }
    xml.finish()
}

fn head(xml: &mut Xml, call: &Call, list: &SearchList) {
    xml.number("ID", list.id);
    xml.cdata("TITLE", list.title);
    xml.leaf("GLOBAL", "Yes");
    xml.leaf("OWNER", &call.app.world.options.username);
}

fn qids(xml: &mut Xml, call: &Call, list: &SearchList) {
    let knowledge = call.app.world.knowledge();
    xml.open("QIDS");
    for qid in knowledge.qids().filter(|qid| list.covers(knowledge, *qid)) {
        xml.number("QID", qid);
    }
    xml.close("QIDS");
}
