//! Asking for a rescan: of one item at `/items/VIT0000001/rescan`, of an asset at `/assets/7/rescan`, of a remediation task at
//! `/tasks/VUL0000001/rescan`, of several at `/rescan?items=1,2` or `/rescan?q=platform:linux` (S2.10-S2.14).

use super::exposure;
use super::frame::{Show, again, faults, frame, sentence};
use crate::api;
use crate::app::App;
use crate::engine::rescan::{self, Offer, ProfileChoice, Request, Source};
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, PageActor};
use crate::pages::forms::Faults;
use crate::pages::items::{PlanPart, PlanRow, RescanPage};
use crate::pages::lists::{Action as Button, address};
use crate::pages::{Choice, Fact, Fault, Section, Value, count};
use crate::views;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::Action;
use domain::id::{AssetId, InstanceId};
use domain::number::{Number, Series};
use domain::refusal::Refusal;
use domain::search_list::Tests;
use protocol::api::scans::{BEING_PROCESSED, Plan, PlannedScan};
use serde::Deserialize;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use store::Transaction;
use store::items::{self, ItemRow};
use store::scans;
use uuid::Uuid;

/// Items that an address names at most; a query text may give as many as one request takes.
pub(super) const NAMED_MAX: usize = 500;
/// Items left out that are named, each with its reason; of the others it is said how many they are.
const LEFT_OUT_MAX: usize = 50;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/items/{number}/rescan", get(of_item).post(rescan_item))
        .route("/items/rescan", post(of_rows))
        .route("/assets/{id}/rescan", get(of_asset).post(rescan_asset))
        .route("/tasks/{number}/rescan", get(of_task).post(rescan_task))
        .route("/efforts/{number}/rescan", get(of_effort).post(rescan_effort))
        .route("/rescan", get(of_several).post(rescan_several))
}

/// Which items, as an address says it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Asked {
    /// The digits of their numbers, separated by commas.
    #[serde(default)]
    items: String,
    /// Or a query text.
    #[serde(default)]
    q: String,
}

impl Asked {
    fn here(&self) -> String {
        address("/rescan", &[("items", &self.items), ("q", &self.q)])
    }

    fn back(&self) -> String {
        address("/items", &[("q", &self.q)])
    }
}

/// What a form sent, to be shown again.
#[derive(Clone, Debug, Default)]
struct Given {
    named: String,
    specify: bool,
    mail: bool,
    wrong: Vec<Fault>,
    refused: Option<String>,
    plan: Option<PlanPart>,
}

/// What a dialog is about: the items, and what they are asked for as; where it is sent and where closing leads.
#[derive(Clone, Debug)]
struct Dialog {
    numbers: Vec<String>,
    whole: Whole,
    to: String,
    back: String,
}

/// What the items of a dialog are asked for as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whole {
    /// Themselves.
    Items,
    /// What is open on an asset.
    Asset(AssetId),
    /// What a record holds; perhaps without the items of other products.
    Record { number: Number, eligible_only: bool },
}

impl Dialog {
    fn source(&self) -> Source {
        match self.whole {
            Whole::Asset(asset) => Source::Asset(asset),
            Whole::Record { number, .. } => Source::Record(number),
            Whole::Items => Source::Items(self.numbers.iter().filter_map(|number| number.parse().ok()).collect()),
        }
    }
}

impl Given {
    /// Before anything was chosen.
    fn new() -> Given {
        Given { mail: true, ..Given::default() }
    }

    fn sent(fields: &Fields) -> Given {
        let (named, specify) = (fields.one("named").to_owned(), fields.one("profile") == "named");
        Given { named, specify, mail: fields.one("mail") == "on", ..Given::default() }
    }

    fn choice(&self) -> Result<ProfileChoice, Fault> {
        match (self.specify, self.named.as_str()) {
            (false, _) => Ok(ProfileChoice::Default),
            (true, "") => Err(Fault::new("named", "Choose the option profile to scan with.")),
            (true, named) => Ok(ProfileChoice::Named(named.to_owned())),
        }
    }
}

