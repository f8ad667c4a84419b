//! Scans on the wire: launch, list, control and fetch (spec section 7).

use super::call::Call;
use super::params::{Kind, Known};
use super::reply::{Refusal, Reply, done};
use super::scan_results;
use super::select::{belongs, within};
use super::xml::Xml;
use crate::scans::{Scan, State, WrongState};
use crate::state::{Launch, World};
use crate::subscription::{APPLIANCES, GROUPS, Group, PROFILES, Profile};
use jiff::SignedDuration;
use std::collections::BTreeSet;

const ROOT: &str = "SCAN_LIST_OUTPUT";

const LAUNCH: &[Known] = &[
    ("option_id", Kind::Ids),
    ("option_title", Kind::Text),
    ("target_from", Kind::OneOf(&["assets", "tags"])),
    ("ip", Kind::Ips),
    ("asset_group_ids", Kind::Ids),
    ("asset_groups", Kind::Text),
    ("fqdn", Kind::Text),
    ("exclude_ip_per_scan", Kind::Ips),
    ("ip_network_id", Kind::Number),
    ("tag_set_by", Kind::OneOf(&["id", "name"])),
    ("tag_set_include", Kind::Text),
    ("tag_set_exclude", Kind::Text),
    ("tag_include_selector", Kind::OneOf(&["any", "all"])),
    ("tag_exclude_selector", Kind::OneOf(&["any", "all"])),
    ("use_ip_nt_range_tags_include", Kind::Flag),
    ("use_ip_nt_range_tags_exclude", Kind::Flag),
    ("use_ip_nt_range_tags", Kind::Flag),
    ("iscanner_id", Kind::Text),
    ("iscanner_name", Kind::Text),
    ("default_scanner", Kind::Flag),
    ("scanners_in_ag", Kind::Flag),
    ("scanners_in_tagset", Kind::Flag),
    ("scanners_in_network", Kind::Flag),
    ("scan_title", Kind::Text),
    ("priority", Kind::Number),
    ("runtime_http_header", Kind::Text),
    ("client_id", Kind::Number),
    ("client_name", Kind::Text),
];

const LIST: &[Known] = &[
    ("scan_ref", Kind::Text),
    ("state", Kind::ListOf(&["Running", "Paused", "Canceled", "Finished", "Error", "Queued", "Loading"])),
    ("processed", Kind::Flag),
    ("type", Kind::ListOf(&["On-Demand", "Scheduled", "API"])),
    ("target", Kind::Ips),
    ("user_login", Kind::Text),
    ("launched_after_datetime", Kind::Date),
    ("launched_before_datetime", Kind::Date),
    ("show_ags", Kind::Flag),
    ("show_op", Kind::Flag),
    ("show_status", Kind::Flag),
    ("show_last", Kind::Flag),
    ("ignore_target", Kind::Flag),
    ("scan_type", Kind::OneOf(&["certview", "ec2certview"])),
    ("client_id", Kind::Number),
    ("client_name", Kind::Text),
];

const CONTROL: &[Known] = &[("scan_ref", Kind::Text)];

/// Answers a call.
pub(crate) fn answer(call: &Call) -> Result<Reply, Refusal> {
    match call.action()? {
        "list" => list(call),
        "launch" if call.version == 2 => launch(call),
        "cancel" | "pause" | "resume" | "delete" if call.version == 2 => control(call),
        "fetch" if call.version == 2 => scan_results::fetch(call),
        other => Err(call.unknown_action(other)),
    }
}

fn launch(call: &Call) -> Result<Reply, Refusal> {
    call.post_only()?;
    call.params.check(&[LAUNCH])?;
    let profile = profile(call)?;
    let by_tags = call.params.get("target_from") == Some("tags");
    let groups = groups(call);
    let network = u32::try_from(call.params.number("ip_network_id").unwrap_or(0)).unwrap_or(u32::MAX);
    let targets = if by_tags { tag_targets(call)? } else { asset_targets(call, &groups, network)? };
    let appliances = appliances(call, &groups)?;
    let targets: Vec<u32> = targets.into_iter().filter(|index| !call.app.world.is_dropped(*index)).collect();
    if targets.is_empty() {
        return Err(Refusal::bad(1905, "The target of the scan holds no address that exists in this subscription."));
    }
    let fleet = call.app.world.fleet();
    let addresses: Vec<String> = targets.iter().map(|index| fleet.ip_of(*index).to_string()).collect();
    let priority = call.params.number("priority").unwrap_or(0);
    if priority > 9 {
        return Err(Refusal::bad(1905, format!("parameter priority has invalid value: {priority} (must be 0 to 9)")));
    }
    let network = targets.first().map_or(network, |index| fleet.network_of(*index));
    let scan = call.app.world.launch(Launch {
        title: call.params.get("scan_title").unwrap_or("Scan started by the API").to_owned(),
        user: call.app.world.options.username.clone(),
        profile: profile.id,
        appliances,
        network,
        targets,
        target_text: addresses.join(", "),
        groups: groups.iter().map(|group| group.title.to_owned()).collect(),
        priority: u8::try_from(priority).unwrap_or(0),
    });
    let items = [("ID", scan.id.to_string()), ("REFERENCE", scan.reference)];
    Ok(done(&call.base, call.now, "New vm scan launched", &items))
}

