//! What people say of tags: which stands below which, how much they matter (R22).
//!
//! A tag chosen for a job stands for those below it, so moving one changes what jobs of others reach: an account that is
//! kept to some assets may not.

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::Error;
use domain::access::{Action, Record};
use domain::tag;
use store::tags::{self, TagRow};

/// What is changed of a tag; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The tag it stands below; empty for none.
    pub parent: Option<String>,
    /// 1 to 5; 0 for none.
    pub criticality: Option<u8>,
}

/// Say what a tag is.
///
/// # Errors
/// A missing permission; 422 `name`, `parent` or `criticality` for what a tag cannot have.
pub async fn edit(app: &App, caller: &Caller, name: &str, change: Change) -> Result<TagRow, Error> {
    caller.may(Action::TagEdit, &Record::default())?;
    for (field, word) in [("name", Some(name)), ("parent", change.parent.as_deref().filter(|name| !name.is_empty()))] {
        if let Some(why) = word.and_then(tag::name_fault) {
            return Err(Error::field(field, "tag", why));
        }
    }
    if change.criticality.is_some_and(|criticality| criticality > 5) {
        return Err(Error::field("criticality", "out_of_range", "criticality is 1 to 5, or 0 for none"));
    }
    let (name, author, scope, now) = (name.to_owned(), caller.author(), caller.scope.clone(), app.clock.now());
    app.database
        .try_write(move |tx| {
            let (parent, criticality) = tags::said(tx, &name)?;
            let parent = match &change.parent {
                None => parent,
                Some(word) => (!word.is_empty()).then(|| word.clone()),
            };
            let criticality = match change.criticality {
                None => criticality,
                Some(number) => (number > 0).then_some(i64::from(number)),
            };
            tags::tree(tx)?
                .moved(&name, parent.as_deref())
                .map_err(|refusal| Error::field("parent", refusal.code, refusal.sentence))?;
            tags::say(tx, &author, &name, parent.as_deref(), criticality, now)?;
            let row = tags::list(tx, &scope)?.into_iter().find(|row| row.name == name);
            Ok(row.unwrap_or(TagRow { name: name.clone(), parent, criticality, assets: 0 }))
        })
        .await
}
