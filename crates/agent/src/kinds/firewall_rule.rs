//! `firewall.rule`: one rule of ours, in the running packet filter and after a reboot.
//!
//! All rules lie in the table `inet quell`, in a chain per direction, each known by its comment, which holds a digest of the rule. A
//! small file and a unit of systemd per rule load it at boot, so that entries share nothing. Never planned is a rule that would cut
//! somebody off ([`crate::reach`]).

use super::{Finding, KindError, Presence, Workspace};
use crate::fs::Node;
use crate::host::Host;
use crate::reach::cuts_off;
use crate::record::Step;
use catalogue::actions::FirewallRule;
use catalogue::actions::firewall::{Condition, Direction, Family, PRIVATE, Ports, Remote, Transport, Verdict};
use protocol::digest::Digest;
use serde_json::Value;

/// The program, on the live system.
const NFT: [&str; 2] = ["/usr/sbin/nft", "/sbin/nft"];
/// Our table.
const TABLE: &str = "quell";
/// Where units are linked to be started at boot.
const WANTS: &str = "/etc/systemd/system/sysinit.target.wants";

/// The file that holds a rule for the next boot.
#[must_use]
pub fn rule_file(name: &str) -> String {
    format!("/etc/quell/firewall/{name}.nft")
}

fn unit_file(name: &str) -> String {
    format!("/etc/systemd/system/quell-firewall-{name}.service")
}

fn wants_link(name: &str) -> String {
    format!("{WANTS}/quell-firewall-{name}.service")
}

/// See [`super::check`].
///
/// # Errors
/// When our own files cannot be read.
pub fn check(action: &FirewallRule, host: &Host, workspace: &Workspace<'_>) -> Result<Finding, KindError> {
    let name = action.name.as_str();
    let rule = statement(action);
    let content = |path: &str| -> Result<Option<String>, KindError> {
        Ok(workspace.file(path)?.map(|image| String::from_utf8_lossy(&image.bytes).into_owned()))
    };
    let (unit, file) = (content(&unit_file(name))?, content(&rule_file(name))?);
    let linked = matches!(workspace.node(&wants_link(name))?, Node::Link(_));
    let kept = linked && unit.as_deref() == Some(&unit_text(name)) && file.as_deref() == Some(&script(&rule));
    let planned = workspace.acts(|step| matches!(step, Step::Firewall { name: of, .. } if of == name));
    let running = if planned { Ok(Some(rule.clone())) } else { running(name, host) };
    let word = match &running {
        Ok(Some(present)) if is_rule(&rule, present) => "in force",
        Ok(Some(_)) => "another rule of this name in force",
        Ok(None) => "not in force",
        Err(_) => "(unknown)",
    };
    let shown = format!("{word}, {} at boot", if kept { "loaded" } else { "not loaded" });
    Ok(match running {
        // Below another root there is no packet filter; what is loaded at boot can be told.
        _ if kept && !host.tree.live() => {
            Finding::because(Presence::Partial, shown, "it takes effect with the next boot")
        }
        Ok(Some(present)) if kept && is_rule(&rule, &present) => Finding::new(Presence::Present, shown),
        Ok(None) if kept => Finding::because(Presence::Lapsed, shown, "the running packet filter has lost it"),
        Err(why) if kept => Finding::unknown(why),
        _ => Finding::new(Presence::Absent, shown),
    })
}

