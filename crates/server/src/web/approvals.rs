//! `/approvals`: what waits for a second person, with the plan; `/jobs/{number}/dry-run`: what a job would change.

use super::frame::{Show, again, faults, frame, sentence};
use super::{jobs as job_pages, marks, mitigations};
use crate::api::approvals::{NEWEST_FIRST, state as state_of};
use crate::api::jobs::ordinal;
use crate::app::App;
use crate::engine::approvals::{self, Seen};
use crate::engine::{dry_run, jobs};
use crate::http::Error;
use crate::http::auth::PageActor;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::pages::approvals::{
    AnswerRow, ApprovalPage, ApprovalRow, ApprovalsPage, DryRunPage, ItemRow, PlanEntry, PlanMachine, diff,
};
use crate::pages::forms::{DialogPage, Faults};
use crate::pages::jobs::CountPart;
use crate::pages::lists::{Action as Button, Pager, Tab, address};
use crate::pages::records::{Fact, Value};
use crate::pages::{Change, Chip, Fault, Field, Section, Tone, When};
use crate::views;
use axum::Router;
use axum::extract::{Path, Query as Asked, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use catalogue::schema::Entry;
use domain::access::{Action, Record};
use domain::approval::{Policy, State as At};
use domain::filter::{Context, Filter};
use domain::refusal::Refusal;
use protocol::api::response::{Approval, DryRun, DryRunAnswer, DryRunBody};
use protocol::approval::Plan;
use serde::Deserialize;
use store::list::{self, Order, Query};

/// Requests on one page.
const SHOWN: u32 = 100;
/// Machines of a plan shown on its page.
const MACHINES_MAX: usize = 200;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/approvals", get(requests))
        .route("/approvals/{id}", get(show))
        .route("/approvals/{id}/sign", post(sign))
        .route("/approvals/{id}/reject", get(reject_form).post(reject))
        .route("/jobs/{number}/dry-run", get(show_dry_run).post(begin_dry_run))
}

#[derive(Debug, Deserialize)]
struct View {
    /// Which state; absent = those that wait.
    state: Option<String>,
    /// Where the page begins; absent = at the newest.
    #[serde(default)]
    cursor: String,
}

fn chip(state: At) -> Chip {
    match state {
        At::Pending => Chip::new(Tone::Warn, "Waiting"),
        At::Approved => Chip::new(Tone::Ok, "Approved"),
        At::Rejected => Chip::new(Tone::Fail, "Rejected"),
        At::Void => Chip::new(Tone::Idle, "Void"),
        At::Expired => Chip::new(Tone::Idle, "Expired"),
    }
}

fn class_chip(class: i64) -> Chip {
    let tone = if class >= 3 { Tone::Fail } else { Tone::Warn };
    Chip::new(tone, format!("Class {class}"))
}

fn in_words(policy: Policy) -> String {
    let from = if policy.from_class <= 1 {
        "every action that changes something"
    } else {
        "actions of high risk, and those that need a reboot"
    };
    format!("A second person is asked for {from}, and always for what cannot be undone.")
}

