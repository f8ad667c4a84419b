//! Option profiles (`OPTION_PROFILES`, a root without RESPONSE): what a scan looks for.
//!
//! The document may hold user names and passwords for brute forcing. Only what is listed in [`OptionProfile`] is kept;
//! the rest is never copied, and a caller must never log or store the body.

use crate::error::ReadError;
use crate::limits::Limits;
use crate::observation::Micros;
use crate::qualys::page::Listing;
use crate::xml::Xml;
use serde::Serialize;
use std::io::BufRead;

/// The root element.
pub const ROOT: &str = "OPTION_PROFILES";

/// One option profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OptionProfile {
    /// By which a scan is launched.
    pub id: i64,
    /// What people call it.
    pub name: String,
    /// `user` and others, an open list.
    pub kind: Option<String>,
    /// The subscription's default.
    pub default: bool,
    /// Visible to all users of the subscription.
    pub global: bool,
    /// Whether it tests everything. `false` means only the search lists below: a rescan with it may not test a QID.
    pub complete: bool,
    /// Search lists it is restricted to, by title.
    pub search_lists: Vec<String>,
    /// Search lists it leaves out, by title.
    pub excluded_search_lists: Vec<String>,
    /// Latest edit, where there was one.
    pub updated_at: Option<Micros>,
}

/// Reads one answer. An empty list is the bare root.
pub fn read(input: impl BufRead, limits: &Limits) -> Result<Listing<OptionProfile>, ReadError> {
    let mut entries = Vec::new();
    let mut xml = Xml::new(input, limits);
    xml.open(ROOT)?;
    xml.children(|xml, name| {
        if name != "OPTION_PROFILE" {
            return crate::qualys::page::error_in_list(xml, name);
        }
        if entries.len() >= limits.small_records {
            return Err(ReadError::TooLarge { what: "a list of records", limit: limits.small_records as u64 });
        }
        entries.extend(profile(xml)?);
        Ok(())
    })?;
    Ok(Listing { entries, summary: xml.close()? })
}

fn profile<R: BufRead>(xml: &mut Xml<'_, R>) -> Result<Option<OptionProfile>, ReadError> {
    let mut found = OptionProfile::default();
    let mut id = None;
    xml.next_record();
    xml.children(|xml, name| match name {
        "BASIC_INFO" => xml.children(|xml, name| {
            match name {
                "ID" => id = xml.number()?,
                "GROUP_NAME" => found.name = xml.text()?.unwrap_or_default(),
                "GROUP_TYPE" => found.kind = xml.text()?,
                "IS_DEFAULT" => found.default = xml.flag()?.unwrap_or(false),
                "IS_GLOBAL" => found.global = xml.flag()?.unwrap_or(false),
                "UPDATE_DATE" => found.updated_at = xml.instant()?,
                _ => {}
            }
            Ok(())
        }),
        "SCAN" => xml.children(
            |xml, name| {
                if name == "VULNERABILITY_DETECTION" { detection(xml, &mut found) } else { Ok(()) }
            },
        ),
        _ => Ok(()),
    })?;
    let Some(id) = id else {
        xml.reject(format!("the option profile {}", found.name), "no id");
        return Ok(None);
    };
    found.id = id;
    Ok(Some(found))
}

fn detection<R: BufRead>(xml: &mut Xml<'_, R>, found: &mut OptionProfile) -> Result<(), ReadError> {
    xml.children(|xml, name| match name {
        "COMPLETE" => {
            found.complete = true;
            xml.text().map(drop)
        }
        "CUSTOM_LIST" => titles(xml, &mut found.search_lists),
        "DETECTION_EXCLUDE" => {
            xml.children(
                |xml, name| {
                    if name == "CUSTOM_LIST" { titles(xml, &mut found.excluded_search_lists) } else { Ok(()) }
                },
            )
        }
        _ => Ok(()),
    })
}

fn titles<R: BufRead>(xml: &mut Xml<'_, R>, list: &mut Vec<String>) -> Result<(), ReadError> {
    xml.children(|xml, _| {
        xml.children(|xml, name| {
            if name == "TITLE"
                && let Some(title) = xml.text()?
            {
                xml.push(list, title);
            }
            Ok(())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lists_and_no_passwords() {
        let text = "<OPTION_PROFILES><OPTION_PROFILE><BASIC_INFO><ID>11</ID><GROUP_NAME><![CDATA[Full]]></GROUP_NAME>
            <GROUP_TYPE>user</GROUP_TYPE><IS_DEFAULT>1</IS_DEFAULT><IS_GLOBAL>0</IS_GLOBAL><UPDATE_DATE>N/A</UPDATE_DATE></BASIC_INFO>
            <SCAN><PASSWORD_BRUTE_FORCING><CUSTOM_LIST><CUSTOM><TITLE>x</TITLE><LOGIN_PASSWORD>L:root,P:hunter2</LOGIN_PASSWORD></CUSTOM>
            </CUSTOM_LIST></PASSWORD_BRUTE_FORCING><VULNERABILITY_DETECTION><COMPLETE><![CDATA[complete]]></COMPLETE>
            <DETECTION_EXCLUDE><CUSTOM_LIST><CUSTOM><ID>1</ID><TITLE>Not these</TITLE></CUSTOM></CUSTOM_LIST></DETECTION_EXCLUDE>
            </VULNERABILITY_DETECTION></SCAN></OPTION_PROFILE>
            <OPTION_PROFILE><BASIC_INFO><ID>12</ID><GROUP_NAME>Few</GROUP_NAME></BASIC_INFO><SCAN><VULNERABILITY_DETECTION><CUSTOM_LIST>
            <CUSTOM><TITLE>Log4j</TITLE></CUSTOM></CUSTOM_LIST></VULNERABILITY_DETECTION></SCAN></OPTION_PROFILE></OPTION_PROFILES>";
        let listing = read(text.as_bytes(), &Limits::default()).expect("good");
        let [full, few] = &listing.entries[..] else { panic!("{listing:?}") };
        assert_eq!(
            (full.id, full.name.as_str(), full.default, full.global, full.complete),
            (11, "Full", true, false, true)
        );
        assert_eq!(full.excluded_search_lists, ["Not these"]);
        assert_eq!((few.complete, few.search_lists.as_slice()), (false, &["Log4j".to_owned()][..]));
        assert!(!format!("{listing:?}").contains("hunter2"));
        assert!(
            read(&b"<OPTION_PROFILES></OPTION_PROFILES>"[..], &Limits::default()).expect("empty").entries.is_empty()
        );
    }
}
