//! What every list has: tabs, the query bar, facets, columns with sorting, quick actions, paging, and what is said when
//! there is nothing to show.
//!
//! The text of the query bar (`q=`) is the only truth of a list: facets and tabs are links to another text. The rows
//! themselves belong to the page of each noun.

pub use super::actions::{Action, Confirm, Does, Look, Menu};
use super::chips::count;
use askama::Template;
use askama::filters::HtmlSafe;

/// A saved view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tab {
    /// Its name.
    pub label: String,
    /// How many it holds.
    pub count: Option<i64>,
    /// Where it leads.
    pub href: String,
    /// Whether it is shown now.
    pub current: bool,
}

/// One choice in a facet group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facet {
    /// Its name.
    pub label: String,
    /// A colour key before the name, as a class.
    pub key: Option<&'static str>,
    /// How many match.
    pub count: Option<i64>,
    /// The list with the query text edited.
    pub href: String,
    /// Whether the query text holds it.
    pub on: bool,
}

/// Facets under one heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FacetGroup {
    /// The heading.
    pub label: &'static str,
    /// The choices.
    pub facets: Vec<Facet>,
}

/// A query text that could not be read, cut where reading stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryError {
    /// What was understood.
    pub before: String,
    /// What was not.
    pub at: String,
    /// The rest.
    pub after: String,
    /// What is wrong, as the parser words it.
    pub message: String,
    /// What could be written instead.
    pub hint: Option<String>,
}

impl QueryError {
    /// Cuts `q` at the byte range `from..to`; a range outside the text, or inside a character, is moved to its end.
    #[must_use]
    pub fn cut(q: &str, from: usize, to: usize, message: impl Into<String>) -> Self {
        let from = if q.is_char_boundary(from) { from } else { q.len() };
        let to = if q.is_char_boundary(to) && to >= from { to } else { q.len() };
        let part = |range: std::ops::Range<usize>| q.get(range).unwrap_or_default().to_owned();
        let at = if from == to { "▯".to_owned() } else { part(from..to) };
        Self { before: part(0..from), at, after: part(to..q.len()), message: message.into(), hint: None }
    }
}

/// A column head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The words; empty for the quick actions.
    pub label: &'static str,
    /// The width class of the style sheet; empty takes what is left.
    pub width: &'static str,
    /// Whether it holds numbers, set to the right.
    pub end: bool,
    /// The name it is sorted by.
    pub sort: Option<&'static str>,
}

impl Column {
    /// A column that cannot be sorted.
    #[must_use]
    pub const fn new(label: &'static str, width: &'static str) -> Self {
        Self { label, width, end: false, sort: None }
    }

    /// One that can.
    #[must_use]
    pub const fn sorted(label: &'static str, width: &'static str, sort: &'static str) -> Self {
        Self { label, width, end: false, sort: Some(sort) }
    }

    /// Set to the right.
    #[must_use]
    pub const fn end(mut self) -> Self {
        self.end = true;
        self
    }
}

/// The head of a table, with a link to sort by every column that can be sorted.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "parts/columns.html")]
pub struct Columns {
    /// Left to right.
    pub columns: Vec<Column>,
    /// Whether rows can be picked.
    pub pick: bool,
    /// The path of the list.
    pub path: String,
    /// The query text, kept when sorting.
    pub q: String,
    /// The order in use: a name, with `-` before it when descending.
    pub sort: String,
    /// What else of the address belongs to the list and stays with every query text and order: names and values.
    pub keep: Vec<(&'static str, String)>,
}
impl HtmlSafe for Columns {}

impl Columns {
    fn order(&self, column: &Column) -> Option<&'static str> {
        let name = column.sort?;
        match self.sort.strip_prefix('-') {
            Some(sort) if sort == name => Some("descending"),
            None if self.sort == name => Some("ascending"),
            _ => None,
        }
    }

    /// The list sorted by that column; a second click turns the order round.
    fn href(&self, name: &str) -> String {
        let sort = if self.sort == format!("-{name}") {
            name.to_owned()
        } else if self.sort == name {
            format!("-{name}")
        } else {
            name.to_owned()
        };
        self.address(&self.q, &sort)
    }

    /// The list with this query text in this order.
    fn address(&self, q: &str, sort: &str) -> String {
        let mut all = vec![("q", q), ("sort", sort)];
        all.extend(self.keep.iter().map(|(name, value)| (*name, value.as_str())));
        address(&self.path, &all)
    }
}

/// Where the previous and the next page are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pager {
    /// The page before.
    pub previous: Option<String>,
    /// The page after.
    pub next: Option<String>,
}