/// See [`super::plan`].
///
/// # Errors
/// When the rule would cut somebody off, or this host has no way to hold it.
pub fn plan(action: &FirewallRule, host: &Host, workspace: &mut Workspace<'_>) -> Result<(), KindError> {
    let name = action.name.as_str();
    if let Some(reason) = cuts_off(action, host) {
        return Err(KindError::Cannot(reason));
    }
    let rule = statement(action);
    let cannot = |text: &str| KindError::Cannot(text.to_owned());
    if host.tree.node("/etc/systemd/system").ok() != Some(Node::Other) {
        return Err(cannot("without systemd nothing would load the rule at boot"));
    }
    for (path, text) in [(rule_file(name), script(&rule)), (unit_file(name), unit_text(name))] {
        let old = workspace.file(&path)?;
        let image = workspace.image(old.as_ref(), text, 0o644);
        workspace.put_file(&path, Some(image))?;
    }
    let link = wants_link(name);
    let before = match workspace.node(&link)? {
        Node::Absent => None,
        Node::Link(target) => Some(target),
        Node::File { .. } | Node::Other => return Err(KindError::Cannot(format!("{link} is not a link"))),
    };
    workspace.put_link(&link, before, Some(unit_file(name)));
    if host.tree.live() {
        host.program(&NFT).ok_or_else(|| cannot("nft is not here; install the package nftables"))?;
        let before = running(name, host).map_err(KindError::Cannot)?;
        if !before.as_deref().is_some_and(|present| is_rule(&rule, present)) {
            workspace.act(Step::Firewall { name: name.to_owned(), before, after: Some(rule) });
        }
    }
    Ok(())
}

/// A rule as nft reads it, with the comment by which it is found again.
#[must_use]
pub fn statement(action: &FirewallRule) -> String {
    let (chain, side) = match action.direction {
        Direction::In => ("input", "saddr"),
        Direction::Out => ("output", "daddr"),
    };
    let mut words = Vec::new();
    match action.family {
        None => {}
        Some(Family::Ipv4) => words.push("meta nfproto ipv4".to_owned()),
        Some(Family::Ipv6) => words.push("meta nfproto ipv6".to_owned()),
    }
    let protocol = if action.protocol == Transport::Tcp { "tcp" } else { "udp" };
    words.push(format!("meta l4proto {protocol}"));
    if !action.ports.is_empty() {
        let ports: Vec<String> = action.ports.iter().map(Ports::to_string).collect();
        words.push(format!("{protocol} dport {{ {} }}", ports.join(", ")));
    }
    match action.remote {
        Remote::Any => {}
        Remote::Network(address, length) => {
            words.push(format!("{} {side} {address}/{length}", if address.is_ipv4() { "ip" } else { "ip6" }));
        }
        // One rule can compare addresses of one family only, which the parser sees to.
        Remote::Internet => {
            let of = |four: bool| {
                PRIVATE.iter().filter(|net| net.contains(':') != four).copied().collect::<Vec<_>>().join(", ")
            };
            match action.family {
                Some(Family::Ipv4) => words.push(format!("ip {side} != {{ {} }}", of(true))),
                Some(Family::Ipv6) => words.push(format!("ip6 {side} != {{ {} }}", of(false))),
                None => {}
            }
        }
    }
    if let Some(Condition { mss_from, mss_until }) = action.condition {
        words.push("tcp flags & (fin|syn|rst|ack) == syn".to_owned());
        words.push(format!("tcp option maxseg size {mss_from}-{mss_until}"));
    }
    words.push("counter".to_owned());
    words.push(if action.action == Verdict::Drop { "drop" } else { "reject" }.to_owned());
    let rule = format!("{chain} {}", words.join(" "));
    let digest = Digest::of(rule.as_bytes()).to_string();
    format!("{rule} comment \"quell:{}:{}\"", action.name, digest.get(..16).unwrap_or_default())
}

fn unit_text(name: &str) -> String {
    format!(
        "# Quell: loads the firewall rule {name} at boot.\n[Unit]\nDescription=Firewall rule {name} of Quell\nDefaultDependencies=no\n\
         After=local-fs.target nftables.service ufw.service firewalld.service\nBefore=network-pre.target\nWants=network-pre.target\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/sbin/nft -f {}\n\n[Install]\nWantedBy=sysinit.target\n",
        rule_file(name)
    )
}

/// What makes the table, the chain and the rule; the first two may exist.
fn script(rule: &str) -> String {
    let chain = rule.split(' ').next().unwrap_or_default();
    format!("add table inet {TABLE}\n{}add rule inet {TABLE} {rule}\n", chain_text(chain))
}

fn chain_text(chain: &str) -> String {
    format!("add chain inet {TABLE} {chain} {{ type filter hook {chain} priority -10; policy accept; }}\n")
}

