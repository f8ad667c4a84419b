//! `file.dropin`: a small file of ours exists with exact content and mode.

use super::{Finding, KindError, Presence, Workspace};
use catalogue::actions::FileDropin;
use protocol::digest::Digest;

/// See [`super::check`].
///
/// # Errors
/// When the file cannot be read.
pub fn check(action: &FileDropin, workspace: &Workspace<'_>) -> Result<Finding, KindError> {
    let Some(image) = workspace.file(action.path.as_str())? else {
        return Ok(Finding::new(Presence::Absent, "(absent)"));
    };
    let digest = Digest::of(&image.bytes).to_string();
    let shown = format!("mode {:04o}, sha256 {}", image.mode, digest.get(..12).unwrap_or_default());
    let same = image.bytes == action.content.as_str().as_bytes() && image.mode == action.mode.bits();
    // Somebody else's file is not ours, whatever is in it at the moment.
    if (image.uid, image.gid) != workspace.owner() && image.uid != 0 {
        let shown = format!("{shown}, owner {}", image.uid);
        return Ok(Finding::because(Presence::Absent, shown, "the file belongs to somebody else"));
    }
    Ok(Finding::new(if same { Presence::Present } else { Presence::Absent }, shown))
}

/// See [`super::plan`].
///
/// # Errors
/// When what stands there cannot be read.
pub fn plan(action: &FileDropin, workspace: &mut Workspace<'_>) -> Result<(), KindError> {
    let path = action.path.as_str();
    let old = workspace.file(path)?;
    let mut image = workspace.image(old.as_ref(), action.content.as_str().to_owned(), action.mode.bits());
    image.mode = action.mode.bits();
    (image.uid, image.gid) = workspace.owner();
    Ok(workspace.put_file(path, Some(image))?)
}