/// What is said instead of rows.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "parts/empty.html")]
pub struct Empty {
    /// A large icon.
    pub icon: &'static str,
    /// "No jobs yet".
    pub title: String,
    /// One sentence.
    pub text: String,
    /// The query that found nothing.
    pub query: Option<String>,
    /// What can be done.
    pub actions: Vec<Action>,
}
impl HtmlSafe for Empty {}

impl Empty {
    /// Nothing exists yet.
    pub fn yet(icon: &'static str, title: impl Into<String>, text: impl Into<String>) -> Self {
        Self { icon, title: title.into(), text: text.into(), query: None, actions: Vec::new() }
    }

    /// Nothing matches the query.
    pub fn unmatched(noun: &str, q: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            icon: "search",
            title: format!("No {noun} match"),
            text: "The filter below leaves nothing to show.".into(),
            query: Some(q.into()),
            actions: vec![Action::go("Clear the filter", path)],
        }
    }

    /// The query cannot be read: said here as well as below the bar, for here people look.
    pub fn unreadable(error: &QueryError, path: impl Into<String>) -> Self {
        let hint = error.hint.as_ref().map_or_else(String::new, |hint| format!(" {hint}"));
        Self {
            icon: "alert-triangle",
            title: "The filter cannot be read".into(),
            text: format!("{}{hint}", crate::http::error_page::sentence(&error.message)),
            query: None,
            actions: vec![Action::go("Clear the filter", path)],
        }
    }

    /// Nothing may be seen.
    pub fn denied(reason: impl Into<String>) -> Self {
        Self {
            icon: "lock",
            title: "You cannot see this list".into(),
            text: reason.into(),
            query: None,
            actions: Vec::new(),
        }
    }

    /// With something to do.
    #[must_use]
    pub fn with(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }
}

/// The frame of a list; the rows stand in the page.
#[derive(Debug, Clone)]
pub struct List {
    /// Its path.
    pub path: String,
    /// What it lists, plural: "mitigation jobs".
    pub noun: &'static str,
    /// The query text as typed.
    pub q: String,
    /// Why it could not be read; the rows are then empty.
    pub error: Option<QueryError>,
    /// The head.
    pub columns: Columns,
    /// How many rows are on this page.
    pub shown: usize,
    /// How many match in all.
    pub total: Option<i64>,
    /// Whether `total` is a floor because counting stopped there.
    pub capped: bool,
    /// Saved views.
    pub tabs: Vec<Tab>,
    /// Facets; the rail is left out without any.
    pub facets: Vec<FacetGroup>,
    /// Other pages.
    pub pager: Pager,
    /// What is said when there are no rows.
    pub empty: Empty,
    /// The fields a query may name, with their meaning, for the help beside the bar.
    pub fields: Vec<(String, String)>,
    /// What can be done with picked rows.
    pub bulk: Vec<Action>,
}

impl List {
    /// A list at `path` in its given order, with nothing in it yet.
    pub fn new(
        path: impl Into<String>,
        noun: &'static str,
        columns: Vec<Column>,
        q: &str,
        sort: &str,
        empty: Empty,
    ) -> Self {
        let path = path.into();
        let (q_kept, sort) = (q.to_owned(), sort.to_owned());
        let columns = Columns { columns, pick: false, path: path.clone(), q: q_kept, sort, keep: Vec::new() };
        Self {
            path,
            noun,
            q: q.to_owned(),
            error: None,
            columns,
            shown: 0,
            total: None,
            capped: false,
            tabs: Vec::new(),
            facets: Vec::new(),
            pager: Pager::default(),
            empty,
            fields: Vec::new(),
            bulk: Vec::new(),
        }
    }

    /// Kept to what a parameter of the address says besides query text and order; called before views are added.
    #[must_use]
    pub fn keeping(mut self, name: &'static str, value: &str) -> Self {
        if !value.is_empty() {
            self.columns.keep.push((name, value.to_owned()));
        }
        self
    }

    /// The list without a query text.
    #[must_use]
    pub fn bare(&self) -> String {
        self.columns.address("", "")
    }

    /// Adds a saved view; it is the current one when the query text is its own.
    pub fn tab(&mut self, label: &str, q: &str, number: Option<i64>) {
        let tab =
            Tab { label: label.to_owned(), count: number, href: self.columns.address(q, ""), current: self.q == q };
        self.tabs.push(tab);
    }

    /// Adds a facet group whose choices each stand for one term of the query text.
    pub fn facet(&mut self, label: &'static str, choices: &[(&str, &str, Option<&'static str>, Option<i64>)]) {
        let facets = choices
            .iter()
            .map(|(name, term, key, number)| {
                let (text, on) = toggled(&self.q, term);
                Facet {
                    label: (*name).to_owned(),
                    key: *key,
                    count: *number,
                    href: self.columns.address(&text, &self.columns.sort),
                    on,
                }
            })
            .collect();
        self.facets.push(FacetGroup { label, facets });
    }

    /// "17 of 128", "100 of 10,000+", "17".
    #[must_use]
    pub fn numbers(&self) -> String {
        let shown = count(i64::try_from(self.shown).unwrap_or(i64::MAX));
        match self.total {
            Some(total) => format!("{shown} of {}{}", count(total), if self.capped { "+" } else { "" }),
            None => shown,
        }
    }

    /// The whole number, for "select all that match".
    #[must_use]
    pub fn whole(&self) -> i64 {
        self.total.unwrap_or_else(|| i64::try_from(self.shown).unwrap_or(i64::MAX))
    }
}

