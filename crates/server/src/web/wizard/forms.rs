//! What the forms of the steps do: an edit of the draft by the engine, then the next step; and at the end Save, or Save
//! and Enable.

use super::{Draft, Step, answer, load};
use crate::api::jobs as api;
use crate::app::App;
use crate::engine::jobs::{self, Patch};
use crate::http::Error;
use crate::http::auth::PageActor;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::pages::forms::Fault;
use crate::web::frame::sentence;
use axum::extract::{Path, State};
use axum::response::Response;
use domain::id::{AssetId, VulnerabilityId};
use domain::job::{Act, Kind, Review, review};
use std::collections::BTreeSet;

/// A change that a form asks for, or what is wrong with it.
type Asked = Result<Option<Patch>, Vec<Fault>>;

/// A step's form.
pub(super) async fn submit(
    State(app): State<App>,
    who: PageActor,
    Path((number, step)): Path<(String, String)>,
    form: Fields,
) -> Result<Response, Error> {
    let step = Step::parse(&step)?;
    let draft = load(&app, &who, &number).await?;
    if step == Step::Confirm {
        return finish(&app, &who, &draft, &form).await;
    }
    if draft.free.is_some() && matches!(step, Step::Assets | Step::Actions) {
        return super::free::submit(&app, &who, &draft, step, &form).await;
    }
    let asked = match step {
        Step::Basic => basic(&draft, &form),
        Step::Schedule => schedule(&draft, &form),
        Step::Options => options(&draft, &form),
        Step::Access => access(&app, &who, &draft, &form).await?,
        Step::Assets | Step::Actions | Step::Confirm => left(&draft, step, &form),
    };
    let patch = match asked {
        Ok(patch) => patch,
        Err(faults) => return answer(&app, &who, &draft, step, faults, &form).await,
    };
    if let Some(patch) = patch {
        let edited = jobs::edit(&app, &who, draft.full.row.number, version(&form, &draft), patch).await;
        if let Err(error) = edited {
            let faults = form_faults(error)?;
            return answer(&app, &who, &draft, step, faults, &form).await;
        }
    }
    let next = match form.one("then") {
        "close" if draft.first() => "/jobs".to_owned(),
        "close" => format!("/jobs/{number}"),
        "stay" => step.address(&number),
        // A button that removes a person says so by its own name.
        _ if !form.one("drop").is_empty() => step.address(&number),
        _ => step.after().unwrap_or(step).address(&number),
    };
    let said = (form.one("then") == "close").then(|| Flash::done(format!("{number} is kept as a draft.")));
    Ok(flash::redirect(&next, said.filter(|_| draft.first())))
}

/// The version the person has seen.
pub(super) fn version(form: &Fields, draft: &Draft) -> i64 {
    form.one("version").parse().unwrap_or(draft.full.row.version)
}

/// The faults of an edit, under the names that the forms use.
fn form_faults(error: Error) -> Result<Vec<Fault>, Error> {
    match error {
        Error::Invalid(fields) => Ok(fields
            .iter()
            .map(|field| {
                let name = field.field.split('.').next().unwrap_or_default();
                Fault::new(form_name(name, &field.code), sentence(&field.message))
            })
            .collect()),
        other => Ok(vec![Fault::new("", crate::web::jobs::said(other)?)]),
    }
}

fn form_name(field: &str, code: &str) -> String {
    match (field, code) {
        ("schedule", code) => super::schedule::field(code),
        ("mail_percent", _) => "share",
        ("coauthors", _) => "add",
        ("after", "bad_expiry") => "expires_days",
        ("after", "expiry_past" | "expiry_twice") => "expires_at",
        ("after", "review_past") => "review_at",
        (other, _) => other,
    }
    .to_owned()
}

/// What would keep the job from being saved with these values, as far as this step can mend it.
fn wrong(step: Step, job: &Review<'_>) -> Vec<Fault> {
    let own = review(job).into_iter().filter(|refusal| Step::of_field(refusal.field) == step);
    own.map(|refusal| Fault::new(form_name(refusal.field, ""), sentence(&refusal.refusal.sentence))).collect()
}

fn reviewed<'d>(draft: &'d Draft) -> Review<'d> {
    Review {
        title: &draft.full.row.title,
        description: &draft.full.row.description,
        assets: draft.job.assets.len(),
        actions: draft.job.actions.len(),
        recipients: &draft.full.recipients,
        mail_percent: draft.full.row.mail_percent,
    }
}

