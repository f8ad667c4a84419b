//! The built program against a real server over TLS: serve, sign in, manage users and tokens, recover, exit codes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

mod common;

use common::{Served, fails, json, run};

#[test]
fn a_person_signs_in_and_manages_users_and_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fails(folder, &["whoami"], 3, "no server is named");
    let served = Served::start(folder, &[]);
    let url = served.url.as_str();

    // Nobody vouches for the server; without a fingerprint nothing is sent.
    fails(folder, &["login", url, "-u", "admin", "--password-stdin"], 6, "is not trusted");
    let wrong = "00".repeat(32);
    fails(folder, &["login", url, "-u", "admin", "--password-stdin", "--ca-sha256", &wrong], 6, "is not trusted");
    let login = ["login", url, "-u", "admin", "--password-stdin", "--ca-sha256", &served.fingerprint];
    let input = format!("{}\nchosen by a test person\n", served.password);
    let signed_in = json(folder, &login, &input);
    assert_eq!(signed_in["user"], "admin");

    // From now on server, token and fingerprint come from the file.
    let me = json(folder, &["whoami"], "");
    assert_eq!(me["user"]["roles"], serde_json::json!(["super_user"]));
    let made = json(folder, &["users", "create", "Ada", "--role", "job_author", "--scope", "prod,lab"], "");
    assert_eq!(made["user"]["scope"], serde_json::json!(["lab", "prod"]));
    fails(folder, &["users", "create", "ada"], 1, "there is already a user of this name");
    fails(folder, &["users", "show", "nobody"], 4, "there is no user nobody");
    fails(folder, &["users", "disable", "admin"], 5, "this is the last active SuperUser");
    json(folder, &["users", "set-group", "team", "ada", "admin"], "");
    let listed = run(folder, &["users", "list", "-o", "csv"], "");
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(
        listed
            .starts_with("NAME,FULL NAME,ROLES,GROUPS,SCOPE,ACTIVE,LAST SIGN-IN\nada,,job_author,team,lab prod,yes,\n"),
        "{listed}"
    );
    let table = String::from_utf8(run(folder, &["users", "list"], "").stdout).unwrap();
    assert!(table.contains("ada") && table.contains("job_author"), "{table}");

    let token = json(folder, &["tokens", "create", "reader", "--scopes", "read"], "");
    let secret = token["secret"].as_str().unwrap();
    fails(folder, &["--token", secret, "users", "disable", "ada"], 3, "the token in use lacks the scope `accounts`");
    let id = token["token"]["id"].to_string();
    assert!(run(folder, &["tokens", "revoke", &id], "").status.success());
    fails(folder, &["--token", secret, "whoami"], 3, "nobody is signed in");

    assert!(run(folder, &["logout"], "").status.success());
    fails(folder, &["whoami"], 3, "nobody is signed in");
    drop(served);
    fails(folder, &["whoami"], 6, "cannot reach");
}

#[test]
fn a_lost_password_is_recovered_at_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let served = Served::start(folder, &[]);
    let data = folder.join("data");
    let data = data.to_str().unwrap();
    let login = ["login", &served.url, "-u", "admin", "--password-stdin", "--ca-sha256", &served.fingerprint];
    json(folder, &login, &format!("{}\nchosen by somebody else\n", served.password));
    json(folder, &["whoami"], "");
    let recovered = json(folder, &["recover", "admin", "--data-dir", data], "");
    let once = recovered["one_time_password"].as_str().unwrap();
    fails(folder, &["whoami"], 3, "nobody is signed in");
    let old = run(folder, &login, "chosen by somebody else\nx\n");
    assert_eq!(old.status.code(), Some(3), "the password it had is replaced");
    json(folder, &login, &format!("{once}\nchosen by a test person\n"));
    fails(folder, &["recover", "nobody", "--data-dir", data], 4, "there is no user nobody");
}

#[test]
fn the_command_line_explains_itself() {
    let folder = tempfile::tempdir().unwrap();
    let help = String::from_utf8(run(folder.path(), &["--help"], "").stdout).unwrap();
    assert!(help.contains("Exit codes:") && help.contains("serve"), "{help}");
    fails(folder.path(), &["users", "frobnicate"], 2, "unrecognized subcommand");
    for shell in ["bash", "zsh", "fish"] {
        let script = String::from_utf8(run(folder.path(), &["complete", shell], "").stdout).unwrap();
        assert!(script.contains("quell") && script.contains("tokens"), "{shell}");
    }
    let bad = folder.path().join("serve.toml");
    std::fs::write(&bad, "data_dir = '/tmp/x'\nlisen = '127.0.0.1:1'\n").unwrap();
    fails(folder.path(), &["serve", "--file", bad.to_str().unwrap()], 1, "unknown field `lisen`");
    fails(folder.path(), &["serve", "--data-dir", "/tmp/x", "--plain-http"], 1, "plain HTTP is accepted on a loopback");
}
