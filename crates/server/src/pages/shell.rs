//! The frame around every page: who is signed in, where one is, what was just done.
//!
//! It is filled from the session by the handler; it asks the store nothing.

use super::chips::Tone;
use super::lists::Action;

/// The places in the side bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the page of that name")]
pub enum Section {
    Mine,
    Home,
    Vulnerabilities,
    Items,
    Assets,
    Eliminations,
    Jobs,
    FollowUp,
    Approvals,
    Efforts,
    Topics,
    Tasks,
    Exceptions,
    Scans,
    Imports,
    Scanners,
    Rules,
    TaskRules,
    Agents,
    Users,
    Tokens,
    Mail,
    Audit,
    /// A page that is not in the side bar.
    Elsewhere,
}

/// A group of the side bar: heading, then section, words, path, icon.
type Group = (&'static str, &'static [(Section, &'static str, &'static str, &'static str)]);

const NAV: &[Group] = &[
    (
        "Overview",
        &[(Section::Mine, "My work", "/mine", "user"), (Section::Home, "Dashboard", "/all", "layout-dashboard")],
    ),
    (
        "Exposure",
        &[
            (Section::Vulnerabilities, "Vulnerabilities", "/vulnerabilities", "bug"),
            (Section::Items, "Vulnerable items", "/items", "list-check"),
            (Section::Assets, "Assets", "/assets", "server"),
            (Section::Eliminations, "Eliminations", "/eliminations", "shield-half"),
        ],
    ),
    (
        "Response",
        &[
            (Section::Tasks, "Remediation tasks", "/tasks", "checklist"),
            (Section::Jobs, "Mitigation jobs", "/jobs", "player-play"),
            (Section::FollowUp, "Follow-up", "/follow-up", "shield-check"),
            (Section::Approvals, "Approvals", "/approvals", "clipboard-check"),
            (Section::Efforts, "Efforts", "/efforts", "target"),
            (Section::Topics, "Watch topics", "/topics", "search"),
            (Section::Exceptions, "Exceptions", "/exceptions", "clock-off"),
            (Section::Scans, "Scan records", "/scans", "radar"),
        ],
    ),
    (
        "Operations",
        &[
            (Section::Imports, "Imports", "/imports", "database-import"),
            (Section::Scanners, "Scanners", "/scanners", "plug-connected"),
            (Section::Rules, "Rules", "/rules/auto-close", "adjustments-horizontal"),
            (Section::TaskRules, "Task rules", "/rules/tasks", "adjustments-horizontal"),
            (Section::Agents, "Agents", "/agents", "device-desktop-cog"),
        ],
    ),
    (
        "Administration",
        &[
            (Section::Users, "Users & roles", "/users", "users"),
            (Section::Tokens, "API tokens", "/tokens", "key"),
            (Section::Mail, "Mail", "/mail", "mail"),
            (Section::Audit, "Audit log", "/audit", "history"),
        ],
    ),
];

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The name people see.
    pub name: String,
    /// The roles, in words.
    pub role: String,
}

impl Person {
    /// Up to two capitals for the round mark.
    #[must_use]
    pub fn initials(&self) -> String {
        self.name
            .split(|c: char| !c.is_alphanumeric())
            .filter_map(|word| word.chars().next())
            .take(2)
            .flat_map(char::to_uppercase)
            .collect()
    }
}

/// A page above this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crumb {
    /// Its name.
    pub label: String,
    /// Its path.
    pub href: String,
}

/// What was just done, said once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toast {
    /// `Ok`, `Run`, `Warn` or `Fail`; a failed one stays until dismissed.
    pub tone: Tone,
    /// One line.
    pub text: String,
    /// Words and address of a link.
    pub link: Option<(String, String)>,
}

/// The frame.
#[derive(Debug, Clone)]
pub struct Shell {
    /// The token of this session that every form carries.
    pub csrf: String,
    /// Who is signed in.
    pub person: Option<Person>,
    /// Where in the side bar.
    pub section: Section,
    /// Sections this person may not see.
    pub hidden: Vec<Section>,
    /// Numbers at the right of the side bar.
    pub counts: Vec<(Section, i64)>,
    /// The title of the page and of the window.
    pub title: String,
    /// Beside the title.
    pub subtitle: String,
    /// Pages above.
    pub crumbs: Vec<Crumb>,
    /// What can be done, at the right of the top bar.
    pub actions: Vec<Action>,
    /// What was just done.
    pub toasts: Vec<Toast>,
    /// Why nothing runs, while the global halt is on.
    pub halt: Option<String>,
}

impl Shell {
    /// The frame of a page in `section`.
    pub fn new(csrf: impl Into<String>, person: Option<Person>, section: Section, title: impl Into<String>) -> Self {
        Self {
            csrf: csrf.into(),
            person,
            section,
            hidden: Vec::new(),
            counts: Vec::new(),
            title: title.into(),
            subtitle: String::new(),
            crumbs: Vec::new(),
            actions: Vec::new(),
            toasts: Vec::new(),
            halt: None,
        }
    }

    /// Below another page.
    #[must_use]
    pub fn under(mut self, label: impl Into<String>, href: impl Into<String>) -> Self {
        self.crumbs.push(Crumb { label: label.into(), href: href.into() });
        self
    }

    /// With words beside the title.
    #[must_use]
    pub fn subtitle(mut self, text: impl Into<String>) -> Self {
        self.subtitle = text.into();
        self
    }

    /// With an action in the top bar.
    #[must_use]
    pub fn action(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }

    /// What of a group this person sees: section, words, path, icon, number.
    fn visible(&self, group: &Group) -> Vec<(Section, &'static str, &'static str, &'static str, Option<i64>)> {
        group
            .1
            .iter()
            .filter(|(section, ..)| !self.hidden.contains(section))
            .map(|(section, words, path, icon)| {
                let number = self.counts.iter().find(|(of, _)| of == section).map(|(_, number)| *number);
                (*section, *words, *path, *icon, number)
            })
            .collect()
    }

    /// The side bar.
    #[must_use]
    #[expect(clippy::type_complexity, reason = "read by one template")]
    pub fn nav(&self) -> Vec<(&'static str, Vec<(Section, &'static str, &'static str, &'static str, Option<i64>)>)> {
        NAV.iter().map(|group| (group.0, self.visible(group))).filter(|(_, places)| !places.is_empty()).collect()
    }
}

/// What the page tells htmx: evaluate nothing, insert no style of its own, keep no page in browser storage, and show the
/// body of a 422 answer where the form stood.
pub const HTMX: &str = r#"{"includeIndicatorStyles":false,"allowEval":false,"allowScriptTags":false,"historyCacheSize":0,"selfRequestsOnly":true,"timeout":20000,"responseHandling":[{"code":"204","swap":false},{"code":"[23]..","swap":true},{"code":"422","swap":true},{"code":"[45]..","swap":false,"error":true}]}"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initials_are_two_capitals() {
        for (name, initials) in [("Mara Okafor", "MO"), ("admin", "A"), ("jean-luc de la tour", "JL"), ("", "")] {
            assert_eq!(Person { name: name.into(), role: String::new() }.initials(), initials);
        }
    }

    #[test]
    fn hidden_sections_leave_no_empty_group() {
        let mut shell = Shell::new("", None, Section::Home, "Dashboard");
        shell.hidden = vec![Section::Users, Section::Tokens, Section::Mail, Section::Audit];
        assert!(shell.nav().iter().all(|(group, _)| *group != "Administration"));
    }
}
