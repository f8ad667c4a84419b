//! Steps 2 and 3 of a free-standing job: assets by query, tags and one by one, and what is done on them. The same edits as
//! by the API; what the fields come to is shown while they are filled in.

use super::{Draft, Step, answer, load, steps};
use crate::app::App;
use crate::engine::jobs::{self, Patch};
use crate::engine::selection::{self as engine, Asked, Choose, Plan};
use crate::http::Error;
use crate::http::auth::PageActor;
use crate::http::flash;
use crate::http::form::Fields;
use crate::pages::forms::{Choice, Fault, Field};
use crate::pages::lists::address;
use crate::pages::selection::{FreeActionsPage, FreeAssetsPage, OfferRow, Who, WhoRow};
use crate::pages::shell::Shell;
use crate::pages::wizard::WizardFrame;
use crate::views;
use crate::web::frame::{Show, sentence};
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use domain::filter::{Context, Filter};
use domain::id::AssetId;
use domain::selection::{Match, Selection, TagRule};
use protocol::api::selection::{SelectedAsset, SelectionBody};
use std::collections::BTreeSet;
use store::assets::{self, AssetRow};
use store::list::{self, Query};

/// Rows of either kind on the page at most.
const SHOWN: usize = 100;
/// Assets found at most.
const FOUND_MAX: u32 = 20;
/// Known tags named below the field.
const TAGS_NAMED: usize = 12;

/// What a free-standing draft chooses, and what that comes to for who looks.
pub(super) struct Chosen {
    pub plan: Plan,
    pub body: SelectionBody,
}

/// What the draft chooses; `None` for a job made from eliminations.
pub(super) fn chosen(
    tx: &mut store::Transaction<'_>,
    who: &PageActor,
    full: &jobs::Job,
    now: domain::time::Timestamp,
) -> Result<Option<Chosen>, Error> {
    let Some((plan, _)) = engine::plan(tx, &full.row)? else { return Ok(None) };
    let scopes = [who.scope.clone()];
    let asked = Asked { platform: full.row.platform, scopes: &scopes, lenient: true, now };
    let resolved = engine::resolve(tx, &plan, &asked)?;
    let body = views::selection::body(tx, &plan, full.row.platform, &resolved)?;
    Ok(Some(Chosen { plan, body }))
}

/// The form of step 2 or 3.
pub(super) async fn submit(
    app: &App,
    who: &PageActor,
    draft: &Draft,
    step: Step,
    form: &Fields,
) -> Result<Response, Error> {
    let kept = draft.free.as_ref().map(|chosen| chosen.plan.clone()).unwrap_or_default();
    let patch = if step == Step::Assets {
        let wanted = picked(form);
        (wanted != kept.selection).then(|| Patch { selection: Some(wanted), ..Patch::default() })
    } else {
        let wanted = done(form);
        (wanted != kept.choose).then(|| Patch { choose: Some(wanted), ..Patch::default() })
    };
    if let Some(patch) = patch {
        let edited = jobs::edit(app, who, draft.full.row.number, super::forms::version(form, draft), patch).await;
        if let Err(error) = edited {
            let faults = faults(error)?;
            return answer(app, who, draft, step, faults, form).await;
        }
    }
    let number = draft.number();
    let here = match (step, form.one("find")) {
        (Step::Assets, find) => address(&step.address(&number), &[("find", find)]),
        _ => step.address(&number),
    };
    let stays = ["drop", "take", "back"].iter().any(|name| !form.one(name).is_empty());
    match form.one("then") {
        "close" if draft.first() => return Ok(flash::redirect("/jobs", Some(kept_as_draft(&number)))),
        "close" => return Ok(flash::redirect(&format!("/jobs/{number}"), None)),
        "stay" | "find" => return Ok(flash::redirect(&here, None)),
        _ if stays => return Ok(flash::redirect(&here, None)),
        _ => {}
    }
    // S1.08: nobody goes on without an asset, or without an action.
    let draft = load(app, who, &number).await?;
    let fault = match (&draft.free, step) {
        (Some(chosen), Step::Assets) if chosen.body.chosen == 0 && chosen.plan.choose.is_empty() => {
            Some("At least one asset is needed to save the job.")
        }
        (_, Step::Actions) if draft.job.actions.is_empty() => {
            Some("At least one action is needed to save the job: choose a vulnerability that one of the assets has.")
        }
        _ => None,
    };
    match fault {
        Some(fault) => answer(app, who, &draft, step, vec![Fault::new("", fault)], form).await,
        None => Ok(flash::redirect(&step.after().unwrap_or(step).address(&number), None)),
    }
}