/// The comment of our rule of this name in the running packet filter.
fn running(name: &str, host: &Host) -> Result<Option<String>, String> {
    Ok(rules(host)?.into_iter().find(|rule| rule.name() == Some(name)).map(|rule| rule.comment))
}

/// Whether a statement is the rule with this comment.
fn is_rule(statement: &str, comment: &str) -> bool {
    statement == comment || statement.ends_with(&format!(" comment \"{comment}\""))
}

struct Rule {
    chain: String,
    handle: u64,
    comment: String,
}

impl Rule {
    fn name(&self) -> Option<&str> {
        self.comment.strip_prefix("quell:")?.split(':').next()
    }
}

/// Every rule of our table; none where there is no table.
fn rules(host: &Host) -> Result<Vec<Rule>, String> {
    let nft = host.program(&NFT).ok_or("nft is not here, so the packet filter cannot be read")?;
    let tables = host.call_long(nft, &["-j", "list", "tables", "inet"])?;
    if !tables.ok {
        return Err(format!("nft: {}", tables.text));
    }
    let ours =
        |item: &Value| item.get("table").and_then(|table| table.get("name")).and_then(Value::as_str) == Some(TABLE);
    if !items(&tables.text)?.iter().any(ours) {
        return Ok(Vec::new());
    }
    let said = host.call_long(nft, &["-j", "list", "table", "inet", TABLE])?;
    if !said.ok {
        return Err(format!("nft: {}", said.text));
    }
    let rule = |item: &Value| {
        let rule = item.get("rule")?;
        let text = |key: &str| rule.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(Rule { chain: text("chain"), handle: rule.get("handle")?.as_u64()?, comment: text("comment") })
    };
    Ok(items(&said.text)?.iter().filter_map(rule).collect())
}

fn items(text: &str) -> Result<Vec<Value>, String> {
    let parsed: Value = serde_json::from_str(text).map_err(|error| format!("reading what nft says: {error}"))?;
    let items = parsed.get("nftables").and_then(Value::as_array).cloned();
    items.ok_or_else(|| "reading what nft says: no list".to_owned())
}

/// Whether the running packet filter has this rule under its name, or none where `rule` is none.
///
/// # Errors
/// A sentence when it cannot be read.
pub fn is(name: &str, rule: Option<&str>, host: &Host) -> Result<bool, String> {
    if host.windows.is_some() {
        return super::windows_firewall::is(name, rule, host);
    }
    let found = rules(host)?.into_iter().find(|found| found.name() == Some(name));
    Ok(match (found, rule) {
        (None, None) => true,
        (Some(found), Some(rule)) => is_rule(rule, &found.comment),
        _ => false,
    })
}

/// Put a rule in place of another in the running packet filter, in one transaction.
///
/// # Errors
/// A sentence; nothing has changed then.
pub fn perform(name: &str, before: Option<&str>, after: Option<&str>, host: &Host) -> Result<(), String> {
    if host.windows.is_some() {
        return super::windows_firewall::perform(name, before, after, host);
    }
    if !is(name, before, host)? {
        return Err(format!("the firewall rule {name} changed while we worked on it"));
    }
    let nft = host.program(&NFT).ok_or("nft is not here")?;
    let all = rules(host)?;
    let mut script = String::new();
    for rule in all.iter().filter(|rule| rule.name() == Some(name)) {
        script.push_str(&format!("delete rule inet {TABLE} {} handle {}\n", rule.chain, rule.handle));
    }
    match after {
        Some(rule) => {
            let chain = rule.split(' ').next().unwrap_or_default();
            script.push_str(&format!("add table inet {TABLE}\n{}add rule inet {TABLE} {rule}\n", chain_text(chain)));
        }
        // The last rule takes our table with it: nothing of us stays.
        None if all.iter().all(|rule| rule.name() == Some(name)) && !all.is_empty() => {
            script.push_str(&format!("delete table inet {TABLE}\n"));
        }
        None => {}
    }
    let said = host.call_long(nft, &[script.trim_end()])?;
    if said.ok { Ok(()) } else { Err(format!("nft refuses the rule: {}", said.text)) }
}
