//! Jobs and one of them.

use super::sample::{ago, entry, list, save, shell, tab, when};
use crate::pages::chips::{Bar, Change, Chip, Tone, When};
use crate::pages::jobs::CountPart;
use crate::pages::lists::{Action, Empty, Menu, Pager};
use crate::pages::records::{Fact, Value};
use crate::pages::shell::{Section, Toast};
use crate::pages::{history, jobs};
use std::path::Path;

pub(super) fn job_live() -> jobs::JobLive {
    let task = |n: i64, tone, word: &str, steps, detail: &str, took: &str, after| jobs::TaskRow {
        id: n.to_string(),
        asset: format!("fs-{}-{n:02}", ["fra", "ber", "lon", "par"][usize::try_from(n % 4).unwrap_or(0)]),
        href: "asset.html".into(),
        ip: format!("10.2{}.4.{n}", n % 4),
        action: "sshd".into(),
        state: Chip::new(tone, word),
        steps,
        detail: detail.into(),
        took: took.into(),
        change: Change::new(Some(95), after),
        evidence: if n == 9 {
            "/etc/ssh/sshd_config\n- #LoginGraceTime 2m\n+ LoginGraceTime 0".into()
        } else {
            String::new()
        },
    };
    let s = jobs::steps;
    jobs::JobLive {
        status: Chip::new(Tone::Run, "Running"),
        line: "On demand · started 14:00:02 by Mara Okafor · 6 min 41 s".into(),
        counts: [
            (Tone::Mit, 41, "Mitigated"),
            (Tone::Fail, 3, "Failed"),
            (Tone::Run, 6, "Running"),
            (Tone::Idle, 10, "Queued"),
        ]
        .map(|(tone, number, label)| CountPart { tone, number, label })
        .to_vec(),
        bar: Bar::new(&[(Tone::Mit, 41, "mitigated"), (Tone::Fail, 3, "failed"), (Tone::Run, 6, "running")], 60).tall(),
        aside: "50 of 60 have reported or are at work".into(),
        tasks: jobs::TasksPart {
            tabs: vec![
                tab("All", Some(60), true),
                tab("Failed", Some(3), false),
                tab("Running", Some(6), false),
                tab("Mitigated", Some(41), false),
                tab("Queued", Some(10), false),
            ],
            rows: vec![
                task(
                    1,
                    Tone::Fail,
                    "Failed",
                    s(2, Some(Tone::Fail), Tone::Ok),
                    "1 Failed · /etc/ssh/sshd_config is immutable",
                    "0:21",
                    None,
                ),
                task(
                    2,
                    Tone::Fail,
                    "Failed",
                    s(2, Some(Tone::Fail), Tone::Ok),
                    "1 Failed · sshd -t refused the new file, put back",
                    "3:00",
                    None,
                ),
                task(
                    3,
                    Tone::Warn,
                    "Unknown",
                    s(3, Some(Tone::Warn), Tone::Ok),
                    "The agent went silent after it began",
                    "5:10",
                    None,
                ),
                task(
                    4,
                    Tone::Run,
                    "Verifying",
                    s(4, Some(Tone::Run), Tone::Ok),
                    "Asking sshd for its settings",
                    "1:42",
                    None,
                ),
                task(5, Tone::Run, "Applying", s(3, Some(Tone::Run), Tone::Ok), "Writing LoginGraceTime", "1:37", None),
                task(6, Tone::Run, "Checking", s(1, Some(Tone::Run), Tone::Ok), "Reading the file", "0:03", None),
                task(9, Tone::Mit, "Mitigated", s(5, None, Tone::Ok), "0 Succeeded", "2:10", Some(41)),
                task(
                    10,
                    Tone::Mit,
                    "Mitigated",
                    s(5, None, Tone::Ok),
                    "33/203 Skipped · already in place, put there by others",
                    "2:08",
                    Some(41),
                ),
                task(
                    11,
                    Tone::Idle,
                    "Not applicable",
                    s(5, None, Tone::Ok),
                    "101 Skipped · no sshd here",
                    "0:05",
                    None,
                ),
                task(12, Tone::Idle, "Queued", s(0, None, Tone::Ok), "Waiting for its turn", "–", None),
                task(13, Tone::Warn, "Waiting for agent", s(0, None, Tone::Ok), "Last contact 3 h ago", "–", None),
            ],
            many: false,
            none: ("No tasks here", "Tasks are made when the job runs."),
            numbers: "11 of 60 tasks, by asset".into(),
            pager: Pager { previous: None, next: Some("?cursor=x#tasks".into()) },
        },
        cves: cves(),
        runs: vec![jobs::RunRow {
            number: 2,
            href: "#".into(),
            current: true,
            state: Chip::new(Tone::Run, "Running"),
            time: Some("2026-11-24 02:00".into()),
            why: "by schedule".into(),
            bar: Bar::new(&[(Tone::Mit, 41, "succeeded")], 60),
            done: 41,
            of: 60,
            begun: "24 Nov 2026 01:00 UTC".into(),
            ended: String::new(),
        }],
        risk: [("Before", 95, "Critical"), ("Now", 58, "Medium"), ("Target", 41, "Medium")]
            .map(|(label, score, word)| (label, Bar::of_score(score), score, word))
            .to_vec(),
        rollout: Some(jobs::RolloutPart {
            state: Chip::new(Tone::Run, "Open"),
            line: "waves of 1, 10% and the rest, 5 min apart · 41 of 54 results, 95% are needed · 6 permits out".into(),
            waves: [(1, Tone::Ok, "Done", 1, 1), (2, Tone::Ok, "Done", 5, 6), (3, Tone::Run, "Open", 35, 53)]
                .map(|(number, tone, word, good, all)| jobs::WaveRow {
                    number,
                    state: Chip::new(tone, word),
                    bar: Bar::new(&[(Tone::Mit, good, "well")], all),
                    counts: format!("{good} of {all} well"),
                })
                .to_vec(),
        }),
        log: vec![
            entry(0, Tone::Ok, "fs-par-02 verified: LoginGraceTime 0", ""),
            entry(1, Tone::Run, "fs-fra-01 verify started", ""),
            entry(1, Tone::Fail, "fs-ber-07 apply failed: the file is immutable", ""),
            entry(6, Tone::Run, "Run 1 started", "Mara Okafor"),
        ],
        log_more: "12 more".into(),
        history: "job_history.html".into(),
    }
}

