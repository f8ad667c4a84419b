//! An error as people see it. A page of its own, or a fragment that htmx puts in place of what was asked for.

use super::auth::{Caller, Proof};
use super::secret;
use crate::pages::chips::escape;
use crate::pages::errors::ErrorPage;
use crate::pages::{Section, Shell};
use askama::Template as _;
use protocol::problem::Problem;

/// The page or fragment for `problem`, with the side bar of who is signed in.
pub fn render(problem: &Problem, caller: Option<&Caller>, fragment: bool) -> String {
    if !fragment {
        let csrf = match caller.map(|caller| &caller.proof) {
            Some(Proof::Session(session)) => secret::csrf(session),
            _ => String::new(),
        };
        let shell = match caller {
            Some(caller) => crate::web::frame::plain(caller, &csrf, Section::Elsewhere, &problem.title),
            None => Shell::new(csrf, None, Section::Elsewhere, &problem.title),
        };
        let page = ErrorPage {
            shell,
            status: problem.status,
            detail: sentence(&problem.detail),
            code: problem.code.clone(),
            request: problem.request_id.clone().unwrap_or_default(),
        };
        return page.render().unwrap_or_else(|_| alert(problem));
    }
    alert(problem)
}

/// The problem alone, to be put in place of a part of a page.
fn alert(problem: &Problem) -> String {
    let errors: String = problem
        .errors
        .iter()
        .map(|error| format!("<li data-field=\"{}\">{}</li>", escape(&error.field), escape(&error.message)))
        .collect();
    let errors = if errors.is_empty() { errors } else { format!("<ul>{errors}</ul>") };
    format!(
        "<div role=\"alert\" data-code=\"{}\"><p>{}</p>{errors}<p><small>Request {}</small></p></div>",
        escape(&problem.code),
        escape(&sentence(&problem.detail)),
        escape(problem.request_id.as_deref().unwrap_or_default()),
    )
}

/// A detail of the API (lower case, no full stop) as a sentence.
#[must_use]
pub fn sentence(detail: &str) -> String {
    let mut chars = detail.chars();
    let Some(first) = chars.next() else { return String::new() };
    let stop = if detail.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{}{}{stop}", first.to_uppercase(), chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_cannot_become_markup() {
        let problem = Problem::new(404, "not_found", "there is no <script>alert('x')</script>");
        for fragment in [true, false] {
            let page = render(&problem, None, fragment);
            assert!(!page.contains("<script>") && !page.contains("alert('x')"), "{page}");
            assert!(page.contains("There is no &"), "{page}");
        }
    }
}
