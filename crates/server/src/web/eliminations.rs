//! `/eliminations`: what the catalogue in force can do about open items, and Mitigate Now (S1.02).

use super::choice::Choice;
use super::frame::{Show, frame};
use super::marks;
use crate::app::App;
use crate::http::Error;
use crate::http::auth::{Caller, PageActor};
use crate::http::flash::{self, Flash};
use crate::http::form::Fields as Form;
use crate::pages::Section;
use crate::pages::chips::Change;
use crate::pages::eliminations::{COLUMNS, EliminationRow, EliminationsPage, KeptTo};
use crate::pages::lists::{Action as Button, Empty, List, Menu, QueryError, address};
use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::{Action, AssetScope, Decision, Record};
use domain::filter::{Context, Field, Fields, Filter, Flag, Kind, Subject, Value, matches};
use domain::id::AssetId;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use store::overview::{self, Possible};

/// What eliminations can be asked for. They are reckoned, not stored, so the tree is asked of each row here.
const FIELDS: Fields = Fields {
    fields: &[
        Field { name: "qid", kind: Kind::Number, doc: "QID of the vulnerability" },
        Field { name: "title", kind: Kind::Text, doc: "title of the mitigation" },
        Field { name: "vulnerability", kind: Kind::Text, doc: "title of the vulnerability" },
        Field { name: "entry", kind: Kind::Name, doc: "id of the catalogue entry" },
        Field {
            name: "kind",
            kind: Kind::Words(&["mitigation", "fix"]),
            doc: "lowers the risk, or removes the weakness",
        },
        Field { name: "platform", kind: Kind::Words(&["linux", "windows", "any"]), doc: "what it runs on" },
        Field { name: "risk", kind: Kind::Words(&["low", "medium", "high"]), doc: "what it may break" },
        Field { name: "reversible", kind: Kind::Truth, doc: "can be taken back" },
        Field { name: "assets", kind: Kind::Number, doc: "assets with the weakness" },
        Field { name: "agents", kind: Kind::Number, doc: "of these, with an agent" },
        Field { name: "left", kind: Kind::Number, doc: "of these, not mitigated yet" },
        Field { name: "score", kind: Kind::Number, doc: "highest residual score" },
        Field { name: "points", kind: Kind::Number, doc: "points off the score" },
    ],
    flags: &[Flag { name: "fix", field: "kind", words: &["fix"], doc: "removes the weakness for good" }],
    free: &["title", "vulnerability", "entry"],
};

/// Rows of the list at most; the catalogue is small.
const ROWS_MAX: usize = 500;
/// Assets that the page names; of the others it says how many they are.
const NAMES_MAX: usize = 5;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/eliminations", get(index)).route("/eliminations/mitigate", post(mitigate))
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    q: String,
    #[serde(default)]
    sort: String,
    #[serde(default)]
    qid: String,
    #[serde(default)]
    asset: String,
}

impl Asked {
    /// The assets of the address, as every way from here carries them on.
    fn on(&self) -> Choice {
        Choice { asset: self.asset.clone(), ..Choice::default() }
    }
}

struct Row<'r>(&'r Possible);

impl Subject for Row<'_> {
    fn values(&self, field: &str) -> Vec<Value> {
        let row = self.0;
        let text = |text: &str| vec![Value::Text(text.to_owned())];
        match field {
            "qid" => vec![Value::Number(row.qid)],
            "title" => text(&row.title),
            "vulnerability" => text(&row.vulnerability),
            "entry" => text(&row.entry),
            "kind" => text(&row.implication),
            "platform" => text(&row.platform),
            "risk" => text(&row.risk),
            "reversible" => vec![Value::Truth(row.reversible)],
            "assets" => vec![Value::Number(row.assets)],
            "agents" => vec![Value::Number(row.agents)],
            "left" => vec![Value::Number(row.remaining)],
            "score" => vec![Value::Number(row.residual)],
            "points" => vec![Value::Number(row.points)],
            _ => Vec::new(),
        }
    }
}

