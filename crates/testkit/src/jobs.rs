//! Jobs as the store keeps them, for tests that need one and do not look at what it says.

use store::jobs::Draft;

/// The editable part of a job that says nothing: no title, no text, nobody to mail, a schedule that no test resolves.
#[must_use]
pub fn draft() -> Draft {
    Draft {
        title: String::new(),
        description: String::new(),
        schedule: "{}".to_owned(),
        recipients: "[]".to_owned(),
        mail_started: false,
        mail_percent: None,
        standing: false,
    }
}
