//! What follows a job.

use super::sample::{save, shell, when};
use crate::http::error_page::sentence;
use crate::pages::chips::{Chip, Tone};
use crate::pages::follow::{DriftRow, FollowPage, ProposalRow, ReviewRow};
use crate::pages::forms::{Choice, Field};
use crate::pages::lists::Action;
use crate::pages::shell::Section;
use domain::control::OURS_MAYBE;
use domain::risk::Formula;
use std::path::Path;

pub(super) fn pages(out: &Path) {
    let drift = |n: i64, mark: Chip, note: &str| DriftRow {
        title: "Close unauthenticated SSH sessions at once".into(),
        entry: "linux-sshd-login-grace-0".into(),
        asset: (format!("web-fra-{n:02}"), "asset.html".into()),
        note: note.into(),
        since: when(42 * n),
        job: Some(("MJ0001187".into(), "job.html".into())),
        mark,
        act: Action::post("Put back", "/x").icon("shield-check"),
    };
    let proposal = |n: i64, reason: Chip, detail: &str| ProposalRow {
        title: "Turn TCP selective acknowledgements off".into(),
        entry: "linux-tcp-sack-off".into(),
        asset: (format!("db-fra-{n:02}"), "asset.html".into()),
        reason,
        detail: detail.into(),
        made: when(180 * n),
        accept: Action::post("Roll back", format!("/{n}")).icon("arrow-back-up"),
        dismiss: Action::show("Dismiss", "dialog.html"),
    };
    let formula = Formula::default();
    let page = FollowPage {
        shell: shell(Section::FollowUp, "Follow-up"),
        drifted: vec![
            drift(1, Chip::new(Tone::Mit, "Ours"), "/etc/ssh/sshd_config LoginGraceTime is 120"),
            drift(2, Chip::new(Tone::Fail, "Flaps"), "/etc/ssh/sshd_config LoginGraceTime is 30"),
            drift(3, Chip::new(Tone::Idle, "By others"), ""),
        ],
        proposals: vec![
            proposal(1, Chip::new(Tone::Ok, "Fixed"), "the scanner says Fixed for all 3 items it covers on this asset"),
            ProposalRow {
                accept: Action::post("Roll back", "/3").icon("arrow-back-up").asking(
                    "Make a rollback job?",
                    sentence(OURS_MAYBE),
                    "Make the job",
                ),
                ..proposal(
                    3,
                    Chip::new(Tone::Ok, "Fixed"),
                    &format!("the scanner says Fixed for the item it covers on this asset; {OURS_MAYBE}"),
                )
            },
            proposal(2, Chip::new(Tone::Warn, "Expired"), "its time was over on 22 Nov 2026 as MJ0000004 says"),
        ],
        reviews: vec![ReviewRow {
            number: "MJ0001102".into(),
            href: "job.html".into(),
            title: "SMB signing on file servers".into(),
            owner: "mara".into(),
            due: when(600),
            controls: 41,
            done: Action::post("Reviewed", "/y").icon("check"),
        }],
        settings: vec![
            Field::typed("number", "check_minutes", "Minutes between two looks of an agent", "240"),
            Field::select(
                "formula",
                "Formula of the asset risk",
                formula.as_str(),
                Formula::ALL.iter().map(|formula| Choice::new(formula.as_str(), formula.title())).collect(),
            ),
        ],
        formula: (formula.title(), formula.text()),
        minutes: 240,
        kept: "for 365 days".into(),
    };
    save(out, "follow", &page.to_string());
}
