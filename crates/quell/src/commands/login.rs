//! `quell login`, `logout`, `whoami`: get a token for this machine, give it back, see what it is good for.

use super::Context;
use crate::client::{Client, path};
use crate::failure::Failure;
use crate::output::{self, interactive, note};
use crate::profile::Profile;
use crate::prompt;
use crate::trust::{self, Fingerprint};
use protocol::api::accounts::{Me, MeBody, NewToken, PasswordChange, SessionBody, SignIn, TokenWithSecret, TokensBody};
use serde_json::json;
use url::Url;

/// Sign in.
#[derive(Debug, clap::Args)]
pub struct Login {
    /// Address of the server: https://host:8443
    url: Option<Url>,
    /// Sign-in name
    #[arg(short, long, env = "QUELL_USER")]
    user: Option<String>,
    /// Read the password from standard input; a second line is the new one where it has to be changed
    #[arg(long)]
    password_stdin: bool,
    /// What the token may be used for
    #[arg(long, value_delimiter = ',', default_value = "all", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Days the token lives
    #[arg(long, default_value_t = 90, value_name = "N")]
    days: i64,
}

/// Sign in with name and password, make a token, keep it.
///
/// # Errors
/// [`Failure`] of the server or of the person in front.
pub async fn login(arguments: Login, context: &Context) -> Result<(), Failure> {
    let server = match arguments.url.clone() {
        Some(url) => url,
        None => context.server.profile()?.server,
    };
    let ca_sha256 = match context.server.ca_sha256 {
        Some(given) => Some(given),
        None => authority(&server).await?,
    };
    let profile = Profile { server, token: None, ca_sha256 };
    let client = Client::new(&profile)?;
    // Know whom we talk to before anything secret is asked for or sent.
    client.get::<serde_json::Value>(&path(&["server"]), &[]).await?;
    let name = match arguments.user.clone() {
        Some(name) => name,
        None => prompt::line("User: ")?,
    };
    let ask = |question| if arguments.password_stdin { prompt::read() } else { prompt::password(question) };
    let password = ask("Password: ")?;
    let given = SignIn { name: name.clone(), password: password.clone() };
    let begun: SessionBody = client.post(&path(&["session"]), &given).await?;
    let mut client = client.in_session(begun.session.csrf_token);
    if begun.session.password_change_required {
        note("The password was given by somebody else and has to be replaced (at least 12 characters).");
        let new_password = ask("New password: ")?;
        if !arguments.password_stdin && ask("The new password again: ")? != new_password {
            return Err(Failure::Said("the two new passwords differ; nothing was changed".to_owned()));
        }
        let change = PasswordChange { password, new_password };
        let changed: SessionBody = client.post(&path(&["me", "password"]), &change).await?;
        client = client.in_session(changed.session.csrf_token);
    }
    let new = NewToken { name: "quell login".to_owned(), scopes: arguments.scopes, days: Some(arguments.days) };
    let made: TokenWithSecret = client.post(&path(&["tokens"]), &new).await?;
    client.delete(&path(&["session"])).await?;
    let kept = context.server.save(&Profile { token: Some(made.secret), ..profile })?;
    let expires_at = made.token.expires_at.to_string();
    output::record(
        context.format,
        &json!({ "user": name, "expires_at": expires_at, "config": kept }),
        &[("signed in as", name.clone()), ("token ends", expires_at), ("kept in", kept.display().to_string())],
    )
}

/// The authority to trust: none where the system vouches for the server; else the one shown, if the person agrees.
async fn authority(server: &Url) -> Result<Option<Fingerprint>, Failure> {
    let profile = Profile { server: server.clone(), token: None, ca_sha256: None };
    let asked = Client::new(&profile)?.get::<serde_json::Value>(&path(&["server"]), &[]).await;
    let Err(Failure::Untrusted { url, why }) = asked else { return asked.map(|_| None) };
    let (config, seen) = trust::probe()?;
    let probe = reqwest::Client::builder().tls_backend_preconfigured(config).build();
    let _ = probe
        .map_err(|error| Failure::internal("cannot set the connection up", error))?
        .get(server.clone())
        .send()
        .await;
    let seen = seen.lock().ok().and_then(|seen| *seen);
    let (Some(fingerprint), true) = (seen, interactive()) else { return Err(Failure::Untrusted { url, why }) };
    note(&format!("{url} has its own certificate authority, with the SHA-256 fingerprint\n  {fingerprint}"));
    match prompt::line("Compare it with what `quell serve` printed. Trust it from now on? [y/N] ")?.as_str() {
        "y" | "Y" | "yes" => Ok(Some(fingerprint)),
        _ => Err(Failure::Untrusted { url, why: "it was not confirmed".to_owned() }),
    }
}

/// End the kept token and forget it.
///
/// # Errors
/// [`Failure`] of the server or of the file.
pub async fn logout(context: &Context) -> Result<(), Failure> {
    let profile = context.server.profile()?;
    let client = Client::new(&profile)?;
    if let Some(token) = &profile.token {
        // The token's own record is the one with its first characters; a token may always end itself.
        let tokens: TokensBody = client.get(&path(&["tokens"]), &[("limit", "500".to_owned())]).await?;
        let own = tokens.tokens.iter().find(|listed| token.starts_with(&listed.hint) && listed.revoked_at.is_none());
        if let Some(own) = own {
            client.delete(&path(&["tokens", &own.id.to_string()])).await?;
        }
    }
    context.server.save(&Profile { token: None, ..profile })?;
    note("signed out");
    Ok(())
}

/// Show who one is.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn whoami(context: &Context) -> Result<(), Failure> {
    let MeBody { me } = context.client()?.get(&path(&["me"]), &[]).await?;
    let may = |reach: &str| {
        let words = me.permissions.iter().filter(|permission| permission.reach == reach);
        words.map(|permission| permission.action.as_str()).collect::<Vec<_>>().join(", ")
    };
    let Me { user, token_scopes, .. } = &me;
    output::record(
        context.format,
        &me,
        &[
            ("user", user.name.clone()),
            ("name", user.full_name.clone()),
            ("roles", user.roles.join(", ")),
            ("groups", user.groups.join(", ")),
            ("asset scope", user.scope.as_ref().map_or_else(|| "all assets".to_owned(), |tags| tags.join(", "))),
            ("token scopes", token_scopes.as_ref().map_or_else(|| "session".to_owned(), |scopes| scopes.join(", "))),
            ("may, on any record", may("all")),
            ("may, on own or assigned", may("related")),
        ],
    )
}