fn kept_as_draft(number: &str) -> flash::Flash {
    flash::Flash::done(format!("{number} is kept as a draft."))
}

fn faults(error: Error) -> Result<Vec<Fault>, Error> {
    match error {
        Error::Invalid(fields) => Ok(fields
            .iter()
            .map(|field| {
                let name = match (field.field.as_str(), field.code.as_str()) {
                    ("choose", "unknown_qid") => "qids",
                    ("choose", _) => "entries",
                    ("must_tags", _) => "must",
                    ("exclude_tags", _) => "exclude",
                    (name, _) => name,
                };
                Fault::new(name, sentence(&field.message))
            })
            .collect()),
        other => Ok(vec![Fault::new("", crate::web::jobs::said(other)?)]),
    }
}

fn keys(values: &[String]) -> BTreeSet<AssetId> {
    values.iter().filter_map(|value| value.parse().ok()).collect()
}

/// The selection that the fields of step 2 say.
fn picked(form: &Fields) -> Selection {
    let words = |name: &str| form.listed(name).into_iter().collect::<BTreeSet<String>>();
    let matching = |name: &str| Match::parse(form.one(name)).unwrap_or_default();
    let (mut listed, mut out) = (keys(&form.all("asset")), keys(&form.all("taken_out")));
    if let Some(taken) = keys(&form.all("take")).pop_first() {
        listed.insert(taken);
        out.remove(&taken);
    }
    if let Some(back) = keys(&form.all("back")).pop_first() {
        out.remove(&back);
    }
    if let Some(gone) = keys(&form.all("drop")).pop_first() {
        // Who was picked by name is simply not picked any more; others are taken out by name.
        if !listed.remove(&gone) {
            out.insert(gone);
        }
    }
    Selection {
        assets: listed,
        query: form.one("query").to_owned(),
        tags: TagRule { tags: words("tags"), matching: matching("tag_match") },
        must: words("must"),
        exclude: TagRule { tags: words("exclude"), matching: matching("exclude_match") },
        exclude_assets: out,
    }
}

/// What the fields of step 3 say.
fn done(form: &Fields) -> Choose {
    let typed = form.listed("qids");
    let qids = form.all("qid").into_iter().chain(typed).filter_map(|qid| qid.trim().parse().ok()).collect();
    let mut entries: BTreeSet<String> = form.listed("entries").into_iter().collect();
    let mut without: BTreeSet<String> = form.all("without").into_iter().collect();
    let drop = form.one("drop");
    if !drop.is_empty() {
        entries.remove(drop);
        without.insert(drop.to_owned());
    }
    without.remove(form.one("back"));
    Choose { qids, entries, without }
}

/// Who would be in with what stands in the fields now, as a part of the page.
pub(super) async fn who(
    State(app): State<App>,
    who: PageActor,
    Path(number): Path<String>,
    form: Fields,
) -> Result<Response, Error> {
    let draft = load(&app, &who, &number).await?;
    who.may(domain::access::Action::JobEdit, &draft.full.record)?;
    let kept = draft.free.map(|chosen| chosen.plan).unwrap_or_default();
    let plan = Plan { selection: picked(&form), choose: kept.choose };
    let (scopes, now, platform) = ([who.scope.clone()], app.clock.now(), draft.full.row.platform);
    let read = app.database.try_read(move |tx| {
        let asked = Asked { platform, scopes: &scopes, lenient: true, now };
        let resolved = engine::resolve(tx, &plan, &asked)?;
        views::selection::body(tx, &plan, platform, &resolved)
    });
    let shown = match read.await {
        Ok(body) => shown(&body),
        Err(error) => {
            let fault = faults(error)?.into_iter().next().map(|fault| fault.message).unwrap_or_default();
            Who { fault, ..Who::default() }
        }
    };
    Ok(Show(shown).into_response())
}

