//! Search lists: the vulnerabilities that an option profile looks for, or leaves out. Static ones are kept by hand, dynamic
//! ones follow a rule of the scanner; both are read as the numbers they hold now.

use crate::error::ReadError;
use crate::limits::Limits;
use crate::qualys::page::{self, Listing, error_in_list};
use crate::xml::Xml;
use serde::Serialize;
use std::io::BufRead;

/// The root of static lists.
pub const STATIC_ROOT: &str = "STATIC_SEARCH_LIST_OUTPUT";
/// The root of dynamic lists.
pub const DYNAMIC_ROOT: &str = "DYNAMIC_SEARCH_LIST_OUTPUT";

/// One search list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SearchList {
    /// The scanner's key.
    pub id: i64,
    /// What people call it, and what option profiles name it by.
    pub title: String,
    /// The numbers it holds; `None` where the answer does not list them.
    pub qids: Option<Vec<i64>>,
}

/// Reads an answer with static lists.
pub fn read_static(input: impl BufRead, limits: &Limits) -> Result<Listing<SearchList>, ReadError> {
    page::listing(input, limits, [STATIC_ROOT, "STATIC_LISTS", "STATIC_LIST"], list)
}

/// Reads an answer with dynamic lists.
pub fn read_dynamic(input: impl BufRead, limits: &Limits) -> Result<Listing<SearchList>, ReadError> {
    page::listing(input, limits, [DYNAMIC_ROOT, "DYNAMIC_LISTS", "DYNAMIC_LIST"], list)
}

fn list<R: BufRead>(xml: &mut Xml<'_, R>) -> Result<SearchList, ReadError> {
    let mut found = SearchList::default();
    xml.children(|xml, name| {
        match name {
            "ID" => found.id = xml.number()?.unwrap_or_default(),
            "TITLE" => found.title = xml.text()?.unwrap_or_default(),
            "QIDS" => qids(xml, found.qids.get_or_insert_default())?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(found)
}

fn qids<R: BufRead>(xml: &mut Xml<'_, R>, found: &mut Vec<i64>) -> Result<(), ReadError> {
    xml.children(|xml, name| {
        if name != "QID" {
            return error_in_list(xml, name);
        }
        if found.len() >= xml.limits.glossary_entries {
            return Err(ReadError::TooLarge { what: "a search list", limit: xml.limits.glossary_entries as u64 });
        }
        found.extend(xml.number()?);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_hold_numbers_or_do_not_say() {
        let text = "<STATIC_SEARCH_LIST_OUTPUT><RESPONSE><DATETIME>2026-11-22T10:00:00Z</DATETIME><STATIC_LISTS>
            <STATIC_LIST><ID>1</ID><TITLE><![CDATA[Log4j]]></TITLE><GLOBAL>Yes</GLOBAL><QIDS><QID>376157</QID><QID>376160</QID></QIDS></STATIC_LIST>
            <STATIC_LIST><ID>2</ID><TITLE>Silent</TITLE></STATIC_LIST></STATIC_LISTS></RESPONSE></STATIC_SEARCH_LIST_OUTPUT>";
        let lists = read_static(text.as_bytes(), &Limits::default()).expect("good").entries;
        assert_eq!((lists[0].id, lists[0].title.as_str()), (1, "Log4j"));
        assert_eq!(lists[0].qids.as_deref(), Some(&[376_157, 376_160][..]));
        assert_eq!((lists[1].title.as_str(), &lists[1].qids), ("Silent", &None));
        let dynamic = text.replace("STATIC", "DYNAMIC");
        assert_eq!(read_dynamic(dynamic.as_bytes(), &Limits::default()).expect("good").entries, lists);
        assert!(read_dynamic(text.as_bytes(), &Limits::default()).is_err(), "another document");
        let cut = text.split_at(text.len() - 20).0;
        assert!(read_static(cut.as_bytes(), &Limits::default()).is_err(), "cut");
        let few = Limits { glossary_entries: 1, ..Limits::default() };
        assert!(read_static(text.as_bytes(), &few).is_err(), "bounded");
    }
}
