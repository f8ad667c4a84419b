//! Vulnerabilities: the knowledge base, and what is open of it on the assets the caller may know of.

use crate::app::App;
use crate::http::{Caller, Error, ListQuery};
use axum::Json;
use axum::extract::{Path, State};
use domain::access::{Action, Record};
use protocol::api::exposure::{VulnerabilitiesBody, Vulnerability, VulnerabilityBody, VulnerabilityTexts};
use store::list;
use store::vulnerabilities::{self, Found, VulnerabilityRow};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(index)).routes(routes!(show))
}

fn body(caller: &Caller, row: VulnerabilityRow, cves: Vec<String>, found: Option<&Found>) -> Vulnerability {
    let jobs = caller.decide(Action::JobsView, &Record::default()).allowed();
    let open = found.filter(|found| found.open > 0);
    Vulnerability {
        qid: row.qid,
        title: row.title,
        kind: row.kind,
        severity: row.severity,
        category: row.category,
        cves,
        cvss2: row.cvss2,
        cvss3: row.cvss3,
        patchable: row.patchable,
        disabled: row.disabled,
        placeholder: row.placeholder,
        published_at: row.published_at,
        modified_at: row.modified_at,
        eliminations: row.eliminations,
        open_items: found.map_or(0, |found| found.open),
        mitigated_items: found.map_or(0, |found| found.mitigated),
        assets: found.map_or(0, |found| found.assets),
        inherent: open.map(|found| found.inherent),
        residual: open.map(|found| found.residual),
        status: found.and_then(|found| found.status).map(|status| status.as_str().to_owned()),
        last_job: found.and_then(|found| found.last_job).filter(|_| jobs).map(store::jobs::name),
    }
}

/// List vulnerabilities
///
/// Where they are found is counted on the assets the caller may know of. `q=is:found` leaves the rest of the knowledge
/// base out.
#[utoipa::path(get, path = "/vulnerabilities", tag = "vulnerabilities", params(ListQuery),
    responses((status = OK, body = VulnerabilitiesBody)))]
async fn index(State(app): State<App>, caller: Caller, query: ListQuery) -> Result<Json<VulnerabilitiesBody>, Error> {
    caller.may(Action::VulnerabilitiesView, &Record::default())?;
    let query = query.of_list(&vulnerabilities::FIELDS, "-score", app.clock.now(), &caller.name)?;
    let scope = caller.scope.clone();
    let (page, cves, found) = app
        .database
        .try_read(move |tx| {
            let page =
                list::page::<VulnerabilityRow>(tx, &vulnerabilities::LIST, vulnerabilities::clip(&scope), &query)?;
            let ids: Vec<_> = page.rows.iter().map(|row| row.id).collect();
            let cves = vulnerabilities::cves_of(tx, &ids)?;
            let found = vulnerabilities::found(tx, &ids, &scope)?;
            Ok::<_, Error>((page, cves, found))
        })
        .await?;
    let rows = page.rows.into_iter().map(|row| {
        let (cves, found) = (cves.get(&row.id).cloned().unwrap_or_default(), found.get(&row.id));
        body(&caller, row, cves, found)
    });
    Ok(Json(VulnerabilitiesBody { vulnerabilities: rows.collect(), next: page.next_cursor }))
}

/// Show a vulnerability
#[utoipa::path(get, path = "/vulnerabilities/{qid}", tag = "vulnerabilities", params(("qid" = i64, Path)),
    responses((status = OK, body = VulnerabilityBody)))]
async fn show(State(app): State<App>, caller: Caller, Path(qid): Path<i64>) -> Result<Json<VulnerabilityBody>, Error> {
    caller.may(Action::VulnerabilitiesView, &Record::default())?;
    let scope = caller.scope.clone();
    let (vulnerability, found) = app
        .database
        .try_read(move |tx| {
            let vulnerability = vulnerabilities::one(tx, "qualys", qid).map_err(|error| match error {
                store::Error::NotFound => Error::NotFound(format!("vulnerability {qid}")),
                error => error.into(),
            })?;
            let found = vulnerabilities::found(tx, &[vulnerability.row.id], &scope)?.remove(&vulnerability.row.id);
            Ok::<_, Error>((vulnerability, found))
        })
        .await?;
    let cves: Vec<String> = vulnerability.cves.into_iter().map(|cve| cve.cve).collect();
    let no_sound_mitigation = crate::views::catalogue::no_mitigation(cves.iter().map(String::as_str));
    Ok(Json(VulnerabilityBody {
        vulnerability: body(&caller, vulnerability.row, cves, found.as_ref()),
        texts: VulnerabilityTexts {
            threat: vulnerability.threat,
            impact: vulnerability.impact,
            solution: vulnerability.solution,
        },
        no_sound_mitigation,
        cvss3_vector: vulnerability.cvss3_vector,
    }))
}
