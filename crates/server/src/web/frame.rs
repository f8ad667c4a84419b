//! What every page needs: the frame around it, rendering, lists, faults of a form.

use crate::app::App;
use crate::engine::dispatch;
use crate::http::auth::{Caller, PageActor};
use crate::http::error::Error;
use crate::http::flash::Flash;
use crate::http::list::ListQuery;
use crate::pages::lists::address;
use crate::pages::{Column, Empty, Fault, List, Pager, Person, QueryError, Section, Shell, Toast, Tone};
use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use domain::access::{Action, Reach, reach};
use domain::filter::SyntaxError;

/// Renders a view: `Show(page)`; with another status `(StatusCode::UNPROCESSABLE_ENTITY, Show(page))`.
#[derive(Debug)]
pub struct Show<T>(pub T);

impl<T: Template> IntoResponse for Show<T> {
    fn into_response(self) -> Response {
        match self.0.render() {
            Ok(html) => Html(html).into_response(),
            Err(error) => Error::internal(error).into_response(),
        }
    }
}

/// Which permission shows a place in the side bar.
const PLACES: &[(Section, Action)] = &[
    (Section::Mine, Action::ItemsView),
    (Section::Vulnerabilities, Action::VulnerabilitiesView),
    (Section::Items, Action::ItemsView),
    (Section::Assets, Action::AssetsView),
    (Section::Eliminations, Action::CatalogueView),
    (Section::Jobs, Action::JobsView),
    (Section::Approvals, Action::JobsView),
    (Section::Efforts, Action::TasksView),
    (Section::Topics, Action::TasksView),
    (Section::Tasks, Action::TasksView),
    (Section::Exceptions, Action::ItemsView),
    (Section::Scans, Action::ScansView),
    (Section::Imports, Action::IntegrationsView),
    (Section::Scanners, Action::IntegrationsView),
    (Section::Rules, Action::RuleEdit),
    (Section::TaskRules, Action::RuleEdit),
    (Section::Agents, Action::AgentsView),
    (Section::Users, Action::UsersView),
    (Section::Mail, Action::SettingsView),
    (Section::Audit, Action::AuditView),
];

/// The frame of a page: who looks, what of the side bar he may see, what was just done, whether everything is halted.
///
/// # Errors
/// [`Error`] where the database fails.
pub async fn frame(app: &App, actor: &PageActor, section: Section, title: impl Into<String>) -> Result<Shell, Error> {
    let scope = actor.scope.clone();
    let seen = app.database.try_read(move |tx| {
        Ok::<_, Error>((dispatch::halt(tx)?, store::overview::now(tx)?, store::approvals::waiting(tx, &scope)?))
    });
    let (halt, now, waiting) = seen.await?;
    let mut shell = plain(&actor.caller, &actor.csrf, section, title);
    let under_way = [(Section::Jobs, now.jobs), (Section::Approvals, waiting), (Section::Scans, now.scans)];
    shell.counts = under_way.into_iter().filter(|(_, number)| *number > 0).collect();
    shell.toasts = actor.flash.iter().map(toast).collect();
    shell.halt = halt.map(|halt| match halt.reason.as_str() {
        "" => format!("Halted by {}.", halt.by),
        reason => format!("{reason} (by {})", halt.by),
    });
    Ok(shell)
}

/// The frame without a look at the database: for error pages.
pub(crate) fn plain(caller: &Caller, csrf: &str, section: Section, title: impl Into<String>) -> Shell {
    let roles: Vec<&str> = caller.roles.iter().map(|role| role.label()).collect();
    let person = Person { name: caller.name.clone(), role: roles.join(", ") };
    let mut shell = Shell::new(csrf, Some(person), section, title);
    let hidden = PLACES.iter().filter(|(_, action)| reach(&caller.actor, *action) == Reach::Nothing);
    shell.hidden = hidden.map(|(section, _)| *section).collect();
    // Who sees only what is assigned to him has no use for the whole beside it.
    if matches!(reach(&caller.actor, Action::ItemsView), Reach::Related(_)) {
        shell.hidden.push(Section::Home);
    }
    shell
}

