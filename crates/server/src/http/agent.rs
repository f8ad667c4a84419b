//! What agents reach: enrolment, long poll, events, content, and the authority's certificate.
//!
//! Every request but enrolment is an envelope signed by the agent's own key (see [`protocol::agent`]).

use crate::app::App;
use crate::engine::crowd::{Crowd, Look, Looked};
use crate::engine::orders::Offer;
use crate::engine::{agents, catalogue, checks, dispatch, permits};
use crate::failpoint;
use crate::http::error::{self, Error};
use crate::http::trace::Traced;
use crate::http::{headers, limits};
use crate::wake::Listener;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use domain::id::AgentKey;
use domain::task;
use futures_util::FutureExt as _;
use protocol::agent::{
    BODY_BYTES_MAX, Body, CA_PATH, CHECKS_PATH, CONTENT_PATH, ChecksReply, ENROL_PATH, EVENTS_PATH, Enrol, Enrolled,
    EventsReply, Facts, HOLD_SECONDS_MAX, OpenOrder, POLL_PATH, Poll, PollReply,
};
use protocol::permit::{PERMIT_PATH, PermitReply, RESTART_PATH};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use store::agents::AgentRow;
use tower::ServiceExt as _;
use tracing::Instrument as _;

/// The routes of requests that no agent signs.
pub fn unsigned() -> Router<App> {
    Router::new().route(CA_PATH, get(authority)).route(ENROL_PATH, post(enrol))
}

/// All that agents reach: what they sign here, anything else at the `others`.
///
/// Agents ask all the time, by the thousand, and a poll is held for most of a minute. So what they sign goes through one function that
/// keeps the bounds and headers of every other request, and not through a layer for each of them, which would all be held as well.
pub fn door(app: &App, others: Router) -> Router {
    let door = Door { app: app.clone(), others };
    Router::new().fallback(signed).with_state(Arc::new(door))
}

struct Door {
    app: App,
    others: Router,
}

/// What an agent may ask for with its signature.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Poll,
    Events,
    Checks,
    Content,
    Permit,
    Restart,
}

impl Ask {
    fn of(method: &Method, path: &str) -> Option<Ask> {
        let all = [
            (POLL_PATH, Ask::Poll),
            (EVENTS_PATH, Ask::Events),
            (CHECKS_PATH, Ask::Checks),
            (CONTENT_PATH, Ask::Content),
            (PERMIT_PATH, Ask::Permit),
            (RESTART_PATH, Ask::Restart),
        ];
        all.into_iter().find(|(of, _)| method == Method::POST && *of == path).map(|(_, ask)| ask)
    }
}

