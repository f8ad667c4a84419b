//! `/exclusion`: what nobody has to work on: rules, what stands beside them, and the detections of each.

use super::exposure;
use super::frame::{Head, Show, again, faults, frame, listed, pager, sentence};
use crate::app::App;
use crate::engine::exclusion as engine;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, ListQuery, PageActor};
use crate::pages::exclusion::{COLUMNS, ExcludedPage, ExclusionPage, FOUND, FoundLine, RuleLine};
use crate::pages::forms::{DialogPage, Faults};
use crate::pages::lists::{Action as Button, address};
use crate::pages::{Chip, Choice, Columns, Empty, Fault, Field, Section, Tone, When};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::id::ExclusionRuleId;
use domain::number::{Number, Series};
use domain::time::Timestamp;
use protocol::api::exclusion::{ExclusionChange, ExclusionRuleChange, NewExclusionRule};
use serde::Deserialize;
use store::exclusion::{self, ExcludedRow, Impact, PassRow, RuleRow};
use store::{instances, list};

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/exclusion", get(index))
        .route("/exclusion/new", get(new).post(create))
        .route("/exclusion/settings", get(settings).post(keep))
        .route("/exclusion/apply", get(ask).post(apply))
        .route("/exclusion/{id}", get(found))
        .route("/exclusion/{id}/edit", get(edit).post(change))
        .route("/exclusion/{id}/delete", post(delete))
}

async fn index(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    engine::may(&who)?;
    let read = app.database.read(|tx| {
        let named = instances::list(tx)?;
        Ok((
            exclusion::rules(tx)?,
            exclusion::settings(tx)?.value,
            exclusion::by_confirmed_only(tx)?,
            named,
            exclusion::last(tx)?,
        ))
    });
    let (rules, set, potential, named, pass) = read.await?;
    let mut rows: Vec<RuleLine> = rules.iter().map(line).collect();
    let only: Vec<&str> =
        named.iter().filter(|one| set.confirmed_only.contains(&one.id)).map(|one| one.name.as_str()).collect();
    if !only.is_empty() {
        rows.insert(0, confirmed_only(potential));
    }
    let closes = if set.close_items {
        "Items close where all that is open of them is excluded."
    } else {
        "They stay as they are now."
    };
    let mut beside = vec![closes.to_owned()];
    if !only.is_empty() {
        beside.push(format!("Of {} only confirmed weaknesses count.", only.join(", ")));
    }
    let shell = frame(&app, &who, Section::Scanners, "What is excluded").await?.under("Scanners", "/scanners");
    let shell = shell
        .action(Button::show("Go through again", "/exclusion/apply").icon("refresh"))
        .action(Button::show("Settings", "/exclusion/settings").icon("settings"))
        .action(Button::show("Add rule", "/exclusion/new").icon("plus").primary());
    let columns = Columns {
        columns: COLUMNS.to_vec(),
        pick: false,
        path: "/exclusion".to_owned(),
        q: String::new(),
        sort: String::new(),
        keep: Vec::new(),
    };
    let text = "A rule names detections that are kept, but that nobody has to work on.";
    let empty = Empty::yet("filter", "Nothing is excluded", text).with(Button::show("Add rule", "/exclusion/new"));
    let now = app.clock.now();
    let pass = pass.map(|pass| progress(&pass, now));
    Ok(Show(ExclusionPage { shell, beside, pass, columns, empty, rows }).into_response())
}

fn progress(pass: &PassRow, now: Timestamp) -> (String, When) {
    let count = crate::pages::count;
    let (looked, out, back) = (count(pass.looked), count(pass.excluded), count(pass.included));
    let (made, closed) = (count(pass.items_made), count(pass.items_closed));
    let did = format!(
        "{looked} detections looked at, {out} excluded, {back} not any more; {made} items made, {closed} closed"
    );
    match pass.ended_at {
        None => (format!("Going through what is known: {did}. Begun"), exposure::near(pass.asked_at, now)),
        Some(ended) => (format!("Last change: {did}. Done"), exposure::near(ended, now)),
    }
}

fn line(rule: &RuleRow) -> RuleLine {
    let at = format!("/exclusion/{}", rule.id);
    let seen = rule.version.to_string();
    let delete = Button::post("Delete", address(&format!("{at}/delete"), &[("seen", &seen)])).danger().asking(
        format!("Delete {}?", rule.name),
        "What it excludes is worked on again, without another import.",
        "Delete",
    );
    RuleLine {
        position: rule.position,
        name: rule.name.clone(),
        condition: rule.condition.clone(),
        state: if rule.active { Chip::new(Tone::Ok, "In force") } else { Chip::new(Tone::Idle, "Off") },
        excluded: rule.excluded,
        edit: Some(Button::show("Edit", format!("{at}/edit"))),
        delete: Some(delete),
        href: at,
    }
}