/// Exactly one way to name the profile.
fn profile(call: &Call) -> Result<&'static Profile, Refusal> {
    call.params.at_most_one(&["option_id", "option_title"])?;
    call.params.at_least_one(&["option_id", "option_title"])?;
    let by_id = call.params.number("option_id");
    let by_title = call.params.get("option_title");
    let found = PROFILES
        .iter()
        .find(|profile| by_id == Some(u64::from(profile.id)) || by_title.is_some_and(|title| title == profile.title));
    found.ok_or_else(|| {
        let name = if by_id.is_some() { "option_id" } else { "option_title" };
        let value = call.params.get(name).unwrap_or_default();
        Refusal::bad(1905, format!("parameter {name} has invalid value: {value} (no such option profile)"))
    })
}

fn groups(call: &Call) -> Vec<&'static Group> {
    let ids = call.params.ids("asset_group_ids").unwrap_or_default();
    let titles = call.params.list("asset_groups").unwrap_or_default();
    GROUPS.iter().filter(|group| within(&ids, u64::from(group.id)) || titles.contains(&group.title)).collect()
}

fn asset_targets(call: &Call, groups: &[&Group], network: u32) -> Result<Vec<u32>, Refusal> {
    call.params.at_most_one(&["asset_group_ids", "asset_groups"])?;
    call.params.at_least_one(&["ip", "asset_group_ids", "asset_groups", "fqdn"])?;
    for name in LAUNCH.iter().map(|(name, _)| *name).filter(|name| name.starts_with("tag_")) {
        if call.params.get(name).is_some() {
            return Err(Refusal::bad(1907, format!("The parameter {name} can only be used with target_from=tags.")));
        }
    }
    let world = &call.app.world;
    let fleet = world.fleet();
    let mut targets = BTreeSet::new();
    for (low, high) in call.params.ips("ip").unwrap_or_default() {
        targets.extend(addresses(world, low, high).filter(|index| fleet.network_of(*index) == network));
    }
    if !groups.is_empty() {
        targets.extend((0..fleet.len()).filter(|index| groups.iter().any(|group| belongs(world, group, *index))));
    }
    if let Some(names) = call.params.list("fqdn") {
        targets.extend(fleet.iter().filter(|host| names.contains(&host.fqdn.as_str())).map(|host| host.index));
    }
    for (low, high) in call.params.ips("exclude_ip_per_scan").unwrap_or_default() {
        targets.retain(|index| !(low..=high).contains(&fleet.ip_of(*index)));
    }
    Ok(targets.into_iter().collect())
}

fn tag_targets(call: &Call) -> Result<Vec<u32>, Refusal> {
    for name in ["ip", "asset_group_ids", "asset_groups", "fqdn", "exclude_ip_per_scan"] {
        if call.params.get(name).is_some() {
            return Err(Refusal::bad(1907, format!("The parameter {name} cannot be used with target_from=tags.")));
        }
    }
    call.params.require("tag_set_include")?;
    let has = |host: &crate::hosts::Host, wanted: &str| {
        host.tags.iter().any(|(id, name)| *name == wanted || id.to_string() == wanted)
    };
    let include = call.params.list("tag_set_include").unwrap_or_default();
    let exclude = call.params.list("tag_set_exclude").unwrap_or_default();
    let all = call.params.get("tag_include_selector") == Some("all");
    let hosts = call.app.world.fleet().iter().filter(|host| {
        let wanted =
            if all { include.iter().all(|tag| has(host, tag)) } else { include.iter().any(|tag| has(host, tag)) };
        wanted && !exclude.iter().any(|tag| has(host, tag))
    });
    Ok(hosts.map(|host| host.index).collect())
}

