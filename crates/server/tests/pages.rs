//! The pages of accounts as a browser without scripts uses them: sign-in and the way back, forms with their hidden
//! token, what is shown once, what is hidden or disabled with its reason.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

use reqwest::Method;
use testkit::both_servers;
use testkit::server::{ADMIN_PASSWORD, Client, Reply, TestServer, USER_PASSWORD};

/// Sign in through the page; the client has no anti-forgery header, like a browser without scripts.
async fn signed_in(server: &TestServer, name: &str, password: &str) -> Client {
    let client = server.client();
    let reply = client.form("/sign-in", &[("name", name), ("password", password), ("next", "/users?q=x")]).await;
    assert_eq!((reply.status, place(&reply)), (303, "/users?q=x"));
    client
}

fn place(reply: &Reply) -> &str {
    reply.headers.get("location").map(|value| value.to_str().unwrap()).unwrap_or_default()
}

/// The hidden token of the page's forms.
fn token(page: &Reply) -> String {
    let (_, rest) = page.text.split_once("name=\"csrf\" value=\"").expect("the page has a form");
    rest.split('"').next().unwrap().to_owned()
}

both_servers!(people_are_led_to_sign_in_and_back, |server| async move {
    let nobody = server.client();
    let reply = nobody.get("/users?q=a%3Ab&sort=-name").await;
    assert_eq!((reply.status, place(&reply)), (303, "/sign-in?next=%2Fusers%3Fq%3Da%253Ab%26sort%3D-name"));
    let page = nobody.get(place(&reply)).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("value=\"/users?q=a%3Ab&#38;sort=-name\""), "{}", page.text);
    let fragment = nobody.send(nobody.request(Method::GET, "/users").header("hx-request", "true")).await;
    assert_eq!((fragment.status, fragment.headers["hx-redirect"].to_str().unwrap()), (200, "/sign-in"));
    for (next, expected) in
        [("/audit", "/audit"), ("//evil.example/", "/"), ("https://evil.example", "/"), ("/\\evil", "/"), ("", "/")]
    {
        let fields = [("name", "admin"), ("password", ADMIN_PASSWORD), ("next", next)];
        let reply = server.client().form("/sign-in", &fields).await;
        assert_eq!((reply.status, place(&reply)), (303, expected), "{next}");
    }
    let wrong = nobody.form("/sign-in", &[("name", "ad<min"), ("password", "x"), ("next", "/jobs")]).await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.text.contains("The name or the password is wrong.") && wrong.text.contains("ad&#60;min"),
        "{}",
        wrong.text
    );
    let other = nobody.request(Method::POST, "/sign-in").header("origin", "https://evil.example");
    let other = nobody.send(other.form(&[("name", "admin"), ("password", ADMIN_PASSWORD)])).await;
    assert_eq!(other.status, 403);
});

both_servers!(a_new_user_chooses_a_password_before_anything_else, |server| async move {
    let admin = signed_in(&server, "admin", ADMIN_PASSWORD).await;
    let form = admin.get("/users/new").await;
    assert_eq!(form.status, 200);
    let csrf = token(&form);
    let fields = [
        ("csrf", csrf.as_str()),
        ("name", "ada"),
        ("full_name", "Ada <L>"),
        ("scope", "prod, lab"),
        ("role", "job_author"),
        ("role", "read_only"),
    ];
    let bad = admin.form("/users", &[fields.as_slice(), &[("role", "root")]].concat()).await;
    assert_eq!(bad.status, 422, "{}", bad.text);
    let made = admin.form("/users", &fields).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let once = made.text.split("id=\"q-password\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let again = admin.form("/users", &fields).await;
    assert!(again.status == 422 && again.text.contains("There is already a user of this name."), "{}", again.text);

    let ada = server.client();
    let reply = ada.form("/sign-in", &[("name", "ada"), ("password", &once), ("next", "/users")]).await;
    assert_eq!(place(&reply), "/account/password");
    assert_eq!(place(&ada.get("/tokens").await), "/account/password");
    let page = ada.get("/account/password").await;
    let csrf = token(&page);
    let change = |new: &'static str, again: &'static str| {
        let fields =
            [("csrf", csrf.clone()), ("current", once.clone()), ("new", new.to_owned()), ("again", again.to_owned())];
        let client = ada.clone();
        async move {
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            client.form("/account/password", &fields).await
        }
    };
    assert!(change(USER_PASSWORD, "other").await.text.contains("The two new passwords differ."));
    assert!(change("short", "short").await.text.contains("at least 12 characters"));
    let changed = change(USER_PASSWORD, USER_PASSWORD).await;
    assert_eq!((changed.status, place(&changed)), (303, "/"));
    let tokens = ada.get("/tokens").await;
    assert!(tokens.status == 200 && tokens.text.contains("Password changed."), "{}", tokens.text);
    assert!(!ada.get("/tokens").await.text.contains("Password changed."), "said once");
});

both_servers!(forms_without_their_token_do_nothing, |server| async move {
    let admin = signed_in(&server, "admin", ADMIN_PASSWORD).await;
    let csrf = token(&admin.get("/users/new").await);
    for fields in [&[("name", "eve")][..], &[("name", "eve"), ("csrf", "wrong")]] {
        let reply = admin.form("/users", fields).await;
        assert_eq!(reply.status, 403);
        assert!(reply.text.contains("anti-forgery"), "{}", reply.text);
    }
    // A form with files carries the token as its first part.
    let part = |name: &'static str, csrf: &str| {
        let form = reqwest_form(&[(name, csrf), ("name", "eve")]);
        admin.request(Method::POST, "/users").header("content-type", "multipart/form-data; boundary=XX").body(form)
    };
    assert_eq!(admin.send(part("csrf", "wrong")).await.status, 403);
    assert_eq!(admin.send(part("other", &csrf)).await.status, 403);
    // With it the request gets through; this page then finds no such field in it.
    assert_ne!(admin.send(part("csrf", &csrf)).await.status, 403);
    assert_eq!(admin.get("/users/eve").await.status, 404);
});

