//! The connection that an instance amounts to, and its test.

use super::{Unopenable, known, purpose, versions_of, versions_seen};
use crate::app::App;
use crate::connect::qualys::checks::{Check, SEES_HOSTS, SEES_NONE, Verdict, What};
use crate::connect::qualys::{Auth, Client, Config, Endpoint, Secret, Versions};
use crate::http::{Caller, Error};
use crate::platforms::{Like, Purpose, Shared};
use axum::http::StatusCode;
use domain::access::{Action, Record};
use domain::id::InstanceId;
use domain::refusal::Refusal;
use domain::time::Timestamp;
use protocol::api::integrations::{ConnectionCheck, ConnectionTest};
use std::time::Duration;
use store::instances::{self, Instance};
use store::quotas;
use url::Url;

/// How long a test waits for a connection, and for the next bytes of an answer.
const TEST_TIMEOUT: Duration = Duration::from_secs(8);

/// Why there is no connection to a scanner.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The instance cannot be connected to.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Its password cannot be opened.
    #[error(transparent)]
    Unopenable(#[from] Unopenable),
    /// What is set is not usable.
    #[error(transparent)]
    Scanner(#[from] crate::connect::qualys::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Refused(refusal) => refusal.into(),
            ConnectError::Store(error) => error.into(),
            ConnectError::Unopenable(error) => Refusal::new("password_unopenable", error.to_string()).into(),
            ConnectError::Scanner(error) => Error::problem(StatusCode::BAD_GATEWAY, error.kind(), error.to_string()),
        }
    }
}

/// A connection to the scanner of an instance, shared with whatever else calls it. Nothing is sent yet.
///
/// # Errors
/// [`ConnectError`].
pub async fn connect(app: &App, id: InstanceId, wanted: Purpose) -> Result<Client, ConnectError> {
    Ok(shared(app, id).await?.2.lend(wanted))
}

async fn shared(app: &App, id: InstanceId) -> Result<(Instance, Config, Shared), ConnectError> {
    let read =
        app.database.read(move |tx| Ok((instances::one(tx, id)?, instances::secret(tx, id)?, quotas::of(tx, id)?)));
    let (instance, sealed, quotas) = read.await?;
    super::connected(&instance)?;
    let password = app.keys.sealer.open(&purpose(id), &sealed)?;
    let config = config(app, &instance, password)?;
    let like = Like {
        api_url: instance.api_url.clone(),
        gateway_url: instance.gateway_url.clone(),
        auth: instance.auth.clone(),
        username: instance.username.clone(),
        versions: instance.versions.clone(),
        sealed,
    };
    let seen = versions_seen(&instance.versions_seen);
    let shared = app.platforms.client(app, id, like, config.clone(), (&quotas, &seen))?;
    Ok((instance, config, shared))
}

fn config(app: &App, instance: &Instance, password: String) -> Result<Config, Refusal> {
    let url = |text: &str| {
        Url::parse(text).map_err(|_| Refusal::new("bad_url", format!("{text} is not the address of a scanner's API")))
    };
    let mut versions = Versions::default();
    for (word, version) in versions_of(&instance.versions) {
        if let Some(endpoint) = Endpoint::of_word(&word) {
            versions.set(endpoint, version);
        }
    }
    let gateway = Some(instance.gateway_url.as_str()).filter(|text| !text.is_empty());
    Ok(Config {
        gateway_url: gateway.map(url).transpose()?,
        auth: match instance.auth.as_str() {
            "session" => Auth::Session,
            "token" => Auth::Jwt,
            _ => Auth::Basic,
        },
        versions,
        password: Secret::new(password),
        spool_folder: crate::engine::import::spool_folder(app).ok(),
        ..Config::new(url(&instance.api_url)?, instance.username.clone(), "")
    })
}

