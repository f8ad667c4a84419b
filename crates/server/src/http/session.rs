//! Signing in and out, and changing one's password: used by the API's session and by the sign-in page.

use super::auth::{Caller, ClientAddress, Proof, cookie};
use super::error::{Error, PASSWORD_PATH};
use super::secret;
use crate::app::App;
use axum::http::{HeaderValue, StatusCode};
use domain::account::{self, AccountError};
use domain::time::Timestamp;
use protocol::problem::{FieldError, Problem};
use std::net::IpAddr;
use store::accounts::{self, Account};
use store::audit::{self, Entry};
use store::sessions::{self, Attempt};

/// The longest browser name kept.
const BROWSER_CHARS_MAX: usize = 200;

/// Somebody who has just signed in.
#[derive(Debug)]
pub struct SignedIn {
    /// Who.
    pub caller: Caller,
    /// The `Set-Cookie` header.
    pub set_cookie: HeaderValue,
    /// The anti-forgery token of the session.
    pub csrf: String,
    /// When the session ends at the latest.
    pub expires_at: Timestamp,
}

/// What somebody gives to sign in.
#[derive(Clone)]
pub struct Credentials {
    /// Name as typed.
    pub name: String,
    /// Password.
    pub password: String,
    /// Where from.
    pub address: ClientAddress,
    /// The browser as it calls itself.
    pub browser: String,
}

/// Sign in. Wrong name, wrong password and disabled account give the same answer after the same work.
///
/// # Errors
/// 401 `wrong_credentials`; 429 `throttled` with the seconds to wait.
pub async fn sign_in(app: &App, given: Credentials) -> Result<SignedIn, Error> {
    let (address, browser) = (given.address.0, given.browser.clone());
    let account = check(app, given).await?;
    begin(app, account, address, browser, app.clock.now()).await
}

/// The account of these credentials, without a session: for a program that gets a token.
///
/// # Errors
/// As [`sign_in`].
pub async fn prove(app: &App, given: Credentials) -> Result<Account, Error> {
    let address = given.address.0;
    let account = check(app, given).await?;
    let (name, now) = (account.name.clone(), app.clock.now());
    app.database.write(move |tx| sessions::succeeded(tx, &name, &account::network(address), now)).await?;
    Ok(account)
}

async fn check(app: &App, given: Credentials) -> Result<Account, Error> {
    let now = app.clock.now();
    // A name that cannot exist is counted and checked like one that does.
    let name =
        account::name(&given.name).unwrap_or_else(|_| given.name.chars().take(64).collect::<String>().to_lowercase());
    let address = given.address.0;
    let counted = {
        let (name, network) = (name.clone(), account::network(address));
        app.database.write(move |tx| sessions::attempt(tx, &name, &network, now)).await?
    };
    if let Attempt::TooEarly(open_at) = counted {
        return Err(throttled(open_at.seconds_since(now)));
    }
    let account = {
        let name = name.clone();
        app.database.read(move |tx| accounts::by_name(tx, &name)).await?
    };
    let hash = account.as_ref().filter(|account| account.active).map(|account| account.password_hash.clone());
    let password = given.password.chars().take(account::PASSWORD_BYTES_MAX).collect();
    let right = app.passwords.verify(password, hash).await?;
    account.filter(|_| right).ok_or_else(|| {
        tracing::warn!(%address, "a sign-in from {address} failed");
        Error::problem(StatusCode::UNAUTHORIZED, "wrong_credentials", "the name or the password is wrong")
    })
}

fn throttled(seconds: i64) -> Error {
    // Whole seconds, rounded up: whoever waits exactly that long gets through.
    let seconds = u64::try_from(seconds).unwrap_or(0) + 1;
    let why = format!("too many failed sign-ins; try again in {seconds} s");
    Error::Problem(Box::new(Problem::new(429, "throttled", why).with_retry_after(seconds)))
}

async fn begin(
    app: &App,
    account: Account,
    address: IpAddr,
    browser: String,
    now: Timestamp,
) -> Result<SignedIn, Error> {
    let session = secret::session();
    let digest = secret::digest(&session);
    let browser: String = browser.chars().filter(|c| !c.is_control()).take(BROWSER_CHARS_MAX).collect();
    let (user, name) = (account.id, account.name.clone());
    app.database
        .write(move |tx| {
            sessions::succeeded(tx, &name, &account::network(address), now)?;
            sessions::create(tx, &digest, user, &address.to_string(), &browser, now)?;
            accounts::signed_in(tx, user, now)?;
            let author = format!("users/{name}");
            let detail = serde_json::json!({ "address": address, "browser": browser });
            audit::append(tx, &Entry { at: now, actor: &author, action: "session.begin", resource: &author, detail })?;
            Ok(())
        })
        .await?;
    signed_in(app, &account, session, now)
}