/// The items of a dialog that can be rescanned, what is offered for them, and what is left out.
struct Seen {
    items: Vec<ItemRow>,
    offers: BTreeMap<InstanceId, Offer>,
    left_out: Vec<(String, String)>,
}

fn look(tx: &mut Transaction<'_>, who: &PageActor, numbers: &[String], whole: Whole) -> Result<Seen, Error> {
    let (found, refused) = if let Whole::Record { number, .. } = whole {
        let judged = rescan::items_of_record(tx, who, number)?;
        let ordinals: Vec<i64> = judged.iter().map(|(item, _)| *item).collect();
        let refused = judged.into_iter().filter_map(|(item, refusal)| Some((item, refusal?))).collect();
        (items::numbered(tx, &ordinals)?, refused)
    } else {
        let found = api::items::all_known(tx, who, Action::ItemsView, numbers)?;
        let ordinals: Vec<i64> = found.iter().map(|item| item.number).collect();
        let refused = rescan::unavailable(tx, who, &ordinals)?;
        (found, refused)
    };
    let left_out = found.iter().filter_map(|item| {
        refused.get(&item.number).map(|refusal| (item.number().to_string(), exposure::refused(refusal)))
    });
    let left_out = left_out.collect();
    // One item shows what its scanner offers even where it may not be rescanned.
    let items: Vec<ItemRow> =
        found.iter().filter(|item| found.len() == 1 || !refused.contains_key(&item.number)).cloned().collect();
    let mut offers = BTreeMap::new();
    for item in &items {
        if let Entry::Vacant(place) = offers.entry(item.instance_id) {
            place.insert(match whole {
                Whole::Record { .. } => rescan::offer_in_record(tx, who, item.number)?,
                Whole::Items | Whole::Asset(_) => rescan::offer(tx, who, item.number)?,
            });
        }
    }
    Ok(Seen { items, offers, left_out })
}

impl Seen {
    /// The default profile by its title; of several subscriptions only where each has one.
    fn default(&self) -> Option<String> {
        let titles: Option<Vec<String>> =
            self.offers.values().map(|offer| offer.default.as_ref().map(|profile| profile.title.clone())).collect();
        match titles?.as_slice() {
            [] => None,
            [one, rest @ ..] if rest.iter().all(|title| title == one) => Some(one.clone()),
            _ => Some("The default of each integration".to_owned()),
        }
    }

    /// What should be known before one item is scanned with the default profile.
    fn warning(&self) -> Option<String> {
        let offer = self.offers.values().next().filter(|_| self.items.len() == 1)?;
        let default = offer.default.as_ref()?;
        let warning = offer.warnings.get(&default.key)?.warning(&default.title, offer.qid)?;
        Some(sentence(&warning))
    }

    /// The profiles to choose from: of several subscriptions those that each has, by title.
    fn profiles(&self) -> Vec<Choice> {
        let Some(first) = self.offers.values().next() else { return Vec::new() };
        let single = self.offers.len() == 1;
        let everywhere =
            |title: &str| self.offers.values().all(|offer| offer.profiles.iter().any(|profile| profile.title == title));
        let fits = first.profiles.iter().filter(|profile| everywhere(&profile.title));
        fits.map(|profile| {
            let note = match first.warnings.get(&profile.key).filter(|_| self.items.len() == 1) {
                Some(Tests::No(_)) => format!(" (does not look for QID {})", first.qid),
                _ if !profile.complete => " (looks for some vulnerabilities only)".to_owned(),
                _ => String::new(),
            };
            Choice::new(if single { &profile.key } else { &profile.title }, format!("{}{note}", profile.title))
        })
        .collect()
    }