fn history(out: &Path) {
    let row = |minutes, tone, text: &str, by: &str, asset: bool| history::EventRow {
        at: When::exact(ago(minutes)),
        event: Chip::new(tone, text),
        by: by.into(),
        run: if asset { "1".into() } else { String::new() },
        asset: asset.then(|| ("fs-ber-07".into(), "asset.html".into())),
        entry: if asset { "lnx-sshd-login-grace".into() } else { String::new() },
    };
    let rows = vec![
        row(1, Tone::Fail, "fs-ber-07: failed", "", true),
        row(6, Tone::Run, "fs-ber-07 began", "", true),
        row(7, Tone::Info, "Saved and enabled", "Mara Okafor", false),
    ];
    let shell = shell(Section::Jobs, "History").under("Mitigation jobs", "jobs.html").under("MJ0001187", "job.html");
    let list = list("/jobs/MJ0001187/history", "events", &history::COLUMNS, "", "-at", rows.len(), 3);
    save(out, "job_history", &history::HistoryPage { shell, list, rows }.to_string());
}

fn cves() -> jobs::CvesPart {
    let row = |cve: &str, qid, [mitigated, partly, not]: [i64; 3], after| jobs::CveRow {
        cve: cve.into(),
        qids: vec![qid],
        mitigated,
        partly,
        not,
        change: Change::new(Some(95), Some(after)),
    };
    jobs::CvesPart {
        rows: vec![row("CVE-2024-6387", 42_046, [41, 0, 19], 95), row("", 38_739, [0, 60, 0], 41)],
        more: 3,
        all: "#".into(),
        none: "",
    }
}