fn row(asset: &SelectedAsset) -> WhoRow {
    WhoRow {
        key: asset.id.to_string(),
        name: asset.name.clone(),
        href: format!("/assets/{}", asset.id),
        ip: asset.ip.clone(),
        os: asset.os.clone(),
        qids: match asset.qids.as_slice() {
            [] => String::new(),
            [one] => one.to_string(),
            [one, more @ ..] => format!("{one} +{}", more.len()),
        },
        why: sentence(&asset.why),
        back: asset.reason == "excluded",
    }
}

fn shown(body: &SelectionBody) -> Who {
    Who {
        chosen: body.chosen,
        left_out: body.left_out,
        inside: body.assets.iter().take(SHOWN).map(row).collect(),
        outside: body.others.iter().take(SHOWN).map(row).collect(),
        notes: body.notes.iter().map(|note| sentence(note)).collect(),
        fault: String::new(),
        install: body.install.clone(),
    }
}

fn joined(words: &BTreeSet<String>) -> String {
    words.iter().cloned().collect::<Vec<_>>().join(", ")
}

/// How the assets are chosen, in words.
pub(super) fn in_words(selection: &Selection) -> String {
    let rule = |rule: &TagRule| match rule.matching {
        Match::Any => format!("one of the tags {}", joined(&rule.tags)),
        Match::All => format!("all of the tags {}", joined(&rule.tags)),
    };
    let one_by_one = |count: usize, word: &str| format!("{count} {word}");
    let parts = [
        (!selection.query.is_empty(), format!("filter {}", selection.query)),
        (!selection.tags.tags.is_empty(), rule(&selection.tags)),
        (!selection.must.is_empty(), format!("and the tags {}", joined(&selection.must))),
        (!selection.assets.is_empty(), one_by_one(selection.assets.len(), "one by one")),
        (!selection.exclude.tags.is_empty(), format!("but not {}", rule(&selection.exclude))),
        (!selection.exclude_assets.is_empty(), one_by_one(selection.exclude_assets.len(), "taken out by name")),
    ];
    parts.into_iter().filter(|(said, _)| *said).map(|(_, words)| words).collect::<Vec<_>>().join("\n")
}

fn any_or_all(name: &str, label: &str, value: Match) -> Field {
    let choices = vec![Choice::new("any", "Any of them"), Choice::new("all", "All of them")];
    Field::select(name, label, value.as_str(), choices)
}

/// Assets of the platform that a word finds and that are not chosen yet.
async fn found(app: &App, who: &PageActor, draft: &Draft, find: &str) -> Result<Vec<WhoRow>, Error> {
    if find.is_empty() {
        return Ok(Vec::new());
    }
    let inside: BTreeSet<i64> =
        draft.free.iter().flat_map(|chosen| &chosen.body.assets).map(|asset| asset.id).collect();
    let platform = domain::filter::parse(&format!("platform:{}", draft.full.row.platform.as_str()), &assets::FIELDS);
    let filter = Filter::and(vec![Filter::Free(find.to_owned()), platform.map_err(Error::internal)?]);
    let query = Query { limit: FOUND_MAX, ..Query::new(filter, Context::at(app.clock.now())) };
    let scope = who.scope.clone();
    let page = app.database.try_read(move |tx| {
        Ok::<_, Error>(list::page::<AssetRow>(tx, &assets::LIST, assets::visible(&scope), &query)?)
    });
    let rows = page.await?.rows.into_iter().filter(|asset| !inside.contains(&asset.id.0));
    Ok(rows
        .map(|asset| WhoRow {
            key: asset.id.to_string(),
            href: format!("/assets/{}", asset.id),
            name: asset.name,
            ip: asset.ip,
            os: asset.os,
            qids: String::new(),
            why: if asset.agent { String::new() } else { "no agent".to_owned() },
            back: false,
        })
        .collect())
}

