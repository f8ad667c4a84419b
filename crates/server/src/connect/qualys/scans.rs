//! Scans: launch, follow, stop, and see what was reached.

use crate::connect::qualys::client::{Call, Client};
use crate::connect::qualys::config::Endpoint;
use crate::connect::qualys::detections::wire_instant;
use crate::connect::qualys::error::Error;
use domain::time::Timestamp;
use intake::qualys::returns;
use intake::qualys::scan_fetch::{self, ScanResult};
use intake::qualys::scans::{self, ScanReport};

/// What is to be scanned, how and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchRequest {
    /// The scan's title. A launch is not idempotent and takes no key of ours: after [`Error::Uncertain`] the scan is
    /// looked for by this title, so it has to be unique.
    pub title: String,
    /// What the scan looks for.
    pub profile: ProfileChoice,
    /// Addresses and ranges `a-b`.
    pub ips: Vec<String>,
    /// The network the addresses are in, where networks are on.
    pub network_id: Option<i64>,
    /// What scans.
    pub scanner: ScannerChoice,
    /// 0 (none) to 9.
    pub priority: Option<u8>,
}

/// An option profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProfileChoice {
    /// By id.
    Id(i64),
    /// By title.
    Title(String),
}

/// A scanner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScannerChoice {
    /// The platform's own scanners on the internet.
    External,
    /// An appliance by name.
    Name(String),
    /// An appliance by id.
    Id(i64),
    /// All scanners of the network.
    OfNetwork,
}

/// A scan that was launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchedScan {
    /// By which it is followed; store it before anything else.
    pub reference: String,
    /// The platform's key, where given.
    pub id: Option<i64>,
}

/// Which scans are wanted. Without a reference or a time the platform shows the last 30 days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanQuery {
    /// One scan.
    pub reference: Option<String>,
    /// In these states, in the platform's words.
    pub states: Vec<String>,
    /// Launched at or after this instant.
    pub launched_after: Option<Timestamp>,
    /// Launched before this instant.
    pub launched_before: Option<Timestamp>,
    /// With exactly this title. The platform cannot filter by title; the list is filtered here.
    pub title: Option<String>,
}

impl Client {
    /// Launches a scan. Never repeated when it is unknown whether it worked: that is [`Error::Uncertain`].
    pub async fn launch_scan(&self, request: &LaunchRequest) -> Result<LaunchedScan, Error> {
        let call = Call::new(Endpoint::ScanControl, "launch")
            .with("scan_title", &request.title)
            .with("target_from", "assets")
            .with_list("ip", &request.ips)
            .with_some("ip_network_id", request.network_id)
            .with_some("priority", request.priority);
        let call = match &request.profile {
            ProfileChoice::Id(id) => call.with("option_id", id),
            ProfileChoice::Title(title) => call.with("option_title", title),
        };
        let mut call = match &request.scanner {
            ScannerChoice::External => call.with("iscanner_name", "External"),
            ScannerChoice::Name(name) => call.with("iscanner_name", name),
            ScannerChoice::Id(id) => call.with("iscanner_id", id),
            ScannerChoice::OfNetwork => call.with("scanners_in_network", "1"),
        };
        call.once = true;
        let answer = self.call(call, |input, limits| returns::answer(input, limits)).await?;
        let Some(reference) = answer.item("REFERENCE").filter(|reference| !reference.is_empty()) else {
            let reason = format!("the answer \"{}\" names no reference", answer.text);
            return Err(Error::Uncertain { what: Endpoint::ScanControl.name(), reason });
        };
        Ok(LaunchedScan { reference: reference.to_owned(), id: answer.item("ID").and_then(|id| id.parse().ok()) })
    }

    /// Scans that fit.
    pub async fn list_scans(&self, query: &ScanQuery) -> Result<Vec<ScanReport>, Error> {
        let call = Call::new(Endpoint::ScanList, "list")
            .with("show_status", "1")
            .with("show_op", "1")
            .with_some("scan_ref", query.reference.as_ref())
            .with_list("state", &query.states)
            .with_some("launched_after_datetime", query.launched_after.map(wire_instant))
            .with_some("launched_before_datetime", query.launched_before.map(wire_instant));
        let mut listing = self.call(call, |input, limits| scans::read(input, limits)).await?;
        if let Some(title) = &query.title {
            listing.entries.retain(|scan| scan.title.as_ref() == Some(title));
        }
        Ok(listing.entries)
    }

    /// Stops a scan. What it found so far stays.
    pub async fn cancel_scan(&self, reference: &str) -> Result<(), Error> {
        let call = Call::new(Endpoint::ScanControl, "cancel").with("scan_ref", reference);
        self.call(call, |input, limits| returns::answer(input, limits)).await.map(drop)
    }

    /// What an ended scan reached. Status comes from detections, not from here.
    pub async fn fetch_scan(&self, reference: &str) -> Result<ScanResult, Error> {
        let call = Call::new(Endpoint::ScanControl, "fetch")
            .with("scan_ref", reference)
            .with("mode", "brief")
            .with("output_format", "json");
        self.call(call, |input, limits| scan_fetch::read(input, limits)).await
    }
}
