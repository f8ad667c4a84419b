//! Assets, agents and enrolment.

use super::sample::{WEAK, entry, list, save, shell, when};
use crate::pages::chips::{Bar, Change, Chip, Segment, Tone};
use crate::pages::forms::{Faults, Field};
use crate::pages::lists::{Action, Menu};
use crate::pages::records::{Fact, Value};
use crate::pages::shell::Section;
use crate::pages::{agents, assets};
use std::path::Path;

pub(super) fn pages(out: &Path) {
    let rows: Vec<_> = (1_i64..11)
        .map(|n| assets::AssetRow {
            key: n.to_string(),
            name: format!("web-fra-{n:02}"),
            href: "asset.html".into(),
            ip: format!("10.20.4.{n}"),
            os: ["Debian GNU/Linux 12", "Ubuntu 24.04 LTS", "Red Hat Enterprise Linux 9.4", "Windows Server 2022"]
                [usize::try_from(n % 4).unwrap_or(0)]
            .into(),
            icon: assets::system_icon(
                ["Debian", "Ubuntu", "Red Hat", "Windows"][usize::try_from(n % 4).unwrap_or(0)],
                "linux",
            ),
            tags: vec!["prod".into(), "web".into()],
            criticality: 1 + n % 5,
            agent: match n % 4 {
                0 => Chip::new(Tone::Idle, "No agent"),
                1 => Chip::new(Tone::Warn, "Silent 3 h"),
                _ => Chip::new(Tone::Ok, "Connected"),
            },
            open: Bar {
                segments: [("crit", n % 3), ("high", 2), ("med", 3), ("low", 1)]
                    .map(|(class, value)| Segment { class, value, label: class })
                    .to_vec(),
                total: 10,
                tall: false,
            },
            open_count: 6 + n % 3,
            worst: Change::new(Some(95), Some(60)),
            risk: 590 - n,
            menu: Menu::dots(
                format!("m-{n}"),
                "Quick actions",
                vec![
                    Action::show("Rescan", "rescan.html").icon("radar"),
                    Action::go("Open items", "items.html").icon("list-check"),
                ],
            ),
        })
        .collect();
    let mut frame = list("/assets", "assets", &assets::COLUMNS, "", "-score", rows.len(), 2_104);
    frame.columns.pick = true;
    frame.facet(
        "Agent",
        &[("Connected", "agent:connected", None, Some(2_000)), ("No agent", "agent:none", None, Some(104))],
    );
    frame.facet(
        "Platform",
        &[("Linux", "platform:linux", None, Some(1_700)), ("Windows", "platform:windows", None, Some(404))],
    );
    save(
        out,
        "assets",
        &assets::AssetsPage {
            formula: (domain::risk::Formula::Quell.title(), domain::risk::Formula::Quell.text()),
            shell: shell(Section::Assets, "Assets"),
            list: frame,
            rows,
        }
        .to_string(),
    );

    let control = |at: usize, title: &str, tone, word: &str, ours: bool| assets::ControlRow {
        title: title.into(),
        entry: format!("linux.sshd.{at}@3"),
        href: "mitigation.html".into(),
        state: Chip::new(tone, word),
        covers: "QID 38909".into(),
        points: 30,
        job: ours.then(|| ("MJ0001187".into(), "job.html".into())),
        origin: if ours {
            "put there by MJ0001187 41 days ago".into()
        } else {
            "found there by MJ0001187, put there by others".into()
        },
        note: if at == 1 { "/etc/ssh/sshd_config LoginGraceTime is 120".into() } else { String::new() },
        reapply: (at == 1).then(|| Action::post("Put back", "/y")),
        verified: Some(when(42)),
        expires: (at == 0).then(|| when(-40_000)),
        roll_back: Action::post("Roll back", "/x").unless((!ours).then(|| "it was put there by others".into())),
    };
    let page = assets::AssetPage {
        shell: shell(Section::Assets, "web-fra-01").under("Assets", "assets.html"),
        name: "web-fra-01".into(),
        icon: "brand-debian",
        marks: vec![Chip::new(Tone::Ok, "Agent connected"), Chip::new(Tone::Info, "prod"), Chip::new(Tone::Info, "web")],
        worst: Some(Change::new(Some(95), Some(60))),
        risk: (472, domain::risk::Formula::Quell.title(), domain::risk::Formula::Quell.text()),
        actions: vec![Action::show("Rescan", "rescan.html").icon("radar")],
        tabs: vec![],
        drift: Some("Somebody changed LoginGraceTime on the host 12 min ago. The score is back at 92 and the item is marked drifted.".into()),
        install: None,
        facts: vec![Fact::new("Address", Value::code("10.20.4.1")), Fact::new("System", Value::text("Debian GNU/Linux 12")), Fact::new("Criticality", Value::text("4 of 5")), Fact::new("Time zone", Value::text("Europe/Berlin")), Fact::new("Agent", Value::link("0.1.0, 12 s ago", "agent.html"))],
        controls: vec![control(0, "Disable ChaCha20-Poly1305 and EtM in sshd", Tone::Mit, "Effective", true), control(1, "sshd: LoginGraceTime 0", Tone::Fail, "Drifted", true), control(2, "pkexec: drop the setuid bit", Tone::Mit, "Effective", false)],
        findings: WEAK.iter().take(6).map(|(qid, title, _, before, after, _)| assets::FindingRow { number: format!("VIT000{qid}"), href: "item.html".into(), title: (*title).into(), qid: (*qid).into(), state: Chip::new(Tone::Warn, "Open"), mitigation: (before != after).then(|| Chip::new(Tone::Mit, "Mitigated")), change: Change::new(Some(*before), Some(*after)) }).collect(),
        findings_total: (14, "items.html".into()),
        sources: vec![("Qualys EU".into(), "host 4711".into(), "10.20.4.1".into(), "matched by agent id".into(), Action::show("Move", "/assets/7/hosts/1/move"))],
        merges: Vec::new(),
        log: vec![entry(12, Tone::Fail, "Drift: LoginGraceTime changed", "agent"), entry(42, Tone::Mit, "Control effective: Terrapin", "MJ0001187")],
    };
    save(out, "asset", &page.to_string());
}

