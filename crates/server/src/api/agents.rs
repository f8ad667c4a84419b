//! Agents and enrolment tokens, the mitigations in force on an asset, the catalogue in force.

use crate::app::App;
use crate::engine::catalogue::{self, Parcel};
use crate::engine::{mail, retire};
use crate::http::idempotency::ShownOnce;
use crate::http::{Caller, Error, ListQuery, limits};
use crate::views;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::access::{Action, AssetScope, Record};
use domain::id::AssetId;
use domain::refusal::Refusal;
use protocol::agent::EnrolmentToken;
use protocol::api::catalogue::{EntryBody, StatementsBody};
use protocol::api::response as body;
use sha2::{Digest as _, Sha256};
use store::accounts;
use store::agents::{self, AgentLine, AgentRow, TokenRow};
use store::audit::{self, Entry};
use store::controls;
use store::list::page;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// Uses and hours of an enrolment token at most.
const TOKEN_USES_MAX: i64 = 10_000;
const TOKEN_HOURS_MAX: i64 = 24 * 90;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    let installing = OpenApiRouter::new()
        .routes(routes!(show_catalogue, install))
        .routes(routes!(show_entry))
        .routes(routes!(no_mitigation))
        .layer(DefaultBodyLimit::max(limits::CATALOGUE_BYTES_MAX));
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(tokens, create_token))
        .routes(routes!(revoke_token))
        .routes(routes!(link))
        .routes(routes!(revoke))
        .routes(routes!(take_back))
        .routes(routes!(retirement, set_retirement))
        .routes(routes!(asset_controls))
        .merge(installing)
}

/// List agents
#[utoipa::path(get, path = "/agents", tag = "agents", params(ListQuery), responses((status = OK, body = body::AgentsBody)))]
async fn list(State(app): State<App>, caller: Caller, query: ListQuery) -> Result<Json<body::AgentsBody>, Error> {
    agents_page(&app, &caller, &query).await.map(Json)
}

/// A page of agents.
///
/// # Errors
/// A missing permission, or a query that is not the list's.
pub async fn agents_page(app: &App, caller: &Caller, query: &ListQuery) -> Result<body::AgentsBody, Error> {
    caller.may(Action::AgentsView, &Record::default())?;
    let query = query.of_list(&agents::FIELDS, "hostname", app.clock.now(), &caller.name)?;
    let scope = agents::visible(&caller.scope);
    let read =
        app.database.try_read(move |tx| Ok::<_, Error>(page::<AgentLine>(tx, &agents::LIST, scope.clone(), &query)?));
    let found = read.await?;
    let agents = found.rows.into_iter().map(|line| views::agents::agent(line, &app.presence)).collect();
    Ok(body::AgentsBody { agents, next: found.next_cursor })
}

/// List enrolment tokens
#[utoipa::path(get, path = "/agents/tokens", tag = "agents", responses((status = OK, body = body::EnrolmentTokensBody)))]
async fn tokens(State(app): State<App>, caller: Caller) -> Result<Json<body::EnrolmentTokensBody>, Error> {
    caller.may(Action::AgentEnrol, &Record::default())?;
    let rows = app.database.read(agents::tokens).await?;
    Ok(Json(body::EnrolmentTokensBody { tokens: rows.iter().map(views::agents::token).collect() }))
}

/// Make an enrolment token
///
/// The answer holds the token's text, shown only here.
#[utoipa::path(post, path = "/agents/tokens", tag = "agents", request_body = body::NewEnrolmentToken,
    responses((status = CREATED, body = body::EnrolmentTokenMade)))]
async fn create_token(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<body::NewEnrolmentToken>,
) -> Result<(StatusCode, Extension<ShownOnce>, Json<body::EnrolmentTokenMade>), Error> {
    let made = make_token(&app, &caller, new).await?;
    Ok((StatusCode::CREATED, Extension(ShownOnce), Json(made)))
}

