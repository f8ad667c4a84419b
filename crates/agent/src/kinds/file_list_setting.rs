//! `file.list_setting`: a word is in none of the lists a setting has. What that means is [`crate::format::lists`]; here are the files.

use super::file_setting::{including, text};
use super::{Finding, KindError, Presence, Workspace};
use crate::format::lists::{self, WantedList};
use crate::host::Host;
use crate::record::FileEdit;
use catalogue::actions::FileListSetting;

fn wanted(action: &FileListSetting) -> WantedList<'_> {
    WantedList {
        format: action.format,
        section: action.section.as_ref().map(catalogue::text::Line::as_str),
        key: action.key.as_str(),
        remove: action.remove.as_str(),
    }
}

/// See [`super::check`].
///
/// # Errors
/// When the file cannot be read.
pub fn check(action: &FileListSetting, host: &Host, workspace: &Workspace<'_>) -> Result<Finding, KindError> {
    let path = action.path.as_str();
    let Some(image) = workspace.file(path)? else {
        return Ok(Finding::because(Presence::NotHere, "(absent)", format!("there is no {path}")));
    };
    let includes = including(host, workspace, path);
    Ok(match lists::holding(&text(&image, path)?, &wanted(action), &includes) {
        Err(error) => Finding::unknown(error.to_string()),
        Ok(found) => match found.first() {
            None => Finding::new(Presence::Present, "(in no list)"),
            Some((section, value)) => {
                let shown = section.as_ref().map_or_else(|| value.clone(), |section| format!("[{section}] {value}"));
                Finding::new(Presence::Absent, shown)
            }
        },
    })
}

/// See [`super::plan`].
///
/// # Errors
/// When the text cannot be edited safely.
pub fn plan(action: &FileListSetting, host: &Host, workspace: &mut Workspace<'_>) -> Result<FileEdit, KindError> {
    let path = action.path.as_str();
    let old = workspace.file(path)?.ok_or_else(|| KindError::Cannot(format!("there is no {path}")))?;
    let before = text(&old, path)?;
    let removed = lists::remove(&before, &wanted(action), &including(host, workspace, path));
    let (after, edit) = removed.map_err(|error| KindError::Cannot(format!("{path}: {error}")))?;
    let image = workspace.image(Some(&old), after, 0o644);
    workspace.put_file(path, Some(image))?;
    Ok(FileEdit { path: path.to_owned(), format: action.format, edit })
}