/// What is kept when nothing is wrong: a change, or none where the form says what the draft holds already.
fn unless(faults: Vec<Fault>, patch: Option<Patch>) -> Asked {
    if faults.is_empty() { Ok(patch) } else { Err(faults) }
}

/// Steps without fields of their own; one asset has to be left (S1.08), and one action.
fn left(draft: &Draft, step: Step, form: &Fields) -> Asked {
    let closing = form.one("then") == "close";
    unless(if closing { Vec::new() } else { wrong(step, &reviewed(draft)) }, None)
}

fn basic(draft: &Draft, form: &Fields) -> Asked {
    let (title, description) = (form.one("title"), form.one("description"));
    let faults = wrong(Step::Basic, &Review { title, description, ..reviewed(draft) });
    let row = &draft.full.row;
    let changed = title != row.title || description != row.description;
    let patch = Patch { title: Some(title.to_owned()), description: Some(description.to_owned()), ..Patch::default() };
    unless(faults, changed.then_some(patch))
}

fn schedule(draft: &Draft, form: &Fields) -> Asked {
    let schedule = super::schedule::read(form)?;
    let standing = !form.one("standing").is_empty();
    let changed = schedule != draft.full.schedule || standing != draft.full.row.standing;
    let patch = Patch { schedule: Some(schedule), standing: Some(standing), ..Patch::default() };
    Ok(changed.then_some(patch))
}

fn options(draft: &Draft, form: &Fields) -> Asked {
    let lines = form.one("recipients").split(['\n', ',', ';']);
    let recipients: Vec<String> = lines.map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    let (on_start, on_share) = (!form.one("on_start").is_empty(), !form.one("on_share").is_empty());
    // What is no number gets the answer of one out of bounds.
    let share = on_share.then(|| form.one("share").parse::<i64>().unwrap_or(-1));
    let mut faults = wrong(Step::Options, &Review { recipients: &recipients, mail_percent: share, ..reviewed(draft) });
    if (on_start || on_share) && recipients.is_empty() {
        faults.push(Fault::new("recipients", "Say who gets the mail."));
    }
    let after = match super::after::asked(form) {
        Ok(after) => after,
        Err(mut wrong) => {
            faults.append(&mut wrong);
            draft.full.after.clone()
        }
    };
    let rollout = match super::rollout::asked(draft, form) {
        Ok(rollout) => rollout,
        Err(mut wrong) => {
            faults.append(&mut wrong);
            draft.full.rollout.clone()
        }
    };
    let row = &draft.full.row;
    let changed = rollout != draft.full.rollout
        || after != draft.full.after
        || (&recipients, on_start, share) != (&draft.full.recipients, row.mail_started, row.mail_percent);
    let patch = Patch {
        recipients: Some(recipients),
        mail_started: Some(on_start),
        mail_percent: Some(share),
        after: (draft.full.row.kind == Kind::Mitigation).then_some(after),
        rollout: Some(rollout),
        ..Patch::default()
    };
    unless(faults, changed.then_some(patch))
}

async fn access(app: &App, who: &PageActor, draft: &Draft, form: &Fields) -> Result<Asked, Error> {
    let mut names: Vec<String> = draft.job.coauthors.clone();
    names.retain(|name| name != form.one("drop"));
    let added = form.one("add");
    if !added.is_empty() && !names.iter().any(|name| name == added) {
        names.push(added.to_owned());
    }
    if names == draft.job.coauthors {
        return Ok(Ok(None));
    }
    who.may(domain::access::Action::JobShare, &draft.full.record)?;
    let found = app.database.try_read(move |tx| api::users(tx, &names)).await;
    Ok(match found {
        Ok(users) => Ok(Some(Patch { coauthors: Some(users), ..Patch::default() })),
        Err(error) => Err(form_faults(error)?),
    })
}