async fn index(State(app): State<App>, who: PageActor, Query(asked): Query<Asked>) -> Result<Response, Error> {
    who.may(Action::CatalogueView, &Record::default())?;
    who.may(Action::VulnerabilitiesView, &Record::default())?;
    if !asked.qid.is_empty() {
        // One text says what is shown: the QIDs become a term of it.
        let chosen = Choice { qid: asked.qid, asset: asked.asset, ..Choice::default() };
        let said = chosen.left_out().map(|rest| Flash { failed: true, ..Flash::done(rest) });
        return Ok(flash::redirect(&chosen.eliminations(), said));
    }
    let (actor, named, asset) = (who.actor.clone(), named(&asked.q), asked.on());
    let (only, on) = (asset.only(), asset.only());
    let read = app.database.try_read(move |tx| {
        let possible = overview::possible_on(tx, &actor, None, on.as_deref())?;
        let qids: BTreeSet<i64> = possible.iter().map(|row| row.qid).collect();
        let in_force = in_force(tx, &actor.scope, &qids, on.as_deref())?;
        let places = on.as_deref().map(|on| places(tx, &actor, on)).transpose()?;
        let catalogue = store::catalogue::newest(tx)?.is_some();
        let mut unsound = Vec::new();
        for qid in &named {
            if let Some(id) = store::eliminations::by_qid(tx, *qid)? {
                let cves = store::vulnerabilities::cves(tx, id)?;
                let said = crate::views::catalogue::no_mitigation(cves.iter().map(|cve| cve.cve.as_str()));
                unsound.extend(said.into_iter().map(|said| (*qid, said)));
            }
        }
        Ok::<_, Error>((possible, in_force, catalogue, unsound, places))
    });
    let (possible, in_force, catalogue, unsound, places) = read.await?;
    let (filter, error) = read_query(&asked.q);
    let kept = kept(&app, &who, &possible, &filter);
    let mut rows = grouped(&kept);
    sorted(&mut rows, &asked.sort);
    let total = rows.len();
    rows.truncate(ROWS_MAX);
    let mut list = list(&asked, error, catalogue);
    list.shown = rows.len();
    list.total = i64::try_from(total).ok();
    let rows: Vec<EliminationRow> =
        rows.iter().map(|rows| row(&who, rows, &in_force, &asset, only.as_deref())).collect();
    let kept_to = places.map(|places| kept_to(places, &asked));
    let shell = frame(&app, &who, Section::Eliminations, "Eliminations").await?;
    Ok(Show(EliminationsPage { shell, list, kept_to, about: about(&kept, &asked), unsound, rows }).into_response())
}

/// What the filter leaves of what is possible.
fn kept<'p>(app: &App, who: &PageActor, possible: &'p [Possible], filter: &Filter) -> Vec<&'p Possible> {
    let context = Context { me: Some(who.name.clone()), ..Context::at(app.clock.now()) };
    possible.iter().filter(|row| matches(filter, &FIELDS, &Row(row), &context)).collect()
}

/// The first of these assets with their names, how many others there are, and how many nobody in this scope knows.
type Places = (Vec<(AssetId, String)>, usize, usize);

fn places(tx: &mut store::Transaction<'_>, actor: &domain::access::Actor, on: &[i64]) -> Result<Places, Error> {
    let asked: BTreeSet<AssetId> = on.iter().copied().map(AssetId).collect();
    let all: Vec<AssetId> = asked.into_iter().collect();
    let known = store::assets::keys_within(tx, &all, &actor.scope)?;
    let shown = known.iter().take(NAMES_MAX).map(|id| Ok((*id, store::assets::one(tx, *id)?.name)));
    let shown: Vec<(AssetId, String)> = shown.collect::<store::Result<_>>()?;
    let more = known.len() - shown.len();
    Ok((shown, more, all.len() - known.len()))
}

fn kept_to((shown, more, unknown): Places, asked: &Asked) -> KeptTo {
    KeptTo {
        assets: shown.into_iter().map(|(id, name)| (name, format!("/assets/{id}"))).collect(),
        more,
        unknown,
        left_out: asked.on().left_out(),
        all: address("/eliminations", &[("q", &asked.q), ("sort", &asked.sort)]),
    }
}

/// QIDs of which a mitigation of ours is in force within this scope, or on these of its assets.
fn in_force(
    tx: &mut store::Transaction<'_>,
    scope: &AssetScope,
    qids: &BTreeSet<i64>,
    on: Option<&[i64]>,
) -> Result<BTreeSet<i64>, Error> {
    let mut keys = BTreeMap::new();
    for qid in qids {
        if let Some(id) = store::eliminations::by_qid(tx, *qid)? {
            keys.insert(id, *qid);
        }
    }
    let ids: Vec<i64> = keys.keys().map(|id| id.0).collect();
    let rows = store::controls::reversible_for(tx, &ids, scope)?;
    let there = |asset: AssetId| on.is_none_or(|on| on.contains(&asset.0));
    let rows = rows.iter().filter(|(_, asset, _)| there(*asset));
    Ok(rows.filter_map(|(vulnerability, ..)| keys.get(vulnerability).copied()).collect())
}

