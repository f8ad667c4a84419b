//! Status and error answers: `SIMPLE_RETURN`, the older `GENERIC_RETURN`, and `BATCH_RETURN` of bulk calls.

use crate::error::ReadError;
use crate::limits::Limits;
use crate::observation::Micros;
use crate::xml::{Xml, is_return};
use serde::Serialize;
use std::io::BufRead;

/// What a call without data answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Present when the call failed.
    pub code: Option<String>,
    /// The scanner's words.
    pub text: String,
    /// Key and value pairs, for example `ID` and `REFERENCE` of a launched scan.
    pub items: Vec<(String, String)>,
    /// An older answer that says it failed without giving a code.
    pub failed: bool,
    /// When the scanner answered.
    pub at: Option<Micros>,
}

impl Answer {
    /// The value of an item, its key in any case.
    pub fn item(&self, key: &str) -> Option<&str> {
        self.items.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn into_error(self) -> ReadError {
        let text = if self.text.is_empty() { "no reason given".to_owned() } else { self.text };
        ReadError::ApiError { code: self.code, text, items: self.items }
    }
}

/// Reads a status answer; an answer that reports a failure is an [`ReadError::ApiError`].
pub fn answer(input: impl BufRead, limits: &Limits) -> Result<Answer, ReadError> {
    let mut xml = Xml::new(input, limits);
    xml.expect_return();
    let root = xml.root("SIMPLE_RETURN")?;
    if !is_return(root.as_str()) {
        let found = format!("a document `{}`", root.as_str());
        return Err(ReadError::WrongRoot { expected: "SIMPLE_RETURN", found });
    }
    let answer = read(&mut xml, root.as_str())?;
    xml.close()?;
    if answer.code.is_some() || answer.failed {
        return Err(answer.into_error());
    }
    Ok(answer)
}

/// Reads the answer whose root or embedded element was just opened.
pub(crate) fn read<R: BufRead>(xml: &mut Xml<'_, R>, name: &str) -> Result<Answer, ReadError> {
    let mut answer = Answer::default();
    xml.next_record();
    if name == "GENERIC_RETURN" {
        generic(xml, &mut answer)?;
    } else {
        xml.children(|xml, name| if name == "RESPONSE" { response(xml, &mut answer) } else { Ok(()) })?;
    }
    Ok(answer)
}

fn generic<R: BufRead>(xml: &mut Xml<'_, R>, answer: &mut Answer) -> Result<(), ReadError> {
    xml.children(|xml, name| {
        if name == "RETURN" {
            let status = xml.attribute("status").unwrap_or_default();
            answer.failed = !status.eq_ignore_ascii_case("SUCCESS");
            answer.code = xml.attribute("number").filter(|_| answer.failed);
            answer.text = xml.text()?.unwrap_or_default();
        }
        Ok(())
    })
}

fn response<R: BufRead>(xml: &mut Xml<'_, R>, answer: &mut Answer) -> Result<(), ReadError> {
    xml.children(|xml, name| {
        match name {
            "DATETIME" => answer.at = xml.instant()?,
            "CODE" => answer.code = xml.text()?,
            "TEXT" => answer.text = xml.text()?.unwrap_or_default(),
            "ITEM_LIST" => xml.children(|xml, _| item(xml, answer))?,
            "BATCH_LIST" => xml.children(|xml, _| batch(xml, answer))?,
            _ => {}
        }
        Ok(())
    })
}

fn item<R: BufRead>(xml: &mut Xml<'_, R>, answer: &mut Answer) -> Result<(), ReadError> {
    let (mut key, mut value) = (None, None);
    xml.children(|xml, name| {
        match name {
            "KEY" => key = xml.text()?,
            "VALUE" => value = xml.text()?,
            _ => {}
        }
        Ok(())
    })?;
    if let Some(key) = key {
        xml.push(&mut answer.items, (key, value.unwrap_or_default()));
    }
    Ok(())
}

fn batch<R: BufRead>(xml: &mut Xml<'_, R>, answer: &mut Answer) -> Result<(), ReadError> {
    xml.children(|xml, name| {
        match name {
            // One refused batch makes the whole answer a refusal; the first one speaks.
            "CODE" => answer.code = answer.code.take().or(xml.text()?),
            "TEXT" => {
                let text = xml.text()?.unwrap_or_default();
                if answer.text.is_empty() {
                    answer.text = text;
                }
            }
            "ID_SET" => xml.children(|xml, name| {
                if let Some(ids) = xml.text()? {
                    xml.push(&mut answer.items, (name.to_owned(), ids));
                }
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Answer, ReadError> {
        answer(text.as_bytes(), &Limits::default())
    }

    #[test]
    fn a_launched_scan_gives_its_reference() {
        let answer = read_text(
            "<SIMPLE_RETURN><RESPONSE><DATETIME>2020-01-01T00:00:00Z</DATETIME><TEXT>New vm scan launched</TEXT>
             <ITEM_LIST><ITEM><KEY>ID</KEY><VALUE>7</VALUE></ITEM>
             <ITEM><KEY>REFERENCE</KEY><VALUE>scan/1577836800.12345</VALUE></ITEM></ITEM_LIST></RESPONSE></SIMPLE_RETURN>",
        )
        .expect("good answer");
        assert_eq!(answer.item("reference"), Some("scan/1577836800.12345"));
        assert_eq!(answer.text, "New vm scan launched");
    }

    #[test]
    fn a_code_makes_it_an_error_with_its_items() {
        let error = read_text(
            "<simple_return><response><code>1965</code><text>cannot be run again</text><item_list><item>
             <key>SECONDS_TO_WAIT</key><value>12</value></item></item_list></response></simple_return>",
        )
        .expect_err("an error");
        let ReadError::ApiError { code, items, .. } = error else { panic!("{error}") };
        assert_eq!(code.as_deref(), Some("1965"));
        assert_eq!(items, [("SECONDS_TO_WAIT".to_owned(), "12".to_owned())]);
    }

    #[test]
    fn older_answers_speak_by_attributes() {
        let error = read_text(r#"<GENERIC_RETURN><API name="x"/><RETURN status="FAILED" number="2000">Bad Login</RETURN></GENERIC_RETURN>"#)
            .expect_err("failed");
        assert!(
            matches!(error, ReadError::ApiError { code: Some(code), text, .. } if code == "2000" && text == "Bad Login")
        );
        let good =
            read_text(r#"<GENERIC_RETURN><RETURN status="SUCCESS">done</RETURN></GENERIC_RETURN>"#).expect("good");
        assert_eq!(good.text, "done");
    }

    #[test]
    fn one_refused_batch_is_a_refusal() {
        let good = read_text(
            "<BATCH_RETURN><RESPONSE><BATCH_LIST><BATCH><TEXT>queued</TEXT><ID_SET><ID>3</ID><ID_RANGE>5-9</ID_RANGE></ID_SET>
             </BATCH></BATCH_LIST></RESPONSE></BATCH_RETURN>",
        )
        .expect("good");
        assert_eq!(good.items.len(), 2);
        let error = read_text(
            "<BATCH_RETURN><RESPONSE><BATCH_LIST><BATCH><TEXT>queued</TEXT></BATCH><BATCH><CODE>1905</CODE><TEXT>no</TEXT></BATCH>
             </BATCH_LIST></RESPONSE></BATCH_RETURN>",
        );
        assert!(matches!(error, Err(ReadError::ApiError { .. })));
    }

    #[test]
    fn a_page_of_the_front_end_is_no_answer() {
        for page in ["<html><body>503</body></html>", "", "502 Bad Gateway", "{\"a\":1}"] {
            assert!(matches!(read_text(page), Err(ReadError::WrongRoot { .. })), "{page}");
        }
    }
}
