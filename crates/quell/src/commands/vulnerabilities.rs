//! `quell vulnerabilities`: the knowledge base, and what is open of it.

use super::Context;
use crate::client::{ListArguments, path};
use crate::failure::Failure;
use crate::output::{self, Column};
use protocol::api::exposure::{VulnerabilitiesBody, Vulnerability, VulnerabilityBody};

/// What can be done with vulnerabilities.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List vulnerabilities; `-q is:found` leaves out what is found nowhere
    List(ListArguments),
    /// Show a vulnerability
    Show {
        /// The scanner's number
        qid: i64,
    },
}

const COLUMNS: &[Column<Vulnerability>] = &[
    ("QID", |one| one.qid.to_string()),
    ("TITLE", |one| one.title.clone()),
    ("SEVERITY", |one| one.severity.to_string()),
    ("CVES", |one| one.cves.join(" ")),
    ("SCORE", |one| score(one.inherent, one.residual)),
    ("STATUS", |one| one.status.clone().unwrap_or_default()),
    ("LAST JOB", |one| one.last_job.clone().unwrap_or_default()),
    ("OPEN", |one| one.open_items.to_string()),
    ("MITIGATED", |one| one.mitigated_items.to_string()),
    ("ELIMINATIONS", |one| one.eliminations.to_string()),
];

fn score(inherent: Option<i64>, residual: Option<i64>) -> String {
    match (inherent, residual) {
        (Some(inherent), Some(residual)) if inherent != residual => format!("{residual} (was {inherent})"),
        (_, Some(residual)) => residual.to_string(),
        _ => String::new(),
    }
}

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        Command::List(list) => {
            let parts = |body: VulnerabilitiesBody| (body.vulnerabilities, body.next);
            let found = client.list(&path(&["vulnerabilities"]), &list, parts).await?;
            output::list(context.format, &found, COLUMNS)
        }
        Command::Show { qid } => {
            let shown: VulnerabilityBody = client.get(&path(&["vulnerabilities", &qid.to_string()]), &[]).await?;
            let mut fields: Vec<_> = COLUMNS.iter().map(|(name, show)| (*name, show(&shown.vulnerability))).collect();
            fields.push(("CATEGORY", shown.vulnerability.category.clone()));
            fields.push(("CVSS 3", shown.cvss3_vector.clone()));
            fields.push(("THREAT", shown.texts.threat.clone()));
            fields.push(("IMPACT", shown.texts.impact.clone()));
            fields.push(("SOLUTION", shown.texts.solution.clone()));
            for said in &shown.no_sound_mitigation {
                fields.push(("NOTHING SOUND", format!("{} {}", said.sentence, said.url)));
            }
            output::record(context.format, &shown, &fields)
        }
    }
}