/// Make an enrolment token; its secret is in the answer only.
///
/// # Errors
/// A missing permission, or uses and hours out of bounds.
pub async fn make_token(
    app: &App,
    caller: &Caller,
    new: body::NewEnrolmentToken,
) -> Result<body::EnrolmentTokenMade, Error> {
    caller.may(Action::AgentEnrol, &Record::default())?;
    let (uses, hours) = (new.uses.unwrap_or(1), new.hours.unwrap_or(24));
    if !(1..=TOKEN_USES_MAX).contains(&uses) {
        return Err(Error::field("uses", "bad_uses", format!("a token is good for 1 to {TOKEN_USES_MAX} agents")));
    }
    if !(1..=TOKEN_HOURS_MAX).contains(&hours) {
        return Err(Error::field("hours", "bad_hours", format!("a token lives 1 to {TOKEN_HOURS_MAX} hours")));
    }
    let secret: [u8; 32] = rand::random();
    let now = app.clock.now();
    let row = TokenRow {
        id: Uuid::now_v7(),
        label: new.label.chars().take(200).collect(),
        secret_hash: Sha256::digest(secret).to_vec(),
        uses_left: uses,
        expires_at: now.plus_seconds(hours * 3600),
        created_by: caller.user,
        created_at: now,
    };
    let text = EnrolmentToken {
        server: app.site.agent_url.to_string().trim_end_matches('/').to_owned(),
        ca_sha256: app.site.ca_fingerprint.clone(),
        token_id: row.id,
        secret: URL_SAFE_NO_PAD.encode(secret),
    };
    let json = serde_json::to_vec(&text).map_err(Error::internal)?;
    let text = format!("quell1.{}", URL_SAFE_NO_PAD.encode(json));
    let (author, stored) = (caller.author(), row.clone());
    app.database
        .write(move |tx| {
            agents::create_token(tx, &stored)?;
            let detail = serde_json::json!({ "label": stored.label, "uses": stored.uses_left });
            let resource = format!("agents/tokens/{}", stored.id);
            audit::append(tx, &Entry { at: now, actor: &author, action: "agent.token", resource: &resource, detail })
        })
        .await?;
    // Through a pipe, so that the secret is in no argument of a process, where every user of the host could read it.
    let command = format!("echo {text} | sudo quell-agent enrol --token-file -");
    Ok(body::EnrolmentTokenMade { token: views::agents::token(&row), text, command })
}

/// Make an enrolment token useless
#[utoipa::path(delete, path = "/agents/tokens/{id}", tag = "agents", params(("id" = Uuid, Path)),
    responses((status = NO_CONTENT)))]
async fn revoke_token(State(app): State<App>, caller: Caller, Path(id): Path<Uuid>) -> Result<StatusCode, Error> {
    end_token(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make an enrolment token useless.
///
/// # Errors
/// A missing permission, or no such token.
pub async fn end_token(app: &App, caller: &Caller, id: Uuid) -> Result<(), Error> {
    caller.may(Action::AgentEnrol, &Record::default())?;
    let (caller, author, now) = (caller.clone(), caller.author(), app.clock.now());
    let known = app.database.try_write(move |tx| {
        // Whoever made it enrols machines that this caller may know nothing of.
        if let Some(maker) = agents::maker_of_token(tx, id)?
            && let Some(account) = accounts::by_id(tx, maker)?
        {
            caller.may(Action::AgentEnrol, &Record { guarded: false, ..account.access_record() })?;
        }
        let known = agents::revoke_token(tx, id)?;
        if known {
            let (detail, resource) = (serde_json::json!({}), format!("agents/tokens/{id}"));
            let entry = Entry { at: now, actor: &author, action: "agent.token_revoke", resource: &resource, detail };
            audit::append(tx, &entry)?;
        }
        Ok::<_, Error>(known)
    });
    if known.await? { Ok(()) } else { Err(Error::NotFound(format!("enrolment token {id}"))) }
}

/// Decide which asset an agent sits on
#[utoipa::path(put, path = "/agents/{id}/link", tag = "agents", params(("id" = Uuid, Path)),
    request_body = body::AgentLink, responses((status = NO_CONTENT)))]