/// Try the connection: everything that imports and rescans need, once each. What came of it is kept with the instance.
///
/// # Errors
/// 403, 404. A connection that does not work is an answer, not an error.
pub async fn test(app: &App, caller: &Caller, id: InstanceId) -> Result<ConnectionTest, Error> {
    caller.may(Action::IntegrationConfigure, &Record::default())?;
    let before = app.database.try_read(move |tx| known(tx, id)).await?;
    let checks = match shared(app, id).await {
        Ok((_, config, shared)) => {
            let hasty = Config {
                retries_max: 0,
                limit_wait_max: Duration::ZERO,
                connect_timeout: TEST_TIMEOUT,
                read_timeout: TEST_TIMEOUT,
                page_size: 1,
                ..config
            };
            match shared.apart(hasty) {
                Ok(client) => {
                    let checks = client.check().await;
                    client.close().await;
                    checks
                }
                Err(error) => return Ok(unusable(&error.to_string(), app.clock.now())),
            }
        }
        Err(ConnectError::Store(error)) => return Err(error.into()),
        Err(error) => return Ok(unusable(&error.to_string(), app.clock.now())),
    };
    let tested = told(&checks, app.clock.now());
    let text = serde_json::to_string(&tested).map_err(Error::internal)?;
    app.database.write(move |tx| instances::keep_test(tx, id, before.version, &text)).await?;
    Ok(tested)
}

/// The answer where there is nothing to try.
fn unusable(why: &str, now: Timestamp) -> ConnectionTest {
    ConnectionTest { works: false, detail: why.to_owned(), checks: Vec::new(), tested_at: now }
}

/// The checks as people and programs read them, with a sentence over all.
fn told(checks: &[Check], now: Timestamp) -> ConnectionTest {
    let fine = |check: &&Check| matches!(check.verdict, Verdict::Works | Verdict::Limited);
    let works = checks.iter().filter(|check| check.what.for_imports()).all(|check| fine(&check));
    let hosts = checks.iter().find(|check| check.what == What::Hosts).map_or("", |check| check.detail.as_str());
    let seen =
        if hosts == SEES_NONE { format!("signed in, but {SEES_NONE}") } else { format!("signed in; {SEES_HOSTS}") };
    let detail = match checks.iter().find(|check| !fine(check)) {
        None => seen,
        Some(check) if matches!(check.what, What::SignIn | What::Gateway) => check.detail.clone(),
        Some(check) if !works => format!("signed in, but imports will not work: {}", check.detail),
        Some(check) => format!("{seen}; rescans will not work: {}", check.detail),
    };
    let line = |check: &Check| ConnectionCheck {
        check: check.what.word().to_owned(),
        needed_for: if check.what.for_imports() { "imports" } else { "rescans" }.to_owned(),
        verdict: check.verdict.word().to_owned(),
        cause: check.cause.to_owned(),
        detail: check.detail.clone(),
        advice: check.advice.to_owned(),
    };
    ConnectionTest { works, detail, checks: checks.iter().map(line).collect(), tested_at: now }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(what: What, verdict: Verdict, detail: &str) -> Check {
        Check { what, verdict, cause: "", detail: detail.to_owned(), advice: "" }
    }

    #[test]
    fn what_imports_need_decides_and_the_first_trouble_is_said() {
        use Verdict::{Failed, Limited, NotTried, Refused, Works};
        let now = Timestamp::from_micros(0);
        for (verdicts, works, detail) in [
            ([Works, Works, Works, Works], true, "signed in; the account sees hosts"),
            ([Works, Works, Limited, Works], true, "signed in; the account sees hosts"),
            ([Works, Works, Works, Refused], true, "signed in; the account sees hosts; rescans will not work: why3"),
            ([Works, Works, Refused, Refused], false, "signed in, but imports will not work: why2"),
            ([Refused, NotTried, NotTried, NotTried], false, "why0"),
            ([Works, Works, Failed, NotTried], false, "signed in, but imports will not work: why2"),
        ] {
            let whats = [What::SignIn, What::Hosts, What::Detections, What::OptionProfiles];
            let checks: Vec<Check> = (0..4)
                .map(|at| {
                    let detail = if whats[at] == What::Hosts { SEES_HOSTS.to_owned() } else { format!("why{at}") };
                    check(whats[at], verdicts[at], &detail)
                })
                .collect();
            let told = told(&checks, now);
            assert_eq!((told.works, told.detail.as_str()), (works, detail), "{verdicts:?}");
        }
        let alone = [check(What::SignIn, Works, ""), check(What::Hosts, Works, SEES_NONE)];
        assert!(told(&alone, now).detail.starts_with("signed in, but the account sees no host"));
    }
}