fn toast(flash: &Flash) -> Toast {
    let tone = if flash.failed { Tone::Fail } else { Tone::Ok };
    Toast { tone, text: flash.text.clone(), link: flash.link.clone() }
}

/// What a page says of its list.
#[derive(Debug)]
pub struct Head<'h> {
    /// Its path.
    pub path: &'h str,
    /// What it lists, plural.
    pub noun: &'static str,
    /// Its columns.
    pub columns: &'h [Column],
    /// The order where nobody says how to sort.
    pub sort: &'h str,
    /// What is shown where there is nothing at all.
    pub empty: Empty,
}

/// A list's frame and its query as the store wants it; `None` where the query text cannot be read, and the frame says
/// why.
///
/// # Errors
/// 422 for a damaged address.
pub fn listed(
    app: &App,
    caller: &Caller,
    query: &ListQuery,
    of: &'static store::list::List,
    head: Head<'_>,
) -> Result<(List, Option<store::list::Query>), Error> {
    let Head { path, noun, columns, sort: fallback, empty } = head;
    let sort = if query.sort.is_empty() { fallback } else { &query.sort };
    let empty = if query.q.is_empty() { empty } else { Empty::unmatched(noun, &query.q, path) };
    let mut list = List::new(path, noun, columns.to_vec(), &query.q, sort, empty);
    list.fields = of.fields.fields.iter().map(|field| (field.name.to_owned(), field.doc.to_owned())).collect();
    match domain::filter::parse(&query.q, of.fields) {
        Ok(_) => Ok((list, Some(query.of_list(of.fields, fallback, app.clock.now(), &caller.name)?))),
        Err(SyntaxError { message, at, suggestion }) => {
            let mut error = QueryError::cut(&query.q, at.start, at.end, message);
            error.hint = suggestion.map(|word| format!("Did you mean {word}?"));
            list.empty = Empty::unreadable(&error, path);
            list.error = Some(error);
            Ok((list, None))
        }
    }
}

/// Links to the next page, and back to the first from any other.
#[must_use]
pub fn pager(query: &ListQuery, path: &str, next: Option<&str>) -> Pager {
    let here = |cursor: &str| address(path, &[("q", &query.q), ("sort", &query.sort), ("cursor", cursor)]);
    Pager { previous: query.cursor.as_ref().map(|_| here("")), next: next.map(here) }
}

/// The faults of a form: what the API says of fields, with the form's own names (`field` gives one for an API field;
/// indexes are left out). Any other error goes on to the error page.
///
/// # Errors
/// Whatever is not about fields.
pub fn faults(error: Error, field: impl Fn(&str) -> &str) -> Result<Vec<Fault>, Error> {
    let Error::Invalid(errors) = error else { return Err(error) };
    let fault = |error: &protocol::problem::FieldError| {
        let name = error.field.split('.').next().unwrap_or_default();
        Fault::new(field(name), sentence(&error.message))
    };
    Ok(errors.iter().map(fault).collect())
}

/// What a form says whose record somebody else has changed meanwhile; nothing for other errors.
#[must_use]
pub fn stale(error: &Error) -> Option<Vec<Fault>> {
    let text = "Somebody else has changed this meanwhile. Here is what holds now: make your change again.";
    (error.to_problem().code == "changed_meanwhile").then(|| vec![Fault::new("", text)])
}

/// A message of the API (lower case, no full stop) as a sentence.
#[must_use]
pub fn sentence(message: &str) -> String {
    crate::http::error_page::sentence(message)
}

/// A form shown again with its faults: 422, which the page's script swaps in.
#[must_use]
pub fn again<T: Template>(page: T) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, Show(page)).into_response()
}
