//! Controls that nobody looks at: the statements held to `domain::control`.

use crate::{at, run};
use domain::control::{UNWATCHED_SECONDS, unwatched};
use domain::id::AssetId;
use domain::mitigation::{ControlState, Origin};
use domain::time::Timestamp;
use std::collections::BTreeSet;
use store::controls::{self, Report, watch};
use store::{Transaction, agents, tasks};
use testkit::both_engines;
use uuid::Uuid;

/// An agent on an asset, last heard then.
fn agent(tx: &mut Transaction<'_>, asset: AssetId, heard: Timestamp, force: &str) -> store::Result<()> {
    let text = String::new();
    let new = agents::NewAgent {
        agent_id: Uuid::now_v7(),
        instance_id: Uuid::now_v7(),
        token_id: Uuid::now_v7(),
        public_key: text.clone(),
        hostname: text.clone(),
        zone: text.clone(),
        facts: text.clone(),
        version: text.clone(),
        mode: text,
    };
    let key = agents::create(tx, &new, heard)?;
    let link = if force == "ambiguous" { "ambiguous" } else { "linked" };
    agents::set_link(tx, key, Some(asset), link, "", heard)?;
    match force {
        "revoked" => agents::revoke(tx, key, heard).map(|_| ()),
        _ => Ok(()),
    }
}

both_engines!(sql_names_the_controls_that_the_domain_calls_unwatched, |db| {
    db.write_blocking(|tx| {
        let late = UNWATCHED_SECONDS + 1;
        // Who is on the asset: when he was heard, and whether he is in force.
        let crews: [&[(i64, &str)]; 7] = [
            &[],
            &[(-40, "")],
            &[(UNWATCHED_SECONDS, "")],
            &[(late, "")],
            &[(late, ""), (5, "")],
            &[(5, "revoked")],
            &[(5, "ambiguous"), (late, "")],
        ];
        let (_, _, ids) = run(tx, 1, crews.len())?;
        let (entry_key,): (i64,) = tx.one("SELECT id FROM catalogue_entry", &[])?;
        let mut expected = BTreeSet::new();
        for (task, crew) in ids.iter().zip(crews) {
            let asset = tasks::read(tx, *task)?.asset_id;
            for (heard, force) in crew {
                agent(tx, asset, at(*heard), force)?;
            }
            let heard: Vec<Timestamp> =
                crew.iter().filter(|(_, force)| force.is_empty()).map(|(heard, _)| at(*heard)).collect();
            for (entry, state) in [
                ("in force", ControlState::Effective),
                ("waits", ControlState::Configured),
                ("drifted", ControlState::Drifted),
                ("gone", ControlState::Exposed),
                ("over", ControlState::Effective),
            ] {
                let (entry, origin, heard_at) = (entry.to_owned(), Origin::Ours, at(0));
                let report = Report {
                    asset_id: asset,
                    entry: entry.clone(),
                    entry_key,
                    state,
                    origin,
                    task_id: *task,
                    heard_at,
                };
                controls::report(tx, &[report], at(0))?;
                if matches!(entry.as_str(), "in force" | "waits") && unwatched(at(0), &heard) {
                    expected.insert((asset, entry));
                }
            }
        }
        assert_eq!(expected.len(), 2 * 4, "{expected:?}");
        tx.execute("UPDATE control SET expired_at = $1 WHERE entry = 'over'", &[&at(0)])?;
        let found = watch::unwatched(tx, 0)?;
        assert_eq!(found.len(), expected.len());
        assert_eq!(watch::unwatched(tx, found[2])?, found[3..], "page by page");
        // One is looked at again in between.
        let (asset, _) = expected.pop_first().unwrap();
        expected.retain(|(other, _)| *other != asset);
        agent(tx, asset, at(9), "")?;
        let gone = watch::unwatch(tx, &found, "nobody looks", at(late))?;
        assert_eq!(gone.into_iter().collect::<BTreeSet<_>>(), expected);
        let read = |tx: &mut Transaction<'_>, asset: AssetId, entry: &str| controls::find(tx, asset, entry);
        for (asset, entry) in &expected {
            let control = read(tx, *asset, entry)?.unwrap();
            assert_eq!((control.state, control.note.as_str()), (ControlState::Unknown, "nobody looks"));
            assert_eq!((control.origin, control.checked_at), (Origin::Ours, at(0)), "whose it is stays known");
        }
        assert_eq!(read(tx, asset, "in force")?.unwrap().state, ControlState::Effective);
        assert!(watch::unwatched(tx, 0)?.is_empty());
        // What removes a weakness for good is the scanner's to confirm.
        tx.execute("UPDATE control SET state = 'effective'", &[])?;
        tx.execute("UPDATE catalogue_entry SET implication = 'fix'", &[])?;
        assert!(watch::unwatched(tx, 0)?.is_empty());
        Ok(())
    })
    .unwrap();
});