pub(super) fn pages(out: &Path) {
    type Row = (&'static str, Chip, [i64; 4], i64, i64, &'static str, i64);
    let rows: [Row; 9] = [
        ("Terrapin on bastions", Chip::new(Tone::Run, "Running"), [41, 1, 6, 60], 95, 41, "On demand", 6),
        ("regreSSHion: LoginGraceTime 0", Chip::new(Tone::Run, "Running"), [112, 0, 8, 144], 92, 38, "On demand", 11),
        (
            "Remove the JndiLookup class (Log4j 2.x)",
            Chip::new(Tone::Warn, "Partial · 4"),
            [86, 4, 0, 90],
            100,
            22,
            "21 Nov 23:00 UTC",
            540,
        ),
        (
            "Kernel: unprivileged user namespaces off",
            Chip::new(Tone::Sched, "Scheduled"),
            [0, 0, 0, 147],
            90,
            44,
            "24 Nov 02:00 agent",
            -780,
        ),
        (
            "sudo chroot restricted",
            Chip::new(Tone::Ok, "Completed"),
            [204, 0, 0, 204],
            89,
            35,
            "20 Nov 22:00 UTC",
            2_900,
        ),
        (
            "HTTP/2 off on the reverse proxies",
            Chip::new(Tone::Fail, "Failed"),
            [0, 19, 0, 19],
            87,
            87,
            "On demand",
            2_900,
        ),
        ("pkexec: drop the setuid bit", Chip::new(Tone::Ok, "Completed"), [58, 0, 0, 58], 91, 33, "On demand", 7_200),
        (
            "TLS 1.0 and 1.1 off on the old web tier",
            Chip::new(Tone::Idle, "Disabled"),
            [0, 0, 0, 44],
            61,
            24,
            "1 Dec 04:00 UTC",
            9_000,
        ),
        ("Redis: EVAL renamed", Chip::new(Tone::Ok, "Completed"), [18, 0, 0, 18], 94, 39, "On demand", 13_000),
    ];
    let rows: Vec<_> = rows
        .into_iter()
        .enumerate()
        .map(|(at, (title, status, [done, failed, running, of], before, after, schedule, minutes))| jobs::JobRow {
            number: format!("MJ000{}", 1_187 - at),
            href: "job.html".into(),
            title: title.into(),
            platform: ("terminal-2", "Linux"),
            status,
            bar: Bar::new(
                &[(Tone::Ok, done, "succeeded"), (Tone::Fail, failed, "failed"), (Tone::Run, running, "running")],
                of,
            ),
            done: done + failed,
            of,
            change: Change::new(Some(before), Some(after)),
            schedule: schedule.into(),
            owner: "M. Okafor".into(),
            activity: Some(when(minutes)),
            menu: Menu::dots(
                format!("m-{at}"),
                "Quick actions",
                vec![
                    Action::go("View progress", "job.html").icon("activity"),
                    Action::post("Enable", "/x")
                        .icon("player-play")
                        .unless((at != 7).then(|| "it is enabled already".into())),
                    Action::post("Disable", "/x").icon("player-pause"),
                    Action::go("Edit", "wizard_basic.html").icon("pencil"),
                    Action::post("Delete", "/x").icon("trash").danger().asking(
                        "Delete MJ0001187",
                        "The job and its history are removed. Mitigations stay in force.",
                        "Delete",
                    ),
                ],
            ),
        })
        .collect();
    let mut frame = list("/jobs", "mitigation jobs", &jobs::COLUMNS, "", "-activity", rows.len(), 128);
    frame.columns.pick = true;
    for (label, q, n) in [
        ("All jobs", "", 128),
        ("Running", "is:running", 3),
        ("Scheduled", "is:scheduled", 9),
        ("Needs attention", "is:failed", 3),
        ("Mine", "owner:me", 21),
    ] {
        frame.tab(label, q, Some(n));
    }
    frame.bulk = vec![
        Action::post("Disable", "/x").icon("player-pause"),
        Action::post("Delete", "/x").icon("trash").danger().asking("Delete the selected jobs", "", "Delete"),
    ];
    let mut top = shell(Section::Jobs, "Mitigation jobs")
        .action(Action::go("Create job", "eliminations.html").icon("plus").primary().key('c'));
    top.toasts = vec![Toast {
        tone: Tone::Run,
        text: "The scan request is being processed.".into(),
        link: Some(("View status".into(), "scan.html".into())),
    }];
    save(out, "jobs", &jobs::JobsPage { shell: top, list: frame.clone(), rows }.to_string());

    history(out);

    let mut nothing = frame;
    nothing.shown = 0;
    nothing.total = Some(0);
    nothing.empty = Empty::yet(
        "player-play",
        "No mitigation jobs yet",
        "A job starts from an elimination: choose a vulnerability, see what removes its risk, mitigate now.",
    )
    .with(Action::go("See eliminations", "eliminations.html").primary());
    let mut top = shell(Section::Jobs, "Mitigation jobs");
    top.halt =
        Some("Mara Okafor halted all agents at 14:02: “change freeze”. Nothing starts until it is lifted.".into());
    save(out, "jobs_empty", &jobs::JobsPage { shell: top, list: nothing, rows: vec![] }.to_string());

    let page = jobs::JobPage {
        shell: shell(Section::Jobs, "MJ0001187").under("Mitigation jobs", "jobs.html").action(
            Action::post("Cancel run", "/x").icon("square").danger().asking(
                "Cancel MJ0001187 on 16 assets",
                "Assets at work finish and report; the rest are skipped.",
                "Cancel run",
            ),
        ),
        title: "Terrapin on bastions".into(),
        description: String::new(),
        menu: Menu::dots(
            "m-job",
            "Quick actions",
            vec![
                Action::go("Edit", "wizard_basic.html").icon("pencil").unless(Some("it runs now".into())),
                Action::post("Roll back", "/x").icon("arrow-back-up"),
            ],
        ),
        live_from: Some("/jobs/MJ0001187/live".into()),
        live: job_live(),
        facts: vec![
            Fact::new("Owner", Value::text("Mara Okafor")),
            Fact::new("Co-authors", Value::text("")),
            Fact::new("Schedule", Value::text("On demand")),
            Fact::new("Recipients", Value::text("ops@example.org")),
            Fact::new("Created", Value::When(When::exact(ago(30)))),
        ],
        note: None,
    };
    save(out, "job", &page.to_string());
}