/// Step 2.
pub(super) async fn assets(
    app: &App,
    who: &PageActor,
    around: (Shell, WizardFrame),
    draft: &Draft,
    find: &str,
    faults: &[Fault],
    typed: Option<&Fields>,
) -> Result<FreeAssetsPage, Error> {
    let (shell, frame) = around;
    let kept = draft.free.as_ref().map(|chosen| chosen.plan.selection.clone()).unwrap_or_default();
    let chosen = typed.map_or(kept, picked);
    let scope = who.scope.clone();
    let known = app.database.read(move |tx| store::tags::list(tx, &scope)).await?;
    let names: Vec<&str> = known.iter().take(TAGS_NAMED).map(|row| row.name.as_str()).collect();
    let help = match names.as_slice() {
        [] => "Separated by commas. A tag stands for those below it, too.".to_owned(),
        names => {
            let more = if known.len() > names.len() { " and others" } else { "" };
            format!("Separated by commas; a tag stands for those below it, too. Known: {}{more}.", names.join(", "))
        }
    };
    let find = typed.map_or(find, |typed| typed.one("find")).to_owned();
    Ok(FreeAssetsPage {
        query: Field::line("query", "By filter", chosen.query.clone())
            .mono()
            .placeholder("os:debian and criticality:>=4")
            .help("As in the list of assets: name, os, tag, criticality, score and so on.")
            .autocomplete("off")
            .faulted(faults),
        tags: Field::line("tags", "By tags", joined(&chosen.tags.tags)).help(help).autocomplete("off").faulted(faults),
        matching: any_or_all("tag_match", "An asset carries", chosen.tags.matching),
        must: Field::line("must", "And all of these tags", joined(&chosen.must)).autocomplete("off").faulted(faults),
        exclude: Field::line("exclude", "But not with these tags", joined(&chosen.exclude.tags))
            .autocomplete("off")
            .faulted(faults),
        exclude_matching: any_or_all("exclude_match", "An asset carries", chosen.exclude.matching),
        more: !chosen.must.is_empty() || !chosen.exclude.tags.is_empty(),
        listed: chosen.assets.iter().map(ToString::to_string).collect(),
        taken_out: chosen.exclude_assets.iter().map(ToString::to_string).collect(),
        found: found(app, who, draft, &find).await?,
        find,
        live: format!("{}/who", Step::Assets.address(&draft.number())),
        who: draft.free.as_ref().map(|chosen| shown(&chosen.body)).unwrap_or_default(),
        shell,
        frame,
    })
}

/// Step 3.
pub(super) async fn actions(
    app: &App,
    around: (Shell, WizardFrame),
    draft: &Draft,
    faults: &[Fault],
    typed: Option<&Fields>,
) -> Result<FreeActionsPage, Error> {
    let (shell, frame) = around;
    let Some(chosen) = &draft.free else { return Err(Error::NotFound("selection of the job".to_owned())) };
    let choose = typed.map_or_else(|| chosen.plan.choose.clone(), done);
    let offers = chosen.body.offers.iter().map(|offer| OfferRow {
        qid: offer.qid,
        title: offer.title.clone(),
        href: format!("/vulnerabilities/{}", offer.qid),
        assets: offer.assets,
        score: crate::pages::score(offer.residual),
        on: choose.qids.contains(&offer.qid),
    });
    let offers: Vec<OfferRow> = offers.collect();
    let other = choose.qids.iter().filter(|qid| !offers.iter().any(|offer| offer.qid == **qid));
    let other = other.map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let (rows, risky) = steps::action_rows(app, draft).await?;
    let notes = chosen.body.notes.iter().map(|note| sentence(note)).chain(risky).collect();
    Ok(FreeActionsPage {
        offers,
        qids: Field::line("qids", "Other QIDs", other)
            .mono()
            .help("Separated by commas. Assets that get one later join a job that recurs.")
            .autocomplete("off")
            .faulted(faults),
        entries: Field::line("entries", "Catalogue entries", joined(&choose.entries))
            .mono()
            .help("Ids separated by commas, as under Eliminations.")
            .autocomplete("off")
            .faulted(faults),
        rows,
        notes,
        without: choose.without.into_iter().collect(),
        shell,
        frame,
    })
}
