//! Which asset a host is that a scanner reports for the first time.
//!
//! A host that is known keeps its asset. For any other the rules in force are looked at in order, and the first that finds exactly
//! one fitting asset counts; where none does, a new asset is made. An agent's UUID is always first, since a wrong link would
//! mitigate the wrong machine: where several assets claim it, no other rule is asked. By a name or an address two hosts of one
//! instance are one machine only where the scanner gave one of them no id of its own, as in report files, and two hosts of one
//! portion never. An asset never gets a second UUID by a rule.
//!
//! [`place`] is the whole of it: the store gives it every host and asset that could count.

pub mod joining;

use crate::id::{AssetId, InstanceId};
use crate::refusal::Refusal;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How an asset is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// UUID of the scanner's agent.
    AgentUuid,
    /// Id in the scanner's asset inventory, within one instance.
    AssetId,
    /// Fully qualified name, in the same network.
    Fqdn,
    /// NetBIOS name, in the same network.
    Netbios,
    /// DNS name, in the same network.
    Dns,
    /// Address, in the same network.
    Ip,
}

impl Rule {
    /// All of them, in the order where nobody says otherwise.
    pub const ALL: [Rule; 6] = [Rule::AgentUuid, Rule::AssetId, Rule::Fqdn, Rule::Netbios, Rule::Dns, Rule::Ip];

    /// The word in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::AgentUuid => "agent_uuid",
            Rule::AssetId => "asset_id",
            Rule::Fqdn => "fqdn",
            Rule::Netbios => "netbios",
            Rule::Dns => "dns",
            Rule::Ip => "ip",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Rule> {
        Rule::ALL.into_iter().find(|rule| rule.as_str() == word)
    }

    /// As people read it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Rule::AgentUuid => "agent UUID",
            Rule::AssetId => "asset id of the scanner",
            Rule::Fqdn => "FQDN",
            Rule::Netbios => "NetBIOS name",
            Rule::Dns => "DNS name",
            Rule::Ip => "IP address",
        }
    }

    /// What is the same for a machine wherever it is seen, so that several hosts of one portion may be one asset by it.
    fn strong(self) -> bool {
        matches!(self, Rule::AgentUuid | Rule::AssetId)
    }
}

/// The rules in force from what people set.
///
/// # Errors
/// `rules` for an unknown one, one twice, or where the agent's UUID is not the first.
pub fn rules(words: &[String]) -> Result<Vec<Rule>, Refusal> {
    let mut rules = Vec::new();
    for word in words {
        let known = Rule::ALL.map(Rule::as_str).join(", ");
        let rule = Rule::parse(word)
            .ok_or_else(|| Refusal::new("rules", format!("\"{word}\" is no matching rule; there are {known}")))?;
        if rules.contains(&rule) {
            return Err(Refusal::new("rules", format!("the rule {word} is there twice")));
        }
        rules.push(rule);
    }
    if rules.first() != Some(&Rule::AgentUuid) {
        let why = "agent_uuid is always the first rule: by any other a mitigation could reach the wrong machine";
        return Err(Refusal::new("rules", why));
    }
    Ok(rules)
}

/// A host, as far as matching needs it; empty texts are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The integration instance that reports it.
    pub instance: InstanceId,
    /// The scanner gave it an id of its own.
    pub keyed: bool,
    /// UUID of the scanner's agent.
    pub agent_uuid: Option<String>,
    /// Id in the scanner's asset inventory.
    pub asset_key: Option<String>,
    /// Fully qualified name.
    pub fqdn: String,
    /// NetBIOS name.
    pub netbios: String,
    /// DNS name.
    pub dns: String,
    /// Address.
    pub ip: String,
    /// The scanner's network.
    pub network: String,
}