    fn facts(&self) -> Vec<Fact> {
        let join = |mut names: Vec<&str>| {
            names.sort_unstable();
            names.dedup();
            match names.as_slice() {
                [a, b, c, rest @ ..] if !rest.is_empty() => format!("{a}, {b}, {c} and {} more", rest.len()),
                names => names.join(", "),
            }
        };
        let total = i64::try_from(self.items.len()).unwrap_or(i64::MAX);
        let items = match self.items.as_slice() {
            [one] => Value::text(format!("{} · QID {}", one.number(), one.qid)),
            _ => Value::text(count(total)),
        };
        let mut facts = vec![
            Fact::new("Items", items),
            Fact::new("Assets", Value::text(join(self.items.iter().map(|item| item.asset.as_str()).collect()))),
            Fact::new("Scanner", Value::text(join(self.items.iter().map(|item| item.instance.as_str()).collect()))),
            Fact::new("Addresses", Value::code(join(self.items.iter().map(|item| item.ip.as_str()).collect()))),
        ];
        let open = self.offers.values().find_map(|offer| offer.open_scan).filter(|_| self.items.len() == 1);
        if let Some(scan) = open {
            facts.push(Fact::new("Under way", Value::link(scan.to_string(), format!("/scans/{scan}"))));
        }
        facts
    }

    /// Why nothing at all can be rescanned.
    fn reason(&self, asked: usize) -> Option<String> {
        match (asked, self.left_out.as_slice()) {
            (0, _) => Some("No item was chosen.".to_owned()),
            (1, [(_, why)]) => Some(why.clone()),
            (asked, left) if left.len() == asked => Some("None of the chosen items can be rescanned.".to_owned()),
            _ => None,
        }
    }
}

async fn page(app: &App, who: &PageActor, dialog: Dialog, given: Given) -> Result<RescanPage, Error> {
    let Dialog { numbers, whole, to, back } = dialog;
    let (asker, asked) = (who.clone(), numbers.len());
    let title = match (whole, numbers.as_slice()) {
        (Whole::Items, []) => "Rescan".to_owned(),
        (Whole::Items, [one]) => format!("Rescan {one}"),
        (Whole::Items, several) => format!("Rescan {} items", several.len()),
        (Whole::Asset(_), _) => "Rescan the asset".to_owned(),
        (Whole::Record { number, .. }, _) => format!("Rescan {number}"),
    };
    let read = app.database.try_read(move |tx| {
        let refused = match whole {
            Whole::Asset(asset) => rescan::of_asset(tx, &asker, asset)?.err(),
            Whole::Record { number, eligible_only } => rescan::of_record(tx, &asker, number, eligible_only)?.err(),
            Whole::Items => None,
        };
        Ok::<_, Error>((look(tx, &asker, &numbers, whole)?, refused))
    });
    let (seen, refused) = read.await?;
    let refused = given.refused.or_else(|| refused.as_ref().map(exposure::refused));
    let reason = refused.or_else(|| seen.reason(asked).filter(|_| whole == Whole::Items));
    let named = whole != Whole::Items || asked > 1;
    let (left, mut left_out) = (seen.left_out.len(), seen.left_out.clone());
    left_out.truncate(if named { LEFT_OUT_MAX } else { 0 });
    let unnamed = if named { left - left_out.len() } else { 0 };
    let shell = frame(app, who, Section::Items, title).await?.under("Vulnerable items", "/items");
    Ok(RescanPage {
        shell,
        to,
        facts: seen.facts(),
        default_profile: seen.default(),
        warning: seen.warning(),
        profiles: seen.profiles(),
        chosen: given.named,
        specify: given.specify,
        mail: given.mail,
        faults: Faults(given.wrong),
        key: Uuid::now_v7().simple().to_string(),
        reason,
        left_out,
        unnamed,
        back,
        plan: given.plan,
    })
}

