//! What follows a job: checks of agents over their own door, drift, expiry, review, proposals, R13 to R15, asset risk.

use crate::hands::{self, in_place, over, patch, program, ready, said, tag};
use crate::speaker::{Speaker, check};
use crate::world::{World, admin_browser};
use domain::mitigation::{ControlState, Origin};
use protocol::agent::{Check, Outcome};
use serde_json::{Value, json};
use server::engine::after;
use testkit::both_servers;

const DAY: i64 = 86_400;

// Sessions end while the clock is turned, so people sign in again after it.

/// A job with these options on one asset, applied; gives its number, the QID, the asset and the entry.
async fn applied(world: &World, options: &Value) -> (String, i64, i64, String) {
    let (qid, assets) = world.mitigable().await;
    let asset = assets[0]["id"].as_i64().unwrap();
    let number = hands::draft(&world.admin, qid, &[asset]).await;
    let entry = hands::only_safe(world, &number, qid).await;
    patch(&world.admin, &number, options).await.expect(200);
    world.admin.post(&format!("/api/v1/jobs/{number}/save"), &json!({ "enable": true })).await.expect(200);
    ready(&world.server, 1).await;
    let report = in_place();
    hands::report(&world.server, asset, &report).await;
    (number, qid, asset, entry)
}

/// The item of a QID on an asset: inherent, residual, mitigation, state.
async fn item(world: &World, qid: i64, asset: i64) -> (i64, i64, String, String) {
    let read = world.server.app().database.read(move |tx| {
        tx.one::<(i64, i64, String, String)>(
            "SELECT i.inherent, i.residual, i.mitigation, i.state FROM vulnerable_item i
             JOIN vulnerability v ON v.id = i.vulnerability_id WHERE v.qid = $1 AND i.asset_id = $2",
            &[&qid, &asset],
        )
    });
    read.await.unwrap()
}

/// The last causes in the score history of an item.
async fn cause(world: &World, qid: i64, asset: i64) -> String {
    let read = world.server.app().database.read(move |tx| {
        tx.scalar::<String>(
            "SELECT h.cause FROM score_history h JOIN vulnerable_item i ON i.id = h.item_id
             JOIN vulnerability v ON v.id = i.vulnerability_id WHERE v.qid = $1 AND i.asset_id = $2
             ORDER BY h.id DESC LIMIT 1",
            &[&qid, &asset],
        )
    });
    read.await.unwrap()
}

async fn mails(world: &World, kind: &'static str) -> i64 {
    let read = world
        .server
        .app()
        .database
        .read(move |tx| tx.scalar::<i64>("SELECT count(*) FROM mail_notice WHERE kind = $1", &[&kind]));
    read.await.unwrap()
}

async fn look(world: &World) {
    after::look(world.server.app()).await.unwrap();
}

