//! The seven steps of a job.

use super::sample::{save, shell};
use crate::pages::chips::{Change, Chip, Tone};
use crate::pages::forms::{Choice, Fault, Faults, Field};
use crate::pages::records::{Fact, Value};
use crate::pages::shell::Section;
use crate::pages::wizard;
use std::path::Path;

fn frame(step: usize) -> wizard::WizardFrame {
    let recaps = [
        "Terrapin on bastions",
        "3 assets",
        "1 action · QID 38909",
        "24 Nov 02:00, agent time",
        "2 recipients",
        "1 co-author",
        "",
    ];
    let steps = wizard::STEPS
        .iter()
        .zip(recaps)
        .enumerate()
        .map(|(at, (label, recap))| wizard::StepLink {
            label,
            recap: if at < step { recap.into() } else { String::new() },
            progress: if at < step {
                wizard::Progress::Done
            } else if at == step {
                wizard::Progress::Current
            } else {
                wizard::Progress::Ahead
            },
            href: if at <= step { "wizard_basic.html".into() } else { String::new() },
        })
        .collect();
    let questions = [
        "What is this job called?",
        "Which assets does it run on?",
        "What is done on them?",
        "When do the agents run it?",
        "Who is told about it?",
        "Who else may act on it?",
        "Is everything right?",
    ];
    wizard::WizardFrame {
        steps,
        heading: wizard::STEPS[step].into(),
        question: format!("Step {} of 7 · {}", step + 1, questions[step]),
        to: "#".into(),
        version: "4".into(),
        faults: Faults::default(),
        back: (step > 0).then(|| "#".into()),
        next: wizard::STEPS.get(step + 1).map_or_else(String::new, |next| format!("Next: {next}")),
        summary: vec![
            Fact::new("Platform", Value::text("Linux")),
            Fact::new("Assets", Value::text("3")),
            Fact::new("Actions", Value::text("1")),
            Fact::new("QIDs", Value::code("38909")),
            Fact::new("Score", Value::Change(Change::new(Some(90), Some(60)))),
            Fact::new("Reversible", Value::text("yes, no restart")),
        ],
        runs: vec![
            ("Europe/Berlin · 2".into(), "Tue 24 Nov 02:00".into()),
            ("unknown zone · 1".into(), "Tue 24 Nov 02:00 UTC".into()),
        ],
        runs_note: "First start 01:00 UTC, last 02:00 UTC.".into(),
        saved: "Draft saved 14:02".into(),
        close: "jobs.html".into(),
        discard: "/x".into(),
    }
}

fn asset_row(n: i64, reason: Option<&str>) -> wizard::AssetRow {
    wizard::AssetRow {
        key: n.to_string(),
        name: format!("web-fra-0{n}"),
        href: "asset.html".into(),
        ip: format!("10.20.4.{n}"),
        os: "Debian GNU/Linux 12".into(),
        icon: "brand-debian",
        agent: if reason.is_some() { Chip::new(Tone::Idle, "No agent") } else { Chip::new(Tone::Ok, "Connected") },
        qids: "38909".into(),
        change: Change::new(Some(90), Some(60)),
        reason: reason.map(Into::into),
    }
}

