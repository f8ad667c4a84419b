//! An error as people see it. A page of its own, or a fragment that htmx puts in place of what was asked for.

use protocol::problem::Problem;

/// The page or fragment for `problem`.
pub fn render(problem: &Problem, fragment: bool) -> String {
    let errors: String = problem
        .errors
        .iter()
        .map(|error| format!("<li data-field=\"{}\">{}</li>", escape(&error.field), escape(&error.message)))
        .collect();
    let errors = if errors.is_empty() { errors } else { format!("<ul>{errors}</ul>") };
    let id = problem.request_id.as_deref().unwrap_or_default();
    let said = format!(
        "<div role=\"alert\" data-code=\"{}\"><p>{}</p>{errors}<p><small>Request {}</small></p></div>",
        escape(&problem.code),
        escape(&sentence(&problem.detail)),
        escape(id),
    );
    if fragment {
        return said;
    }
    let title = escape(&problem.title);
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title} - Quell</title></head>\
         <body><main><h1>{title}</h1>{said}<p><a href=\"/\">Go to the start page</a></p></main></body></html>"
    )
}

/// A detail of the API (lower case, no full stop) as a sentence.
fn sentence(detail: &str) -> String {
    let mut chars = detail.chars();
    let Some(first) = chars.next() else { return String::new() };
    let stop = if detail.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{}{}{stop}", first.to_uppercase(), chars.as_str())
}

/// Text made safe between tags and inside quoted attributes.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_cannot_become_markup() {
        let problem = Problem::new(404, "not_found", "there is no <script>alert('x')</script>");
        for fragment in [true, false] {
            let page = render(&problem, fragment);
            assert!(!page.contains("<script") && page.contains("There is no &lt;script&gt;"), "{page}");
        }
    }
}
