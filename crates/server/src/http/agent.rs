//! What agents reach: enrolment, long poll, events, content, and the authority's certificate.
//!
//! Every request but enrolment is an envelope signed by the agent's own key (see [`protocol::agent`]).

use crate::app::App;
use crate::engine::{agents, catalogue, checks, dispatch, orders, permits, results};
use crate::failpoint;
use crate::http::error::Error;
use crate::http::limits;
use crate::http::router::bounded;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use protocol::agent::{
    BODY_BYTES_MAX, Body, CA_PATH, CHECKS_PATH, CONTENT_PATH, ChecksReply, ENROL_PATH, EVENTS_PATH, Enrol, Enrolled,
    EventsReply, HOLD_SECONDS_MAX, POLL_PATH, Poll, PollReply,
};
use protocol::permit::{PERMIT_PATH, PermitReply, RESTART_PATH};
use std::time::Duration;
use store::agents::AgentRow;
use store::tasks;

/// The routes.
pub fn routes() -> Router<App> {
    let routes = Router::new()
        .route(CA_PATH, get(authority))
        .route(ENROL_PATH, post(enrol))
        .route(POLL_PATH, post(poll))
        .route(EVENTS_PATH, post(events))
        .route(CHECKS_PATH, post(checked))
        .route(CONTENT_PATH, post(content))
        .route(PERMIT_PATH, post(permit))
        .route(RESTART_PATH, post(restart));
    bounded(routes, limits::AGENT_TIME_MAX, BODY_BYTES_MAX)
}

async fn authority(State(app): State<App>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/x-pem-file")], app.site.ca_pem.clone())
}

async fn enrol(State(app): State<App>, Json(body): Json<Enrol>) -> Result<Json<Enrolled>, Error> {
    Ok(Json(agents::enrol(&app, body).await?))
}

fn misplaced() -> Error {
    Error::problem(StatusCode::BAD_REQUEST, "misplaced", "the request's body belongs to another address")
}

async fn poll(State(app): State<App>, body: Bytes) -> Result<Json<PollReply>, Error> {
    let (agent, request) = agents::authenticate(&app, &body).await?;
    // Held for most of a minute by every agent there is: nothing stays in memory that is not needed.
    drop(body);
    let Body::Poll(poll) = request.body else { return Err(misplaced()) };
    // Listen before looking, or what changes in between is missed until the hold is over.
    let mut woken = app.wake.listen("agent", agent.id.0);
    let agent = learn(&app, agent, &poll).await?;
    let hold = Duration::from_secs(u64::from(poll.hold_seconds.min(HOLD_SECONDS_MAX)));
    let deadline = tokio::time::Instant::now() + hold;
    loop {
        let reply = reply(&app, &agent, &poll).await?;
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        let said =
            !(reply.orders.is_empty() && reply.revoke.is_empty() && reply.roots.is_empty() && reply.index.is_none());
        if said || left.is_zero() || app.stopping.is_cancelled() {
            return Ok(Json(reply));
        }
        tokio::select! {
            () = app.stopping.cancelled() => {}
            _ = woken.changed_within(left) => {}
        }
    }
}

async fn learn(app: &App, agent: AgentRow, poll: &Poll) -> Result<AgentRow, Error> {
    let Some(facts) = poll.facts.clone() else { return Ok(agent) };
    let (now, key, known) = (app.clock.now(), agent.id, agent.clone());
    let agent = app
        .database
        .try_write(move |tx| {
            agents::learn(tx, &known, &facts, now)?;
            Ok::<_, Error>(store::agents::read(tx, key)?)
        })
        .await?;
    app.wake.notify("agents", 0);
    Ok(agent)
}