/// Ask, or show what asking would do. A second press asks for nothing twice: an item that an open request looks at is not
/// launched again.
async fn ask(app: &App, who: &PageActor, dialog: Dialog, fields: &Fields) -> Result<Response, Error> {
    let mut given = Given::sent(fields);
    let profile = match given.choice() {
        Ok(profile) => profile,
        Err(fault) => {
            given.wrong.push(fault);
            return Ok(again(page(app, who, dialog, given).await?));
        }
    };
    let seen = Some(fields.one("plan").to_owned()).filter(|seen| !seen.is_empty());
    let eligible_only = match dialog.whole {
        Whole::Record { eligible_only, .. } => eligible_only,
        Whole::Items | Whole::Asset(_) => dialog.numbers.len() > 1,
    };
    let mail = given.mail;
    let request = Request { source: dialog.source(), profile, eligible_only, seen, mail };
    let failed = if fields.one("step") == "plan" {
        match rescan::preview(app, who, request).await {
            Ok(found) => {
                given.plan = Some(planned(&views::scans::plan(&found)));
                return Ok(Show(page(app, who, dialog, given).await?).into_response());
            }
            Err(error) => error,
        }
    } else {
        match rescan::request(app, who, request).await {
            Ok(requested) => {
                let mut text = sentence(BEING_PROCESSED);
                let left: BTreeSet<Number> = requested.skipped.iter().map(|one| one.item).collect();
                if !left.is_empty() {
                    text = format!("{text} {} left out.", left.len());
                }
                if requested.changed {
                    text = format!("{text} The plan changed since you looked at it; the record shows what is scanned.");
                }
                let said = Flash::done(text).link("View status", format!("/scans/{}", requested.scan));
                return Ok(flash::redirect(&dialog.back, Some(said)));
            }
            Err(error) => error,
        }
    };
    match failed {
        Error::Refused(refusal) => given.refused = Some(exposure::refused(&refusal)),
        error => given.wrong = faults(error, |field| if field == "profile" { "named" } else { field })?,
    }
    Ok(again(page(app, who, dialog, given).await?))
}

/// A length of time, to the minute where it is longer than that.
fn span(seconds: i64) -> String {
    match seconds {
        1 => "1 second".to_owned(),
        ..90 => format!("{seconds} seconds"),
        _ => format!("{} minutes", (seconds + 30).div_euclid(60)),
    }
}

/// The plan as the dialog shows it.
fn planned(plan: &Plan) -> PlanPart {
    let row = |scan: &PlannedScan| {
        let mut place = format!("{} · {}", scan.instance, scan.appliance);
        if !scan.network_id.is_empty() {
            place = format!("{place} · network {}", scan.network_id);
        }
        let more = scan.address_count - i64::try_from(scan.addresses.len()).unwrap_or(0);
        let mut addresses = scan.addresses.join(", ");
        if more > 0 {
            addresses = format!("{addresses} and {more} more");
        }
        let mut notes = Vec::new();
        if let (Some(at), Some(local)) = (scan.opens_at, &scan.opens_local) {
            notes.push(format!("It waits for the scan window, which opens at {local} ({at})."));
        }
        if let Some(seconds) = scan.seconds_expected {
            notes.push(format!("Scans of this size took about {} lately.", span(seconds)));
        }
        let online = scan.appliance_status.is_empty() || scan.appliance_status.eq_ignore_ascii_case("online");
        if !online {
            notes.push(format!("The scanner says that this appliance is {}.", scan.appliance_status));
        }
        notes.extend(scan.untested.iter().take(LEFT_OUT_MAX).map(|one| sentence(&one.reason)));
        let unnamed = scan.untested_count - i64::try_from(scan.untested.len().min(LEFT_OUT_MAX)).unwrap_or(0);
        if unnamed > 0 {
            notes.push(format!("The same holds for {} more vulnerabilities.", count(unnamed)));
        }
        PlanRow { place, notes, profile: scan.profile.title.clone(), addresses, items: scan.items }
    };
    let open = plan.open.iter().map(|one| (one.item.clone(), format!("{} looks at it already.", one.scan)));
    let hosts = plan.left_out.iter().filter(|one| one.host.is_some());
    let hosts = hosts.map(|one| (one.item.clone(), sentence(&one.reason)));
    let others: Vec<(String, String)> = open.chain(hosts).collect();
    PlanPart {
        digest: plan.digest.clone(),
        scans: plan.scans.iter().map(row).collect(),
        more: i64::try_from(others.len().saturating_sub(LEFT_OUT_MAX)).unwrap_or(i64::MAX),
        others: others.into_iter().take(LEFT_OUT_MAX).collect(),
    }
}

