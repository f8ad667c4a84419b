//! The dialogs of a remediation task: state, assignment, split, title; and what its page sends.

use super::frame::{Show, again, faults, frame};
use super::{exposure, item};
use crate::api;
use crate::app::App;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, IfMatch, PageActor};
use crate::pages::forms::{DialogPage, Faults};
use crate::pages::lists::address;
use crate::pages::{Choice, Fault, Field, Section, Shell};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::Action;
use domain::item::State as At;
use domain::number::{Number, Series};
use domain::remediation as rules;
use protocol::api::tasks::{
    RemediationTaskAssignment, RemediationTaskChange, RemediationTaskItems, RemediationTaskSplit,
};
use serde::Deserialize;
use store::remediation::{self, TaskRow};

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/tasks/{number}/state", get(state_form).post(change_state))
        .route("/tasks/{number}/assignment", get(assignment_form).post(assign))
        .route("/tasks/{number}/assign-to-me", post(assign_to_me))
        .route("/tasks/{number}/edit", get(edit_form).post(edit))
        .route("/tasks/{number}/split", get(split_form).post(split))
        .route("/tasks/{number}/split-ticked", post(split_ticked))
        .route("/tasks/{number}/take-out", post(take_out))
        .route("/tasks/{number}/delete", post(delete))
}

async fn known(app: &App, who: &PageActor, action: Action, number: &str) -> Result<TaskRow, Error> {
    let (asker, wanted) = (who.clone(), number.to_owned());
    app.database.try_read(move |tx| api::tasks::known(tx, &asker, action, &wanted)).await
}

async fn shell(app: &App, who: &PageActor, number: &str, title: String) -> Result<Shell, Error> {
    let shell = frame(app, who, Section::Tasks, title).await?;
    Ok(shell.under("Remediation tasks", "/tasks").under(number, page(number)))
}

fn page(number: &str) -> String {
    format!("/tasks/{number}")
}

fn done(number: &str, text: impl Into<String>) -> Response {
    flash::redirect(&page(number), Some(Flash::done(text.into())))
}

/// What a dialog shows again: a refusal above all fields, other faults at theirs.
fn wrong(error: Error) -> Result<Vec<Fault>, Error> {
    match error {
        Error::Refused(refusal) => Ok(vec![Fault::new("", exposure::refused(&refusal))]),
        error => faults(error, |field| field),
    }
}

/// The version of the task that the dialog was opened at, and items that were ticked.
#[derive(Clone, Debug, Default, Deserialize)]
struct Opened {
    seen: Option<i64>,
    #[serde(default)]
    items: String,
}

impl Opened {
    fn seen(&self) -> IfMatch {
        IfMatch(self.seen)
    }

    fn numbers(&self) -> Vec<String> {
        let digits = self.items.split(',').filter_map(|digits| digits.trim().parse::<i64>().ok());
        digits.map(|ordinal| Number { series: Series::Item, ordinal }.to_string()).collect()
    }
}

fn to(task: &TaskRow, verb: &str, opened: &Opened) -> String {
    let seen = opened.seen.unwrap_or(task.version).to_string();
    address(&format!("/tasks/{}/{verb}", task.number()), &[("seen", &seen), ("items", &opened.items)])
}

async fn state_page(
    app: &App,
    who: &PageActor,
    number: &str,
    opened: &Opened,
    given: Option<&str>,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    let task = known(app, who, Action::ItemTransition, number).await?;
    let (life, now) = (remediation::life(&task), app.clock.now());
    let legal = At::ALL.into_iter().filter(|to| rules::change_state(life, *to, now).is_ok());
    let legal: Vec<Choice> = legal.map(|to| Choice::new(to.as_str(), to.title())).collect();
    let given = given.map(str::to_owned).or_else(|| legal.first().map(|choice| choice.value.clone()));
    Ok(DialogPage {
        shell: shell(app, who, number, format!("Change the state of {number}")).await?,
        to: to(&task, "state", opened),
        text: format!("It is {} now. Its {} open items go with it.", task.state.title(), task.items_open),
        fields: vec![
            Field::select("state", "New state", given.unwrap_or_default(), legal)
                .help("Only its items close it: set it to Resolved, then rescan them.")
                .faulted(&wrong),
        ],
        faults: Faults(wrong),
        verb: "Change",
        back: page(number),
    })
}

async fn state_form(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    Query(opened): Query<Opened>,
) -> Result<Response, Error> {
    Ok(Show(state_page(&app, &who, &number, &opened, None, Vec::new()).await?).into_response())
}

async fn change_state(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    Query(opened): Query<Opened>,
    fields: Fields,
) -> Result<Response, Error> {
    let wanted = fields.one("state");
    match api::task_changes::set_state(&app, &who, number.clone(), wanted, opened.seen()).await {
        Ok(task) => Ok(done(&number, format!("{number} is {}.", task.state.title()))),
        Err(error) => {
            let wrong = wrong(error)?;
            Ok(again(state_page(&app, &who, &number, &opened, Some(wanted), wrong).await?))
        }
    }
}