/// The QIDs that the filter's text asks for by name, at most a few.
fn named(q: &str) -> BTreeSet<i64> {
    let texts = q.split("qid:").skip(1);
    let numbers = texts.flat_map(|text| {
        let text = text.trim_start_matches(['[', ' ']);
        let end = text.find(|c: char| !c.is_ascii_digit() && c != ',' && c != ' ').unwrap_or(text.len());
        text.get(..end).unwrap_or_default().split(',')
    });
    numbers.filter_map(|number| number.trim().parse().ok()).take(50).collect()
}

fn read_query(q: &str) -> (Filter, Option<QueryError>) {
    match domain::filter::parse(q, &FIELDS) {
        Ok(filter) => (filter, None),
        Err(error) => {
            let mut cut = QueryError::cut(q, error.at.start, error.at.end, error.message);
            cut.hint = error.suggestion.map(|word| format!("Did you mean {word}?"));
            (Filter::not(Filter::Everything), Some(cut))
        }
    }
}

fn list(asked: &Asked, error: Option<QueryError>, catalogue: bool) -> List {
    let sort = if asked.sort.is_empty() { "-score" } else { &asked.sort };
    let bare = address("/eliminations", &[("asset", &asked.asset)]);
    let empty = match (asked.q.is_empty(), catalogue) {
        (false, _) => Empty::unmatched("eliminations", asked.q.clone(), &bare),
        (true, false) => Empty::yet(
            "shield-half",
            "No catalogue yet",
            "Install a signed catalogue of mitigations with quell catalogue install.",
        ),
        (true, true) if !asked.asset.is_empty() => Empty::yet(
            "shield-half",
            "Nothing to eliminate",
            "Nothing open on the chosen assets has a mitigation or a fix in the catalogue in force.",
        )
        .with(Button::go("Show all assets", "/eliminations")),
        (true, true) => Empty::yet(
            "shield-half",
            "Nothing to eliminate",
            "No open vulnerability has a mitigation or a fix in the catalogue in force.",
        )
        .with(Button::go("Vulnerabilities", "/vulnerabilities")),
    };
    let list = List::new("/eliminations", "eliminations", COLUMNS.to_vec(), &asked.q, sort, empty);
    let mut list = list.keeping("asset", &asked.asset);
    if let Some(error) = &error {
        list.empty = Empty::unreadable(error, &bare);
    }
    list.error = error;
    list.fields = FIELDS.fields.iter().map(|field| (field.name.to_owned(), field.doc.to_owned())).collect();
    list.columns.pick = true;
    // Tabs rather than a rail: the rows need the width.
    for (label, q) in [
        ("All", ""),
        ("Left to do", "left:>0"),
        ("Mitigations", "kind:mitigation"),
        ("Fixes", "kind:fix"),
        ("Linux", "platform:[linux, any]"),
        ("Windows", "platform:[windows, any]"),
    ] {
        list.tab(label, q, None);
    }
    let to = address("/eliminations/mitigate", &[("asset", &asked.asset)]);
    list.bulk = vec![Button::post("Mitigate Now", to).icon("shield-half").primary()];
    list
}

/// One row per entry, for all its QIDs that are asked for.
fn grouped<'p>(kept: &[&'p Possible]) -> Vec<Vec<&'p Possible>> {
    let mut by_entry: BTreeMap<i64, Vec<&Possible>> = BTreeMap::new();
    for row in kept {
        by_entry.entry(row.entry_key).or_default().push(row);
    }
    by_entry.into_values().collect()
}

fn sorted(rows: &mut [Vec<&Possible>], sort: &str) {
    let (name, down) = match sort {
        "" => ("score", true),
        sort => sort.strip_prefix('-').map_or((sort, false), |name| (name, true)),
    };
    let most = |rows: &[&Possible], of: fn(&Possible) -> i64| rows.iter().map(|row| of(row)).max().unwrap_or(0);
    rows.sort_by(|a, b| {
        let text = |rows: &[&Possible]| rows.first().map(|row| row.title.to_lowercase()).unwrap_or_default();
        let order = match name {
            "title" => text(a).cmp(&text(b)),
            "platform" => a.first().map(|row| &row.platform).cmp(&b.first().map(|row| &row.platform)),
            "qid" => most(a, |row| row.qid).cmp(&most(b, |row| row.qid)),
            "assets" => most(a, |row| row.agents).cmp(&most(b, |row| row.agents)),
            _ => most(a, |row| row.residual).cmp(&most(b, |row| row.residual)),
        };
        let order = if down { order.reverse() } else { order };
        order.then_with(|| text(a).cmp(&text(b)))
    });
}

