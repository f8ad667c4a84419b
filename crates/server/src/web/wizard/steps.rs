//! The pages of the seven steps, filled from the draft.

use super::{Draft, Step};
use crate::app::App;
use crate::http::Error;
use crate::http::auth::PageActor;
use crate::http::form::Fields;
use crate::pages::chips::{Change, Chip, Tone};
use crate::pages::forms::{Fault, Field};
use crate::pages::records::{Fact, Value};
use crate::pages::shell::Shell;
use crate::pages::wizard::{
    AccessPage, ActionRow, ActionsPage, AssetRow, AssetsPage, AuthorRow, BasicPage, ConfirmPage, OptionsPage,
    ReviewPart, WizardFrame,
};
use crate::web::eliminations::denied;
use crate::web::frame::sentence;
use crate::web::people::People;
use crate::web::{jobs, marks, mitigations};
use catalogue::schema::Entry;
use domain::access::{Action, Reach, may, reach};
use domain::id::AssetId;
use domain::job::Kind;
use protocol::api::response::{JobAction, JobAsset};
use std::collections::BTreeMap;
use store::accounts::{self, Account};

/// Why nobody is told although recipients are kept.
const NO_MAIL: &str = "This server has no mail server to hand mail to, so nobody is told. What is entered here is kept \
                       with the job; mail it causes meanwhile waits among the dead letters.";

/// What was typed, where the form came back with faults; else what the draft holds.
pub(super) fn value<'v>(typed: Option<&'v Fields>, name: &str, kept: &'v str) -> &'v str {
    typed.map_or(kept, |typed| typed.one(name))
}

/// S1.04.
pub(super) fn basic(
    shell: Shell,
    frame: WizardFrame,
    draft: &Draft,
    faults: &[Fault],
    typed: Option<&Fields>,
) -> BasicPage {
    let row = &draft.full.row;
    let fields = vec![
        Field::line("title", "Job title", value(typed, "title", &row.title))
            .required()
            .focus()
            .help("Shown in lists and in mail.")
            .faulted(faults),
        Field::text("description", "Description", value(typed, "description", &row.description), 4).faulted(faults),
    ];
    BasicPage { shell, frame, fields }
}

/// S1.05 to S1.08.
pub(super) async fn assets(
    app: &App,
    who: &PageActor,
    mut shell: Shell,
    frame: WizardFrame,
    draft: &Draft,
) -> Result<AssetsPage, Error> {
    let ids: Vec<i64> = draft.job.assets.iter().map(|asset| asset.id).collect();
    let (presence, now) = (app.presence.clone(), app.clock.now());
    let read = app.database.try_read(move |tx| {
        let mut agents = BTreeMap::new();
        for id in ids.iter().copied() {
            if let Some(agent) = store::agents::on_asset(tx, AssetId(id))? {
                let seen = presence.last_seen(agent.id).map_or(agent.last_seen_at, |at| at.max(agent.last_seen_at));
                agents.insert(id, now.seconds_since(seen) > crate::web::agents::SILENT_SECONDS);
            }
        }
        Ok::<_, Error>(agents)
    });
    let agents = read.await?;
    let agent = |id: i64| match agents.get(&id) {
        None => Chip::new(Tone::Warn, "No agent"),
        Some(true) => Chip::new(Tone::Warn, "Silent").titled("It runs the job when it comes back"),
        Some(false) => Chip::new(Tone::Ok, "Connected"),
    };
    let chosen = draft.job.assets.iter().map(|asset| chosen(draft, asset, agent(asset.id))).collect();
    let barred: Vec<AssetRow> = barred(draft);
    let bare = draft.possible.assets.iter().any(|asset| !asset.selectable && asset.reason.starts_with("no agent"));
    // What a removal took along is said here rather than in the corner.
    let removed_note = who.flash.as_ref().filter(|flash| !flash.failed).map(|flash| flash.text.clone());
    if removed_note.is_some() {
        shell.toasts.clear();
    }
    Ok(AssetsPage {
        shell,
        frame,
        chosen,
        barred,
        remove_only: draft.full.row.origin == "elimination",
        remove: format!("{}/remove", Step::Assets.address(&draft.number())),
        removed_note,
        install: bare.then(|| crate::views::selection::INSTALL.to_owned()),
    })
}

fn system(os: &str, platform: &str) -> &'static str {
    let os = os.to_lowercase();
    let known = [("debian", "brand-debian"), ("ubuntu", "brand-ubuntu"), ("red hat", "brand-redhat")];
    known.into_iter().find(|(word, _)| os.contains(word)).map_or(marks::platform(platform).1, |(_, icon)| icon)
}

