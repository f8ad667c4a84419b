//! What surrounds a step: the stepper with recaps, the summary, and the instants of the next run.

use super::{Draft, Step};
use crate::app::App;
use crate::http::Error;
use crate::http::auth::PageActor;
use crate::pages::Section;
use crate::pages::chips::Change;
use crate::pages::forms::{Fault, Faults};
use crate::pages::records::{Fact, Value};
use crate::pages::shell::Shell;
use crate::pages::wizard::{Progress, STEPS, StepLink, WizardFrame};
use crate::web::expect;
use crate::web::frame::frame;
use crate::web::marks;
use domain::job::Kind;
use domain::schedule::Schedule;
use jiff::tz::TimeZone;
use protocol::api::response::ResolvedInstant;

const QUESTIONS: [&str; 7] = [
    "What is this job called?",
    "Which assets does it run on?",
    "What is done on them?",
    "When do the agents run it?",
    "Who is told about it?",
    "Who else may act on it?",
    "Is everything right?",
];

/// The shell and the frame of a step.
pub(super) async fn around(
    app: &App,
    who: &PageActor,
    draft: &Draft,
    step: Step,
    faults: Vec<Fault>,
) -> Result<(Shell, WizardFrame), Error> {
    let (platform, _) = marks::platform(draft.full.row.platform.as_str());
    let verb = if draft.first() { "Create" } else { "Edit" };
    let what = if draft.full.row.kind == Kind::Rollback { "Rollback" } else { "Mitigation" };
    // S1.03: the window's title names the one platform.
    let shell = frame(app, who, Section::Jobs, format!("{verb}: {platform} {what} Job")).await?;
    let shell = shell.under("Mitigation jobs", "/jobs").subtitle(draft.number());
    let number = draft.number();
    let at = step.place();
    let saved = if draft.first() { "Draft saved" } else { "Saved" };
    let frame = WizardFrame {
        steps: Step::ALL.into_iter().zip(STEPS).map(|(of, label)| link(draft, step, of, label)).collect(),
        heading: STEPS.get(at).copied().unwrap_or_default().to_owned(),
        question: format!("Step {} of 7 · {}", at + 1, QUESTIONS.get(at).copied().unwrap_or_default()),
        to: step.address(&number),
        version: draft.full.row.version.to_string(),
        faults: Faults(faults),
        back: step.before().map(|before| before.address(&number)),
        next: step
            .after()
            .and_then(|next| STEPS.get(next.place()))
            .map_or_else(String::new, |next| format!("Next: {next}")),
        summary: summary(draft),
        runs: draft.job.instants.iter().map(run).collect(),
        runs_note: note(draft),
        saved: format!("{saved} {}", draft.full.row.updated_at.to_jiff().strftime("%H:%M UTC")),
        close: if draft.first() { "/jobs".to_owned() } else { format!("/jobs/{number}") },
        discard: if draft.first() { format!("/jobs/{number}/delete") } else { String::new() },
    };
    Ok((shell, frame))
}

fn link(draft: &Draft, shown: Step, of: Step, label: &'static str) -> StepLink {
    // A free-standing job has targets only once it has something to do: till then its assets are those it chooses.
    let chosen = of == Step::Assets && draft.free.is_some() && in_it(draft) > 0;
    let wrong = !chosen && draft.wrong.iter().any(|refusal| Step::of_field(refusal.field) == of);
    let progress = if of == shown {
        Progress::Current
    } else if wrong && of < shown {
        Progress::Wrong
    } else if of < shown || !draft.first() {
        Progress::Done
    } else {
        Progress::Ahead
    };
    StepLink { label, recap: recap(draft, of), progress, href: of.address(&draft.number()) }
}

fn some(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// How many assets are in the job; of a free-standing one as far as it chooses, before it has anything to do.
fn in_it(draft: &Draft) -> usize {
    let chosen = draft.free.as_ref().map(|chosen| usize::try_from(chosen.body.chosen).unwrap_or(0));
    chosen.unwrap_or(draft.job.assets.len())
}

fn recap(draft: &Draft, step: Step) -> String {
    let job = &draft.job;
    match step {
        Step::Basic => job.summary.title.clone(),
        Step::Assets => some(in_it(draft), "asset", "assets"),
        Step::Actions => some(entries(draft), "action", "actions"),
        Step::Schedule => job.summary.schedule.clone(),
        Step::Options if job.recipients.is_empty() => "no mail".to_owned(),
        Step::Options => some(job.recipients.len(), "recipient", "recipients"),
        Step::Access if job.coauthors.is_empty() => "only the owner".to_owned(),
        Step::Access => some(job.coauthors.len(), "co-author", "co-authors"),
        Step::Confirm => String::new(),
    }
}

/// How many different catalogue entries the job uses.
pub(super) fn entries(draft: &Draft) -> usize {
    draft.job.actions.iter().map(|action| action.entry.as_str()).collect::<std::collections::BTreeSet<_>>().len()
}

fn summary(draft: &Draft) -> Vec<Fact> {
    let (platform, _) = marks::platform(draft.full.row.platform.as_str());
    let qids = draft.qids().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let worst = expect::worst(&draft.scores);
    let change = worst.map_or_else(Change::default, |scores| Change::new(Some(scores.residual), Some(scores.expected)));
    let back = if draft.full.row.kind == Kind::Rollback {
        "takes mitigations back"
    } else if draft.job.actions.iter().all(|action| action.reversible) {
        "yes"
    } else {
        "not all of it"
    };
    let mut facts = vec![
        Fact::new("Platform", Value::text(platform)),
        Fact::new("Assets", Value::text(in_it(draft).to_string())),
        Fact::new("Actions", Value::text(entries(draft).to_string())),
        Fact::new("QIDs", Value::code(qids)),
        Fact::new("Score", Value::Change(change)),
        Fact::new("Reversible", Value::text(back)),
    ];
    facts.extend(
        draft.job.twin.as_ref().map(|twin| Fact::new("Other platform", Value::link(twin, format!("/jobs/{twin}")))),
    );
    facts
}

/// A zone with its number of assets, and the time there.
fn run(instant: &ResolvedInstant) -> (String, String) {
    let zone = if instant.fit == "unknown_zone" { "zone not known".to_owned() } else { instant.zone.clone() };
    let time_zone = TimeZone::get(&instant.zone).unwrap_or(TimeZone::UTC);
    let local = instant.at.to_jiff().to_zoned(time_zone);
    let utc = if instant.fit == "unknown_zone" { " UTC" } else { "" };
    (format!("{zone} · {}", instant.assets), format!("{}{utc}", local.strftime("%a %-d %b %H:%M")))
}

fn note(draft: &Draft) -> String {
    if draft.full.schedule == Schedule::OnDemand {
        return "On demand: it runs once, as soon as the job is enabled.".to_owned();
    }
    let at = || draft.job.instants.iter().map(|instant| instant.at);
    let shown = |at: domain::time::Timestamp| at.to_jiff().strftime("%-d %b %Y %H:%M UTC").to_string();
    match (at().min(), at().max()) {
        (Some(first), Some(last)) if first == last => format!("Every asset starts at {}.", shown(first)),
        (Some(first), Some(last)) => format!("First start {}, last {}.", shown(first), shown(last)),
        _ => String::new(),
    }
}