pub(super) fn pages(out: &Path) {
    let title = || shell(Section::Jobs, "Create: Linux Mitigation Job").under("Mitigation jobs", "jobs.html");
    let faults = vec![Fault::new("title", "A job needs a title.")];
    let mut first = frame(0);
    first.faults = Faults(faults.clone());
    let page = wizard::BasicPage {
        shell: title(),
        frame: first,
        fields: vec![
            Field::line("title", "Job title", "")
                .required()
                .focus()
                .help("Shown in lists and in mail.")
                .faulted(&faults),
            Field::text("description", "Description", "Terrapin on the bastions until the update window.", 4),
        ],
    };
    save(out, "wizard_basic", &page.to_string());
    let page = wizard::AssetsPage {
        shell: title(),
        frame: frame(1),
        chosen: (1..4).map(|n| asset_row(n, None)).collect(),
        barred: vec![
            asset_row(7, Some("no agent is enrolled on it")),
            asset_row(8, Some("its agent has not been linked to it yet")),
        ],
        remove_only: true,
        remove: "#".into(),
        removed_note: Some("web-fra-04 was removed. QID 42046 went with it, no other asset has it.".into()),
        install: Some("curl -fsSk https://quell.example:7443/install.sh | sudo sh -s -- --token qe_9f…".into()),
    };
    save(out, "wizard_assets", &page.to_string());
    let page = wizard::ActionsPage {
        shell: title(),
        frame: frame(2),
        rows: vec![wizard::ActionRow {
            key: "1".into(),
            title: "Disable ChaCha20-Poly1305 and EtM in sshd".into(),
            entry: "linux.sshd.terrapin@3".into(),
            details: "mitigation.html".into(),
            qids: "38909".into(),
            cves: "CVE-2023-48795".into(),
            coverage: Chip::new(Tone::Mit, "Full"),
            points: 30,
            notes: vec![Chip::new(Tone::Info, "reversible"), Chip::new(Tone::Info, "no restart")],
            assets: 3,
            removable: true,
        }],
        uncovered: vec![],
        remove: "#".into(),
    };
    save(out, "wizard_actions", &page.to_string());
    let pick = |word, label, on| wizard::Pick { word, label, on };
    let page = wizard::SchedulePage {
        shell: title(),
        frame: frame(3),
        timed: true,
        date: Field::typed("date", "date", "Start date", "2026-11-24"),
        time: Field::typed("time", "time", "Start time", "02:00"),
        zone: Field::line("zone", "Time zone", "").placeholder("Agent time zone (each asset's own)"),
        zones: vec!["Europe/Berlin".into(), "Europe/Oslo".into()],
        repeats: vec![pick("never", "Never", false), pick("daily", "Daily", false), pick("weekly", "Weekly", true)],
        days: vec![pick("mon", "Mon", false), pick("tue", "Tue", true), pick("sun", "Sun", true)],
        days_fault: None,
        every: Field::typed("number", "every", "Every", "1"),
        day: Field::typed("number", "day", "Day of the month", "1"),
        nth: Field::select("nth", "Which one", "last", vec![Choice::new("last", "last")]),
        weekday: Field::select("weekday", "Day of the week", "fri", vec![Choice::new("fri", "Friday")]),
        offset: Field::typed("number", "offset", "Days after Patch Tuesday", "0"),
        ends: vec![pick("never", "Never", true), pick("on", "On a day", false)],
        until: Field::typed("date", "until", "Last day", ""),
        count: Field::typed("number", "count", "Times", "12"),
        window: Field::typed("number", "window", "Maintenance window, in minutes", "360"),
        standing: true,
        times: wizard::Times {
            path: "#".into(),
            words: Some("Every week on Tuesday and Sunday at 02:00 (each asset's own time zone), for 6 hours.".into()),
            rows: vec![wizard::TimeRow {
                time: "Tue 24 Nov 2026 02:00".into(),
                zone: "Europe/Berlin".into(),
                again: false,
                assets: 24,
                local: "02:00".into(),
                utc: "Tue 24 Nov 01:00".into(),
                until: Some("Tue 24 Nov 07:00".into()),
                note: String::new(),
            }],
            warnings: vec!["The time zone of at least one agent is not known: UTC is used there.".into()],
        },
    };
    save(out, "wizard_schedule", &page.to_string());
    let page = wizard::OptionsPage {
        shell: title(),
        frame: frame(4),
        recipients: Field::text("recipients", "Send mail to", "ops@example.org\nciso@example.org", 4)
            .mono()
            .help("One address per line, at most 50."),
        on_start: true,
        on_share: true,
        share: Field::typed("number", "share", "Percentage of assets that have reported", "100"),
        no_mail: None,
        after: Some(wizard::AfterFields {
            expiry: Field::select(
                "expiry",
                "What it puts in place expires",
                "days",
                vec![Choice::new("days", "Some days after it was put in place")],
            ),
            days: Field::typed("number", "expires_days", "Days", "90"),
            date: Field::typed("date", "expires_at", "Date", ""),
            roll_back: true,
            review: Field::typed("date", "review_at", "Review on", "2027-01-31"),
        }),
        rollout: wizard::RolloutFields {
            preset: Field::select(
                "rollout",
                "Spreads over the assets",
                "canary",
                vec![Choice::new("canary", "Canary: one asset, a tenth, the rest")],
            ),
            waves: Field::typed("text", "waves", "Waves before the rest", "1, 10%"),
            soak: Field::typed("number", "soak_minutes", "Minutes between waves", "5"),
            max_running: Field::typed("number", "max_running", "At once, at most", "1000"),
            starts: Field::typed("number", "starts_per_minute", "Starts a minute, at most", ""),
            failures: Field::typed("text", "failures", "Failures that halt it if more", "5%"),
            percent: Field::typed("number", "failure_percent", "Halts above this failure rate, in percent", "5"),
            restarts: Field::typed("number", "restarts_at_once", "Hosts restarted at once, at most", "1"),
            definitive: Field::typed("number", "definitive_percent", "Results a wave needs, in %", "95")
                .help("The next wave opens once so many of the wave's tasks have ended with a known result."),
            freshness: Field::typed(
                "number",
                "freshness_hours",
                "Hosts not heard of for so many hours are not waited for",
                "24",
            ),
            apart: Field::typed("text", "apart_tag", "Kept apart by tag", "cluster:"),
            at_most: Field::typed("number", "apart_at_most", "Of such a group at once", "1"),
            permits: true,
        },
    };
    save(out, "wizard_options", &page.to_string());
    let page = wizard::AccessPage {
        shell: title(),
        frame: frame(5),
        owner: "Mara Okafor".into(),
        authors: vec![wizard::AuthorRow {
            key: "2".into(),
            name: "Sola Adeyemi".into(),
            allows: "Job author: may edit, enable and disable".into(),
        }],
        add: Some(Field::select("add", "Add a co-author", "", vec![Choice::new("3", "Jan Petrov · job reader")])),
        locked: None,
    };
    save(out, "wizard_access", &page.to_string());
    let part = |label, facts| wizard::ReviewPart { label, href: "#".into(), facts };
    let page = wizard::ConfirmPage {
        shell: title(),
        frame: frame(6),
        parts: vec![
            part(
                "Basic information",
                vec![
                    Fact::new("Title", Value::text("Terrapin on bastions")),
                    Fact::new("Description", Value::text("Until the update window.")),
                ],
            ),
            part(
                "Select assets",
                vec![
                    Fact::new("Assets", Value::text("web-fra-01, web-fra-02, web-fra-03")),
                    Fact::new("QIDs", Value::code("38909")),
                ],
            ),
            part(
                "Select actions",
                vec![
                    Fact::new("Action", Value::text("Disable ChaCha20-Poly1305 and EtM in sshd")),
                    Fact::new("Score", Value::Change(Change::new(Some(90), Some(60)))),
                ],
            ),
            part("Schedule", vec![Fact::new("Start", Value::text("24 Nov 2026 02:00, agent time zone"))]),
        ],
        exact: vec![("linux.sshd.terrapin@3, exactly".into(), "set /etc/ssh/sshd_config …".into())],
        dry_run: "dry-run.html".into(),
        first: true,
        no_enable: None,
        no_save: None,
    };
    save(out, "wizard_confirm", &page.to_string());
}