both_servers!(drift_puts_the_score_back_up_and_is_told_once, |server| async move {
    let mut world = World::ready(server).await;
    let server = &world.server;
    let options = json!({ "recipients": ["ann@example.org"] });
    let (number, qid, asset, entry) = applied(&world, &options).await;
    let (inherent, lowered, _, state) = item(&world, qid, asset).await;
    assert!(lowered < inherent && state == "open", "{lowered} of {inherent}");
    let agent = Speaker::on(server, asset).await;
    server.clock.advance(3600);
    world.admin = server.admin().await;

    // A look that finds it in force changes nothing; the same number again and an older line change nothing either.
    let fine = || check(server, &entry, ControlState::Effective, true);
    let (status, reply) = agent.says(server, 7, vec![fine()]).await;
    assert_eq!((status, reply["n"].as_u64(), reply["interval_seconds"].as_u64()), (200, Some(7), Some(14_400)));
    server.clock.advance(60);
    world.admin = server.admin().await;
    let drifted = || check(server, &entry, ControlState::Drifted, true);
    assert_eq!(agent.says(server, 7, vec![drifted()]).await.0, 200);
    assert_eq!(agent.says(server, 3, vec![drifted()]).await.1["n"], 7);
    let old = Check { at: server.app().clock.now().plus_seconds(-2 * 3600), ..drifted() };
    assert_eq!(agent.says(server, 8, vec![old]).await.0, 200);
    assert_eq!(item(&world, qid, asset).await.1, lowered, "before the order said otherwise");

    server.clock.advance(60);
    world.admin = server.admin().await;
    assert_eq!(agent.says(server, 9, vec![drifted()]).await.0, 200);
    let after_drift = item(&world, qid, asset).await;
    assert_eq!(after_drift, (inherent, inherent, "drifted".to_owned(), "open".to_owned()));
    let why = cause(&world, qid, asset).await;
    assert_eq!(why, format!("checked at its usual time: {entry} was changed by somebody"));

    // Told once, on the home page, on the asset, under follow-up and in the API.
    look(&world).await;
    look(&world).await;
    assert_eq!(mails(&world, "drifted").await, 1);
    let listed = world.admin.get("/api/v1/controls?q=is:drifted").await.expect(200);
    assert_eq!(listed["controls"].as_array().unwrap().len(), 1, "{listed}");
    let control = &listed["controls"][0];
    assert_eq!((control["job"].as_str(), control["origin"].as_str()), (Some(number.as_str()), Some("ours")));
    assert_eq!(control["note"], "net.ipv4.tcp_sack is 1");
    let browser = admin_browser(server).await;
    assert!(browser.page("/").await.contains("1 mitigation drifted."));
    let follow = browser.page("/follow-up").await;
    assert!(follow.contains(&entry) && follow.contains("/reapply"), "{}", crate::world::gist(&follow));
    let page = browser.page(&format!("/assets/{asset}")).await;
    assert!(page.contains("Somebody changed this") && page.contains("Put back"));

    // Somebody puts it right: the score falls again, and the next drift of the same day is not mailed again.
    server.clock.advance(60);
    world.admin = server.admin().await;
    agent.says(server, 10, vec![fine()]).await;
    assert_eq!(item(&world, qid, asset).await.1, lowered);
    server.clock.advance(3600);
    world.admin = server.admin().await;
    agent.says(server, 11, vec![drifted()]).await;
    look(&world).await;
    assert_eq!(mails(&world, "drifted").await, 1);
    server.clock.advance(DAY);
    world.admin = server.admin().await;
    look(&world).await;
    assert_eq!(mails(&world, "drifted").await, 2, "a day later it is");

    // Put back by a job of its own.
    let id = control["id"].as_i64().unwrap();
    let made = world.admin.post(&format!("/api/v1/controls/{id}/reapply"), &json!({})).await.expect(201);
    ready(server, 1).await;
    hands::report(server, asset, &in_place()).await;
    assert_eq!(over(&world.admin, made["job"].as_str().unwrap()).await, "COMPLETED");
    assert_eq!(item(&world, qid, asset).await.1, lowered);
    let refused = world.admin.post(&format!("/api/v1/controls/{id}/reapply"), &json!({})).await;
    assert_eq!((refused.status, refused.code()), (409, "control_in_force"));
});

