//! The pace of rescans: a setting, so that an installation with a slow scanner asks less often.

use crate::app::App;
use crate::http::{Caller, Error};
use domain::access::{Action, Record};
use domain::rescan::Pace;
use store::{Transaction, settings};

/// The setting's name.
pub const PACE: &str = "rescan.pace";

/// The pace in force.
///
/// # Errors
/// See [`store::Error`].
pub fn pace(tx: &mut Transaction<'_>) -> store::Result<Pace> {
    Ok(settings::get::<Pace>(tx, PACE)?.map(|setting| setting.value).unwrap_or_default())
}

/// Change the pace.
///
/// # Errors
/// A missing permission; 422 `pace` for seconds out of range.
pub async fn set_pace(app: &App, caller: &Caller, pace: Pace) -> Result<(), Error> {
    caller.may(Action::SettingsChange, &Record::default())?;
    pace.validate().map_err(|refusal| Error::field("pace", refusal.code, refusal.sentence))?;
    let (author, now) = (caller.author(), app.clock.now());
    app.database.write(move |tx| settings::put(tx, &author, PACE, &pace, None, now)).await?;
    Ok(())
}