/// The query text with `term` added by `and`, or taken out where it stands as a part of its own, and whether it stood
/// there. A text with `or` or brackets is put in brackets before a term is added.
fn toggled(q: &str, term: &str) -> (String, bool) {
    let parts: Vec<&str> = q.split(" and ").map(str::trim).filter(|part| !part.is_empty()).collect();
    if parts.contains(&term) {
        return (parts.into_iter().filter(|part| *part != term).collect::<Vec<_>>().join(" and "), true);
    }
    let text = match q.trim() {
        "" => term.to_owned(),
        q if q.contains(" or ") && !(q.starts_with('(') && q.ends_with(')')) => format!("({q}) and {term}"),
        q => format!("{q} and {term}"),
    };
    (text, false)
}

/// A path with its query string; empty values are left out.
#[must_use]
pub fn address(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut pairs = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        pairs.append_pair(name, value);
    }
    match pairs.finish() {
        text if text.is_empty() => path.to_owned(),
        text => format!("{path}?{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_facet_edits_the_query_text_both_ways() {
        for (q, text, on) in [
            ("", "severity:5", false),
            ("is:open", "is:open and severity:5", false),
            ("is:open and severity:5", "is:open", true),
            ("severity:5", "", true),
            ("a:1 or b:2", "(a:1 or b:2) and severity:5", false),
            ("severity:51", "severity:51 and severity:5", false),
        ] {
            assert_eq!(toggled(q, "severity:5"), (text.to_owned(), on), "{q}");
        }
    }

    #[test]
    fn sorting_turns_round_and_keeps_the_query() {
        let mut head = Columns {
            columns: vec![],
            pick: false,
            path: "/jobs".into(),
            q: "is:mine & x".into(),
            sort: "title".into(),
            keep: vec![],
        };
        assert_eq!(head.href("title"), "/jobs?q=is%3Amine+%26+x&sort=-title");
        head.sort = "-title".into();
        assert_eq!(head.href("title"), "/jobs?q=is%3Amine+%26+x&sort=title");
        assert_eq!(head.order(&Column::sorted("Job", "", "title")), Some("descending"));
    }

    #[test]
    fn what_a_list_is_kept_to_stays_with_views_facets_and_orders() {
        let columns = vec![Column::sorted("Job", "", "title")];
        let empty = Empty::yet("bug", "Nothing", "");
        let mut list = List::new("/jobs", "jobs", columns, "is:mine", "-title", empty).keeping("asset", "7,8");
        list.tab("All", "", None);
        list.facet("Severity", &[("5", "severity:5", None, None)]);
        assert_eq!(list.bare(), "/jobs?asset=7%2C8");
        assert_eq!(list.tabs[0].href, "/jobs?asset=7%2C8");
        assert_eq!(list.columns.href("title"), "/jobs?q=is%3Amine&sort=title&asset=7%2C8");
        let facet = &list.facets[0].facets[0].href;
        assert_eq!(facet, "/jobs?q=is%3Amine+and+severity%3A5&sort=-title&asset=7%2C8");
        assert!(list.keeping("asset", "").columns.keep.len() == 1, "what is empty is left out");
    }

    #[test]
    fn a_query_error_is_cut_without_panicking_on_foreign_offsets() {
        let error = QueryError::cut("qid:é x", 5, 6, "expected a number");
        assert_eq!((error.before.as_str(), error.at.as_str()), ("qid:é x", "▯"));
        let error = QueryError::cut("severity:x", 9, 10, "expected a number");
        assert_eq!((error.before.as_str(), error.at.as_str(), error.after.as_str()), ("severity:", "x", ""));
        assert_eq!(QueryError::cut("a", 90, 2, "").before, "a");
    }

    #[test]
    fn a_disabled_action_says_why_and_does_nothing() {
        let html = Action::post("Rescan", "/items/VIT0000001/rescan")
            .unless(Some("the scanner is <inactive>".into()))
            .to_string();
        assert!(html.contains("aria-disabled=\"true\"") && html.contains("aria-describedby"), "{html}");
        assert!(html.contains("the scanner is &#60;inactive&#62;"), "{html}");
        assert!(!html.contains("formaction") && !html.contains("href"), "{html}");
    }
}