fn reqwest_form(parts: &[(&str, &str)]) -> String {
    let parts = parts
        .iter()
        .map(|(name, value)| format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
    parts.collect::<String>() + "--XX--\r\n"
}

both_servers!(users_are_listed_changed_and_disabled, |server| async move {
    server.user("ada", &["job_author"]).await;
    let admin = signed_in(&server, "admin", ADMIN_PASSWORD).await;
    let list = admin.get("/users?q=role%3Ajob_author").await;
    assert!(
        list.status == 200 && list.text.contains("/users/ada") && !list.text.contains("/users/admin\""),
        "{}",
        list.text
    );
    let wrong = admin.get("/users?q=nmae%3Ax").await;
    assert!(wrong.status == 200 && wrong.text.contains("there is no field `nmae`"), "{}", wrong.text);
    let page = admin.get("/users/ada").await;
    let csrf = token(&page);
    let fields =
        [("csrf", csrf.as_str()), ("name", "ada"), ("full_name", "Ada"), ("scope", ""), ("role", "job_reader")];
    let saved = admin.form("/users/ada", &fields).await;
    assert_eq!((saved.status, place(&saved)), (303, "/users"));
    let shown = admin.get("/users/ada").await;
    assert!(shown.text.contains("value=\"job_reader\" checked"), "{}", shown.text);
    let last = admin.form("/users/admin", &[("csrf", &csrf), ("name", "admin"), ("role", "read_only")]).await;
    assert!(last.status == 422 && last.text.contains("This is the last active SuperUser"), "{}", last.text);
    assert_eq!(admin.form("/users/ada/disable", &[("csrf", &csrf)]).await.status, 303);
    assert!(admin.get("/users").await.text.contains("Disabled ada."));
    let reset = admin.form("/users/ada/password-reset", &[("csrf", &csrf)]).await;
    assert!(reset.status == 200 && reset.text.contains("id=\"q-password\""), "{}", reset.text);
});

both_servers!(what_a_role_may_not_is_hidden_or_refused, |server| async move {
    server.user("ada", &["job_reader"]).await;
    server.user("boss", &["administrator"]).await;
    let ada = signed_in(&server, "ada", USER_PASSWORD).await;
    let tokens = ada.get("/tokens").await;
    assert_eq!(tokens.status, 200);
    assert!(!tokens.text.contains("href=\"/users\"") && !tokens.text.contains("href=\"/audit\""), "hidden places");
    let refused = ada.get("/users").await;
    assert_eq!(refused.status, 403);
    assert!(
        refused.text.contains("Your roles do not include the permission to look at user accounts."),
        "{}",
        refused.text
    );
    let boss = signed_in(&server, "boss", USER_PASSWORD).await;
    let page = boss.get("/users/admin").await;
    assert!(page.text.contains("only a SuperUser may change the account of a SuperUser"), "{}", page.text);
    assert!(
        page.text.contains("permission to change roles and asset scopes") || page.text.contains("only a SuperUser"),
        "{}",
        page.text
    );
});

both_servers!(tokens_are_made_shown_once_and_revoked, |server| async move {
    let admin = signed_in(&server, "admin", ADMIN_PASSWORD).await;
    let csrf = token(&admin.get("/tokens/new").await);
    let none = admin.form("/tokens", &[("csrf", &csrf), ("name", "t"), ("days", "abc")]).await;
    assert!(none.status == 422 && none.text.contains("A token lives 1 to 366 days."), "{}", none.text);
    let made = admin.form("/tokens", &[("csrf", &csrf), ("name", "t"), ("days", "5"), ("scope", "read")]).await;
    let secret = made.text.split("id=\"q-token\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert_eq!(admin.with_token(&secret).get("/api/v1/me").await.status, 200);
    assert_eq!(
        place(&admin.with_token(&secret).get("/tokens").await),
        "/sign-in?next=%2Ftokens",
        "pages need a session"
    );
    assert!(!admin.get("/tokens").await.text.contains(&secret));
    assert_eq!(admin.form("/tokens/1/revoke", &[("csrf", &csrf)]).await.status, 303);
    assert_eq!(admin.with_token(&secret).get("/api/v1/me").await.status, 401);
    let log = admin.get("/audit").await;
    assert!(log.status == 200 && log.text.contains("token.revoke"), "{}", log.text);
    let out = admin.form("/sign-out", &[("csrf", &csrf)]).await;
    assert_eq!((out.status, place(&out)), (303, "/sign-in"));
    assert_eq!(place(&admin.get("/tokens").await), "/sign-in?next=%2Ftokens");
});

#[tokio::test]
async fn assets_are_served_to_everybody() {
    let server = TestServer::start().await;
    let page = server.client().get("/sign-in").await;
    let path = page.text.split("rel=\"stylesheet\" href=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let asset = server.client().get(&path).await;
    assert_eq!((asset.status, asset.headers["content-type"].to_str().unwrap()), (200, "text/css; charset=utf-8"));
    assert!(asset.headers["cache-control"].to_str().unwrap().contains("immutable"));
}