async fn assignment_page(
    app: &App,
    who: &PageActor,
    number: &str,
    opened: &Opened,
    given: Option<&RemediationTaskAssignment>,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    let task = known(app, who, Action::ItemAssign, number).await?;
    let now = app.clock.now();
    let (people, groups) = app.database.try_read(move |tx| item::choices(tx, now)).await?;
    let text = |of: fn(&RemediationTaskAssignment) -> Option<String>, kept: &str| {
        given.map_or_else(|| kept.to_owned(), |given| of(given).unwrap_or_default())
    };
    let assignee = text(|given| given.assignee.clone(), &task.owner);
    let group = text(|given| given.group.clone(), &task.group_name);
    Ok(DialogPage {
        shell: shell(app, who, number, format!("Assign {number}")).await?,
        to: to(&task, "assignment", opened),
        text: "Its open items that nobody has go with it.".to_owned(),
        fields: vec![
            item::chosen("assignee", "Assigned to", &assignee, people).faulted(&wrong),
            item::chosen("group", "Group", &group, groups).help("Every member may work on it").faulted(&wrong),
            Field::text("note", "Note", text(|given| Some(given.note.clone()), ""), 3)
                .help("Needed where nobody has it afterwards.")
                .faulted(&wrong),
        ],
        faults: Faults(wrong),
        verb: "Assign",
        back: page(number),
    })
}

async fn assignment_form(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    Query(opened): Query<Opened>,
) -> Result<Response, Error> {
    Ok(Show(assignment_page(&app, &who, &number, &opened, None, Vec::new()).await?).into_response())
}

async fn assign(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    Query(opened): Query<Opened>,
    fields: Fields,
) -> Result<Response, Error> {
    let given = RemediationTaskAssignment {
        assignee: Some(fields.one("assignee").to_owned()),
        group: Some(fields.one("group").to_owned()),
        note: fields.one("note").to_owned(),
    };
    match api::task_changes::give(&app, &who, number.clone(), given.clone(), opened.seen()).await {
        Ok(task) => {
            let has = super::tasks::who_has(&task);
            let to = if has.is_empty() { "nobody" } else { &has };
            // Who gave it away may not see it any more.
            let sees = known(&app, &who, Action::TasksView, &number).await.is_ok();
            let back = if sees { page(&number) } else { "/tasks".to_owned() };
            Ok(flash::redirect(&back, Some(Flash::done(format!("{number} is assigned to {to}.")))))
        }
        Err(error) => {
            let wrong = wrong(error)?;
            Ok(again(assignment_page(&app, &who, &number, &opened, Some(&given), wrong).await?))
        }
    }
}

async fn assign_to_me(State(app): State<App>, who: PageActor, Path(number): Path<String>) -> Result<Response, Error> {
    api::task_changes::take(&app, &who, number.clone()).await?;
    Ok(done(&number, format!("{number} is assigned to you.")))
}

async fn edit_page(
    app: &App,
    who: &PageActor,
    number: &str,
    opened: &Opened,
    given: Option<&RemediationTaskChange>,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    let task = known(app, who, Action::TaskEdit, number).await?;
    let title = given.and_then(|given| given.title.clone()).unwrap_or_else(|| task.title.clone());
    let text = given.and_then(|given| given.description.clone()).unwrap_or_else(|| task.description.clone());
    Ok(DialogPage {
        shell: shell(app, who, number, format!("Edit {number}")).await?,
        to: to(&task, "edit", opened),
        text: String::new(),
        fields: vec![
            Field::line("title", "Title", title).required().faulted(&wrong),
            Field::text("description", "Description", text, 5).faulted(&wrong),
        ],
        faults: Faults(wrong),
        verb: "Save",
        back: page(number),
    })
}

async fn edit_form(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    Query(opened): Query<Opened>,
) -> Result<Response, Error> {
    Ok(Show(edit_page(&app, &who, &number, &opened, None, Vec::new()).await?).into_response())
}

async fn edit(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    Query(opened): Query<Opened>,
    fields: Fields,
) -> Result<Response, Error> {
    let given = RemediationTaskChange {
        title: Some(fields.one("title").to_owned()),
        description: Some(fields.one("description").to_owned()),
    };
    match api::task_changes::rename(&app, &who, number.clone(), given.clone(), opened.seen()).await {
        Ok(_) => Ok(done(&number, format!("{number} is saved."))),
        Err(error) => {
            let wrong = wrong(error)?;
            Ok(again(edit_page(&app, &who, &number, &opened, Some(&given), wrong).await?))
        }
    }
}

