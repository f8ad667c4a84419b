//! The section of the fifth step that says how a run spreads over the assets: a preset, or numbers of one's own.

use super::Draft;
use crate::engine::rollouts::understood;
use crate::http::Error;
use crate::http::form::Fields;
use crate::pages::forms::{Choice, Fault, Field};
use crate::pages::wizard::RolloutFields;
use domain::rollout::{Policy, Preset};
use protocol::api::rollout::Rollout;

const OWN: &str = "own";

/// The policy as the form says it; a form that does not speak of it leaves it as it is.
pub(super) fn asked(draft: &Draft, form: &Fields) -> Result<Policy, Vec<Fault>> {
    let chosen = form.one("rollout");
    if chosen.is_empty() {
        return Ok(draft.full.rollout.clone());
    }
    if let Some(preset) = Preset::parse(chosen) {
        return Ok(preset.policy());
    }
    // What is no number gets the answer of one out of bounds.
    let number = |name: &str| form.one(name).trim().parse::<u32>().unwrap_or(u32::MAX);
    let perhaps = |name: &str| (!form.one(name).trim().is_empty()).then(|| number(name));
    let percent = |percent: u32| u8::try_from(percent).unwrap_or(u8::MAX);
    let text = |name: &str| Some(form.one(name).trim().to_owned()).filter(|text| !text.is_empty());
    let waves = form.one("waves").split([',', ' ', '\n']).map(str::trim).filter(|size| !size.is_empty());
    let given = Rollout {
        waves: waves.map(str::to_owned).collect(),
        soak_seconds: number("soak_minutes").saturating_mul(60),
        max_running: number("max_running"),
        starts_per_minute: perhaps("starts_per_minute"),
        failures: text("failures"),
        failure_percent: perhaps("failure_percent").map(percent),
        definitive_percent: percent(number("definitive_percent")),
        freshness_hours: number("freshness_hours"),
        apart_at_most: text("apart_tag").and(perhaps("apart_at_most")),
        apart_tag: text("apart_tag"),
        permits: !form.one("permits").is_empty(),
        restarts_at_once: perhaps("restarts_at_once"),
    };
    understood(&given).map_err(|error| match error {
        Error::Invalid(fields) => fields
            .into_iter()
            .map(|field| Fault::new(place(&field.code), crate::web::frame::sentence(&field.message)))
            .collect(),
        _ => vec![Fault::new("waves", "These numbers cannot be kept.")],
    })
}

/// The field that a fault belongs to.
fn place(code: &str) -> &'static str {
    match code {
        "rollout_soak" => "soak_minutes",
        "rollout_max_running" => "max_running",
        "rollout_starts" => "starts_per_minute",
        "rollout_failures" => "failures",
        "rollout_rate" => "failure_percent",
        "rollout_definitive" => "definitive_percent",
        "rollout_restarts" => "restarts_at_once",
        "rollout_freshness" => "freshness_hours",
        "rollout_apart" => "apart_tag",
        _ => "waves",
    }
}

/// The section.
pub(super) fn fields(policy: &Policy, faults: &[Fault], typed: Option<&Fields>) -> RolloutFields {
    let kept = Preset::ALL.into_iter().find(|preset| preset.policy() == *policy).map_or(OWN, Preset::as_str);
    let choices = [
        (Preset::AllAtOnce.as_str(), "All at once"),
        (Preset::Canary.as_str(), "Canary: one asset, a tenth, the rest"),
        (Preset::Careful.as_str(), "Careful: 1, 10, 1%, 5%, 25%, the rest, half an hour apart"),
        (OWN, "The numbers below"),
    ];
    let choices = choices.into_iter().map(|(value, label)| Choice::new(value, label)).collect();
    let value = |name: &str, kept: String| super::steps::value(typed, name, &kept).to_owned();
    let perhaps = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
    let waves: Vec<String> = policy.waves.iter().map(ToString::to_string).collect();
    let number = |name, label, kept: String| Field::typed("number", name, label, value(name, kept)).faulted(faults);
    let line = |name, label, kept: String| Field::typed("text", name, label, value(name, kept)).faulted(faults);
    RolloutFields {
        preset: Field::select("rollout", "Spreads over the assets", value("rollout", kept.to_owned()), choices)
            .help("In waves, the next one opens only when the results of the one before are good."),
        waves: line("waves", "Waves before the rest", waves.join(", ")).help("Numbers or shares: 1, 10, 5%."),
        soak: number("soak_minutes", "Minutes between waves", (policy.soak_seconds / 60).to_string()),
        max_running: number("max_running", "At once, at most", policy.max_running.to_string()),
        starts: number("starts_per_minute", "Starts a minute, at most", perhaps(policy.starts_per_minute)),
        failures: line(
            "failures",
            "Halt after more failures than",
            policy.failures.map(|s| s.to_string()).unwrap_or_default(),
        )
        .help("A number or a share. Empty: more than 10 and more than 10%."),
        percent: number(
            "failure_percent",
            "Halt above this failure rate, in %",
            perhaps(policy.failure_percent.map(u32::from)),
        ),
        definitive: number(
            "definitive_percent",
            "Results a wave needs, in %",
            policy.definitive_percent.to_string(),
        )
        .help(
            "The next wave opens once so many of the wave's tasks have ended with a known result. What was not tried does not \
             count; with 100 one silent host holds the next wave back.",
        ),
        freshness: number(
            "freshness_hours",
            "Hosts not heard of for so many hours are not waited for",
            policy.freshness_hours.to_string(),
        )
        .help("Others take their places in a wave. Recurring work for them is left to its next run."),
        restarts: number("restarts_at_once", "Hosts restarted at once, at most", perhaps(policy.restarts))
            .help("Only where the mitigation needs it and the host's owner allows it. Empty: none is restarted."),
        apart: line("apart_tag", "Kept apart by tag", policy.apart.as_ref().map(|a| a.tag.clone()).unwrap_or_default())
            .help("Assets that share a tag beginning with this, such as cluster:, are not worked on together."),
        at_most: number("apart_at_most", "Of such a group at once", perhaps(policy.apart.as_ref().map(|a| a.at_most))),
        permits: typed.map_or(policy.permits, |typed| !typed.one("permits").is_empty()),
    }
}
