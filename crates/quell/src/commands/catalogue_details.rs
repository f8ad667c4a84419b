//! `quell catalogue details`: an entry of the catalogue in force on the server, what it does in words, who signed for it.

use super::Context;
use crate::client::path;
use crate::failure::Failure;
use crate::output::record;
use protocol::api::catalogue::EntryBody;

/// Show an entry.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(entry: &str, context: &Context) -> Result<(), Failure> {
    let shown: EntryBody = context.client()?.get(&path(&["catalogue", "entries", entry]), &[]).await?;
    let told = &shown.entry;
    let mut fields = vec![
        ("entry", format!("{}@{}", told.entry, told.revision)),
        ("title", told.title.clone()),
        ("does", format!("{} on {}", told.implication, told.platform)),
        ("risk", format!("{}, class {}", told.risk, told.class)),
        ("approval", if told.needs_approval { "of a second person" } else { "not needed" }.to_owned()),
        ("summary", told.summary.clone()),
        ("side effects", told.side_effects.clone()),
    ];
    for covered in &told.covers {
        let qids = covered.qids.iter().map(|qid| format!("QID {qid}")).collect::<Vec<_>>().join(" ");
        let name = covered.cve.clone().unwrap_or(qids);
        fields.push(("covers", format!("{name} {} -{}, {}", covered.coverage, covered.points, covered.vector)));
    }
    for action in &told.actions {
        fields.push(("action", format!("{} on {}", action.kind, action.target)));
        fields.push(("  checked", action.checked.clone()));
        fields.push(("  changed", action.changed.clone()));
        fields.push(("  undone", action.undone.clone()));
    }
    fields.push(("afterwards", told.afterwards.sentences.join(" ")));
    fields.push(("digest", told.digest.clone()));
    if let Some(signature) = &shown.signature {
        fields.push(("index", format!("version {}, expires {}", signature.index_version, signature.expires_at)));
        for signer in &signature.signers {
            fields.push(("signed by", format!("{} ({})", signer.key, signer.role)));
        }
        fields.extend(signature.problem.iter().map(|problem| ("problem", problem.clone())));
    }
    fields.extend(told.references.iter().map(|reference| ("reference", reference.url.clone())));
    record(context.format, &shown, &fields)
}