/// Hosts whose address lies in a range, found without walking the range.
fn addresses(world: &World, low: std::net::Ipv4Addr, high: std::net::Ipv4Addr) -> Box<dyn Iterator<Item = u32> + '_> {
    let fleet = world.fleet();
    if low == high {
        return Box::new(fleet.index_of_ip(low).into_iter());
    }
    Box::new((0..fleet.len()).filter(move |index| (low..=high).contains(&fleet.ip_of(*index))))
}

/// At most one way to name the scanner; none means the external scanners.
fn appliances(call: &Call, groups: &[&Group]) -> Result<Vec<u32>, Refusal> {
    let ways = [
        "iscanner_id",
        "iscanner_name",
        "default_scanner",
        "scanners_in_ag",
        "scanners_in_tagset",
        "scanners_in_network",
    ];
    let given: Vec<&str> =
        ways.into_iter().filter(|name| call.params.get(name).is_some_and(|value| value != "0")).collect();
    call.params.at_most_one(&given)?;
    let unknown = |name: &str, value: &str| {
        Refusal::bad(1905, format!("parameter {name} has invalid value: {value} (no such scanner appliance)"))
    };
    match given.first().copied() {
        None => Ok(Vec::new()),
        Some(name @ ("iscanner_id" | "iscanner_name")) => {
            let mut found = Vec::new();
            for value in call.params.list(name).unwrap_or_default() {
                if value.eq_ignore_ascii_case("External") || (name == "iscanner_id" && value == "0") {
                    continue;
                }
                let fits = |appliance: &&crate::subscription::Appliance| {
                    if name == "iscanner_id" { appliance.id.to_string() == value } else { appliance.name == value }
                };
                found.push(APPLIANCES.iter().find(fits).ok_or_else(|| unknown(name, value))?.id);
            }
            Ok(found)
        }
        Some("scanners_in_network") => {
            let network = call.params.number("ip_network_id").unwrap_or(0);
            Ok(APPLIANCES
                .iter()
                .filter(|one| u64::from(one.network) == network && one.online)
                .map(|one| one.id)
                .collect())
        }
        Some("scanners_in_tagset") => Ok(APPLIANCES.iter().filter(|one| one.online).map(|one| one.id).collect()),
        Some(name) => {
            if groups.is_empty() {
                return Err(Refusal::bad(1907, format!("The parameter {name} needs asset groups as the target.")));
            }
            Ok(groups.iter().filter_map(|group| group.appliance).collect())
        }
    }
}

fn control(call: &Call) -> Result<Reply, Refusal> {
    call.post_only()?;
    call.params.check(&[CONTROL])?;
    let reference = call.params.require("scan_ref")?;
    let action = call.action()?;
    let world = &call.app.world;
    let wrong = |state: State| wrong_state(call, past(action), state);
    let changed = world.change_scan(reference, |scan, now| {
        let id = scan.id;
        match action {
            "cancel" => scan.cancel(now),
            "pause" => scan.pause(now),
            "resume" => scan.resume(now),
            _ if scan.has_ended() => Ok(()),
            _ => Err(WrongState(scan.state)),
        }
        .map(|()| id)
    });
    let id = changed.ok_or_else(|| no_such_scan(reference))?.map_err(|WrongState(state)| wrong(state))?;
    if action == "delete" {
        world.delete_scan(reference);
    }
    let text = match action {
        "cancel" => "Canceling scan",
        "pause" => "Pausing scan",
        "resume" => "Resuming scan",
        _ => "Deleted scan",
    };
    Ok(done(&call.base, call.now, text, &[("ID", id.to_string()), ("REFERENCE", reference.to_owned())]))
}

/// The refusal of something that cannot be done to a scan in its present state.
pub(super) fn wrong_state(call: &Call, done: &str, state: State) -> Refusal {
    let text = format!("The scan cannot be {done} while its state is {}.", state.word().to_lowercase());
    let bad_value = call.app.world.options.switches.wrong_state_is_bad_value;
    if bad_value { Refusal::bad(1905, text) } else { Refusal::new(409, 1920, text) }
}

/// The refusal of a reference nobody knows.
pub(super) fn no_such_scan(reference: &str) -> Refusal {
    Refusal::bad(1905, format!("parameter scan_ref has invalid value: {reference} (no such scan)"))
}

