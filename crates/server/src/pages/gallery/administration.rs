//! Users, tokens, mail and the audit.

use super::sample::{ago, list, save, shell, when};
use crate::pages::chips::{Chip, Tone, When};
use crate::pages::forms::{Choice, Faults, Field};
use crate::pages::lists::{Action, Menu};
use crate::pages::shell::Section;
use crate::pages::{audit, mail, users};
use std::path::Path;

pub(super) fn pages(out: &Path) {
    let rows: Vec<_> = [
        ("mara", "Mara Okafor", "Administrator"),
        ("jan", "Jan Petrov", "Remediation owner"),
        ("audit", "External audit", "Read-only"),
    ]
    .into_iter()
    .enumerate()
    .map(|(at, (name, shown, role))| users::UserRow {
        name: name.into(),
        shown: shown.into(),
        href: "user.html".into(),
        roles: vec![role.into()],
        scope: if at == 1 { "tag web".into() } else { String::new() },
        groups: if at == 1 { "Web operations".into() } else { String::new() },
        state: if at == 2 { Chip::new(Tone::Idle, "Disabled") } else { Chip::new(Tone::Ok, "Active") },
        seen: Some(when(30)),
        menu: Menu::dots(
            format!("m-{at}"),
            "Quick actions",
            vec![Action::go("Edit", "user.html").icon("pencil"), Action::post("Disable", "/x").icon("ban").danger()],
        ),
    })
    .collect();
    save(
        out,
        "users",
        &users::UsersPage {
            shell: shell(Section::Users, "Users & roles")
                .action(Action::go("New user", "user.html").icon("user-plus").primary()),
            list: list("/users", "users", &users::COLUMNS, "", "name", rows.len(), 3),
            rows,
        }
        .to_string(),
    );
    let role = |value: &str, label: &str, means: &str, on, reason: Option<&str>| users::RoleChoice {
        choice: Choice::new(value, label),
        means: means.into(),
        on,
        reason: reason.map(Into::into),
    };
    let page = users::UserPage {
        shell: shell(Section::Users, "Jan Petrov").under("Users & roles", "users.html"),
        to: "#".into(),
        fields: vec![
            Field::line("name", "User name", "jan").required().readonly(true),
            Field::line("shown", "Name", "Jan Petrov"),
            Field::line("scope", "Only assets with these tags", "web")
                .help("Empty means every asset. Several tags are separated by commas."),
        ],
        roles: vec![
            role(
                "superuser",
                "SuperUser",
                "everything, roles and keys included",
                false,
                Some("only a SuperUser gives this role"),
            ),
            role("administrator", "Administrator", "set-up, users and every job", false, None),
            role("job_author", "Job author", "makes jobs and acts on their own", false, None),
            role(
                "remediation_owner",
                "Remediation owner",
                "works on items and tasks assigned to them, rescans them",
                true,
                None,
            ),
        ],
        faults: Faults::default(),
        password: Some("plum-orbit-cedar-lantern-42".into()),
        actions: vec![
            Action::post("New one-time password", "/x").icon("key"),
            Action::post("Disable", "/x").icon("ban").danger(),
        ],
    };
    save(out, "user", &page.to_string());
    let rows = vec![users::TokenRow {
        name: "Ticket bridge".into(),
        prefix: "quell_4f2a".into(),
        owner: "Mara Okafor".into(),
        may: vec!["read".into(), "jobs".into()],
        state: Chip::new(Tone::Ok, "Good"),
        expires: Some(when(-90_000)),
        used: Some(when(3)),
        menu: Menu::dots("m-1", "Quick actions", vec![Action::post("Revoke", "/x").icon("ban").danger()]),
    }];
    save(
        out,
        "tokens",
        &users::TokensPage {
            shell: shell(Section::Tokens, "API tokens")
                .action(Action::show("New token", "token.html").icon("plus").primary()),
            list: list("/tokens", "API tokens", &users::TOKEN_COLUMNS, "", "name", 1, 1),
            rows,
        }
        .to_string(),
    );
    let token = |made| users::TokenPage {
        shell: shell(Section::Tokens, "New API token").under("API tokens", "tokens.html"),
        fields: vec![
            Field::line("name", "What it is for", "").required(),
            Field::typed("number", "days", "Days it is good for", "90"),
        ],
        scopes: vec![
            role("read", "Read", "everything you may see", true, None),
            role("jobs", "Jobs", "make and change mitigation jobs", false, None),
        ],
        faults: Faults::default(),
        made,
    };
    save(out, "token", &token(None).to_string());
    save(out, "token_made", &token(Some("quell_4f2a_c29tZXRoaW5nIGxvbmcgYW5kIHJhbmRvbQ".into())).to_string());
    mails(out);
    let rows: Vec<_> = (0_i64..6)
        .map(|n| audit::AuditRow {
            sequence: 9_120 - n,
            at: When::exact(ago(n * 9)),
            actor: "Mara Okafor".into(),
            from: "page, from 10.0.0.7".into(),
            action: "job.enable".into(),
            record: ("jobs/MJ0001187".into(), Some("job.html".into())),
            change: "status DISABLED → ENABLED".into(),
            bytes: "{\"action\":\"job.enable\",\"record\":\"jobs/MJ0001187\"}".into(),
            sealed: if n == 0 { Chip::new(Tone::Idle, "not yet") } else { Chip::new(Tone::Ok, "sealed") },
        })
        .collect();
    save(
        out,
        "audit",
        &audit::AuditPage {
            shell: shell(Section::Audit, "Audit log"),
            list: list("/audit", "audit entries", &audit::COLUMNS, "", "-sequence", rows.len(), 9_120),
            seal: "Sealed up to entry 9,119 at 14:05 UTC.".into(),
            rows,
        }
        .to_string(),
    );
}

fn mails(out: &Path) {
    let line = |n: i64, recipient: &str, about, state, error: &str| mail::MailLine {
        recipient: recipient.into(),
        about,
        job: (about != "Test").then(|| "MJ0001187".into()),
        state,
        attempts: n,
        caused: when(n * 7),
        next: error.starts_with("451").then(|| when(-3)),
        sent: error.is_empty().then(|| when(n * 7)),
        error: error.into(),
        menu: Menu::dots(
            format!("mail-{n}"),
            format!("Quick actions for the mail to {recipient}"),
            vec![Action::post("Retry now", "/mail/1/retry").icon("refresh")],
        ),
    };
    let rows = vec![
        line(1, "ops@example.org", "Execution started", Chip::new(Tone::Ok, "Sent"), ""),
        line(
            3,
            "ciso@example.org",
            "Execution started",
            Chip::new(Tone::Warn, "Tried again"),
            "451 4.7.1 come back later",
        ),
        line(
            1,
            "left@example.org",
            "Percentage reported",
            Chip::new(Tone::Fail, "Dead letter"),
            "550 5.1.1 no such mailbox",
        ),
        line(1, "mara@example.org", "Test", Chip::new(Tone::Ok, "Sent"), ""),
    ];
    let page = |no_server: Option<String>| mail::MailPage {
        shell: shell(Section::Mail, "Mail")
            .action(Action::show("Send a test mail", "/mail/test").icon("mail").primary()),
        list: list("/mail", "mails", &mail::COLUMNS, "", "-", rows.len(), 4),
        server: "Mail is handed to smtp.example.org:587 (STARTTLS), from quell@example.org.".into(),
        no_server,
        fault: None,
        rows: rows.clone(),
    };
    save(out, "mail", &page(None).to_string());
    save(out, "mail_none", &page(Some("This server has no mail server to hand mail to.".into())).to_string());
}