async fn signed(State(door): State<Arc<Door>>, request: Request) -> Response {
    let Some(ask) = Ask::of(request.method(), request.uri().path()) else {
        return Box::pin(door.others.clone().oneshot(request)).await.unwrap_or_else(|never| match never {});
    };
    let traced = Traced::of(request.method(), request.uri(), request.headers());
    let answer = AssertUnwindSafe(answer(&door.app, ask, request)).catch_unwind();
    let answered = tokio::time::timeout(limits::AGENT_TIME_MAX, answer).instrument(traced.span.clone()).await;
    let response = match answered {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Error::internal("the answer to a request of an agent panicked").into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    let mut response = match response.status().is_success() {
        true => response,
        false => Box::pin(error::as_problem(response, Some(traced.id.clone()))).await,
    };
    headers::add(&door.app, response.headers_mut());
    traced.answered(response)
}

async fn answer(app: &App, ask: Ask, mut request: Request) -> Response {
    DefaultBodyLimit::max(BODY_BYTES_MAX).apply(&mut request);
    // In a box that goes once it is read: a poll that is held keeps nothing of its request.
    let body = match Box::pin(Bytes::from_request(request, &())).await {
        Ok(body) => body,
        Err(refused) => return refused.into_response(),
    };
    match ask {
        Ask::Poll => poll(app, body).await.into_response(),
        Ask::Events => Box::pin(events(app, body)).await.into_response(),
        Ask::Checks => Box::pin(checked(app, body)).await.into_response(),
        Ask::Content => Box::pin(content(app, body)).await.into_response(),
        Ask::Permit => Box::pin(permit(app, body)).await.into_response(),
        Ask::Restart => Box::pin(restart(app, body)).await.into_response(),
    }
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

async fn poll(app: &App, body: Bytes) -> Result<Json<PollReply>, Error> {
    // Held for most of a minute by every agent there is: nothing stays in memory that is not needed, and what is done before
    // and between the waits has its room in boxes that go with it.
    let (agent, request) = Box::pin(agents::authenticate(app, &body)).await?;
    drop(body);
    let Body::Poll(poll) = request.body else { return Err(misplaced()) };
    // Listen before looking, or what changes in between is missed until the hold is over.
    let woken = app.wake.listen("agent", agent.id.0);
    let (look, hold, facts, open) = asked(agent.id, *poll);
    match facts {
        Some(facts) => Box::pin(learn(app, agent, facts)).await?,
        None => drop(agent),
    }
    let looked = Box::pin(compared(app, look, open)).await?;
    hold_poll(app, look, looked, hold, woken).await
}

/// What a poll looks for, how long it may be held, what the agent says of its host, and what it has taken and not ended.
fn asked(agent: AgentKey, poll: Poll) -> (Look, Duration, Option<Facts>, Vec<OpenOrder>) {
    let hold = Duration::from_secs(u64::from(poll.hold_seconds.min(HOLD_SECONDS_MAX)));
    (Look { agent, root: poll.root_version, index: poll.index_version }, hold, poll.facts, poll.open)
}

/// The first look of a poll, with what the agent lists held against what is thought of it. What it does not know of any more,
/// because one of us was put back to an earlier state, is asked about; what it lists as running is not unknown any more.
async fn compared(app: &App, look: Look, open: Vec<OpenOrder>) -> Result<Looked, Error> {
    let mut looked = Crowd::look(app, look).await?;
    let mut news = Vec::new();
    for (of, state) in std::mem::take(&mut looked.at_work) {
        let listed = open.iter().find(|open| open.task == of.task && open.epoch == of.epoch);
        let event = match (state, listed) {
            (task::State::Running, None) => task::Event::Silence,
            (task::State::Unknown, Some(listed)) if listed.state == "running" => task::Event::Started,
            _ => continue,
        };
        news.push((of, state, event));
    }
    if !news.is_empty() {
        dispatch::listed(app, look.agent, news).await?;
        looked.waits = true;
    }
    Ok(looked)
}

/// Answer a poll once there is something to say, or the hold is over.
async fn hold_poll(
    app: &App,
    look: Look,
    first: Looked,
    hold: Duration,
    mut woken: Listener,
) -> Result<Json<PollReply>, Error> {
    let deadline = tokio::time::Instant::now() + hold;
    let mut first = Some(first);
    loop {
        let reply = Box::pin(reply(app, look, first.take())).await?;
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        let said =
            !(reply.orders.is_empty() && reply.revoke.is_empty() && reply.roots.is_empty() && reply.index.is_none());
        if said || left.is_zero() || app.stopping.is_cancelled() {
            return Ok(Json(reply));
        }
        drop(reply);
        tokio::select! {
            () = app.stopping.cancelled() => {}
            _ = woken.changed_within(left) => {}
        }
    }
}

async fn learn(app: &App, agent: AgentRow, facts: Facts) -> Result<(), Error> {
    let now = app.clock.now();
    app.database.try_write(move |tx| agents::learn(tx, &agent, &facts, now)).await?;
    app.wake.notify("agents", 0);
    Ok(())
}

/// What there is to say now. Writes only where an order has to be made.
async fn reply(app: &App, look: Look, looked: Option<Looked>) -> Result<PollReply, Error> {
    let looked = match looked {
        Some(looked) => looked,
        None => Crowd::look(app, look).await?,
    };
    // An agent without an asset of its own gets nothing to do: which machine it is has to be decided first. What was
    // ordered while it had one is taken back.
    let offer = if looked.waits { Crowd::offer(app, look.agent).await? } else { Offer::default() };
    if !offer.touched.is_empty() {
        failpoint::hit("order.sent");
    }
    Ok(PollReply {
        now: app.clock.now(),
        roots: looked.roots,
        index: looked.index,
        approvals: offer.approvals.into_iter().collect(),
        orders: offer.orders,
        revoke: offer.revoke,
        acked: Vec::new(),
        wait_seconds: 0,
    })
}

async fn events(app: &App, body: Bytes) -> Result<Json<EventsReply>, Error> {
    let (agent, request) = agents::authenticate(app, &body).await?;
    drop(body);
    let Body::Events(events) = request.body else { return Err(misplaced()) };
    let stored = Crowd::report(app, agent.id, events.events).await?;
    Ok(Json(EventsReply { now: app.clock.now(), acked: stored.acked }))
}

async fn checked(app: &App, body: Bytes) -> Result<Json<ChecksReply>, Error> {
    let (agent, request) = agents::authenticate(app, &body).await?;
    let Body::Checks(said) = request.body else { return Err(misplaced()) };
    let now = app.clock.now();
    let taken = app.database.try_write(move |tx| checks::store(tx, &agent, &said, now)).await?;
    if taken.changed {
        app.wake.notify("after", 0);
    }
    Ok(Json(ChecksReply { now, n: taken.n, interval_seconds: taken.interval_seconds }))
}

async fn permit(app: &App, body: Bytes) -> Result<Json<PermitReply>, Error> {
    let (agent, request) = agents::authenticate(app, &body).await?;
    let Body::Permit(ask) = request.body else { return Err(misplaced()) };
    let (now, key) = (app.clock.now(), catalogue::order_key(app));
    let answer = app.database.try_write(move |tx| {
        let answer = permits::answer(tx, &agent, &ask, &key, now)?;
        failpoint::hit("permit.before_commit");
        Ok::<_, Error>(answer)
    });
    let answer = answer.await?;
    failpoint::hit("permit.after_commit");
    Ok(Json(PermitReply { now, answer }))
}

async fn restart(app: &App, body: Bytes) -> Result<Json<PermitReply>, Error> {
    let (agent, request) = agents::authenticate(app, &body).await?;
    let Body::Restart(ask) = request.body else { return Err(misplaced()) };
    let (now, key) = (app.clock.now(), catalogue::order_key(app));
    let answer = app.database.try_write(move |tx| permits::answer_restart(tx, &agent, &ask, &key, now)).await?;
    Ok(Json(PermitReply { now, answer }))
}

async fn content(app: &App, body: Bytes) -> Result<impl IntoResponse, Error> {
    let (_, request) = agents::authenticate(app, &body).await?;
    let Body::Content(content) = request.body else { return Err(misplaced()) };
    let digest = content.digest.clone();
    let bytes = app.database.read(move |tx| store::catalogue::body(tx, &content.digest)).await?;
    let bytes = bytes.ok_or_else(|| Error::NotFound(format!("catalogue entry with the digest {digest}")))?;
    Ok(([(CONTENT_TYPE, "application/json")], bytes))
}