fn of_one(number: String) -> Dialog {
    let (to, back) = (format!("/items/{number}/rescan"), format!("/items/{number}"));
    Dialog { numbers: vec![number], whole: Whole::Items, to, back }
}

async fn of_item(State(app): State<App>, who: PageActor, Path(number): Path<String>) -> Result<Response, Error> {
    Ok(Show(page(&app, &who, of_one(number), Given::new()).await?).into_response())
}

async fn rescan_item(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    fields: Fields,
) -> Result<Response, Error> {
    ask(&app, &who, of_one(number), &fields).await
}

/// What is open on an asset that the caller may see.
async fn on_asset(app: &App, who: &PageActor, id: i64) -> Result<Dialog, Error> {
    let (asker, asset) = (who.clone(), AssetId(id));
    let read = app.database.try_read(move |tx| {
        api::assets::known(tx, &asker, Action::AssetsView, asset)?;
        Ok::<_, Error>(scans::open_items(tx, asset, Some(&asker.actor), domain::rescan::ITEMS_MAX)?)
    });
    let numbers = read.await?.into_iter().map(|ordinal| Number { series: Series::Item, ordinal }.to_string()).collect();
    let (to, back) = (format!("/assets/{id}/rescan"), format!("/assets/{id}"));
    Ok(Dialog { numbers, whole: Whole::Asset(asset), to, back })
}

async fn of_asset(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    let dialog = on_asset(&app, &who, id).await?;
    Ok(Show(page(&app, &who, dialog, Given::new()).await?).into_response())
}

async fn rescan_asset(
    State(app): State<App>,
    who: PageActor,
    Path(id): Path<i64>,
    fields: Fields,
) -> Result<Response, Error> {
    let dialog = on_asset(&app, &who, id).await?;
    ask(&app, &who, dialog, &fields).await
}

/// Which items of a record, as an address says it.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Part {
    /// Those of other products are left out.
    #[serde(default)]
    eligible: bool,
}

fn of_record(series: Series, text: &str, Part { eligible }: Part) -> Result<Dialog, Error> {
    let number = api::scan_records::number(series, text)?;
    let noun = if series == Series::Effort { "efforts" } else { "tasks" };
    let back = format!("/{noun}/{number}");
    let to = format!("{back}/rescan{}", if eligible { "?eligible=true" } else { "" });
    Ok(Dialog { numbers: Vec::new(), whole: Whole::Record { number, eligible_only: eligible }, to, back })
}

/// Rescan among the actions of a record that holds items. Where items of other products are in the way, those of Qualys alone can be
/// asked for.
pub(super) fn buttons(record: &str, refused: Option<&Refusal>) -> Vec<Button> {
    let to = format!("/{record}/rescan");
    let mixed = refused.is_some_and(|refusal| refusal.code == rescan::MIXED);
    let part = mixed.then(|| Button::show("Rescan those of Qualys", format!("{to}?eligible=true")).icon("radar"));
    let whole = Button::show("Rescan", to).icon("radar").key('r').primary().unless(refused.map(exposure::refused));
    part.into_iter().chain([whole]).collect()
}

async fn of_task(
    State(app): State<App>,
    who: PageActor,
    Path(text): Path<String>,
    Query(part): Query<Part>,
) -> Result<Response, Error> {
    let dialog = of_record(Series::RemediationTask, &text, part)?;
    Ok(Show(page(&app, &who, dialog, Given::new()).await?).into_response())
}