/// The vulnerability that the list was opened from: the only one shown, when the text asks for a QID.
fn about(kept: &[&Possible], asked: &Asked) -> Option<(String, String)> {
    let first = kept.first().filter(|_| asked.q.contains("qid:"))?;
    let one = kept.iter().all(|row| row.qid == first.qid);
    one.then(|| (format!("QID {}, {}", first.qid, first.vulnerability), format!("/vulnerabilities/{}", first.qid)))
}

/// What a row stands for, for selection: its QIDs, entry and platform.
fn key(rows: &[&Possible]) -> String {
    let qids = rows.iter().map(|row| row.qid.to_string()).collect::<Vec<_>>().join(",");
    let first = rows.first().map(|row| format!("{};{}", row.entry, row.platform)).unwrap_or_default();
    format!("{qids};{first}")
}

/// The open items that the numbers of a row count.
fn items_address(qids: &[i64], only: Option<&[i64]>) -> String {
    let joined = |keys: &[i64]| keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let on = only.map(|only| format!(" and asset.id:[{}]", joined(only))).unwrap_or_default();
    address("/items", &[("q", &format!("qid:[{}] and is:open{on}", joined(qids)))])
}

fn row(
    who: &PageActor,
    rows: &[&Possible],
    in_force: &BTreeSet<i64>,
    asset: &Choice,
    only: Option<&[i64]>,
) -> EliminationRow {
    let worst = rows.iter().max_by_key(|row| row.residual);
    let qids: Vec<i64> = rows.iter().map(|row| row.qid).collect();
    let most = |of: fn(&Possible) -> i64| rows.iter().map(|row| of(row)).max().unwrap_or(0);
    let first = rows.first().copied();
    let text = |of: fn(&Possible) -> &str| first.map(of).unwrap_or_default();
    let (entry, platform) = (text(|row| &row.entry), text(|row| &row.platform));
    let reversible = first.is_some_and(|row| row.reversible);
    let chosen = Choice { asset: asset.asset.clone(), ..Choice::of(&qids).by(&[entry]).for_platform(platform) };
    let items = items_address(&qids, only);
    let details = address(&entry_address(entry), &[("qid", &chosen.qid), ("asset", &chosen.asset)]);
    let (name, icon) = marks::platform(platform);
    let back = Choice { entry: String::new(), ..chosen.clone() }.rollback();
    EliminationRow {
        key: key(rows),
        title: text(|row| &row.title).to_owned(),
        entry: format!("{entry}@{}", first.map_or(0, |row| row.revision)),
        href: details.clone(),
        kind: marks::implication(text(|row| &row.implication)),
        platform: (name.to_owned(), icon),
        qids: match qids.as_slice() {
            [] => String::new(),
            [one] => one.to_string(),
            [one, more @ ..] => format!("{one} +{}", more.len()),
        },
        assets: (most(|row| row.agents), most(|row| row.assets)),
        assets_href: items.clone(),
        change: worst.map_or_else(Change::default, |row| {
            Change::new(Some(row.residual), Some((row.residual - row.points).max(1)))
        }),
        reversible: if reversible { "yes".to_owned() } else { "no way back".to_owned() },
        mitigate: Button::post("Mitigate Now", chosen.address()).unless(cannot(who, rows.iter().copied(), only)),
        menu: Menu::dots(
            format!("m-{}", first.map_or(0, |row| row.entry_key)),
            format!("Quick actions for {entry}"),
            vec![
                Button::show("Details", details).icon("info-circle"),
                Button::go("Vulnerable items", items).icon("list-check"),
                Button::post("Roll back", back.address())
                    .icon("arrow-back-up")
                    .unless(no_rollback(who, &qids, in_force)),
            ],
        ),
    }
}

/// The page of a catalogue entry.
#[must_use]
pub(super) fn entry_address(entry: &str) -> String {
    format!("/mitigations/{entry}")
}