async fn requests(State(app): State<App>, who: PageActor, Asked(view): Asked<View>) -> Result<Response, Error> {
    who.may(Action::JobsView, &Record::default())?;
    let word = view.state.unwrap_or_else(|| "pending".to_owned());
    let clip = store::approvals::within(state_of(if word == "all" { "" } else { &word })?, &who.scope);
    let query = Query {
        order: Order::parse(NEWEST_FIRST),
        limit: SHOWN,
        cursor: Some(view.cursor.clone()).filter(|cursor| !cursor.is_empty()),
        ..Query::new(Filter::Everything, Context::at(app.clock.now()))
    };
    let read = app.database.try_read(move |tx| {
        let page = list::page::<store::approvals::ApprovalRow>(tx, &store::approvals::LIST, clip.clone(), &query)?;
        Ok::<_, Error>((page, approvals::policy(tx)?))
    });
    let (found, policy) = read.await?;
    let there = |cursor: &str| address("/approvals", &[("state", &word), ("cursor", cursor)]);
    let pager =
        Pager { previous: (!view.cursor.is_empty()).then(|| there("")), next: found.next_cursor.as_deref().map(there) };
    let tab = |label: &str, of: &str| Tab {
        label: label.to_owned(),
        count: None,
        href: address("/approvals", &[("state", of)]),
        current: of == word,
    };
    let tabs = vec![
        tab("Waiting", "pending"),
        tab("Approved", "approved"),
        tab("Rejected", "rejected"),
        tab("Expired", "expired"),
        tab("All", "all"),
    ];
    let now = app.clock.now().to_jiff();
    let rows = found.rows.iter().map(|row| ApprovalRow {
        href: format!("/approvals/{}", row.id),
        job: format!("{} run {}", store::jobs::name(row.job_number), row.run_ordinal),
        title: row.job_title.clone(),
        state: chip(row.state),
        signed: format!("{} of {}", row.signatures, row.needed),
        class: class_chip(row.class),
        machines: row.machines,
        asker: row.requested_by.clone(),
        asked: When::near(row.requested_at.to_jiff(), now),
        until: When::near(row.valid_until.to_jiff(), now),
    });
    let rows = rows.collect();
    let shell = frame(&app, &who, Section::Approvals, "Approvals").await?;
    Ok(Show(ApprovalsPage { shell, tabs, policy: in_words(policy), rows, pager }).into_response())
}

async fn look(app: &App, who: &PageActor, id: i64) -> Result<(Seen, Approval), Error> {
    let (asker, now) = (who.caller.clone(), app.clock.now());
    app.database
        .try_read(move |tx| {
            let seen = approvals::load(tx, &asker, id)?;
            let body = views::approvals::approval(tx, &asker, &seen, now)?;
            Ok((seen, body))
        })
        .await
}

async fn show(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    Ok(Show(page(&app, &who, id, "", Vec::new()).await?).into_response())
}

async fn page(app: &App, who: &PageActor, id: i64, typed: &str, faults: Vec<Fault>) -> Result<ApprovalPage, Error> {
    let (seen, body) = look(app, who, id).await?;
    let plan = Plan::read(&body.plan).map_err(|fault| unreadable(&fault))?;
    let summary = &body.summary;
    let reason = body.acts.iter().find(|act| !act.allowed).map(|act| sentence(&act.reason));
    let pending = seen.row.state == At::Pending;
    let title = format!("Approval of {} run {}", summary.job, summary.run);
    let mut shell = frame(app, who, Section::Approvals, title).await?.under("Approvals", "/approvals");
    if pending {
        let reject = Button::show("Reject", format!("/approvals/{id}/reject")).icon("ban").danger();
        shell.actions.push(reject.unless(reason.clone()));
    }
    let entries = plan.entries.iter().map(entry).collect::<Result<Vec<_>, Error>>()?;
    let machines = plan.assets.iter().take(MACHINES_MAX).map(|asset| PlanMachine {
        name: asset.name.clone(),
        ip: asset.ip.clone(),
        wave: asset.wave,
        due: When::exact(asset.due_at.to_jiff()),
        start_by: asset.start_by.map(|last| When::exact(last.to_jiff())),
        entries: asset.entries.join(", "),
        agent: asset.agent_id.to_string(),
    });
    let server = app.site.public_url.as_str().trim_end_matches('/');
    let command = format!("quell --server {server} approvals approve {} --key organisation.pem", summary.job);
    let envelope = Field::text("envelope", "Or paste an envelope that was signed elsewhere", typed, 5)
        .help("What `quell approvals approve --offline` writes.")
        .mono()
        .faulted(&faults);
    Ok(ApprovalPage {
        shell,
        state: chip(seen.row.state),
        line: line(&seen),
        facts: facts(&seen, &plan),
        rollout: plan.words().into_iter().map(|(label, text)| Fact::new(label, Value::text(text))).collect(),
        entries,
        machines: machines.collect(),
        more: i64::try_from(plan.assets.len().saturating_sub(MACHINES_MAX)).unwrap_or(i64::MAX),
        command: pending.then_some(command),
        reason,
        to: format!("/approvals/{id}/sign"),
        envelope,
        faults: Faults(faults),
        manifest: body.manifest,
    })
}