pub(super) fn agents(out: &Path) {
    let rows: Vec<_> = [
        ("Connected", Tone::Ok),
        ("Silent 3 h", Tone::Warn),
        ("Quarantined", Tone::Fail),
        ("Monitor only", Tone::Info),
    ]
    .into_iter()
    .enumerate()
    .map(|(at, (word, tone))| agents::AgentRow {
        key: at.to_string(),
        name: format!("web-fra-0{at}"),
        href: "agent.html".into(),
        state: Chip::new(tone, word),
        version: "0.1.0".into(),
        platform: ("Debian 12, x86_64".into(), "brand-debian"),
        contact: Some(when(180 * i64::try_from(at).unwrap_or(0))),
        zone: if at == 2 { "UTC (unknown)".into() } else { "Europe/Berlin".into() },
        asset: if at == 2 {
            Err("two assets have this machine id".into())
        } else {
            Ok((format!("web-fra-0{at}"), "asset.html".into()))
        },
        menu: Menu::dots(
            format!("m-{at}"),
            "Quick actions",
            vec![
                Action::post("Quarantine", "/x").icon("shield-off"),
                Action::post("Revoke", "/x").icon("ban").danger().asking(
                    "Revoke the agent on web-fra-00",
                    "It can do nothing until it enrols again.",
                    "Revoke",
                ),
            ],
        ),
    })
    .collect();
    let page = agents::AgentsPage {
        shell: shell(Section::Agents, "Agents")
            .action(Action::show("Enrol an agent", "enrol.html").icon("plus").primary()),
        list: list("/agents", "agents", &agents::COLUMNS, "", "name", rows.len(), 4),
        rows,
        held: Some("Contact is lost with 3 of 4 agents, so no agent is retired by itself.".into()),
        retirement: Some("After 45 days an agent is retired by itself.".into()),
        change: Some(Action::show("Change", "/x").icon("pencil")),
        tokens: vec![("fra rollout".into(), "17 of 50 left".into(), when(-1_400), Action::post("Revoke", "/x"))],
    };
    save(out, "agents", &page.to_string());
    let page = agents::AgentPage {
        shell: shell(Section::Agents, "web-fra-02").under("Agents", "agents.html"),
        name: "web-fra-02".into(),
        marks: vec![Chip::new(Tone::Ok, "Connected"), Chip::new(Tone::Warn, "Not linked")],
        actions: vec![Action::post("Quarantine", "/x").icon("shield-off").danger().asking(
            "Quarantine web-fra-02",
            "It is given no orders until it is released.",
            "Quarantine",
        )],
        gone: Some(agents::Gone {
            title: "Contact lost",
            said: vec![
                Fact::new("Why", Value::text("Nothing was heard of it for seven days.")),
                Fact::new("When", Value::text("14 Jan 2027 12:00 UTC, after 45 days without a word.")),
            ],
            change: Some(Action::show("Change", "/x").icon("pencil")),
        }),
        facts: vec![
            Fact::new("Agent id", Value::code("01937c1e-7f3a-7cc2-b2f4-0d6f0f6a0c11")),
            Fact::new("Version", Value::text("0.1.0")),
            Fact::new("Time zone", Value::text("Europe/Berlin")),
        ],
        evidence: vec![
            ("Machine id".into(), "4f1c…".into(), "4f1c…".into(), Chip::new(Tone::Ok, "agrees")),
            (
                "Hardware address".into(),
                "52:54:00:12:34:56".into(),
                "52:54:00:aa:bb:cc".into(),
                Chip::new(Tone::Fail, "differs"),
            ),
        ],
        candidates: vec![(
            "web-fra-02 (10.20.4.2)".into(),
            "same machine id".into(),
            Action::post("Link", "/x").asking(
                "Link this agent to web-fra-02",
                "A wrong link would mitigate the wrong machine. This is audited.",
                "Link",
            ),
        )],
        capabilities: vec!["file.setting@1".into(), "kernel.sysctl@1".into(), "service.state@1".into()],
        log: vec![entry(42, Tone::Info, "Enrolled with token fra rollout", "")],
    };
    save(out, "agent", &page.to_string());
    let enrol = |made| agents::EnrolPage {
        shell: shell(Section::Agents, "Enrol an agent").under("Agents", "agents.html"),
        fields: vec![
            Field::line("name", "What it is for", "").required().focus(),
            Field::typed("number", "uses", "How many agents may use it", "1"),
            Field::typed("number", "hours", "Hours it is good for", "24"),
        ],
        faults: Faults::default(),
        made,
    };
    save(out, "enrol", &enrol(None).to_string());
    let made = agents::MadeToken {
        line:
            "sudo quell-agent enrol --server https://quell.example:7443 --token qe_c29tZXRoaW5nIGxvbmcgYW5kIHJhbmRvbQ"
                .into(),
        fingerprint: "sha256:9f86d081884c7d65…".into(),
        note: "Good for 1 agent until 23 Nov 2026 14:06 UTC.".into(),
    };
    save(out, "enrol_made", &enrol(Some(made)).to_string());
}