async fn split_page(
    app: &App,
    who: &PageActor,
    number: &str,
    opened: &Opened,
    given: &RemediationTaskSplit,
    wrong: Vec<Fault>,
) -> Result<DialogPage, Error> {
    let task = known(app, who, Action::TaskSplit, number).await?;
    let now = app.clock.now();
    let (people, groups) = app.database.try_read(move |tx| item::choices(tx, now)).await?;
    let mut fields = Vec::new();
    let ticked = opened.numbers().len();
    if ticked == 0 {
        let q = given.q.clone().unwrap_or_default();
        fields.push(
            Field::line("q", "Which of its items go", q)
                .required()
                .mono()
                .placeholder("asset:web01 or score:>=90")
                .help("In the query language of vulnerable items. Or tick them on the task's page.")
                .faulted(&wrong),
        );
    }
    let named = |name: &Option<String>| name.clone().unwrap_or_default();
    fields.extend([
        Field::line("title", "Title of the new task", &given.title)
            .help("Empty: the same as of this one.")
            .faulted(&wrong),
        item::chosen("assignee", "Assigned to", &named(&given.assignee), people).faulted(&wrong),
        item::chosen("group", "Group", &named(&given.group), groups)
            .help("Without both, the group of this one.")
            .faulted(&wrong),
    ]);
    let which = if ticked == 0 { "Its open items that match".to_owned() } else { format!("{ticked} ticked items") };
    Ok(DialogPage {
        shell: shell(app, who, number, format!("Split {number}")).await?,
        to: to(&task, "split", opened),
        text: format!(
            "{which} go into a new task. At least one stays, and this one is Under Investigation afterwards."
        ),
        fields,
        faults: Faults(wrong),
        verb: "Split",
        back: page(number),
    })
}

async fn split_form(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    Query(opened): Query<Opened>,
) -> Result<Response, Error> {
    let given = RemediationTaskSplit::default();
    Ok(Show(split_page(&app, &who, &number, &opened, &given, Vec::new()).await?).into_response())
}

async fn split(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    Query(opened): Query<Opened>,
    fields: Fields,
) -> Result<Response, Error> {
    let text = |name: &str| fields.one(name).to_owned();
    let items = opened.numbers();
    let given = RemediationTaskSplit {
        q: items.is_empty().then(|| text("q")),
        items,
        title: text("title"),
        assignee: Some(text("assignee")),
        group: Some(text("group")),
    };
    match api::task_changes::split_task(&app, &who, number.clone(), given.clone(), opened.seen()).await {
        Ok((_, new)) => {
            let said = Flash::done(format!("{number} is split.")).link(new.clone(), page(&new));
            Ok(flash::redirect(&page(&number), Some(said)))
        }
        Err(error) => {
            let wrong = wrong(error)?;
            Ok(again(split_page(&app, &who, &number, &opened, &given, wrong).await?))
        }
    }
}

fn ticked(fields: &Fields) -> Vec<Number> {
    let numbers = fields.all("row").into_iter().filter_map(|row| row.parse::<Number>().ok());
    numbers.filter(|number| number.series == Series::Item).collect()
}

fn nothing_ticked(number: &str) -> Response {
    flash::redirect(&page(number), Some(Flash { failed: true, ..Flash::done("Tick the items first.") }))
}

async fn split_ticked(_who: PageActor, Path(number): Path<String>, fields: Fields) -> Result<Response, Error> {
    let digits: Vec<String> = ticked(&fields).iter().map(|number| number.ordinal.to_string()).collect();
    if digits.is_empty() {
        return Ok(nothing_ticked(&number));
    }
    Ok(flash::redirect(&address(&format!("/tasks/{number}/split"), &[("items", &digits.join(","))]), None))
}

async fn take_out(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    fields: Fields,
) -> Result<Response, Error> {
    let remove: Vec<String> = ticked(&fields).iter().map(Number::to_string).collect();
    let count = remove.len();
    if count == 0 {
        return Ok(nothing_ticked(&number));
    }
    let given = RemediationTaskItems { remove, ..RemediationTaskItems::default() };
    match api::task_changes::hold(&app, &who, number.clone(), given, IfMatch(None)).await {
        Ok(_) => Ok(done(&number, format!("{count} items are out of {number}."))),
        Err(Error::Refused(refusal)) => {
            let said = Flash { failed: true, ..Flash::done(exposure::refused(&refusal)) };
            Ok(flash::redirect(&page(&number), Some(said)))
        }
        Err(error) => Err(error),
    }
}

async fn delete(State(app): State<App>, who: PageActor, Path(number): Path<String>) -> Result<Response, Error> {
    api::task_changes::delete_task(&app, &who, number.clone(), IfMatch(None)).await?;
    Ok(flash::redirect("/tasks", Some(Flash::done(format!("{number} is deleted.")))))
}