/// A plan of a version before this program's is not shown as if it told everything.
fn unreadable(fault: &protocol::approval::PlanFault) -> Error {
    // Of another version the fault itself says what to do.
    let advice = match fault {
        protocol::approval::PlanFault::Version(_) => "",
        _ => "; disable the job and enable it again to ask anew",
    };
    Refusal::new("approval_unreadable", format!("{fault}{advice}")).into()
}

fn line(seen: &Seen) -> String {
    let row = &seen.row;
    match row.state {
        At::Pending => format!("{} of {} signatures. The run starts nothing before.", row.signatures, row.needed),
        At::Approved => format!("Signed with {} of {} keys, last by {}.", row.signatures, row.needed, row.decided_by),
        At::Rejected => format!("Rejected by {}: {}", row.decided_by, row.reason),
        At::Void | At::Expired => sentence(&row.reason),
    }
}

fn facts(seen: &Seen, plan: &Plan) -> Vec<Fact> {
    let row = &seen.row;
    let job = store::jobs::name(row.job_number);
    let score = plan.score;
    vec![
        Fact::new("Job", Value::link(format!("{job} {}", row.job_title), format!("/jobs/{job}"))),
        Fact::new("Asked by", Value::text(plan.requested_by.clone())),
        Fact::new("Asked", Value::When(When::exact(row.requested_at.to_jiff()))),
        Fact::new("Schedule", Value::text(plan.schedule.clone())),
        Fact::new("Holds until", Value::When(When::exact(row.valid_until.to_jiff()))),
        Fact::new("Highest class", Value::Chip(class_chip(row.class))),
        Fact::new("Machines", Value::text(row.machines.to_string())),
        Fact::new(
            "Scores if all succeed",
            Value::text(format!(
                "sum {} to {} over {} items, {} mitigated",
                score.before, score.after, score.items, score.mitigated
            )),
        ),
        Fact::new("Manifest", Value::code(row.manifest_digest.clone())),
    ]
}

/// An entry from the very bytes whose digest is signed.
fn entry(of: &protocol::approval::PlanEntry) -> Result<PlanEntry, Error> {
    let read = Entry::from_json(of.body.as_bytes()).map_err(Error::internal)?;
    let mut shown = vec![
        class_chip(of.class.into()),
        Chip::new(Tone::Info, format!("{} risk", marks::words(read.human.risk.as_str()))),
        match read.after.reversible.as_str() {
            "yes" => Chip::new(Tone::Ok, "Reversible"),
            "no" => Chip::new(Tone::Fail, "No way back"),
            _ => Chip::new(Tone::Warn, "Reversible with a reboot"),
        },
    ];
    shown.extend(mitigations::follows(&read).map(|text| Chip::new(Tone::Warn, text)));
    Ok(PlanEntry {
        title: read.title.to_string(),
        name: format!("{}@{}", of.id, of.revision),
        marks: shown,
        summary: read.human.summary.to_string(),
        side_effects: read.human.side_effects.to_string(),
        steps: mitigations::steps(&read),
        digest: of.digest.to_string(),
    })
}

