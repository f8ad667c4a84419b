//! Whether a rescan with an option profile looks for a vulnerability at all: profiles may look for lists of them only, and leave
//! lists of them out.

/// A list that an option profile names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What it is called.
    pub title: String,
    /// It is left out; else it is looked for only.
    pub excluded: bool,
    /// Whether it holds the vulnerability; `None` where what it holds is not known.
    pub holds: Option<bool>,
}

/// Whether a profile looks for a vulnerability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tests {
    /// It does.
    Yes,
    /// It does not: because of the list of this title.
    No(String),
    /// It cannot be told.
    Unknown,
}

impl Tests {
    /// The word in the API.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Tests::Yes => "yes",
            Tests::No(_) => "no",
            Tests::Unknown => "unknown",
        }
    }

    /// What somebody should know before a rescan with the profile of this title: nothing where it looks for the vulnerability.
    #[must_use]
    pub fn warning(&self, profile: &str, qid: i64) -> Option<String> {
        match self {
            Tests::Yes => None,
            Tests::No(list) => Some(format!(
                "the option profile {profile} does not look for QID {qid}, because of its search list {list}; the scan will not test it"
            )),
            Tests::Unknown => Some(format!(
                "whether the option profile {profile} looks for QID {qid} cannot be told: its search lists are not known here"
            )),
        }
    }
}

/// Whether a profile looks for a vulnerability. `complete` says that it looks for all of them but those left out. What is
/// certainly left out, or certainly on no list, is a no, whatever else is not known.
#[must_use]
pub fn tests(complete: bool, lists: &[Listed]) -> Tests {
    let of = |excluded: bool| lists.iter().filter(move |list| list.excluded == excluded);
    if let Some(list) = of(true).find(|list| list.holds == Some(true)) {
        return Tests::No(list.title.clone());
    }
    let open = of(true).any(|list| list.holds.is_none());
    if complete {
        return if open { Tests::Unknown } else { Tests::Yes };
    }
    if of(false).any(|list| list.holds == Some(true)) {
        return if open { Tests::Unknown } else { Tests::Yes };
    }
    match of(false).next() {
        Some(first) if of(false).all(|list| list.holds == Some(false)) => Tests::No(first.title.clone()),
        _ => Tests::Unknown,
    }
}

#[cfg(test)]
mod tests_of_tests {
    use super::*;

    #[test]
    fn what_a_profile_looks_for() {
        let list = |title: &str, excluded, holds| Listed { title: title.to_owned(), excluded, holds };
        let only = |holds| list("only", false, holds);
        let but = |holds| list("but", true, holds);
        let no = |title: &str| Tests::No(title.to_owned());
        for (complete, lists, expected) in [
            (true, vec![], Tests::Yes),
            (true, vec![but(Some(false))], Tests::Yes),
            (true, vec![but(Some(true))], no("but")),
            (true, vec![but(None)], Tests::Unknown),
            (false, vec![], Tests::Unknown),
            (false, vec![only(Some(true))], Tests::Yes),
            (false, vec![only(Some(false))], no("only")),
            (false, vec![only(None)], Tests::Unknown),
            (false, vec![only(Some(false)), list("other", false, Some(true))], Tests::Yes),
            (false, vec![only(Some(false)), list("other", false, None)], Tests::Unknown),
            (false, vec![only(Some(true)), but(Some(true))], no("but")),
            (false, vec![only(Some(true)), but(None)], Tests::Unknown),
            (false, vec![only(Some(false)), but(None)], no("only")),
            (false, vec![only(None), but(Some(true))], no("but")),
        ] {
            assert_eq!(tests(complete, &lists), expected, "{complete} {lists:?}");
        }
    }
}