fn signed_in(app: &App, account: &Account, session: String, now: Timestamp) -> Result<SignedIn, Error> {
    let seconds = app.session_limits.absolute_seconds;
    let set_cookie = HeaderValue::try_from(cookie(&session, seconds, app.site.secure)).map_err(Error::internal)?;
    Ok(SignedIn {
        csrf: secret::csrf(&session),
        expires_at: now.plus_seconds(seconds),
        set_cookie,
        caller: Caller {
            actor: account.actor(None),
            proof: Proof::Session(session),
            password_temporary: account.password_temporary,
        },
    })
}

/// End the caller's session; gives the `Set-Cookie` header that removes its cookie.
///
/// # Errors
/// [`Error`] where the database fails.
pub async fn sign_out(app: &App, caller: &Caller) -> Result<HeaderValue, Error> {
    if let Proof::Session(session) = &caller.proof {
        let (digest, now, author) = (secret::digest(session), app.clock.now(), caller.author());
        app.database
            .write(move |tx| {
                sessions::end(tx, &digest)?;
                let detail = serde_json::Value::Null;
                audit::append(
                    tx,
                    &Entry { at: now, actor: &author, action: "session.end", resource: &author, detail },
                )?;
                Ok(())
            })
            .await?;
    }
    HeaderValue::try_from(cookie("", 0, app.site.secure)).map_err(Error::internal)
}

/// Replace one's own password. Every session of the user ends; the caller gets a new one.
///
/// # Errors
/// 422 for a password that is not acceptable or a wrong present one; 429 where that was tried too often.
pub async fn change_password(
    app: &App,
    caller: &Caller,
    present: String,
    new: String,
    address: ClientAddress,
) -> Result<SignedIn, Error> {
    let now = app.clock.now();
    let unacceptable = |error: AccountError| Error::field("new_password", error.code(), error.to_string());
    account::password(&caller.name, &new).map_err(unacceptable)?;
    if present == new {
        return Err(unacceptable(AccountError::PasswordSame));
    }
    let (user, name, from) = (caller.user, caller.name.clone(), account::network(address.0));
    // Guessing here is guessing a password too, so it counts like a sign-in.
    let counted = {
        let (name, from) = (name.clone(), from.clone());
        app.database.write(move |tx| sessions::attempt(tx, &name, &from, now)).await?
    };
    if let Attempt::TooEarly(open_at) = counted {
        return Err(throttled(open_at.seconds_since(now)));
    }
    let account = app.database.read(move |tx| accounts::by_id(tx, user)).await?.ok_or(Error::SignInRequired)?;
    if !app.passwords.verify(present, Some(account.password_hash.clone())).await? {
        return Err(Error::Invalid(vec![FieldError::new(
            "password",
            "wrong_password",
            "the present password is wrong",
        )]));
    }
    let hash = app.passwords.hash(new).await?;
    let session = secret::session();
    let digest = secret::digest(&session);
    app.database
        .write(move |tx| {
            let author = format!("users/{name}");
            sessions::succeeded(tx, &name, &from, now)?;
            accounts::set_password(tx, &author, user, &hash, false, now)?;
            sessions::end_all(tx, user)?;
            sessions::create(tx, &digest, user, &address.0.to_string(), "", now)
        })
        .await?;
    let account = Account { password_temporary: false, ..account };
    signed_in(app, &account, session, now)
}

/// Where to go after signing in: back to where somebody came from, if that is a path of ours.
#[must_use]
pub fn way_back(caller: &Caller, wanted: Option<&str>) -> String {
    if caller.password_temporary {
        return PASSWORD_PATH.to_owned();
    }
    wanted.filter(|path| own_path(path)).unwrap_or("/").to_owned()
}

/// Whether `path` stays on this site: `//host`, `/\host` and whatever a browser would read as one of them do not.
fn own_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= 2048
        && !path.chars().any(|c| c == '\\' || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_site_are_gone_back_to() {
        for good in ["/", "/jobs", "/jobs?q=a%2Fb#x", "/a//b"] {
            assert!(own_path(good), "{good}");
        }
        for bad in [
            "",
            "jobs",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/\t/evil.example",
            "javascript:1",
        ] {
            assert!(!own_path(bad), "{bad}");
        }
    }
}