async fn sign(State(app): State<App>, who: PageActor, Path(id): Path<i64>, form: Fields) -> Result<Response, Error> {
    let envelope = form.one("envelope").to_owned();
    let here = format!("/approvals/{id}");
    match approvals::sign(&app, &who, id, envelope.clone()).await {
        Ok(seen) if seen.row.state == At::Approved => {
            let text = format!("{} is approved and goes on.", store::jobs::name(seen.row.job_number));
            Ok(flash::redirect(&here, Some(Flash::done(text))))
        }
        Ok(_) => Ok(flash::redirect(&here, Some(Flash::done("The signature is kept; more are needed.".to_owned())))),
        Err(Error::Invalid(fields)) => {
            let faults = faults(Error::Invalid(fields), |field| field)?;
            Ok(again(page(&app, &who, id, &envelope, faults).await?))
        }
        Err(error) => Ok(flash::redirect(&here, Some(Flash { failed: true, ..Flash::done(job_pages::said(error)?) }))),
    }
}

async fn reject_page(
    app: &App,
    who: &PageActor,
    id: i64,
    reason: &str,
    faults: Vec<Fault>,
) -> Result<DialogPage, Error> {
    let (seen, _) = look(app, who, id).await?;
    let job = store::jobs::name(seen.row.job_number);
    let shell = frame(app, who, Section::Approvals, format!("Reject {job}")).await?.under("Approvals", "/approvals");
    Ok(DialogPage {
        shell,
        to: format!("/approvals/{id}/reject"),
        text: "The run is taken back and the job disabled. Its author reads the reason.".to_owned(),
        fields: vec![Field::text("reason", "Reason", reason, 3).required().focus().faulted(&faults)],
        faults: Faults(faults),
        verb: "Reject",
        back: format!("/approvals/{id}"),
    })
}

async fn reject_form(State(app): State<App>, who: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    Ok(Show(reject_page(&app, &who, id, "", Vec::new()).await?).into_response())
}

async fn reject(State(app): State<App>, who: PageActor, Path(id): Path<i64>, form: Fields) -> Result<Response, Error> {
    let reason = form.one("reason").to_owned();
    let here = format!("/approvals/{id}");
    match approvals::reject(&app, &who, id, reason.clone()).await {
        Ok(seen) => {
            let text = format!("{} is rejected and disabled.", store::jobs::name(seen.row.job_number));
            Ok(flash::redirect(&here, Some(Flash::done(text))))
        }
        Err(Error::Invalid(fields)) => {
            let faults = faults(Error::Invalid(fields), |field| field)?;
            Ok(again(reject_page(&app, &who, id, &reason, faults).await?))
        }
        Err(error) => Ok(flash::redirect(&here, Some(Flash { failed: true, ..Flash::done(job_pages::said(error)?) }))),
    }
}

async fn begin_dry_run(State(app): State<App>, who: PageActor, Path(number): Path<String>) -> Result<Response, Error> {
    let here = format!("/jobs/{number}/dry-run");
    let flash = match dry_run::begin(&app, &who, ordinal(&number)?).await {
        Ok(_) => None,
        Err(error) => Some(Flash { failed: true, ..Flash::done(job_pages::said(error)?) }),
    };
    Ok(flash::redirect(&here, flash))
}

async fn show_dry_run(State(app): State<App>, who: PageActor, Path(number): Path<String>) -> Result<Response, Error> {
    let (asker, ordinal) = (who.caller.clone(), ordinal(&number)?);
    let read = app.database.try_read(move |tx| {
        let job = jobs::load(tx, &asker, ordinal)?;
        let body = views::approvals::dry_run(tx, &asker, &job)?;
        Ok::<_, Error>((job, body))
    });
    let (job, DryRunBody { dry_run, refused }) = read.await?;
    let title = format!("Dry run of {number}");
    let mut shell = frame(&app, &who, Section::Jobs, title)
        .await?
        .under("Mitigation jobs", "/jobs")
        .under(number.clone(), format!("/jobs/{number}"));
    let verb = if dry_run.is_some() { "Run it dry again" } else { "Begin the dry run" };
    let begin = Button::post(verb, format!("/jobs/{number}/dry-run")).icon("eye").primary();
    shell.actions.push(begin.unless((!refused.is_empty()).then(|| refused.clone())));
    let empty = || DryRunPage {
        shell: shell.clone(),
        title: job.row.title.clone(),
        live_from: None,
        any: false,
        line: String::new(),
        note: None,
        counts: Vec::new(),
        facts: Vec::new(),
        answers: Vec::new(),
        items: Vec::new(),
    };
    let page = dry_run.map_or_else(empty, |run| filled(empty(), &number, job.hidden, run));
    Ok(Show(page).into_response())
}