impl Host {
    /// What a rule looks at, beside the network.
    #[must_use]
    pub fn value(&self, rule: Rule) -> Option<&str> {
        let text = match rule {
            Rule::AgentUuid => self.agent_uuid.as_deref().unwrap_or_default(),
            Rule::AssetId => self.asset_key.as_deref().unwrap_or_default(),
            Rule::Fqdn => &self.fqdn,
            Rule::Netbios => &self.netbios,
            Rule::Dns => &self.dns,
            Rule::Ip => &self.ip,
        };
        (!text.is_empty()).then_some(text)
    }
}

/// What is known before a portion is placed. It may hold more than counts, and has to hold: every host that shares a value with
/// one of the portion, and all hosts of the assets of those.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Hosts with their assets.
    pub hosts: Vec<(AssetId, Host)>,
    /// UUIDs that agents of ours reported for assets.
    pub agents: Vec<(AssetId, String)>,
}

/// Where a host belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// An asset that is there, by this rule.
    Found(AssetId, Rule),
    /// The n-th asset that is made for this portion, from 0.
    New(usize),
}

/// Where each host of a portion belongs; none of them is known.
#[must_use]
pub fn place(rules: &[Rule], known: &Known, portion: &[Host]) -> Vec<Place> {
    let index = Index::new(known);
    let mut found: Vec<Option<(AssetId, Rule)>> = portion.iter().map(|host| index.find(rules, host)).collect();
    // By a name one asset is one host of a portion, or none of them; and none where another host of the instance is it for sure.
    let mut claims: HashMap<AssetId, usize> = HashMap::new();
    let mut sure: BTreeSet<(AssetId, InstanceId, bool)> = BTreeSet::new();
    for (place, host) in found.iter().zip(portion) {
        match place {
            Some((asset, rule)) if rule.strong() => {
                sure.insert((*asset, host.instance, host.keyed));
            }
            Some((asset, _)) => *claims.entry(*asset).or_default() += 1,
            None => {}
        }
    }
    for (place, host) in found.iter_mut().zip(portion) {
        *place = place.filter(|(asset, rule)| {
            let alone = claims.get(asset).is_none_or(|claims| *claims == 1);
            rule.strong() || alone && !sure.contains(&(*asset, host.instance, host.keyed))
        });
    }
    let mut agents: HashMap<AssetId, &str> = HashMap::new();
    for (place, host) in found.iter_mut().zip(portion) {
        // Of several hosts with different UUIDs that come to one asset at once, the first one's counts.
        if let (Some((asset, _)), Some(uuid)) = (*place, host.agent_uuid.as_deref())
            && *agents.entry(asset).or_insert(uuid) != uuid
        {
            *place = None;
        }
    }
    make(rules, portion, found)
}

/// New assets for what was not found: hosts of one agent share theirs, and those of one inventory id.
fn make(rules: &[Rule], portion: &[Host], found: Vec<Option<(AssetId, Rule)>>) -> Vec<Place> {
    let mut agents: Vec<Option<&str>> = Vec::new();
    let mut by_uuid: BTreeMap<&str, usize> = BTreeMap::new();
    let mut by_key: BTreeMap<(InstanceId, &str), usize> = BTreeMap::new();
    let by_inventory = rules.contains(&Rule::AssetId);
    let mut places = Vec::with_capacity(portion.len());
    for (host, found) in portion.iter().zip(found) {
        if let Some((asset, rule)) = found {
            places.push(Place::Found(asset, rule));
            continue;
        }
        let uuid = host.value(Rule::AgentUuid);
        let key = host.value(Rule::AssetId).filter(|_| by_inventory).map(|key| (host.instance, key));
        let shared = uuid.and_then(|uuid| by_uuid.get(uuid).copied()).or_else(|| {
            let n = by_key.get(&key?).copied()?;
            let theirs = agents.get(n).copied().flatten();
            (uuid.is_none() || theirs.is_none() || uuid == theirs).then_some(n)
        });
        let n = shared.unwrap_or(agents.len());
        match agents.get_mut(n) {
            Some(agent) => *agent = agent.or(uuid),
            None => agents.push(uuid),
        }
        if let Some(uuid) = uuid {
            by_uuid.insert(uuid, n);
        }
        if let Some(key) = key {
            by_key.entry(key).or_insert(n);
        }
        places.push(Place::New(n));
    }
    places
}