async fn rescan_task(
    State(app): State<App>,
    who: PageActor,
    Path(text): Path<String>,
    Query(part): Query<Part>,
    fields: Fields,
) -> Result<Response, Error> {
    let dialog = of_record(Series::RemediationTask, &text, part)?;
    ask(&app, &who, dialog, &fields).await
}

async fn of_effort(
    State(app): State<App>,
    who: PageActor,
    Path(text): Path<String>,
    Query(part): Query<Part>,
) -> Result<Response, Error> {
    let dialog = of_record(Series::Effort, &text, part)?;
    Ok(Show(page(&app, &who, dialog, Given::new()).await?).into_response())
}

async fn rescan_effort(
    State(app): State<App>,
    who: PageActor,
    Path(text): Path<String>,
    Query(part): Query<Part>,
    fields: Fields,
) -> Result<Response, Error> {
    let dialog = of_record(Series::Effort, &text, part)?;
    ask(&app, &who, dialog, &fields).await
}

/// The picked rows of the list, or its query text, in the address of the dialog; more rows than fit into it are refused.
async fn of_rows(_who: PageActor, fields: Fields) -> Result<Response, Error> {
    if !fields.one("all").is_empty() {
        let to = address("/rescan", &[("q", fields.one("q"))]);
        return Ok(flash::redirect(if to == "/rescan" { "/rescan?q=is:open" } else { &to }, None));
    }
    let digits: Vec<String> = fields
        .all("row")
        .iter()
        .filter_map(|row| row.parse::<Number>().ok())
        .filter(|number| number.series == Series::Item)
        .map(|number| number.ordinal.to_string())
        .collect();
    if digits.len() > NAMED_MAX {
        let text = too_many(digits.len());
        let back = address("/items", &[("q", fields.one("q"))]);
        return Ok(flash::redirect(&back, Some(Flash { failed: true, ..Flash::done(text) })));
    }
    Ok(flash::redirect(&address("/rescan", &[("items", &digits.join(","))]), None))
}

/// Why so many items are not named in one address.
pub(super) fn too_many(items: usize) -> String {
    format!(
        "{items} items are more than fit into an address, which takes {NAMED_MAX}: narrow the list of items and choose all of it."
    )
}

async fn wanted(app: &App, who: &PageActor, asked: &Asked) -> Result<Vec<String>, Error> {
    if !asked.q.is_empty() {
        return api::items::matching(app, who, &asked.q, domain::rescan::ITEMS_MAX).await;
    }
    let digits = asked.items.split(',').filter_map(|digits| digits.trim().parse::<i64>().ok());
    let numbers: Vec<String> = digits.map(|ordinal| Number { series: Series::Item, ordinal }.to_string()).collect();
    if numbers.len() > NAMED_MAX {
        return Err(Refusal::new("too_many_items", too_many(numbers.len())).into());
    }
    Ok(numbers)
}

async fn of_several(State(app): State<App>, who: PageActor, Query(asked): Query<Asked>) -> Result<Response, Error> {
    let (numbers, given) = match wanted(&app, &who, &asked).await {
        Ok(numbers) => (numbers, Given::new()),
        Err(Error::Refused(refusal)) => {
            (Vec::new(), Given { refused: Some(exposure::refused(&refusal)), ..Given::default() })
        }
        Err(error) => return Err(error),
    };
    let dialog = Dialog { numbers, whole: Whole::Items, to: asked.here(), back: asked.back() };
    Ok(Show(page(&app, &who, dialog, given).await?).into_response())
}

async fn rescan_several(
    State(app): State<App>,
    who: PageActor,
    Query(asked): Query<Asked>,
    fields: Fields,
) -> Result<Response, Error> {
    let numbers = wanted(&app, &who, &asked).await?;
    let dialog = Dialog { numbers, whole: Whole::Items, to: asked.here(), back: asked.back() };
    ask(&app, &who, dialog, &fields).await
}
