//! The section of the fifth step that says what follows the job: expiry and review.

use super::Draft;
use crate::http::form::Fields;
use crate::pages::forms::{Choice, Fault, Field};
use crate::pages::wizard::AfterFields;
use crate::views;
use domain::control::Afterwards;
use domain::time::Timestamp;

/// Expiry and review as the form says them.
pub(super) fn asked(form: &Fields) -> Result<Afterwards, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut after = Afterwards { roll_back: !form.one("roll_back").is_empty(), ..Afterwards::default() };
    let mut day = |field: &str, text: &str| match views::follow::instant(text, field) {
        Ok(at) => Some(at),
        Err(_) => {
            faults.push(Fault::new(field, "Give a date."));
            None
        }
    };
    if form.one("expiry") == "date" {
        after.expires_at = day("expires_at", form.one("expires_at"));
    }
    if !form.one("review_at").is_empty() {
        after.review_at = day("review_at", form.one("review_at"));
    }
    if form.one("expiry") == "days" {
        // What is no number gets the answer of one out of bounds.
        after.expires_days = Some(form.one("expires_days").parse().unwrap_or(0));
    }
    if after.expires_days.is_none() && form.one("expiry") != "date" {
        after.roll_back = false;
    }
    if faults.is_empty() { Ok(after) } else { Err(faults) }
}

/// What is said of the time after it, in words.
pub(super) fn words(draft: &Draft) -> String {
    let words = views::follow::in_words(&draft.full.after);
    if words.is_empty() { "nothing expires, no review".to_owned() } else { words }
}

/// Expiry and review.
pub(super) fn fields(after: &Afterwards, faults: &[Fault], typed: Option<&Fields>) -> AfterFields {
    let day = |at: Option<Timestamp>| at.map(|at| at.to_jiff().strftime("%Y-%m-%d").to_string()).unwrap_or_default();
    let kept = match (after.expires_days, after.expires_at) {
        (Some(_), _) => "days",
        (None, Some(_)) => "date",
        (None, None) => "never",
    };
    let choices = [("never", "Never"), ("days", "Some days after it was put in place"), ("date", "On a date")];
    let choices = choices.into_iter().map(|(value, label)| Choice::new(value, label)).collect();
    let days = after.expires_days.map(|days| days.to_string()).unwrap_or_default();
    AfterFields {
        expiry: Field::select(
            "expiry",
            "What it puts in place expires",
            super::steps::value(typed, "expiry", kept),
            choices,
        )
        .help("At expiry the scores go back up at once.")
        .faulted(faults),
        days: Field::typed("number", "expires_days", "Days", super::steps::value(typed, "expires_days", &days))
            .faulted(faults),
        date: Field::typed(
            "date",
            "expires_at",
            "Date",
            super::steps::value(typed, "expires_at", &day(after.expires_at)),
        )
        .faulted(faults),
        roll_back: typed.map_or(after.roll_back, |typed| !typed.one("roll_back").is_empty()),
        review: Field::typed(
            "date",
            "review_at",
            "Review on",
            super::steps::value(typed, "review_at", &day(after.review_at)),
        )
        .help("The recipients get a mail then, and the job stands under Follow-up until somebody has looked.")
        .faulted(faults),
    }
}
