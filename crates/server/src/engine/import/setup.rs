//! What a rescan needs to know of a platform: option profiles with the search lists they name, appliances with the addresses
//! they serve.

use super::Error;
use super::merger::Merger;
use super::platform::Work;
use intake::qualys::appliances;
use intake::qualys::asset_groups::AssetGroup;
use intake::qualys::option_profiles::OptionProfile;
use intake::qualys::search_lists;
use store::appliances::Listed;
use store::instances::{self, Profile};
use store::search_lists::{self as lists, Named, SearchList};

/// What a run says that was not given the lists that follow a rule.
const DYNAMIC_UNTOLD: &str =
    "the platform gave no dynamic search lists: what option profiles name of them is not known";
/// The platform's own scanners, as people and the platform call them.
const EXTERNAL: (&str, &str) = ("0", "External");

impl Work {
    /// Option profiles, appliances, and the ranges that asset groups give them.
    pub(super) async fn setup(&self, merger: &mut Merger) -> Result<(), Error> {
        self.option_profiles(merger).await?;
        self.appliances(merger).await
    }

    pub(super) async fn option_profiles(&self, merger: &mut Merger) -> Result<(), Error> {
        merger.step("option_profiles").await?;
        let profiles = merger.ask(self.client.option_profiles()).await?;
        let named: Vec<Named> = profiles.iter().flat_map(named).collect();
        let profiles: Vec<Profile> = profiles
            .into_iter()
            .map(|profile| Profile {
                key: profile.id.to_string(),
                title: profile.name,
                is_default: profile.default,
                complete: profile.complete,
            })
            .collect();
        let (instance, now, count) = (self.instance, self.app.clock.now(), profiles.len() as u64);
        self.app
            .database
            .write(move |tx| {
                instances::replace_profiles(tx, instance, profiles.clone(), now)?;
                lists::replace_named(tx, instance, named.clone())
            })
            .await?;
        merger.counters.setup.updated += count;
        merger.count(1, count, 0).await
    }

    /// Search lists with the numbers they hold. An account may see those that people keep and not those that follow a rule.
    pub(super) async fn search_lists(&self, merger: &mut Merger) -> Result<(), Error> {
        merger.step("search_lists").await?;
        let kept = merger.ask(self.client.static_lists()).await?;
        self.keep_lists(merger, "static", kept).await?;
        match merger.ask(self.client.dynamic_lists()).await {
            Ok(followed) => self.keep_lists(merger, "dynamic", followed).await,
            Err(Error::Scanner(error)) if matches!(error.kind(), "refused" | "version_gone") => {
                merger.note(DYNAMIC_UNTOLD);
                self.keep_lists(merger, "dynamic", Vec::new()).await
            }
            Err(error) => Err(error),
        }
    }

    async fn keep_lists(
        &self,
        merger: &mut Merger,
        kind: &'static str,
        found: Vec<search_lists::SearchList>,
    ) -> Result<(), Error> {
        let list = |list: search_lists::SearchList| SearchList {
            key: list.id.to_string(),
            title: list.title,
            qids: list.qids,
        };
        let found: Vec<SearchList> = found.into_iter().map(list).collect();
        let (instance, now, count) = (self.instance, self.app.clock.now(), found.len() as u64);
        self.app.database.write_bulk(move |tx| lists::replace(tx, instance, kind, &found, now)).await?;
        merger.counters.setup.updated += count;
        merger.count(1, count, 0).await
    }

    /// Appliances with the addresses of the asset groups whose default they are.
    pub(super) async fn appliances(&self, merger: &mut Merger) -> Result<(), Error> {
        merger.step("appliances").await?;
        let found = merger.ask(self.client.appliances()).await?;
        let groups = merger.ask(self.client.asset_groups()).await?;
        let appliances = appliance_rows(found, &groups);
        let count = (appliances.len() + groups.len()) as u64;
        let (instance, now) = (self.instance, self.app.clock.now());
        self.app.database.write(move |tx| store::appliances::replace(tx, instance, appliances.clone(), now)).await?;
        merger.counters.setup.updated += count;
        merger.count(2, count, 0).await
    }
}

/// The lists that an option profile names.
fn named(profile: &OptionProfile) -> Vec<Named> {
    let one = |title: &String, excluded| Named { profile_key: profile.id.to_string(), title: title.clone(), excluded };
    let only = profile.search_lists.iter().map(|title| one(title, false));
    only.chain(profile.excluded_search_lists.iter().map(|title| one(title, true))).collect()
}