/// What there is to say now. Writes only where an order has to be made.
async fn reply(app: &App, agent: &AgentRow, poll: &Poll) -> Result<PollReply, Error> {
    let now = app.clock.now();
    let mut reply = PollReply {
        now,
        roots: Vec::new(),
        index: None,
        approvals: Vec::new(),
        orders: Vec::new(),
        revoke: Vec::new(),
        acked: Vec::new(),
        wait_seconds: 0,
    };
    let (agent_key, root_version, index_version) = (agent.id, poll.root_version, poll.index_version);
    let (roots, index, any) = app
        .database
        .read(move |tx| {
            let roots = store::catalogue::roots_above(tx, i64::try_from(root_version).unwrap_or(i64::MAX))?;
            let newest = store::catalogue::newest_version(tx)?;
            let newer = newest.is_some_and(|version| u64::try_from(version).unwrap_or(0) > index_version);
            let newer = if newer { store::catalogue::newest(tx)? } else { None };
            Ok((roots, newer.map(|release| release.index_envelope), tasks::any_for_agent(tx, agent_key)?))
        })
        .await?;
    reply.roots = roots.into_iter().map(|(_, envelope)| envelope).collect();
    reply.index = index;
    // An agent without an asset of its own gets nothing to do: which machine it is has to be decided first. What was
    // ordered while it had one is taken back.
    if any {
        let (agent, key) = (agent.clone(), catalogue::order_key(app));
        let offer = app
            .database
            .try_write(move |tx| {
                let halted = dispatch::halt(tx)?.is_some();
                let capabilities = agents::capabilities(&agent);
                let maker = orders::Maker { key: &key, halted, capabilities: &capabilities, now };
                let offer = orders::offer(tx, &agent, maker)?;
                if !offer.touched.is_empty() {
                    failpoint::hit("order.made");
                }
                Ok::<_, Error>(offer)
            })
            .await?;
        if !offer.touched.is_empty() {
            failpoint::hit("order.sent");
        }
        for job in offer.touched {
            app.wake.notify("job", job.0);
        }
        reply.orders = offer.orders;
        reply.approvals = offer.approvals.into_iter().collect();
        reply.revoke = offer.revoke;
    }
    Ok(reply)
}

async fn events(State(app): State<App>, body: Bytes) -> Result<Json<EventsReply>, Error> {
    let (agent, request) = agents::authenticate(&app, &body).await?;
    let Body::Events(events) = request.body else { return Err(misplaced()) };
    let now = app.clock.now();
    let key = agent.id;
    let stored = app.database.try_write(move |tx| {
        let stored = results::store(tx, &agent, &events.events, now)?;
        if !stored.touched.is_empty() {
            failpoint::hit("events.before_commit");
        }
        Ok::<_, Error>(stored)
    });
    let stored = stored.await?;
    if !stored.touched.is_empty() {
        failpoint::hit("events.after_commit");
        app.wake.notify("dispatch", 0);
        app.wake.notify("agent", key.0);
    }
    for job in &stored.touched {
        app.wake.notify("job", job.0);
    }
    Ok(Json(EventsReply { now, acked: stored.acked }))
}

async fn checked(State(app): State<App>, body: Bytes) -> Result<Json<ChecksReply>, Error> {
    let (agent, request) = agents::authenticate(&app, &body).await?;
    let Body::Checks(said) = request.body else { return Err(misplaced()) };
    let now = app.clock.now();
    let taken = app.database.try_write(move |tx| checks::store(tx, &agent, &said, now)).await?;
    if taken.changed {
        app.wake.notify("after", 0);
    }
    Ok(Json(ChecksReply { now, n: taken.n, interval_seconds: taken.interval_seconds }))
}

async fn permit(State(app): State<App>, body: Bytes) -> Result<Json<PermitReply>, Error> {
    let (agent, request) = agents::authenticate(&app, &body).await?;
    let Body::Permit(ask) = request.body else { return Err(misplaced()) };
    let (now, key) = (app.clock.now(), catalogue::order_key(&app));
    let answer = app.database.try_write(move |tx| {
        let answer = permits::answer(tx, &agent, &ask, &key, now)?;
        failpoint::hit("permit.before_commit");
        Ok::<_, Error>(answer)
    });
    let answer = answer.await?;
    failpoint::hit("permit.after_commit");
    Ok(Json(PermitReply { now, answer }))
}

async fn restart(State(app): State<App>, body: Bytes) -> Result<Json<PermitReply>, Error> {
    let (agent, request) = agents::authenticate(&app, &body).await?;
    let Body::Restart(ask) = request.body else { return Err(misplaced()) };
    let (now, key) = (app.clock.now(), catalogue::order_key(&app));
    let answer = app.database.try_write(move |tx| permits::answer_restart(tx, &agent, &ask, &key, now)).await?;
    Ok(Json(PermitReply { now, answer }))
}

async fn content(State(app): State<App>, body: Bytes) -> Result<impl IntoResponse, Error> {
    let (_, request) = agents::authenticate(&app, &body).await?;
    let Body::Content(content) = request.body else { return Err(misplaced()) };
    let digest = content.digest.clone();
    let bytes = app.database.read(move |tx| store::catalogue::body(tx, &content.digest)).await?;
    let bytes = bytes.ok_or_else(|| Error::NotFound(format!("catalogue entry with the digest {digest}")))?;
    Ok(([(CONTENT_TYPE, "application/json")], bytes))
}