both_servers!(a_lying_agent_moves_nothing_but_its_own_controls, |server| async move {
    let mut world = World::ready(server).await;
    let server = &world.server;
    let (_, qid, asset, entry) = applied(&world, &json!({})).await;
    let (inherent, lowered, ..) = item(&world, qid, asset).await;
    let (_, assets) = world.mitigable().await;
    let other = assets.iter().map(|a| a["id"].as_i64().unwrap()).find(|id| *id != asset).unwrap();
    let liar = Speaker::on(server, other).await;
    server.clock.advance(3600);
    world.admin = server.admin().await;
    let all = |state| vec![check(server, &entry, state, true), check(server, "linux-made-up", state, true)];

    // It knows the entry of the other asset, and says it drifted; and of its own that all is well.
    let before = item(&world, qid, other).await;
    assert_eq!(liar.says(server, 1, all(ControlState::Drifted)).await.0, 200);
    assert_eq!(item(&world, qid, asset).await.1, lowered, "another asset's control is untouched");
    server.clock.advance(60);
    world.admin = server.admin().await;
    assert_eq!(liar.says(server, 2, all(ControlState::Effective)).await.0, 200);
    assert_eq!(item(&world, qid, other).await, before, "no order ever said so: nothing is closed or lowered");
    let controls = world.admin.get(&format!("/api/v1/controls?q=asset.id:{other}")).await.expect(200);
    assert_eq!(controls["controls"].as_array().unwrap().len(), 0, "{controls}");

    // A flood is held off; a huge number silences only itself.
    let (status, problem) = liar.says(server, 3, all(ControlState::Effective)).await;
    assert_eq!((status, problem["code"].as_str()), (429, Some("too_many_checks")));
    server.clock.advance(60);
    world.admin = server.admin().await;
    assert_eq!(liar.says(server, u64::MAX, vec![]).await.0, 200);
    server.clock.advance(60);
    world.admin = server.admin().await;
    let (status, reply) = liar.says(server, 5, all(ControlState::Effective)).await;
    assert_eq!((status, reply["n"].as_u64()), (200, Some(i64::MAX.unsigned_abs())));

    // On its own asset it can claim drift and return, but never that others' work is ours, nor that anything is fixed.
    let own = Speaker::on(server, asset).await;
    assert_eq!(own.says(server, 1, vec![check(server, &entry, ControlState::Effective, false)]).await.0, 200);
    let row = world.admin.get(&format!("/api/v1/controls?q=asset.id:{asset}")).await.expect(200)["controls"][0].clone();
    assert_eq!((row["origin"].as_str(), row["state"].as_str()), (Some("external"), Some("effective")));
    server.clock.advance(60);
    world.admin = server.admin().await;
    let future = Check {
        at: server.app().clock.now().plus_seconds(10 * DAY),
        ..check(server, &entry, ControlState::Effective, true)
    };
    own.says(server, 2, vec![future]).await;
    server.clock.advance(60);
    world.admin = server.admin().await;
    own.says(server, 3, vec![check(server, &entry, ControlState::Exposed, false)]).await;
    let now = item(&world, qid, asset).await;
    assert_eq!((now.0, now.1, now.2.as_str(), now.3.as_str()), (inherent, inherent, "drifted", "open"));
    let row = world.admin.get(&format!("/api/v1/controls?q=asset.id:{asset}")).await.expect(200)["controls"][0].clone();
    assert_eq!(row["origin"], "external", "a check never makes it ours again");
});

both_servers!(a_standing_job_puts_drift_back_until_it_flaps, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (number, _, asset, entry) =
        applied(&world, &json!({ "standing": true, "after": { "expires_days": 30 } })).await;
    let agent = Speaker::on(server, asset).await;
    let expires = async || {
        let admin = server.admin().await;
        admin.get(&format!("/api/v1/controls?q=asset.id:{asset}")).await.expect(200)["controls"][0]["expires_at"]
            .clone()
    };
    let at_first = expires().await;
    assert!(at_first.is_string(), "{at_first}");
    let runs = || async {
        let read =
            server.app().database.read(|tx| tx.scalar::<i64>("SELECT count(*) FROM run WHERE cause = 'drift'", &[]));
        read.await.unwrap()
    };
    for turn in 0..5_u64 {
        server.clock.advance(1000);
        let line = check(server, &entry, ControlState::Drifted, true);
        assert_eq!(agent.says(server, turn + 1, vec![line]).await.0, 200);
        look(&world).await;
        look(&world).await;
        let expected = i64::try_from(turn + 1).unwrap().min(3);
        assert_eq!(runs().await, expected, "turn {turn}: exactly one run per drift, three a day");
        if turn < 3 {
            ready(server, 1).await;
            hands::report(server, asset, &in_place()).await;
            assert!(over(&world.admin, &number).await.starts_with("COMPLETED"));
        }
    }
    assert_eq!(expires().await, at_first, "putting back starts no new time");
    let control = world.admin.get("/api/v1/controls?q=is:drifted").await.expect(200)["controls"][0].clone();
    assert_eq!(control["put_back"], 3);
    assert!(admin_browser(server).await.page("/follow-up").await.contains("Flaps"));
    server.clock.advance(DAY);
    look(&world).await;
    assert_eq!(runs().await, 4, "another day, another try");
});

