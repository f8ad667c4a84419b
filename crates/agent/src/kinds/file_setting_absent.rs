//! `file.setting_absent`: nothing in a file sets something, nor does what it includes. What that means is [`crate::format::lists`].

use super::file_setting::{including, text};
use super::{Finding, KindError, Presence, Workspace};
use crate::format::lists;
use crate::host::Host;
use crate::record::FileEdit;
use catalogue::actions::FileSettingAbsent;

fn section(action: &FileSettingAbsent) -> Option<&str> {
    action.section.as_ref().map(catalogue::text::Line::as_str)
}

/// See [`super::check`].
///
/// # Errors
/// When the file cannot be read.
pub fn check(action: &FileSettingAbsent, host: &Host, workspace: &Workspace<'_>) -> Result<Finding, KindError> {
    let (path, key) = (action.path.as_str(), action.key.as_str());
    let Some(image) = workspace.file(path)? else {
        return Ok(Finding::because(Presence::NotHere, "(absent)", format!("there is no {path}")));
    };
    let includes = including(host, workspace, path);
    Ok(match lists::values(action.format, &text(&image, path)?, section(action), key, &includes) {
        Err(error) => Finding::unknown(error.to_string()),
        Ok(values) => match values.into_iter().next() {
            None => Finding::new(Presence::Present, "(not set)"),
            Some(value) => Finding::new(Presence::Absent, value),
        },
    })
}

/// See [`super::plan`].
///
/// # Errors
/// When the text cannot be edited safely, or an included file sets it.
pub fn plan(action: &FileSettingAbsent, host: &Host, workspace: &mut Workspace<'_>) -> Result<FileEdit, KindError> {
    let (path, key) = (action.path.as_str(), action.key.as_str());
    let old = workspace.file(path)?.ok_or_else(|| KindError::Cannot(format!("there is no {path}")))?;
    let before = text(&old, path)?;
    let taken = lists::take_out(action.format, &before, section(action), key, &including(host, workspace, path));
    let (after, edit) = taken.map_err(|error| KindError::Cannot(format!("{path}: {error}")))?;
    let image = workspace.image(Some(&old), after, 0o644);
    workspace.put_file(path, Some(image))?;
    Ok(FileEdit { path: path.to_owned(), format: action.format, edit })
}
