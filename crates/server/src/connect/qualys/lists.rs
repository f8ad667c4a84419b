//! Short lists: option profiles, search lists, scanner appliances, asset groups.

use crate::connect::qualys::client::{Call, Client};
use crate::connect::qualys::config::Endpoint;
use crate::connect::qualys::error::Error;
use crate::connect::qualys::pages::Walk;
use intake::qualys::appliances::{self, Appliance};
use intake::qualys::asset_groups::{self, AssetGroup};
use intake::qualys::option_profiles::{self, OptionProfile};
use intake::qualys::search_lists::{self, SearchList};

impl Client {
    /// Option profiles. The answer may hold passwords of scanned machines; only what is listed survives.
    pub async fn option_profiles(&self) -> Result<Vec<OptionProfile>, Error> {
        let call = Call::new(Endpoint::OptionProfiles, "list");
        let listing = self.call(call, |input, limits| option_profiles::read(input, limits)).await?;
        Ok(listing.entries)
    }

    /// Search lists that people keep, with the numbers they hold.
    pub async fn static_lists(&self) -> Result<Vec<SearchList>, Error> {
        let call = Call::new(Endpoint::StaticLists, "list");
        Ok(self.call(call, |input, limits| search_lists::read_static(input, limits)).await?.entries)
    }

    /// Search lists that follow a rule, with the numbers they hold now.
    pub async fn dynamic_lists(&self) -> Result<Vec<SearchList>, Error> {
        let call = Call::new(Endpoint::DynamicLists, "list").with("show_qids", "1");
        Ok(self.call(call, |input, limits| search_lists::read_dynamic(input, limits)).await?.entries)
    }

    /// Scanner appliances with the groups they serve. External scanners are not among them.
    pub async fn appliances(&self) -> Result<Vec<Appliance>, Error> {
        let call = Call::new(Endpoint::Appliances, "list").with("output_mode", "full");
        let listing = self.call(call, |input, limits| appliances::read(input, limits)).await?;
        Ok(listing.entries)
    }

    /// Asset groups with addresses and appliances, all pages.
    pub async fn asset_groups(&self) -> Result<Vec<AssetGroup>, Error> {
        let call = Call::new(Endpoint::AssetGroups, "list")
            .with("show_attributes", "ALL")
            .with("truncation_limit", self.config().page_size);
        let mut walk = Walk::new(call, self.config().pages_max);
        let mut groups = Vec::new();
        while let Some(call) = walk.call() {
            let listing = self.call(call, |input, limits| asset_groups::read(input, limits)).await?;
            let first = listing.entries.iter().map(|group| group.id).min();
            groups.extend(listing.entries);
            walk.advance(listing.summary.warning.as_ref(), first)?;
        }
        Ok(groups)
    }
}