both_servers!(what_expires_counts_no_more_and_its_rollback_is_proposed_or_made, |server| async move {
    let mut world = World::ready(server).await;
    let server = &world.server;
    let after = json!({ "expires_days": 30, "review_at": "2026-12-01" });
    let (number, qid, asset, entry) =
        applied(&world, &json!({ "recipients": ["ann@example.org"], "after": after })).await;
    let (inherent, lowered, ..) = item(&world, qid, asset).await;
    let job = world.admin.get(&format!("/api/v1/jobs/{number}")).await.expect(200);
    assert_eq!(job["job"]["after"]["expires_days"], 30, "{job}");

    // The review falls due first: listed, mailed once, done once.
    look(&world).await;
    assert_eq!(world.admin.get("/api/v1/reviews").await.expect(200)["reviews"].as_array().unwrap().len(), 0);
    server.clock.advance(10 * DAY);
    world.admin = server.admin().await;
    look(&world).await;
    look(&world).await;
    assert_eq!(mails(&world, "review").await, 1);
    let due = world.admin.get("/api/v1/reviews").await.expect(200);
    assert_eq!(
        (due["reviews"][0]["job"].as_str(), due["reviews"][0]["controls"].as_i64()),
        (Some(number.as_str()), Some(1))
    );
    let done = format!("/api/v1/reviews/{number}/done");
    assert_eq!(world.admin.post(&done, &json!({ "next": "2020-01-01" })).await.status, 422);
    world.admin.post(&done, &json!({})).await.expect(204);
    assert_eq!(world.admin.post(&done, &json!({})).await.code(), "review_not_due");

    // 29 days: in force. 30 days: back up, at once, with the cause; inherent as it was.
    server.clock.advance(19 * DAY);
    world.admin = server.admin().await;
    look(&world).await;
    assert_eq!(item(&world, qid, asset).await.1, lowered);
    server.clock.advance(DAY + 1);
    world.admin = server.admin().await;
    look(&world).await;
    let now = item(&world, qid, asset).await;
    assert_eq!((now.0, now.1, now.2.as_str()), (inherent, inherent, "none"));
    assert_eq!(cause(&world, qid, asset).await, format!("{entry} has expired as {number} says"));
    assert_eq!(mails(&world, "expired").await, 1);
    let proposals = world.admin.get("/api/v1/proposals?q=is:open").await.expect(200);
    let proposal = &proposals["proposals"][0];
    assert_eq!((proposal["reason"].as_str(), proposal["entry"].as_str()), (Some("expired"), Some(entry.as_str())));

    // Accepted: a draft of a rollback job.
    let id = proposal["id"].as_i64().unwrap();
    let made = world.admin.post(&format!("/api/v1/proposals/{id}/accept"), &json!({})).await.expect(201);
    let rollback = world.admin.get(&format!("/api/v1/jobs/{}", made["job"].as_str().unwrap())).await.expect(200);
    let summary = &rollback["job"]["summary"];
    assert_eq!((summary["kind"].as_str(), summary["status"].as_str()), (Some("rollback"), Some("DRAFT")));
    let again = world.admin.post(&format!("/api/v1/proposals/{id}/accept"), &json!({})).await;
    assert_eq!((again.status, again.code()), (409, "proposal_decided"));

    // The other way: applied again, with the rollback made by itself.
    let (second, ..) = applied(&world, &json!({ "after": { "expires_days": 1, "roll_back": true } })).await;
    assert_eq!(item(&world, qid, asset).await.1, lowered, "applied again, it counts again");
    server.clock.advance(DAY + 1);
    world.admin = server.admin().await;
    look(&world).await;
    let jobs = world.admin.get("/api/v1/jobs?q=kind:rollback and status:enabled").await.expect(200);
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 1, "{second}: {jobs}");
    ready(server, 1).await;
    hands::report(server, asset, &said(Outcome::Reverted, ControlState::Exposed, None)).await;
    assert_eq!(over(&world.admin, jobs["jobs"][0]["number"].as_str().unwrap()).await, "COMPLETED");
    assert_eq!(item(&world, qid, asset).await.1, inherent);

    for (after, code) in [
        (json!({ "expires_days": 0 }), "bad_expiry"),
        (json!({ "expires_at": "2020-01-01" }), "expiry_past"),
        (json!({ "expires_at": "soon" }), "bad_time"),
    ] {
        let draft = hands::draft(&world.admin, qid, &[asset]).await;
        let refused = patch(&world.admin, &draft, &json!({ "after": after })).await;
        assert_eq!((refused.status, refused.json["errors"][0]["code"].as_str()), (422, Some(code)), "{}", refused.text);
    }
});