fn list(call: &Call) -> Result<Reply, Refusal> {
    call.params.check(&[LIST])?;
    let params = &call.params;
    let after = params.date("launched_after_datetime");
    let before = params.date("launched_before_datetime");
    let window = (after, before) == (None, None) && params.get("scan_ref").is_none();
    let month_ago = call.now.checked_sub(SignedDuration::from_hours(24 * 30)).unwrap_or(call.now);
    let states = params.list("state");
    let kinds = params.list("type");
    let ranges = params.ips("target");
    let fleet = call.app.world.fleet();
    let present = call.app.world.clock.precise();
    let wanted = |scan: &Scan| {
        scan.shown <= present
            && params.get("scan_ref").is_none_or(|reference| reference == scan.reference)
            && states.as_ref().is_none_or(|words| words.contains(&scan.state.word()))
            && params.get("processed").is_none_or(|flag| (flag == "1") == scan.processed)
            && kinds.as_ref().is_none_or(|words| words.contains(&"API"))
            && params.get("user_login").is_none_or(|login| login == scan.user)
            && after.is_none_or(|after| scan.launched >= after)
            && before.is_none_or(|before| scan.launched <= before)
            && (!window || scan.launched >= month_ago)
            && params.get("scan_type").is_none()
            && ranges.as_ref().is_none_or(|ranges| {
                scan.targets
                    .iter()
                    .any(|index| ranges.iter().any(|(low, high)| (low..=high).contains(&&fleet.ip_of(*index))))
            })
    };
    let mut scans: Vec<Scan> = call.app.world.scans().into_iter().filter(wanted).collect();
    scans.reverse();
    if params.flag("show_last", false) {
        scans.truncate(1);
    }
    let mut text = call.prologue(ROOT, &format!("/api/{}.0/fo/scan/scan_list_output.dtd", call.version));
    if !scans.is_empty() {
        let mut xml = Xml::at_depth(2);
        xml.open("SCAN_LIST");
        for scan in &scans {
            row(&mut xml, call, scan);
        }
        xml.close("SCAN_LIST");
        text.push_str(&xml.finish());
    }
    Ok(Reply::xml(text + &call.epilogue(ROOT)))
}

fn row(xml: &mut Xml, call: &Call, scan: &Scan) {
    let switches = &call.app.world.options.switches;
    let flag = |name: &str, default| call.params.flag(name, default);
    xml.open("SCAN");
    if switches.scan_ids {
        xml.number("ID", scan.id);
    }
    xml.leaf("REF", &scan.reference);
    if switches.scan_ids {
        xml.leaf("SCAN_TYPE", "VM");
    }
    xml.leaf("TYPE", "API");
    xml.cdata("TITLE", &scan.title);
    if switches.client_element {
        xml.open("CLIENT");
        xml.number("ID", 40_u32);
        xml.cdata("NAME", "Simulated client");
        xml.close("CLIENT");
    }
    xml.leaf("USER_LOGIN", &scan.user);
    xml.time("LAUNCH_DATETIME", scan.launched);
    xml.leaf("DURATION", &scan.duration_text());
    xml.leaf("PROCESSING_PRIORITY", &format!("{} - {}", scan.priority, priority_name(scan.priority)));
    xml.number("PROCESSED", u64::from(scan.processed));
    if flag("show_status", true) {
        xml.open("STATUS");
        xml.leaf("STATE", scan.state.word());
        if let Some(sub_state) = scan.sub_state() {
            xml.leaf("SUB_STATE", sub_state);
        }
        xml.close("STATUS");
    }
    if !flag("ignore_target", false) {
        xml.cdata("TARGET", &scan.target_text);
    }
    if flag("show_ags", false) && !scan.groups.is_empty() {
        xml.open("ASSET_GROUP_TITLE_LIST");
        for title in &scan.groups {
            xml.cdata("ASSET_GROUP_TITLE", title);
        }
        xml.close("ASSET_GROUP_TITLE_LIST");
    }
    if flag("show_op", false)
        && let Some(profile) = PROFILES.iter().find(|profile| profile.id == scan.profile)
    {
        xml.open("OPTION_PROFILE");
        xml.cdata("TITLE", profile.title);
        xml.number("DEFAULT_FLAG", u64::from(profile.is_default));
        xml.close("OPTION_PROFILE");
    }
    xml.close("SCAN");
}

fn past(action: &str) -> &'static str {
    match action {
        "cancel" => "canceled",
        "pause" => "paused",
        "resume" => "resumed",
        _ => "deleted",
    }
}

fn priority_name(priority: u8) -> &'static str {
    match priority {
        0 => "No Priority",
        1 => "Emergency",
        2 => "Ultimate",
        3 => "Critical",
        4 => "Major",
        5 => "High",
        6 => "Standard",
        7 => "Medium",
        8 => "Minor",
        _ => "Low",
    }
}