/// One row per appliance, and one per asset group that has a default appliance and addresses, with those. The platform's
/// own scanners are a row as well; they come last.
fn appliance_rows(found: Vec<appliances::Appliance>, groups: &[AssetGroup]) -> Vec<Listed> {
    let network = |id: Option<i64>| id.filter(|id| *id != 0).map(|id| id.to_string()).unwrap_or_default();
    let mut rows: Vec<Listed> = found
        .into_iter()
        .map(|appliance| Listed {
            place: format!("appliance:{}", appliance.id),
            key: appliance.id.to_string(),
            name: appliance.name,
            status: appliance.status.unwrap_or_default(),
            group_name: String::new(),
            network_id: network(appliance.network_id),
            addresses: "[]".to_owned(),
            precedence: 100,
        })
        .collect();
    rows.push(Listed {
        place: format!("appliance:{}", EXTERNAL.0),
        key: EXTERNAL.0.to_owned(),
        name: EXTERNAL.1.to_owned(),
        status: String::new(),
        group_name: String::new(),
        network_id: String::new(),
        addresses: "[]".to_owned(),
        precedence: 1_000,
    });
    let mut served = Vec::new();
    for group in groups {
        let mut ranges: Vec<(String, String)> = group.addresses.iter().filter_map(|text| range(text)).collect();
        ranges.sort();
        ranges.dedup();
        let key = group.default_appliance_id.map(|id| id.to_string());
        let Some(appliance) = rows.iter().find(|row| Some(&row.key) == key.as_ref()) else { continue };
        if ranges.is_empty() {
            continue;
        }
        served.push(Listed {
            place: format!("group:{}", group.id),
            group_name: group.title.clone(),
            network_id: match group.network_id {
                Some(id) => network(Some(id)),
                None => appliance.network_id.clone(),
            },
            addresses: serde_json::to_string(&ranges).expect("texts are JSON"),
            ..appliance.clone()
        });
    }
    rows.extend(served);
    rows
}

/// `a-b` or `a` as low and high address.
fn range(text: &str) -> Option<(String, String)> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let address = |text: &str| text.trim().parse::<std::net::IpAddr>().ok();
    let (low, high) = (address(low)?, address(high)?);
    Some((low.to_string(), high.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appliances_get_the_ranges_of_the_groups_they_are_the_default_of() {
        let appliance = |id, name: &str| appliances::Appliance {
            id,
            name: name.to_owned(),
            uuid: None,
            network_id: Some(0),
            status: Some("Online".to_owned()),
            running_scans: None,
            software_version: None,
            kind: None,
            asset_group_ids: Vec::new(),
        };
        let group = |id, default_appliance_id, addresses: &[&str]| AssetGroup {
            id,
            title: format!("group {id}"),
            network_id: None,
            default_appliance_id,
            appliance_ids: Vec::new(),
            addresses: addresses.iter().map(|&text| text.to_owned()).collect(),
            dns_names: Vec::new(),
            updated_at: None,
        };
        let groups = [
            group(1, Some(7), &["10.1.0.1", "10.0.0.1-10.0.0.9", "10.1.0.1"]),
            group(2, Some(7), &["10.1.0.1", "nonsense"]),
            group(3, None, &["10.2.0.1"]),
            group(4, Some(0), &["192.0.2.1"]),
            group(5, Some(8), &[]),
            group(6, Some(99), &["10.3.0.1"]),
        ];
        let rows = appliance_rows(vec![appliance(7, "dc1"), appliance(8, "dc2")], &groups);
        let shown: Vec<[&str; 3]> = rows.iter().map(|row| [row.place.as_str(), &row.name, &row.addresses]).collect();
        assert_eq!(
            shown,
            [
                ["appliance:7", "dc1", "[]"],
                ["appliance:8", "dc2", "[]"],
                ["appliance:0", "External", "[]"],
                ["group:1", "dc1", r#"[["10.0.0.1","10.0.0.9"],["10.1.0.1","10.1.0.1"]]"#],
                ["group:2", "dc1", r#"[["10.1.0.1","10.1.0.1"]]"#],
                ["group:4", "External", r#"[["192.0.2.1","192.0.2.1"]]"#],
            ]
        );
    }
}