async fn link(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(link): Json<body::AgentLink>,
) -> Result<StatusCode, Error> {
    link_agent(&app, &caller, id, link).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Decide which asset an agent sits on. What it had to do on another is ended or taken back.
///
/// # Errors
/// A missing permission, no reason given, no such agent or asset in the caller's scope, or an asset that another agent holds.
pub async fn link_agent(app: &App, caller: &Caller, id: Uuid, link: body::AgentLink) -> Result<(), Error> {
    caller.may(Action::AgentLink, &Record::default())?;
    if link.reason.trim().is_empty() {
        let why = "say how you know; a wrong link would mitigate the wrong machine";
        return Err(Error::field("reason", "reason_missing", why));
    }
    let (caller, author, now) = (caller.clone(), caller.author(), app.clock.now());
    let (agent, touched) = app
        .database
        .try_write(move |tx| {
            let agent = known(tx, &caller.scope, id)?;
            let asset = link.asset.map(AssetId);
            if let Some(asset) = asset {
                visible(tx, &caller.scope, asset)?;
                if agents::on_asset(tx, asset)?.is_some_and(|other| other.id != agent.id) {
                    let why = "another agent holds this asset; revoke or unlink it first";
                    return Err(Refusal::new("asset_taken", why).into());
                }
            }
            let word = if asset.is_some() { "linked" } else { "ambiguous" };
            let evidence = format!("decided by {}: {}", caller.name, link.reason);
            let touched = agents::set_link(tx, agent.id, asset, word, &evidence, now)?;
            mail::tell(tx, touched.iter().copied(), now)?;
            let detail = serde_json::json!({ "asset": link.asset, "reason": link.reason, "before": agent.asset_id });
            let resource = format!("agents/{id}");
            audit::append(tx, &Entry { at: now, actor: &author, action: "agent.link", resource: &resource, detail })?;
            Ok::<_, Error>((agent.id, touched))
        })
        .await?;
    app.wake.notify("agent", agent.0);
    app.wake.notify("dispatch", 0);
    for job in touched {
        app.wake.notify("job", job.0);
    }
    Ok(())
}

/// Revoke an agent
#[utoipa::path(delete, path = "/agents/{id}", tag = "agents", params(("id" = Uuid, Path)), responses((status = NO_CONTENT)))]
async fn revoke(State(app): State<App>, caller: Caller, Path(id): Path<Uuid>) -> Result<StatusCode, Error> {
    revoke_agent(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End an agent: its requests are refused from now on, its open tasks are lost.
///
/// # Errors
/// A missing permission, or no such agent in the caller's scope.
pub async fn revoke_agent(app: &App, caller: &Caller, id: Uuid) -> Result<(), Error> {
    caller.may(Action::AgentRevoke, &Record::default())?;
    let (scope, author, now) = (caller.scope.clone(), caller.author(), app.clock.now());
    app.database
        .try_write(move |tx| {
            let agent = known(tx, &scope, id)?;
            agents::revoke(tx, agent.id, now)?;
            let (detail, resource) = (serde_json::json!({ "hostname": agent.hostname }), format!("agents/{id}"));
            audit::append(tx, &Entry { at: now, actor: &author, action: "agent.revoke", resource: &resource, detail })?;
            Ok::<_, Error>(())
        })
        .await?;
    app.wake.notify("dispatch", 0);
    Ok(())
}

/// Take an agent back that was retired by itself
///
/// It is in force as it was. What it had to do and was given up stays given up. One that a person revoked has to be enrolled anew.
#[utoipa::path(post, path = "/agents/{id}/take-back", tag = "agents", params(("id" = Uuid, Path)),
    responses((status = NO_CONTENT)))]
async fn take_back(State(app): State<App>, caller: Caller, Path(id): Path<Uuid>) -> Result<StatusCode, Error> {
    take_agent_back(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take an agent back that was retired by itself. Whoever may enrol one may.
///
/// # Errors
/// A missing permission, no such agent in the caller's scope, or the refusal of [`domain::contact::may_take_back`].
pub async fn take_agent_back(app: &App, caller: &Caller, id: Uuid) -> Result<(), Error> {
    caller.may(Action::AgentEnrol, &Record::default())?;
    let (scope, author, now) = (caller.scope.clone(), caller.author(), app.clock.now());
    let taken = app.database.try_write(move |tx| {
        let agent = known(tx, &scope, id)?;
        retire::take_back(tx, &agent, &author, now)?;
        Ok::<_, Error>(agent.id)
    });
    app.wake.notify("agent", taken.await?.0);
    Ok(())
}

fn retired(retirement: retire::Retirement, held: Option<Refusal>) -> body::RetirementBody {
    let held = held.map(|refusal| refusal.sentence).unwrap_or_default();
    let default_days = domain::contact::RETIRE_DAYS_DEFAULT;
    body::RetirementBody { retirement: body::Retirement { days: retirement.days, default_days, held } }
}

/// Show when agents are retired by themselves
#[utoipa::path(get, path = "/settings/retirement", tag = "agents", responses((status = OK, body = body::RetirementBody)))]
async fn retirement(State(app): State<App>, caller: Caller) -> Result<Json<body::RetirementBody>, Error> {
    caller.may(Action::SettingsView, &Record::default())?;
    let now = app.clock.now();
    let read = app.database.try_read(move |tx| Ok::<_, Error>((retire::kept(tx)?, retire::held(tx, now)?)));
    let (retirement, held) = read.await?;
    Ok(Json(retired(retirement, held)))
}

/// Change when agents are retired by themselves
///
/// Days without a word while a server listened, from 7 to 400, or 0 for never.
#[utoipa::path(put, path = "/settings/retirement", tag = "agents", request_body = body::RetirementRequest,
    responses((status = OK, body = body::RetirementBody)))]
async fn set_retirement(
    State(app): State<App>,
    caller: Caller,
    Json(given): Json<body::RetirementRequest>,
) -> Result<Json<body::RetirementBody>, Error> {
    Ok(Json(retired(retire::keep(&app, &caller, given.days).await?, None)))
}

/// The agent of this id, or 404: also where it sits on an asset that the scope does not see. One that sits on none may be any
/// machine, so no scope sees it: whoever could put it on an asset of his would have his jobs run on a machine of others.
///
/// # Errors
/// [`Error::NotFound`].
pub(crate) fn known(tx: &mut store::Transaction<'_>, scope: &AssetScope, id: Uuid) -> Result<AgentRow, Error> {
    let missing = || Error::NotFound(format!("agent {id}"));
    let agent = agents::by_agent_id(tx, id)?.ok_or_else(missing)?;
    match agent.asset_id {
        Some(asset) => visible(tx, scope, asset)
            .map_err(|error| if matches!(error, Error::NotFound(_)) { missing() } else { error })?,
        None if *scope != AssetScope::All => return Err(missing()),
        None => {}
    }
    Ok(agent)
}

fn visible(tx: &mut store::Transaction<'_>, scope: &AssetScope, asset: AssetId) -> Result<(), Error> {
    let tags = store::eliminations::tags_of(tx, asset)?;
    let tags = tags.ok_or_else(|| Error::NotFound(format!("asset {asset}")))?;
    if scope.sees(tags.iter().map(String::as_str)) { Ok(()) } else { Err(Error::NotFound(format!("asset {asset}"))) }
}

/// List the mitigations in force on an asset, or that were
#[utoipa::path(get, path = "/assets/{id}/controls", tag = "assets", params(("id" = i64, Path)),
    responses((status = OK, body = body::ControlsBody)))]
