//! `file.xml`: one attribute, text or element of an XML file. What that means is [`crate::xml`]; here are the files.

use super::{Finding, KindError, Presence, Workspace};
use crate::fs::Image;
use crate::record::XmlFileEdit;
use crate::xml;
use catalogue::actions::{FileXml, XmlWant};

fn text(image: &Image, path: &str) -> Result<String, KindError> {
    let text = String::from_utf8(image.bytes.clone());
    text.map_err(|_| KindError::Cannot(format!("{path} is not UTF-8 text; it has to be changed by hand")))
}

/// See [`super::check`].
///
/// # Errors
/// When the file cannot be read.
pub fn check(action: &FileXml, workspace: &Workspace<'_>) -> Result<Finding, KindError> {
    let path = action.path.as_str();
    let Some(image) = workspace.file(path)? else {
        return Ok(Finding::because(Presence::NotHere, "(absent)", format!("there is no {path}")));
    };
    let look = match xml::look(&text(&image, path)?, action) {
        Ok(look) => look,
        Err(error) => return Ok(Finding::unknown(format!("{path}: {error}"))),
    };
    let about_elements = matches!(action.want, XmlWant::Present | XmlWant::Absent);
    Ok(match look.holds {
        _ if look.elements == 0 && !about_elements => {
            Finding::because(Presence::NotHere, "(absent)", format!("{path} has no {}", action.element))
        }
        true => Finding::new(Presence::Present, look.shown),
        false => Finding::new(Presence::Absent, look.shown),
    })
}

/// See [`super::plan`].
///
/// # Errors
/// When the text cannot be edited safely.
pub fn plan(action: &FileXml, workspace: &mut Workspace<'_>) -> Result<XmlFileEdit, KindError> {
    let path = action.path.as_str();
    let old = workspace.file(path)?.ok_or_else(|| KindError::Cannot(format!("there is no {path}")))?;
    let set = xml::set(&text(&old, path)?, action);
    let (after, edit) = set.map_err(|error| KindError::Cannot(format!("{path}: {error}")))?;
    let image = workspace.image(Some(&old), after, 0o644);
    workspace.put_file(path, Some(image))?;
    Ok(XmlFileEdit { path: path.to_owned(), edit })
}