/// The switch of instances, as if it were a rule before all others.
fn confirmed_only(excluded: i64) -> RuleLine {
    RuleLine {
        position: 0,
        name: "Confirmed only".to_owned(),
        href: "/exclusion/0".to_owned(),
        condition: "kind:potential".to_owned(),
        state: Chip::new(Tone::Ok, "In force"),
        excluded,
        edit: None,
        delete: None,
    }
}

/// What a person writes of a rule.
#[derive(Clone, Default)]
struct Given {
    name: String,
    condition: String,
    position: String,
    active: bool,
    all: bool,
}

impl Given {
    fn of(fields: &Fields) -> Given {
        Given {
            name: fields.one("name").to_owned(),
            condition: fields.one("condition").to_owned(),
            position: fields.one("position").to_owned(),
            active: fields.one("active") == "on",
            all: fields.one("all") == "on",
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
struct SeenAt {
    seen: Option<i64>,
}

/// The dialog of a rule; `about` says what its condition is about, where that was asked.
async fn dialog(
    app: &App,
    who: &PageActor,
    title: String,
    to: String,
    given: &Given,
    wrong: Vec<Fault>,
    about: String,
) -> Result<DialogPage, Error> {
    engine::may(who)?;
    let shell = frame(app, who, Section::Scanners, title).await?;
    let names: Vec<&str> = exclusion::LIST.fields.fields.iter().map(|field| field.name).collect();
    let mut fields = vec![
        Field::line("name", "Name", &given.name).required().focus().autocomplete("off").faulted(&wrong),
        Field::text("condition", "Excludes detections with", &given.condition, 3)
            .required()
            .mono()
            .help(format!("In the query language, by {}.", names.join(", ")))
            .faulted(&wrong),
        Field::typed("number", "position", "Order", &given.position)
            .help("Of several rules that hold the first counts. Empty: the last.")
            .faulted(&wrong),
        Field::tick("active", "In force", given.active),
        Field::select(
            "then",
            "Then",
            "save",
            vec![Choice::new("save", "Save"), Choice::new("count", "Only count what it is about")],
        ),
    ];
    if given.all || wrong.iter().any(|fault| fault.field == "all") {
        fields.push(
            Field::tick("all", "Save it though it is about more than half of all open items", given.all)
                .faulted(&wrong),
        );
    }
    Ok(DialogPage {
        shell: shell.under("Scanners", "/scanners").under("What is excluded", "/exclusion"),
        to,
        text: about,
        fields,
        faults: Faults(wrong),
        verb: "Go on",
        back: "/exclusion".to_owned(),
    })
}

/// What a rule is about, in a sentence.
fn about(impact: &Impact) -> String {
    let count = crate::pages::count;
    format!(
        "It holds for {} detections, {} of them open. Of {} open items {} have nothing else open.",
        count(impact.detections),
        count(impact.open),
        count(impact.items_open),
        count(impact.items)
    )
}

/// The faults of a rule: what is more than half is one of its own field.
fn wrong(error: Error) -> Result<Vec<Fault>, Error> {
    match error {
        Error::Refused(refusal) if refusal.code == "matches_most" => {
            Ok(vec![Fault::new("all", sentence(&refusal.sentence))])
        }
        Error::Refused(refusal) if refusal.code == "name_taken" => {
            Ok(vec![Fault::new("name", sentence(&refusal.sentence))])
        }
        error => faults(error, |field| field),
    }
}

async fn new(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    let given = Given { active: true, ..Given::default() };
    let page =
        dialog(&app, &who, "Add rule".to_owned(), "/exclusion/new".to_owned(), &given, Vec::new(), String::new());
    Ok(Show(page.await?).into_response())
}

/// Count what the condition of the form is about, and show the form again.
async fn counted(app: &App, who: &PageActor, title: String, to: String, given: &Given) -> Result<Response, Error> {
    let (said, wrong) = match engine::tried(app, who, &given.condition).await {
        Ok((impact, _)) => (about(&impact), Vec::new()),
        Err(error) => (String::new(), faults(error, |field| field)?),
    };
    Ok(again(dialog(app, who, title, to, given, wrong, said).await?))
}

async fn create(State(app): State<App>, who: PageActor, fields: Fields) -> Result<Response, Error> {
    let (given, title, to) = (Given::of(&fields), "Add rule".to_owned(), "/exclusion/new".to_owned());
    if fields.one("then") == "count" {
        return counted(&app, &who, title, to, &given).await;
    }
    let wanted = NewExclusionRule {
        name: given.name.clone(),
        condition: given.condition.clone(),
        active: Some(given.active),
        position: given.position.parse().ok(),
        all: given.all,
    };
    match engine::create(&app, &who, wanted).await {
        Ok(rule) => Ok(flash::redirect("/exclusion", Some(Flash::done(format!("Saved {}.", rule.name))))),
        Err(error) => Ok(again(dialog(&app, &who, title, to, &given, wrong(error)?, String::new()).await?)),
    }
}

async fn edit(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    engine::may(&who)?;
    let rule = app.database.try_read(move |tx| engine::known(tx, ExclusionRuleId(id))).await?;
    let given = Given {
        name: rule.name.clone(),
        condition: rule.condition,
        position: rule.position.to_string(),
        active: rule.active,
        all: false,
    };
    let to = address(&format!("/exclusion/{id}/edit"), &[("seen", &rule.version.to_string())]);
    let page = dialog(&app, &who, format!("Rule {}", rule.name), to, &given, Vec::new(), String::new());
    Ok(Show(page.await?).into_response())
}

async fn change(
    State(app): State<App>,
    who: PageActor,
    Path(id): Path<i64>,
    Query(at): Query<SeenAt>,
    fields: Fields,
) -> Result<Response, Error> {
    let given = Given::of(&fields);
    let seen = at.seen.unwrap_or(0);
    let to = address(&format!("/exclusion/{id}/edit"), &[("seen", &seen.to_string())]);
    let title = format!("Rule {}", given.name);
    if fields.one("then") == "count" {
        return counted(&app, &who, title, to, &given).await;
    }
    let wanted = ExclusionRuleChange {
        name: Some(given.name.clone()),
        condition: Some(given.condition.clone()),
        active: Some(given.active),
        position: given.position.parse().ok(),
        all: given.all,
    };
    match engine::change(&app, &who, ExclusionRuleId(id), Some(seen), wanted).await {
        Ok(rule) => Ok(flash::redirect("/exclusion", Some(Flash::done(format!("Saved {}.", rule.name))))),
        Err(error) => Ok(again(dialog(&app, &who, title, to, &given, wrong(error)?, String::new()).await?)),
    }
}

async fn delete(
    State(app): State<App>,
    who: PageActor,
    Path(id): Path<i64>,
    Query(at): Query<SeenAt>,
) -> Result<Response, Error> {
    engine::delete(&app, &who, ExclusionRuleId(id), at.seen).await?;
    Ok(flash::redirect("/exclusion", Some(Flash::done("The rule is deleted; what it excluded is worked on again."))))
}

async fn settings_dialog(
    app: &App,
    who: &PageActor,
    given: Option<&ExclusionChange>,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    engine::may(who)?;
    let read = app.database.read(|tx| Ok((exclusion::settings(tx)?, instances::list(tx)?)));
    let (kept, named) = read.await?;
    let closes = given.and_then(|given| given.close_items).unwrap_or(kept.value.close_items);
    let only: Vec<i64> = match given.and_then(|given| given.confirmed_only.clone()) {
        Some(keys) => keys,
        None => kept.value.confirmed_only.iter().map(|id| id.0).collect(),
    };
    let mut fields = vec![
        Field::tick("close_items", "Close items where all that is open of them is excluded", closes)
            .help("They open again when that ends.")
            .faulted(&wrong),
    ];
    for one in &named {
        let name = format!("only_{}", one.id);
        let label = format!("Of {} only confirmed weaknesses count", one.name);
        fields.push(Field::tick(&name, &label, only.contains(&one.id.0)));
    }
    if wrong.iter().any(|fault| fault.field == "all") {
        fields.push(Field::tick("all", "Save it though more than half of all open items close", false).faulted(&wrong));
    }
    let shell = frame(app, who, Section::Scanners, "Settings of what is excluded").await?;
    Ok(DialogPage {
        shell: shell.under("Scanners", "/scanners").under("What is excluded", "/exclusion"),
        to: address("/exclusion/settings", &[("seen", &kept.version.to_string())]),
        text: "Everything is still imported and kept, so each of these can be taken back without another import."
            .to_owned(),
        fields,
        faults: Faults(wrong),
        verb: "Save",
        back: "/exclusion".to_owned(),
    })
}

async fn settings(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    Ok(Show(settings_dialog(&app, &who, None, Vec::new()).await?).into_response())
}

async fn keep(
    State(app): State<App>,
    who: PageActor,
    Query(at): Query<SeenAt>,
    fields: Fields,
) -> Result<Response, Error> {
    engine::may(&who)?;
    let named = app.database.read(instances::list).await?;
    let ticked = |id: &i64| fields.one(&format!("only_{id}")) == "on";
    let change = ExclusionChange {
        close_items: Some(fields.one("close_items") == "on"),
        confirmed_only: Some(named.iter().map(|one| one.id.0).filter(ticked).collect()),
        all: fields.one("all") == "on",
    };
    match engine::set(&app, &who, at.seen, change.clone()).await {
        Ok(_) => Ok(flash::redirect("/exclusion", Some(Flash::done("Saved what is excluded.")))),
        Err(error) => Ok(again(settings_dialog(&app, &who, Some(&change), wrong(error)?).await?)),
    }
}

async fn ask(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    let pending = engine::apply(&app, &who, true).await?;
    let shell = frame(&app, &who, Section::Scanners, "Go through what is known again").await?;
    let count = crate::pages::count;
    let page = DialogPage {
        shell: shell.under("Scanners", "/scanners").under("What is excluded", "/exclusion"),
        to: "/exclusion/apply".to_owned(),
        text: format!(
            "{} detections would be excluded that are not, and {} would not be any more. Every change of a rule does this by \
             itself; tags and operating systems of hosts may have changed since. Of {} open items {} have nothing open but what \
             is excluded.",
            count(pending.excluded),
            count(pending.included),
            count(pending.items_open),
            count(pending.items)
        ),
        fields: Vec::new(),
        faults: Faults(Vec::new()),
        verb: "Go through",
        back: "/exclusion".to_owned(),
    };
    Ok(Show(page).into_response())
}

async fn apply(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    engine::apply(&app, &who, false).await?;
    Ok(flash::redirect("/exclusion", Some(Flash::done("What is known is gone through."))))
}

async fn found(
    State(app): State<App>,
    who: PageActor,
    Path(id): Path<i64>,
    query: ListQuery,
) -> Result<Response, Error> {
    engine::may(&who)?;
    let name = match id {
        0 => "Confirmed only".to_owned(),
        id => app.database.try_read(move |tx| engine::known(tx, ExclusionRuleId(id))).await?.name,
    };
    let path = format!("/exclusion/{id}");
    let empty = Empty::yet("filter", "It excludes nothing", "No detection that is known is excluded by it.");
    let head = Head { path: &path, noun: "detections", columns: &FOUND, sort: "qid", empty };
    let (mut list, wanted) = listed(&app, &who, &query, &exclusion::LIST, head)?;
    let mut rows = Vec::new();
    if let Some(wanted) = wanted {
        let read = app.database.try_read(move |tx| {
            Ok::<_, Error>(list::page::<ExcludedRow>(tx, &exclusion::LIST, exclusion::of_rule(id), &wanted)?)
        });
        let page = read.await?;
        list.shown = page.rows.len();
        list.pager = pager(&query, &path, page.next_cursor.as_deref());
        rows = page.rows.into_iter().map(found_line).collect();
    }
    let shell = frame(&app, &who, Section::Scanners, format!("Excluded: {name}")).await?;
    let shell = shell.under("Scanners", "/scanners").under("What is excluded", "/exclusion");
    Ok(Show(ExcludedPage { shell, list, rows }).into_response())
}

fn found_line(row: ExcludedRow) -> FoundLine {
    let place = match (row.port, row.protocol.as_str()) {
        (0, _) => "host".to_owned(),
        (port, "") => port.to_string(),
        (port, protocol) => format!("{port}/{protocol}"),
    };
    let number = |ordinal| Number { series: Series::Item, ordinal }.to_string();
    FoundLine {
        title: if row.title.is_empty() { format!("QID {}", row.qid) } else { row.title },
        qid: row.qid,
        asset: row.asset,
        asset_href: format!("/assets/{}", row.asset_id),
        place,
        status: exposure::detection(&row.status),
        item: row.item.map(|ordinal| (number(ordinal), format!("/items/{}", number(ordinal)))),
    }
}