async fn asset_controls(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<Json<body::ControlsBody>, Error> {
    caller.may(Action::AssetsView, &Record::default())?;
    let rows = app.database.try_read(move |tx| {
        visible(tx, &caller.scope, AssetId(id))?;
        Ok::<_, Error>(controls::of_asset(tx, AssetId(id))?)
    });
    let controls = rows.await?.into_iter().map(views::agents::control).collect();
    Ok(Json(body::ControlsBody { controls }))
}

/// Show the catalogue in force
#[utoipa::path(get, path = "/catalogue", tag = "catalogue", responses((status = OK, body = body::CatalogueBody)))]
async fn show_catalogue(State(app): State<App>, caller: Caller) -> Result<Json<body::CatalogueBody>, Error> {
    caller.may(Action::CatalogueView, &Record::default())?;
    let key = catalogue::order_key(&app).public();
    let order_key = body::OrderKey { id: key.id().to_string(), public: key.to_string() };
    Ok(Json(app.database.try_read(move |tx| views::agents::catalogue(tx, order_key.clone())).await?))
}

/// Show an entry of the catalogue in force
///
/// What it checks, changes and undoes in words, what it covers, and which keys signed for it.
#[utoipa::path(get, path = "/catalogue/entries/{entry}", tag = "catalogue", params(("entry" = String, Path)),
    responses((status = OK, body = EntryBody)))]
async fn show_entry(
    State(app): State<App>,
    caller: Caller,
    Path(entry): Path<String>,
) -> Result<Json<EntryBody>, Error> {
    caller.may(Action::CatalogueView, &Record::default())?;
    let now = app.clock.now();
    let read = app.database.try_read(move |tx| Ok::<_, Error>(views::catalogue::entry(tx, &entry, now)?.body));
    Ok(Json(read.await?))
}

/// List the vulnerabilities that nothing sound is known for, short of the fix
#[utoipa::path(get, path = "/catalogue/statements", tag = "catalogue", responses((status = OK, body = StatementsBody)))]
async fn no_mitigation(caller: Caller) -> Result<Json<StatementsBody>, Error> {
    caller.may(Action::CatalogueView, &Record::default())?;
    let all = ::catalogue::statements::all().iter().map(|statement| statement.cve.as_str());
    Ok(Json(StatementsBody { statements: views::catalogue::no_mitigation(all) }))
}

/// Install a signed catalogue
///
/// Root metadata, index and entries as exact texts. Signatures, versions and expiry are verified first.
#[utoipa::path(post, path = "/catalogue", tag = "catalogue", request_body = body::CatalogueParcel,
    responses((status = OK, body = body::CatalogueInstalled)))]
async fn install(
    State(app): State<App>,
    caller: Caller,
    Json(parcel): Json<body::CatalogueParcel>,
) -> Result<Json<body::CatalogueInstalled>, Error> {
    let parcel = Parcel { roots: parcel.roots, index: parcel.index, entries: parcel.entries };
    let installed = catalogue::install(&app, &caller, parcel).await?;
    app.wake.notify_all("agent");
    Ok(Json(body::CatalogueInstalled {
        version: installed.version,
        entries: u64::try_from(installed.entries).unwrap_or(u64::MAX),
        rejected: installed.rejected.into_iter().map(|(entry, reason)| body::RejectedEntry { entry, reason }).collect(),
    }))
}