both_servers!(a_rollback_is_proposed_once_the_scanner_says_fixed, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (_, qid, asset, entry) = applied(&world, &json!({})).await;
    look(&world).await;
    let open = || world.admin.get("/api/v1/proposals?q=is:open");
    assert_eq!(open().await.expect(200)["proposals"].as_array().unwrap().len(), 0, "it still protects something");
    let now = server.app().clock.now();
    // What an import writes when the scanner says Fixed for everything that the entry covers there.
    let fixed = move |closed: domain::time::Timestamp| {
        server.app().database.write(move |tx| {
            tx.execute(
                "UPDATE vulnerable_item SET state = 'closed', substate = 'fixed', closed_at = $2 WHERE asset_id = $1",
                &[&asset, &closed],
            )
        })
    };
    fixed(now).await.unwrap();
    look(&world).await;
    look(&world).await;
    let listed = open().await.expect(200);
    assert_eq!(listed["proposals"].as_array().unwrap().len(), 1, "{listed}");
    let proposal = listed["proposals"][0].clone();
    assert_eq!((proposal["reason"].as_str(), proposal["entry"].as_str()), (Some("fixed"), Some(entry.as_str())));
    let id = proposal["id"].as_i64().unwrap();

    // Who sees other assets only sees neither it nor the control, and decides nothing.
    tag(&world, asset, &["prod"]).await;
    let stranger = program(&world, "stranger", &["job_author"], Some(&["lab"]), &["read", "jobs"]).await;
    assert_eq!(stranger.get("/api/v1/proposals").await.expect(200)["proposals"].as_array().unwrap().len(), 0);
    assert_eq!(stranger.get("/api/v1/controls").await.expect(200)["controls"].as_array().unwrap().len(), 0);
    let dismiss = format!("/api/v1/proposals/{id}/dismiss");
    let why = json!({ "reason": "the patch is taken back tomorrow" });
    assert_eq!(stranger.post(&dismiss, &why).await.status, 404);
    let reader = world.server.user("reader", &["job_reader"]).await;
    assert_eq!(reader.post(&dismiss, &why).await.status, 403);

    // Dismissed with a reason, audited, and not proposed again for the same occasion, but for the next.
    assert_eq!(world.admin.post(&dismiss, &json!({ "reason": " " })).await.status, 422);
    world.admin.post(&dismiss, &why).await.expect(204);
    look(&world).await;
    assert_eq!(open().await.expect(200)["proposals"].as_array().unwrap().len(), 0);
    let audit =
        server.app().database.read(move |tx| store::audit::of_resource(tx, &format!("proposals/{id}"), None, 5));
    assert_eq!(audit.await.unwrap()[0].action, "proposal.dismiss");
    fixed(now.plus_seconds(60)).await.unwrap();
    look(&world).await;
    assert_eq!(open().await.expect(200)["proposals"].as_array().unwrap().len(), 1);

    // The item comes back: there is no occasion any more.
    let write = server.app().database.write(move |tx| {
        tx.execute(
            "UPDATE vulnerable_item SET state = 'open', substate = '', closed_at = NULL WHERE asset_id = $1",
            &[&asset],
        )
    });
    write.await.unwrap();
    look(&world).await;
    assert_eq!(open().await.expect(200)["proposals"].as_array().unwrap().len(), 0);
    assert!(qid > 0);
});

