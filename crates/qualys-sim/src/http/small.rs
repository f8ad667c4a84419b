//! The small end points: about, session, gateway token, activity log (spec sections 2.2 and 10).

use super::call::Call;
use super::gateway;
use super::params::{Kind, Known};
use super::reply::{Family, Refusal, Reply, done};
use super::xml::{Xml, stamp};

/// `/msp/about.php`.
pub(super) fn about(call: &Call) -> Reply {
    let mut xml = Xml::default();
    xml.raw("<?xml version=\"1.0\" encoding=\"UTF-8\" ?>");
    xml.raw(&format!("<!DOCTYPE ABOUT SYSTEM \"{}/about.dtd\">", call.base));
    xml.open("ABOUT");
    xml.leaf("API-VERSION MAJOR=\"2\" MINOR=\"0\"", "");
    xml.leaf("WEB-VERSION", "10.39.1.0-1");
    xml.leaf("SCANNER-VERSION", "12.10.24-1");
    xml.leaf("VULNSIGS-VERSION", "2.6.100-2");
    xml.close("ABOUT");
    Reply::xml(xml.finish())
}

/// `/api/2.0/fo/session/`: neither counted nor given rate headers.
pub(super) fn session(call: &Call) -> Result<Reply, Refusal> {
    if call.header("x-requested-with").is_none_or(str::is_empty) {
        return Err(Refusal { at_login: true, ..Refusal::bad(1903, "Missing required header: X-Requested-With") });
    }
    call.post_only()?;
    let plain = |reply: Reply| Reply { family: Family::Login, ..reply };
    match call.action()? {
        "login" => {
            const KNOWN: &[Known] = &[("username", Kind::Text), ("password", Kind::Text)];
            call.params.check(&[KNOWN])?;
            let (user, password) = (call.params.require("username")?, call.params.require("password")?);
            let id = call.app.access.open_session(&call.app.world.options, user, password, call.now)?;
            let secure = if call.app.world.options.switches.secure_cookie { "; secure" } else { "" };
            let cookie = format!("QualysSession={id}; path=/api{secure}");
            Ok(plain(done(&call.base, call.now, "Logged in", &[]).with("set-cookie", cookie)))
        }
        "logout" => {
            if !call.app.access.close_session(call.header("cookie")) {
                return Err(Refusal::login(401, 2000, "Bad Login/Password"));
            }
            let cookie = "QualysSession=; path=/api; expires=Thu, 01 Jan 1970 00:00:00 GMT";
            Ok(plain(done(&call.base, call.now, "Logged out", &[]).with("set-cookie", cookie)))
        }
        other => Err(call.unknown_action(other)),
    }
}

/// `/auth` of the gateway: 201 and the bare token, or 401 with JSON.
pub(super) fn auth(call: &Call) -> Reply {
    let params = &call.params;
    let token = (call.method == "POST")
        .then(|| params.get("username").zip(params.get("password")))
        .flatten()
        .and_then(|(user, password)| call.app.access.make_token(&call.app.world.options, user, password, call.now));
    match token {
        Some(token) => Reply::new(201, "text/plain;charset=UTF-8", token, Family::Plain),
        None => gateway::unauthorized(call),
    }
}

/// The activity log: CSV between marker lines, newest first, paged backwards by `id_max`.
pub(super) fn activity_log(call: &Call) -> Result<Reply, Refusal> {
    const KNOWN: &[Known] = &[
        ("since_datetime", Kind::Date),
        ("until_datetime", Kind::Date),
        ("username", Kind::Text),
        ("user_action", Kind::Text),
        ("action_details", Kind::Text),
        ("user_role", Kind::Text),
        ("truncation_limit", Kind::Number),
        ("output_format", Kind::OneOf(&["CSV", "csv"])),
        ("id_max", Kind::Number),
    ];
    let action = call.action()?;
    if action != "list" {
        return Err(call.unknown_action(action));
    }
    call.params.check(&[KNOWN])?;
    let limit = call.params.number("truncation_limit").unwrap_or(1_000);
    let id_max = call.params.number("id_max").unwrap_or(u64::MAX);
    let user = &call.app.world.options.username;
    let mut entries: Vec<_> = call
        .app
        .journal
        .all()
        .into_iter()
        .filter(|entry| entry.number <= id_max && entry.endpoint != "control")
        .filter(|entry| call.params.date("since_datetime").is_none_or(|since| entry.at >= since))
        .filter(|entry| call.params.date("until_datetime").is_none_or(|until| entry.at <= until))
        .filter(|_| call.params.get("username").is_none_or(|name| name == user))
        .collect();
    entries.reverse();
    let page = usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let mut text = "----BEGIN_RESPONSE_BODY_CSV\n\"Date\",\"Action\",\"Module\",\"Details\",\"User Name\",\"User Role\",\"User IP\"\n".to_owned();
    for entry in entries.iter().take(page) {
        let details = format!("{{\"\"resource\"\":\"\"{}\"\"}}", entry.path);
        let action = entry.parameter("action").unwrap_or("request");
        let at = stamp(entry.at);
        text.push_str(&format!(
            "\"{at}\",\"{action}\",\"{}\",\"{details}\",\"{user}\",\"Manager\",\"127.0.0.1\"\n",
            entry.endpoint
        ));
    }
    text.push_str("----END_RESPONSE_BODY_CSV\n----BEGIN_RESPONSE_FOOTER_CSV\n");
    if let Some(next) = entries.get(page) {
        let url = call.next_page("id_max", next.number);
        text.push_str("WARNING\n\"CODE\",\"TEXT\",\"URL\"\n");
        let warning =
            format!("\"1980\",\"{limit} record limit exceeded. Use URL to get next batch of results.\",\"{url}\"\n");
        text.push_str(&warning);
    }
    text.push_str("----END_RESPONSE_FOOTER_CSV\n");
    Ok(Reply { content_type: "text/csv;charset=UTF-8", ..Reply::xml(text) })
}