fn joined(qids: &[i64]) -> String {
    qids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn chosen(draft: &Draft, asset: &JobAsset, agent: Chip) -> AssetRow {
    let scores = draft.scores.get(&AssetId(asset.id));
    AssetRow {
        key: asset.id.to_string(),
        name: asset.name.clone(),
        href: format!("/assets/{}", asset.id),
        ip: asset.ip.clone(),
        os: asset.os.clone(),
        icon: system(&asset.os, draft.full.row.platform.as_str()),
        agent,
        qids: joined(&asset.qids),
        change: scores.map_or_else(Change::default, |scores| Change::new(Some(scores.residual), Some(scores.expected))),
        reason: None,
    }
}

/// Assets with the weakness that cannot be chosen, each once, with the reason.
fn barred(draft: &Draft) -> Vec<AssetRow> {
    let mut rows: BTreeMap<i64, AssetRow> = BTreeMap::new();
    for asset in draft.possible.assets.iter().filter(|asset| !asset.selectable) {
        rows.entry(asset.id).or_insert_with(|| AssetRow {
            key: asset.id.to_string(),
            name: asset.name.clone(),
            href: format!("/assets/{}", asset.id),
            ip: asset.ip.clone(),
            os: String::new(),
            icon: marks::platform(&asset.platform).1,
            agent: Chip::new(Tone::Idle, "No agent"),
            qids: asset.qid.to_string(),
            change: Change::new(Some(asset.residual), None),
            reason: Some(sentence(&asset.reason)),
        });
    }
    rows.into_values().collect()
}

/// The entries of the job with their stored bytes.
async fn bodies(app: &App, draft: &Draft) -> Result<BTreeMap<String, Entry>, Error> {
    let digests: BTreeMap<String, String> =
        draft.job.actions.iter().map(|action| (action.entry.clone(), action.digest.clone())).collect();
    app.database
        .try_read(move |tx| {
            let mut entries = BTreeMap::new();
            for (entry, digest) in &digests {
                if let Some(body) = store::catalogue::body(tx, digest)? {
                    entries.insert(entry.clone(), Entry::from_json(&body).map_err(Error::internal)?);
                }
            }
            Ok(entries)
        })
        .await
}

/// The actions by catalogue entry: one entry may serve several QIDs.
fn by_entry(draft: &Draft) -> BTreeMap<&str, Vec<&JobAction>> {
    let mut entries: BTreeMap<&str, Vec<&JobAction>> = BTreeMap::new();
    for action in &draft.job.actions {
        entries.entry(&action.entry).or_default().push(action);
    }
    entries
}

/// The actions of the draft by entry, and what has to be known of some, in sentences.
pub(super) async fn action_rows(app: &App, draft: &Draft) -> Result<(Vec<ActionRow>, Vec<String>), Error> {
    let bodies = bodies(app, draft).await?;
    let entries = by_entry(draft);
    let removable = entries.len() > 1;
    let rows = entries.iter().filter_map(|(entry, actions)| {
        let first = actions.first()?;
        Some(action_row(draft, first, actions, bodies.get(*entry), removable))
    });
    let rows = rows.collect();
    let risky = entries.keys().filter(|entry| bodies.get(**entry).is_some_and(Entry::needs_approval));
    let risky = risky.map(|entry| format!("{entry} needs an approval: {}.", mitigations::APPROVAL));
    Ok((rows, risky.collect()))
}

/// S1.09.
pub(super) async fn actions(app: &App, shell: Shell, frame: WizardFrame, draft: &Draft) -> Result<ActionsPage, Error> {
    let (rows, risky) = action_rows(app, draft).await?;
    let covered: Vec<i64> = draft.job.actions.iter().map(|action| action.qid).collect();
    let uncovered = draft.qids().into_iter().filter(|qid| !covered.contains(qid));
    let uncovered = uncovered.map(|qid| format!("QID {qid} has no action any more: it stays as it is."));
    let uncovered = uncovered.chain(risky);
    let remove = format!("{}/remove", Step::Actions.address(&draft.number()));
    Ok(ActionsPage { shell, frame, rows, uncovered: uncovered.collect(), remove })
}

fn action_row(
    draft: &Draft,
    first: &JobAction,
    all: &[&JobAction],
    body: Option<&Entry>,
    removable: bool,
) -> ActionRow {
    let mut qids: Vec<i64> = all.iter().map(|action| action.qid).collect();
    qids.sort_unstable();
    qids.dedup();
    let mut covers: Vec<_> = all.iter().flat_map(|action| &action.covers).collect();
    covers.sort_by(|a, b| b.points.cmp(&a.points).then_with(|| a.cve.cmp(&b.cve)));
    let mut cves: Vec<&str> = covers.iter().map(|cover| cover.cve.as_str()).filter(|cve| !cve.is_empty()).collect();
    cves.dedup();
    let on = draft.job.assets.iter().filter(|asset| asset.qids.iter().any(|qid| qids.contains(qid))).count();
    let risk = match first.risk.as_str() {
        "high" => Tone::Fail,
        "medium" => Tone::Warn,
        _ => Tone::Ok,
    };
    let mut notes = vec![
        marks::implication(&first.implication),
        Chip::new(Tone::Info, if first.reversible { "reversible" } else { "no way back" }),
        Chip::new(risk, format!("{} risk", first.risk)),
    ];
    notes.extend(body.and_then(mitigations::follows).map(|text| Chip::new(Tone::Warn, text)));
    ActionRow {
        key: first.entry.clone(),
        title: first.title.clone(),
        entry: format!("{}@{}", first.entry, first.revision),
        details: format!("/mitigations/{}?view=details", first.entry),
        qids: joined(&qids),
        cves: cves.join(", "),
        coverage: covers.first().map_or_else(|| Chip::new(Tone::Idle, "–"), |cover| marks::coverage(&cover.coverage)),
        points: covers.first().map_or(0, |cover| cover.points),
        notes,
        assets: i64::try_from(on).unwrap_or(i64::MAX),
        removable,
    }
}

/// S1.13 to S1.15.
pub(super) fn options(
    shell: Shell,
    frame: WizardFrame,
    draft: &Draft,
    faults: &[Fault],
    typed: Option<&Fields>,
    sends_mail: bool,
) -> OptionsPage {
    let row = &draft.full.row;
    let recipients = draft.full.recipients.join("\n");
    let share = row.mail_percent.unwrap_or(100).to_string();
    let ticked = |name: &str, kept: bool| typed.map_or(kept, |typed| !typed.one(name).is_empty());
    OptionsPage {
        shell,
        frame,
        recipients: Field::text("recipients", "Send mail to", value(typed, "recipients", &recipients), 4)
            .mono()
            .help("One address per line, at most 50.")
            .faulted(faults),
        on_start: ticked("on_start", row.mail_started),
        on_share: ticked("on_share", row.mail_percent.is_some()),
        share: Field::typed(
            "number",
            "share",
            "Percentage of assets that have reported",
            value(typed, "share", &share),
        )
        .faulted(faults),
        no_mail: (!sends_mail).then(|| NO_MAIL.to_owned()),
        after: (row.kind == Kind::Mitigation).then(|| super::after::fields(&draft.full.after, faults, typed)),
        rollout: super::rollout::fields(&draft.full.rollout, faults, typed),
    }
}

fn shown(account: &Account) -> String {
    if account.full_name.is_empty() { account.name.clone() } else { account.full_name.clone() }
}

/// What an account could do on this job as a co-author: its own role decides (R23).
fn allows(draft: &Draft, account: &Account) -> String {
    let record = draft.full.record.clone().shared_with([account.id]);
    let actor = account.actor(None);
    let able: Vec<&str> = [
        (Action::JobEdit, "edit"),
        (Action::JobEnable, "enable"),
        (Action::JobDisable, "disable"),
        (Action::JobCancel, "cancel"),
    ]
    .into_iter()
    .filter(|(action, _)| may(&actor, *action, &record).allowed())
    .map(|(_, word)| word)
    .collect();
    let roles = account.roles.iter().map(|role| role.label()).collect::<Vec<_>>().join(", ");
    match able.split_last() {
        None => format!("{roles}: may look only"),
        Some((only, [])) => format!("{roles}: may {only}"),
        Some((last, others)) => format!("{roles}: may {} and {last}", others.join(", ")),
    }
}

/// S1.16.
pub(super) async fn access(
    app: &App,
    who: &PageActor,
    shell: Shell,
    frame: WizardFrame,
    draft: &Draft,
    faults: &[Fault],
    typed: Option<&Fields>,
) -> Result<AccessPage, Error> {
    let people = reach(&who.actor, Action::PeopleView) == Reach::Everything;
    let now = app.clock.now();
    let (owner, coauthors) = (draft.full.row.owner_id, draft.full.coauthors.clone());
    let read = app.database.try_read(move |tx| {
        let owner = accounts::by_id(tx, owner)?;
        let authors: Result<Vec<_>, _> = coauthors.iter().map(|user| accounts::by_id(tx, *user)).collect();
        let people = if people { People::read(tx, now)? } else { People::none() };
        Ok::<_, Error>((owner, authors?.into_iter().flatten().collect::<Vec<_>>(), people))
    });
    let (owner, authors, people) = read.await?;
    let free = |account: &Account| account.id != draft.full.row.owner_id && !draft.full.coauthors.contains(&account.id);
    let anybody = people.more > 0 || people.known.iter().any(free);
    let add = anybody.then(|| people.field("add", "Add a co-author", value(typed, "add", ""), free).faulted(faults));
    Ok(AccessPage {
        shell,
        frame,
        owner: owner.as_ref().map(shown).unwrap_or_default(),
        authors: authors
            .iter()
            .map(|account| AuthorRow {
                key: account.name.clone(),
                name: shown(account),
                allows: allows(draft, account),
            })
            .collect(),
        add,
        locked: denied(&who.decide(Action::JobShare, &draft.full.record)).map(|reason| sentence(&reason)),
    })
}

/// S1.17 to S1.21.
pub(super) async fn confirm(app: &App, shell: Shell, frame: WizardFrame, draft: &Draft) -> Result<ConfirmPage, Error> {
    let bodies = bodies(app, draft).await?;
    let exact = draft.job.actions.iter().filter_map(|action| {
        let entry = bodies.get(&action.entry)?;
        let steps = mitigations::steps(entry);
        let text = steps.iter().map(|(heading, text)| format!("{heading}\n{text}")).collect::<Vec<_>>().join("\n");
        let verb = if draft.full.row.kind == Kind::Rollback { "what is taken back" } else { "exactly" };
        Some((format!("{}@{}, {verb}", action.entry, action.revision), format!("sha256 {}\n\n{text}", action.digest)))
    });
    let mut exact: Vec<_> = exact.collect();
    exact.dedup();
    let wrong: Vec<String> = draft.wrong.iter().map(|refusal| sentence(&refusal.refusal.sentence)).collect();
    let wrong = (!wrong.is_empty()).then(|| wrong.join(" "));
    Ok(ConfirmPage {
        shell,
        frame,
        parts: parts(draft),
        exact,
        dry_run: format!("/jobs/{}/dry-run", draft.number()),
        first: draft.first(),
        no_enable: jobs::reason(&draft.job.acts, "save_and_enable").filter(|_| draft.first()).map(|why| sentence(&why)),
        no_save: jobs::reason(&draft.job.acts, "save").map(|why| sentence(&why)).or(wrong),
    })
}

fn parts(draft: &Draft) -> Vec<ReviewPart> {
    let job = &draft.job;
    let part = |step: Step, label, facts| ReviewPart { label, href: step.address(&draft.number()), facts };
    let names: Vec<&str> = job.assets.iter().map(|asset| asset.name.as_str()).collect();
    let qids: Vec<i64> = draft.qids().into_iter().collect();
    let entries = by_entry(draft);
    let titles: Vec<&str> =
        entries.values().filter_map(|actions| actions.first()).map(|action| action.title.as_str()).collect();
    let mut when = vec![Fact::new("Start", Value::text(job.summary.schedule.clone()))];
    let lines = super::schedule::lines(&draft.preview);
    if !lines.is_empty() {
        when.push(Fact::new(if lines.len() == 1 { "Instant" } else { "Next runs" }, Value::text(lines.join("\n"))));
    }
    if draft.full.row.standing {
        when.push(Fact::new(
            "Standing",
            Value::text("targets are chosen anew at each run, and what drifts is put back"),
        ));
    }
    let mut assets =
        vec![Fact::new("Assets", Value::text(names.join(", "))), Fact::new("QIDs", Value::code(joined(&qids)))];
    if let Some(chosen) = &draft.free {
        assets.push(Fact::new("Chosen by", Value::text(super::free::in_words(&chosen.plan.selection))));
    }
    let mail = crate::web::job::mail(job);
    let mail = if mail.is_empty() { "no mail".to_owned() } else { mail };
    vec![
        part(
            Step::Basic,
            "Basic information",
            vec![
                Fact::new("Title", Value::text(job.summary.title.clone())),
                Fact::new("Description", Value::text(job.description.clone())),
            ],
        ),
        part(Step::Assets, "Select assets", assets),
        part(Step::Actions, "Select actions", vec![Fact::new("Actions", Value::text(titles.join("; ")))]),
        part(Step::Schedule, "Schedule", when),
        part(
            Step::Options,
            "Options",
            vec![
                Fact::new("Mail", Value::text(mail)),
                Fact::new("Afterwards", Value::text(super::after::words(draft))),
                Fact::new("Rollout", Value::text(draft.full.rollout.sentence())),
            ],
        ),
        part(
            Step::Access,
            "Job access",
            vec![
                Fact::new("Owner", Value::text(job.summary.owner.clone())),
                Fact::new("Co-authors", Value::text(job.coauthors.join(", "))),
            ],
        ),
    ]
}
