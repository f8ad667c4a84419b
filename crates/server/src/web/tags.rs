//! `/tags`: tags of assets, which stands below which, how much they matter (R22).

use super::exposure;
use super::frame::{Show, again, faults, frame};
use crate::app::App;
use crate::engine::tags::{self as engine, Change};
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, PageActor};
use crate::pages::forms::{DialogPage, Faults};
use crate::pages::lists::{Action as Button, address};
use crate::pages::tags::{COLUMNS, TagLine, TagsPage};
use crate::pages::{Choice, Columns, Empty, Fault, Field, Section};
use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use domain::access::{Action, Record};
use serde::Deserialize;
use store::tags;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/tags", get(index)).route("/tags/edit", get(edit).post(change))
}

async fn index(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    who.may(Action::AssetsView, &Record::default())?;
    let scope = who.scope.clone();
    let read = app.database.read(move |tx| Ok((tags::list(tx, &scope)?, tags::tree(tx)?)));
    let (found, tree) = read.await?;
    let denied = exposure::reason(&who.decide(Action::TagEdit, &Record::default()));
    let rows = found.into_iter().map(|row| TagLine {
        above: tree.above(&row.name).into_iter().map(str::to_owned).collect(),
        href: address("/assets", &[("q", &format!("tag:\"{}\"", row.name.replace('"', "")))]),
        edit: Button::show("Edit", address("/tags/edit", &[("name", &row.name)])).unless(denied.clone()),
        name: row.name,
        criticality: row.criticality,
        assets: row.assets,
    });
    let add = Button::show("Add tag", "/tags/edit").icon("plus").unless(denied.clone());
    let shell = frame(&app, &who, Section::Assets, "Tags").await?.under("Assets", "/assets").action(add);
    let columns = Columns {
        columns: COLUMNS.to_vec(),
        pick: false,
        path: "/tags".to_owned(),
        q: String::new(),
        sort: String::new(),
        keep: Vec::new(),
    };
    let text = "Tags come with imports, and people give them on the page of an asset.";
    let page = TagsPage { shell, columns, empty: Empty::yet("tag", "No tags yet", text), rows: rows.collect() };
    Ok(Show(page).into_response())
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    name: String,
}

async fn form(
    app: &App,
    who: &PageActor,
    name: &str,
    given: Option<(String, String)>,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    who.may(Action::TagEdit, &Record::default())?;
    let (tag, scope) = (name.to_owned(), who.scope.clone());
    let read = app.database.read(move |tx| Ok((tags::said(tx, &tag)?, tags::list(tx, &scope)?)));
    let ((parent, criticality), known) = read.await?;
    let kept = (parent.unwrap_or_default(), criticality.unwrap_or(0).to_string());
    let (parent, criticality) = given.unwrap_or(kept);
    let levels = [("0", "says nothing"), ("1", "1, least"), ("2", "2"), ("3", "3"), ("4", "4"), ("5", "5, most")];
    let levels = levels.into_iter().map(|(value, label)| Choice::new(value, label)).collect();
    let mut parents = vec![Choice::new("", "No tag")];
    parents.extend(known.iter().filter(|row| row.name != name).map(|row| Choice::new(&row.name, &row.name)));
    let title = if name.is_empty() { "Add tag".to_owned() } else { format!("Tag {name}") };
    let shell = frame(app, who, Section::Assets, title).await?;
    let mut fields = Vec::new();
    if name.is_empty() {
        fields.push(Field::line("name", "Name", "").required().focus().autocomplete("off").faulted(&wrong));
    }
    fields.push(
        Field::select("parent", "Below", parent, parents)
            .help("A job that chooses the tag above chooses this one, too.")
            .faulted(&wrong),
    );
    fields.push(
        Field::select("criticality", "Criticality of its assets", criticality, levels)
            .help("The highest tag of an asset counts, unless somebody set its criticality by hand.")
            .faulted(&wrong),
    );
    Ok(DialogPage {
        shell: shell.under("Assets", "/assets").under("Tags", "/tags"),
        to: address("/tags/edit", &[("name", name)]),
        text: String::new(),
        fields,
        faults: Faults(wrong),
        verb: "Save",
        back: "/tags".to_owned(),
    })
}

async fn edit(State(app): State<App>, who: PageActor, Query(named): Query<Named>) -> Result<Response, Error> {
    Ok(Show(form(&app, &who, &named.name, None, Vec::new()).await?).into_response())
}

async fn change(
    State(app): State<App>,
    who: PageActor,
    Query(named): Query<Named>,
    fields: Fields,
) -> Result<Response, Error> {
    let name = if named.name.is_empty() { fields.one("name").trim().to_owned() } else { named.name.clone() };
    let given = (fields.one("parent").to_owned(), fields.one("criticality").to_owned());
    let change = Change { parent: Some(given.0.clone()), criticality: Some(given.1.parse().unwrap_or(0)) };
    match engine::edit(&app, &who, &name, change).await {
        Ok(row) => Ok(flash::redirect("/tags", Some(Flash::done(format!("Saved {}.", row.name))))),
        Err(error) => {
            let wrong = faults(error, |field| field)?;
            Ok(again(form(&app, &who, &named.name, Some(given), wrong).await?))
        }
    }
}