both_servers!(r13_r14_r15_what_is_there_already_is_skipped_with_its_reason, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (qid, assets) = world.mitigable().await;
    let asset = assets[0]["id"].as_i64().unwrap();
    let (inherent, before, ..) = item(&world, qid, asset).await;
    let run = |kind: &'static str, outcome, origin| {
        let world = &world;
        async move {
            let number = if kind == "rollback" {
                let new = json!({ "kind": kind, "vulnerabilities": [{ "qid": qid, "assets": [asset] }] });
                let made = world.admin.post("/api/v1/jobs", &new).await;
                if made.status != 201 {
                    return (made.code().to_owned(), 0);
                }
                made.json["job"]["summary"]["number"].as_str().unwrap().to_owned()
            } else {
                let number = hands::draft(&world.admin, qid, &[asset]).await;
                hands::only_safe(world, &number, qid).await;
                number
            };
            world.admin.post(&format!("/api/v1/jobs/{number}/save"), &json!({ "enable": true })).await.expect(200);
            ready(server, 1).await;
            hands::report(server, asset, &said(outcome, ControlState::Effective, Some(origin))).await;
            over(&world.admin, &number).await;
            let tasks = world.admin.get(&format!("/api/v1/jobs/{number}/tasks")).await.expect(200);
            let task = &tasks["tasks"][0];
            assert_eq!(task["code"], if outcome == Outcome::Succeeded { 0 } else { 33 }, "{task}");
            (number, task["detail"].as_i64().unwrap_or(0))
        }
    };
    // R14: put there by others, the score is lowered once (203), then it is known (206).
    assert_eq!(run("mitigation", Outcome::Unchanged, Origin::External).await.1, 203);
    let lowered = item(&world, qid, asset).await.1;
    assert!(lowered < before, "{lowered} of {inherent}");
    assert_eq!(run("mitigation", Outcome::Unchanged, Origin::External).await.1, 206);
    assert_eq!(item(&world, qid, asset).await.1, lowered, "once");
    let page = admin_browser(server).await.page(&format!("/assets/{asset}")).await;
    assert!(page.contains("put there by others, found by MJ"), "{}", crate::world::gist(&page));
    // R15: nothing of ours is offered for rollback; an agent that is asked all the same refuses with 205 (see the agent's tests).
    assert_eq!(run("rollback", Outcome::NotOurs, Origin::External).await.0, "nothing_to_roll_back");
    // R13: ours, then again.
    assert_eq!(run("mitigation", Outcome::Succeeded, Origin::Ours).await.1, 0);
    assert_eq!(run("mitigation", Outcome::Unchanged, Origin::Ours).await.1, 204);
    // R15 after all: ours by our books, but the host knows better.
    assert_eq!(run("rollback", Outcome::NotOurs, Origin::External).await.1, 205);
    assert_eq!(item(&world, qid, asset).await.1, lowered, "it is still in place");
});

both_servers!(r22_asset_risk_stands_beside_its_formula_and_the_highest_tag_counts, |server| async move {
    let world = World::ready(server).await;
    let (_, assets) = world.mitigable().await;
    let asset = assets[0]["id"].as_i64().unwrap();
    let path_of = format!("/api/v1/assets/{asset}");
    let shown = || world.admin.get(&path_of);
    let risk = shown().await.expect(200)["asset"]["risk"].clone();
    assert_eq!(risk["formula"], "quell");
    assert!(risk["value"].as_i64().unwrap() > 0 && risk["text"].as_str().unwrap().contains("criticality"), "{risk}");
    let all = world.admin.get(&format!("/api/v1/assets/{asset}/risk")).await.expect(200);
    assert_eq!(all["risks"].as_array().unwrap().len(), 5);
    assert_eq!(all["risks"][0]["formula"], "quell");
    let path = "/api/v1/settings/follow-up";
    let wanted = json!({ "check_minutes": 60, "formula": "trurisk_1" });
    assert_eq!(world.admin.put(path, &wanted).await.expect(200), wanted);
    assert_eq!(shown().await.expect(200)["asset"]["risk"]["formula"], "trurisk_1");
    assert_eq!(world.admin.put(path, &json!({ "check_minutes": 1, "formula": "quell" })).await.status, 422);
    assert_eq!(world.admin.put(path, &json!({ "check_minutes": 60, "formula": "mine" })).await.status, 422);
    let reader = world.server.user("reader", &["job_reader"]).await;
    assert_eq!(reader.put(path, &wanted).await.status, 403);
    let browser = admin_browser(&world.server).await;
    for path in ["/assets".to_owned(), format!("/assets/{asset}"), "/follow-up".to_owned()] {
        let page = browser.page(&path).await;
        assert!(page.contains("TruRisk 1.0") && page.contains("criticality"), "{path}");
    }
    let saved = browser.leads("/follow-up/settings", &[("check_minutes", "120"), ("formula", "quell")]).await;
    assert_eq!(saved, "/follow-up");
});