/// Save (S1.19), or Save and Enable (S1.21).
async fn finish(app: &App, who: &PageActor, draft: &Draft, form: &Fields) -> Result<Response, Error> {
    let number = draft.number();
    if form.one("then") == "close" {
        return Ok(flash::redirect("/jobs", Some(Flash::done(format!("{number} is kept as a draft.")))));
    }
    let enable = form.one("then") == "enable";
    if version(form, draft) != draft.full.row.version {
        let fault = Fault::new("", "Somebody else changed the job since you opened this page. Review it again.");
        return answer(app, who, draft, Step::Confirm, vec![fault], form).await;
    }
    let act = if enable { Act::SaveAndEnable } else { Act::Save };
    match jobs::act(app, who, draft.full.row.number, act).await {
        Ok(_) if enable => Ok(flash::redirect(
            &format!("/jobs/{number}"),
            Some(Flash::done(format!("{number} is saved and enabled."))),
        )),
        Ok(_) if draft.first() => {
            let flash = Flash::done(format!("{number} is saved, disabled.")).link("View", format!("/jobs/{number}"));
            Ok(flash::redirect("/jobs", Some(flash)))
        }
        Ok(_) => Ok(flash::redirect(&format!("/jobs/{number}"), Some(Flash::done(format!("{number} is saved."))))),
        Err(error) => {
            let faults = form_faults(error)?;
            answer(app, who, draft, Step::Confirm, faults, form).await
        }
    }
}

/// Takes an asset out, and the QIDs that no other asset of the job has (S1.06, S1.07, R4).
pub(super) async fn remove_asset(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    form: Fields,
) -> Result<Response, Error> {
    let draft = load(&app, &who, &number).await?;
    let gone = form.one("asset").parse::<i64>().map(AssetId).ok();
    let Some(removed) = draft.job.assets.iter().find(|asset| Some(AssetId(asset.id)) == gone) else {
        return Ok(flash::redirect(&Step::Assets.address(&number), None));
    };
    let left: Vec<AssetId> =
        draft.job.assets.iter().map(|asset| AssetId(asset.id)).filter(|asset| Some(*asset) != gone).collect();
    let targets = draft.full.targets.iter().filter(|target| Some(target.asset) != gone);
    let still: BTreeSet<VulnerabilityId> = targets.map(|target| target.vulnerability).collect();
    let kept: BTreeSet<i64> =
        draft.job.assets.iter().filter(|a| a.id != removed.id).flat_map(|a| a.qids.clone()).collect();
    let lost: Vec<String> = removed.qids.iter().filter(|qid| !kept.contains(qid)).map(ToString::to_string).collect();
    let actions =
        draft.full.actions.iter().filter(|(vulnerability, _)| still.contains(vulnerability)).copied().collect();
    let patch = Patch { assets: Some(left), actions: Some(actions), ..Patch::default() };
    let text = match lost.as_slice() {
        [] => format!("{} was removed.", removed.name),
        [one] => format!("{} was removed. QID {one} went with it: no other asset has it.", removed.name),
        several => {
            format!("{} was removed. QIDs {} went with it: no other asset has them.", removed.name, several.join(", "))
        }
    };
    edited(&app, &who, &draft, Step::Assets, &form, patch, &text).await
}

/// Takes an action out, for every QID it is for.
pub(super) async fn remove_action(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    form: Fields,
) -> Result<Response, Error> {
    let draft = load(&app, &who, &number).await?;
    let entry = form.one("action").to_owned();
    let (gone, all) = (entry.clone(), draft.full.actions.clone());
    // By name: a rollback may be of a revision that is not the current one.
    let left = app.database.try_read(move |tx| {
        let mut left = Vec::new();
        for (vulnerability, key) in &all {
            if store::catalogue::entry(tx, *key)?.entry != gone {
                left.push((*vulnerability, *key));
            }
        }
        Ok::<_, Error>(left)
    });
    let actions = left.await?;
    let patch = Patch { actions: Some(actions), ..Patch::default() };
    edited(&app, &who, &draft, Step::Actions, &form, patch, &format!("{entry} was removed.")).await
}

async fn edited(
    app: &App,
    who: &PageActor,
    draft: &Draft,
    step: Step,
    form: &Fields,
    patch: Patch,
    text: &str,
) -> Result<Response, Error> {
    match jobs::edit(app, who, draft.full.row.number, version(form, draft), patch).await {
        Ok(_) => Ok(flash::redirect(&step.address(&draft.number()), Some(Flash::done(text)))),
        Err(error) => {
            let faults = form_faults(error)?;
            answer(app, who, draft, step, faults, form).await
        }
    }
}