/// Why a decision keeps somebody from something; none when it does not.
#[must_use]
pub(super) fn denied(decision: &Decision) -> Option<String> {
    match decision {
        Decision::Allowed => None,
        Decision::Denied(reason) => Some(reason.to_string()),
    }
}

/// Why this caller cannot look at eliminations; none where he can.
#[must_use]
pub(super) fn cannot_view(caller: &Caller) -> Option<String> {
    let needed = [Action::CatalogueView, Action::VulnerabilitiesView];
    needed.into_iter().find_map(|action| denied(&caller.decide(action, &Record::default())))
}

/// Why what is possible (of these assets only, where some are chosen) cannot be started by this caller now.
#[must_use]
pub(super) fn cannot_mitigate(caller: &Caller, possible: &[Possible], only: Option<&[i64]>) -> Option<String> {
    cannot(caller, possible.iter(), only)
}

fn cannot<'p>(
    caller: &Caller,
    mut possible: impl Iterator<Item = &'p Possible> + Clone,
    only: Option<&[i64]>,
) -> Option<String> {
    let (nothing, no_agent) = match only {
        None => (
            "the catalogue holds nothing for it on the platforms it was found on",
            "no asset with this weakness has an agent; enrol one under Agents",
        ),
        Some([_]) => (
            "the catalogue holds nothing for it on this asset",
            "this asset has no agent that can be used; enrol one under Agents",
        ),
        Some(_) => (
            "the catalogue holds nothing for it on the chosen assets",
            "none of the chosen assets with this weakness has an agent that can be used; enrol one under Agents",
        ),
    };
    let permission = denied(&caller.decide(Action::JobCreate, &Record::owned_by(caller.user)));
    permission.or_else(|| {
        if possible.clone().next().is_none() {
            return Some(nothing.to_owned());
        }
        let any = possible.any(|row| row.agents > 0);
        (!any).then(|| no_agent.to_owned())
    })
}

fn no_rollback(caller: &Caller, qids: &[i64], in_force: &BTreeSet<i64>) -> Option<String> {
    let permission = denied(&caller.decide(Action::Rollback, &Record::owned_by(caller.user)));
    permission.or_else(|| {
        let any = qids.iter().any(|qid| in_force.contains(qid));
        (!any).then(|| "no mitigation of ours is in force for it".to_owned())
    })
}

/// The keys of every row that a query text gives on the assets of the address.
async fn matching(app: &App, who: &PageActor, asset: &Choice, q: &str) -> Result<Vec<String>, Error> {
    let filter = domain::filter::parse(q, &FIELDS).map_err(|error| Error::field("q", "query", error.to_string()))?;
    let (actor, on) = (who.actor.clone(), asset.only());
    let read = app.database.try_read(move |tx| Ok::<_, Error>(overview::possible_on(tx, &actor, None, on.as_deref())?));
    let possible = read.await?;
    Ok(grouped(&kept(app, who, &possible, &filter)).iter().map(|rows| key(rows)).collect())
}

/// Mitigate Now for the picked rows, or all that match the query text: together they are one job, on the assets of the
/// address (S1.05).
async fn mitigate(
    State(app): State<App>,
    who: PageActor,
    Query(asked): Query<Asked>,
    form: Form,
) -> Result<Response, Error> {
    let q = form.one("q");
    let rows = match form.one("all") {
        "" => form.all("row"),
        _ => matching(&app, &who, &asked.on(), q).await?,
    };
    if rows.is_empty() {
        // Without a QID the draft would be a free-standing one.
        let said = Flash { failed: true, ..Flash::done("No elimination was chosen.") };
        return Ok(flash::redirect(&address("/eliminations", &[("q", q), ("asset", &asked.asset)]), Some(said)));
    }
    let (mut qids, mut entries, mut platforms) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for row in rows {
        let mut parts = row.split(';');
        qids.extend(parts.next().unwrap_or_default().split(',').filter_map(|qid| qid.parse::<i64>().ok()));
        entries.extend(parts.next().map(str::to_owned));
        platforms.extend(parts.next().map(str::to_owned));
    }
    let qids: Vec<i64> = qids.into_iter().collect();
    let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
    let one = if platforms.len() == 1 { platforms.pop_first().unwrap_or_default() } else { String::new() };
    let chosen = Choice { asset: asked.asset, ..Choice::of(&qids).by(&entries).for_platform(&one) };
    super::new_job::make(&app, &who, &chosen).await
}