/// What is known, by the values that rules look at.
struct Index<'k> {
    by: HashMap<(Rule, &'k str), Vec<&'k (AssetId, Host)>>,
    /// Assets by agent UUID.
    agents: HashMap<&'k str, BTreeSet<AssetId>>,
    /// Agent UUIDs by asset.
    uuids: HashMap<AssetId, BTreeSet<&'k str>>,
    /// Assets of which an instance has a host already, and whether the scanner gave its key.
    taken: BTreeSet<(AssetId, InstanceId, bool)>,
}

impl<'k> Index<'k> {
    fn new(known: &'k Known) -> Self {
        let mut index =
            Index { by: HashMap::new(), agents: HashMap::new(), uuids: HashMap::new(), taken: BTreeSet::new() };
        for one in &known.hosts {
            let (asset, host) = one;
            for rule in Rule::ALL {
                if let Some(value) = host.value(rule) {
                    index.by.entry((rule, value)).or_default().push(one);
                }
            }
            index.taken.insert((*asset, host.instance, host.keyed));
        }
        let of_hosts = known.hosts.iter().filter_map(|(asset, host)| Some((*asset, host.value(Rule::AgentUuid)?)));
        for (asset, uuid) in of_hosts.chain(known.agents.iter().map(|(asset, uuid)| (*asset, uuid.as_str()))) {
            index.agents.entry(uuid).or_default().insert(asset);
            index.uuids.entry(asset).or_default().insert(uuid);
        }
        index
    }

    fn find(&self, rules: &[Rule], host: &Host) -> Option<(AssetId, Rule)> {
        if let Some(assets) = host.value(Rule::AgentUuid).and_then(|uuid| self.agents.get(uuid)) {
            // Several assets claim this agent: a wrong link would mitigate the wrong machine.
            return one(assets.iter().copied()).map(|asset| (asset, Rule::AgentUuid));
        }
        let others = rules.iter().copied().filter(|rule| *rule != Rule::AgentUuid);
        others.into_iter().find_map(|rule| {
            let same = self.by.get(&(rule, host.value(rule)?))?;
            let fitting = same.iter().filter(|(asset, theirs)| self.fits(rule, host, *asset, theirs));
            one(fitting.map(|(asset, _)| *asset)).map(|asset| (asset, rule))
        })
    }

    fn fits(&self, rule: Rule, host: &Host, asset: AssetId, theirs: &Host) -> bool {
        // Its own UUID is on no asset, or it would have been found by that.
        if host.agent_uuid.is_some() && self.uuids.contains_key(&asset) {
            return false;
        }
        match rule {
            Rule::AssetId => theirs.instance == host.instance,
            _ => {
                theirs.network == host.network
                    && (theirs.instance != host.instance || theirs.keyed != host.keyed)
                    && !self.taken.contains(&(asset, host.instance, host.keyed))
            }
        }
    }
}

/// The only asset of these, where they are all one.
fn one(assets: impl Iterator<Item = AssetId>) -> Option<AssetId> {
    let assets: BTreeSet<AssetId> = assets.collect();
    if assets.len() == 1 { assets.first().copied() } else { None }
}

/// Whether a report tells no more of a machine than where it is: an address, and neither a name nor a system nor an agent.
#[must_use]
pub fn only_an_address(host: &Host, os: &str) -> bool {
    let silent = |rule| host.value(rule).is_none();
    !silent(Rule::Ip)
        && silent(Rule::AgentUuid)
        && silent(Rule::Fqdn)
        && silent(Rule::Netbios)
        && silent(Rule::Dns)
        && os.is_empty()
}

#[cfg(test)]
mod tests;