const VERDICTS: [(&str, Tone, &str, &str); 6] = [
    ("changes", Tone::Run, "Would change", "would change"),
    ("in_place", Tone::Ok, "In place", "in place already"),
    ("not_applicable", Tone::Idle, "Not applicable", "not applicable"),
    ("would_fail", Tone::Fail, "Would fail", "would fail"),
    ("no_answer", Tone::Warn, "No answer", "without an answer"),
    ("waiting", Tone::Sched, "Waiting", "waited for"),
];

fn filled(page: DryRunPage, number: &str, hidden: usize, run: DryRun) -> DryRunPage {
    let of = |word: &str| run.answers.iter().filter(|answer| answer.verdict == word).count();
    let counts = VERDICTS.iter().map(|(word, tone, _, label)| CountPart {
        tone: *tone,
        number: i64::try_from(of(word)).unwrap_or(i64::MAX),
        label,
    });
    let state = if run.ended_at.is_some() { "Over." } else { "Agents are being asked." };
    let started = run.started_at.to_jiff().strftime("%Y-%m-%d %H:%M:%S UTC");
    let mut notes = Vec::new();
    if run.outdated {
        notes.push("The job has other machines or actions since; run it dry again.".to_owned());
    }
    if hidden > 0 {
        notes.push(format!("{hidden} assets outside your asset scope are not shown."));
    }
    let score = &run.score;
    DryRunPage {
        live_from: run.ended_at.is_none().then(|| format!("/jobs/{number}/dry-run")),
        any: true,
        line: format!("Begun {started}. {state}"),
        note: (!notes.is_empty()).then(|| notes.join(" ")),
        counts: counts.filter(|part| part.number > 0).collect(),
        facts: vec![
            Fact::new("Items concerned", Value::text(score.items.to_string())),
            Fact::new("Sum of their scores", Value::text(format!("{} now, {} then", score.before, score.after))),
            Fact::new("Mitigated", Value::text(format!("{} now, {} then", score.mitigated_before, score.mitigated))),
        ],
        answers: run.answers.iter().map(answer).collect(),
        items: run
            .items
            .into_iter()
            .map(|item| ItemRow {
                number: item.number,
                asset: item.asset_name,
                title: item.title,
                qid: item.qid,
                change: Change::new(Some(i64::from(item.before)), Some(i64::from(item.after))),
                mitigation: then(&item.mitigation),
            })
            .collect(),
        ..page
    }
}

fn then(word: &str) -> Chip {
    match word {
        "mitigated" => Chip::new(Tone::Mit, "Mitigated"),
        "partial" => Chip::new(Tone::Warn, "Partly mitigated"),
        "drifted" => Chip::new(Tone::Fail, "Drifted"),
        _ => Chip::new(Tone::Idle, "Not mitigated"),
    }
}

fn answer(answer: &DryRunAnswer) -> AnswerRow {
    let verdict = VERDICTS.iter().find(|(word, ..)| *word == answer.verdict);
    let chip = verdict
        .map_or_else(|| Chip::new(Tone::Idle, answer.verdict.clone()), |(_, tone, label, _)| Chip::new(*tone, *label));
    let change = |change: &protocol::api::response::DryRunChange| {
        let what = format!("{} {}", change.kind, change.target);
        (what, change.before.clone(), change.after.clone(), diff(&change.diff))
    };
    AnswerRow {
        asset: answer.asset_name.clone(),
        href: format!("/assets/{}", answer.asset),
        title: answer.title.clone(),
        verdict: chip,
        message: answer.message.clone(),
        changes: answer.changes.iter().map(change).collect(),
    }
}
