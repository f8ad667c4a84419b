//! When jobs run and the whole of their life, over HTTP and with a clock turned by hand: S1.10 to S1.12, S1.17 to S1.22, R1,
//! R2, R6, R7, R20.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test panics rather than returning an error"
)]

mod apart;
mod away;
mod copies;
mod gates;
mod gone;
mod play;
mod restarts;
mod retired;
#[path = "../acceptance/speaker.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "shared with the tests of checks")]
mod speaker;
mod turns;
mod watch;
#[path = "../pages_jobs/world.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "shared with the tests of pages")]
mod world;

use play::{act, at, come, draft, edit, in_zone, job, look, offered, report, runs, tasks};
use protocol::agent::Outcome;
use serde_json::{Value, json};
use testkit::both_servers;
use testkit::server::TestServer;
use world::World;

fn daily(until: &str) -> Value {
    json!({ "schedule": {
        "when": "recurring", "at": "2027-03-27T02:30", "window_minutes": 120, "repeat": { "by": "daily", "until": until },
    } })
}

fn instants(time: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    time["instants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|instant| (text(&instant["at"]), text(&instant["local"]), text(&instant["fit"])))
        .collect()
}

both_servers!(s1_12_r6_a_recurring_job_runs_over_a_change_of_the_clocks, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (number, assets) = draft(&world, &daily("2027-03-29")).await;

    // Shown before saving: three times, the clocks change in the second night.
    let preview = world.admin.post(&format!("/api/v1/jobs/{number}/preview"), &json!({})).await.expect(200);
    let times = preview["times"].as_array().unwrap();
    assert_eq!(times.len(), 3, "{preview}");
    let own = |at: &str, local: &str, fit: &str| (at.to_owned(), local.to_owned(), fit.to_owned());
    assert_eq!(
        instants(&times[1]),
        [
            own("2027-03-28T01:30:00Z", "2027-03-28T03:30:00+02:00", "gap"),
            own("2027-03-28T02:30:00Z", "2027-03-28T02:30:00+00:00", "unknown_zone"),
        ]
    );
    assert_eq!(instants(&times[2])[0], own("2027-03-29T00:30:00Z", "2027-03-29T02:30:00+02:00", "exact"));

    // Enabled, and nothing is made before its time.
    act(&world.admin, &number, "save").await.expect(200);
    let shown = job(&world.admin, &number).await;
    assert_eq!((&shown["summary"]["status"], &shown["next_time"]), (&json!("ENABLED"), &json!("2027-03-27T02:30:00")));
    look(server).await;
    assert!(runs(&world.admin, &number).await.is_empty());

    // The first night: made three hours before the first asset starts, once however often anybody looks.
    come(server, "2027-03-26T22:29:59Z").await;
    let admin = server.admin().await;
    assert!(runs(&admin, &number).await.is_empty());
    come(server, "2027-03-26T22:30:00Z").await;
    look(server).await;
    let made = runs(&admin, &number).await;
    assert_eq!(
        (made.len(), &made[0]["state"], &made[0]["time"]),
        (1, &json!("waiting"), &json!("2027-03-27T02:30:00"))
    );
    let due: Vec<Value> = tasks(&admin, &number, "").await.iter().map(|task| task["due_at"].clone()).collect();
    assert!(due.contains(&json!("2027-03-27T01:30:00Z")) && due.contains(&json!("2027-03-27T02:30:00Z")), "{due:?}");
    come(server, "2027-03-27T02:30:00Z").await;
    let admin = server.admin().await;
    for asset in &assets {
        report(server, *asset, Outcome::Succeeded).await;
    }
    look(server).await;
    let shown = job(&admin, &number).await;
    assert_eq!((&shown["summary"]["status"], &shown["next_time"]), (&json!("ENABLED"), &json!("2027-03-28T02:30:00")));
    assert!(shown["summary"]["started_at"].is_null(), "between two runs nothing is under way");
    assert_eq!(runs(&admin, &number).await[0]["state"], "completed");

    // The second night: 02:30 does not exist in Rome. Nobody asks for work, so the windows end, each in its zone.
    come(server, "2027-03-28T00:00:00Z").await;
    let admin = server.admin().await;
    let due: Vec<Value> = tasks(&admin, &number, "").await.iter().map(|task| task["due_at"].clone()).collect();
    assert!(due.contains(&json!("2027-03-28T01:30:00Z")) && due.contains(&json!("2027-03-28T02:30:00Z")), "{due:?}");
    come(server, "2027-03-28T03:26:00Z").await;
    let admin = server.admin().await;
    let states: Vec<Value> = tasks(&admin, &number, "").await.iter().map(|task| task["state"].clone()).collect();
    assert!(states.contains(&json!("expired")) && states.contains(&json!("ready")), "{states:?}");
    come(server, "2027-03-28T04:26:00Z").await;
    let admin = server.admin().await;
    look(server).await;
    let second = tasks(&admin, &number, "?run=2").await;
    assert!(second.iter().all(|task| task["state"] == "expired" && task["code"] == 1), "{second:?}");
    assert_eq!(runs(&admin, &number).await[0]["state"], "completed_with_failures");
    assert_eq!(job(&admin, &number).await["summary"]["status"], "ENABLED", "a run that failed ends no schedule");

    // The last night, and with it the job: every asset and action has succeeded last.
    come(server, "2027-03-29T01:00:00Z").await;
    report(server, assets[0], Outcome::Succeeded).await;
    come(server, "2027-03-29T02:30:00Z").await;
    let admin = server.admin().await;
    report(server, assets[1], Outcome::Succeeded).await;
    look(server).await;
    let shown = job(&admin, &number).await;
    assert_eq!(shown["summary"]["status"], "COMPLETED", "{shown}");
    assert_eq!((runs(&admin, &number).await.len(), &shown["next_time"]), (3, &Value::Null));
});

both_servers!(two_replicas_that_make_the_same_run_make_one, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (number, _) = draft(&world, &daily("2027-04-30")).await;
    act(&world.admin, &number, "save").await.expect(200);
    server.clock.set(at("2027-03-27T02:00:00Z"));
    tokio::join!(look(server), look(server), look(server));
    let admin = server.admin().await;
    assert_eq!(runs(&admin, &number).await.len(), 1);
    // A server that was away for days makes the last one only, and says how many it missed.
    server.clock.set(at("2027-04-02T12:00:00Z"));
    tokio::join!(look(server), look(server), look(server));
    let admin = server.admin().await;
    let made = runs(&admin, &number).await;
    assert_eq!((made.len(), &made[0]["time"]), (2, &json!("2027-04-02T02:30:00")));
    let audit = admin.get("/api/v1/audit?q=action:job.run").await.expect(200);
    assert!(audit["entries"].to_string().contains("\"missed\":5"), "{audit}");
});

both_servers!(s1_20_s1_22_r2_r7_the_life_of_an_on_demand_job, |server| async move {
    let world = World::ready(server).await;
    let (server, admin) = (&world.server, &world.admin);
    let (number, assets) = draft(&world, &json!({})).await;
    let saved = admin.post(&format!("/api/v1/jobs/{number}/save"), &json!({})).await.expect(200);
    assert_eq!(saved["job"]["summary"]["status"], "DISABLED");
    look(server).await;
    assert!(runs(admin, &number).await.is_empty(), "saved is not enabled");
    for (word, code) in [("run", "job_not_enabled"), ("pause", "job_not_enabled"), ("resume", "job_not_enabled")] {
        let refused = act(admin, &number, word).await;
        assert_eq!((refused.status, refused.code()), (409, code), "{word}: {}", refused.text);
    }
    act(admin, &number, "enable").await.expect(200);
    look(server).await;

    // Paused: what was ordered and has not started is taken back, nothing new is ordered; resumed it goes on.
    assert!(!offered(server, assets[0]).await.0.is_empty());
    let paused = act(admin, &number, "pause").await.expect(200);
    assert_eq!(paused["job"]["summary"]["paused"], true);
    let (orders, revoked) = offered(server, assets[0]).await;
    assert!(orders.is_empty() && revoked > 0, "{orders:?}");
    assert_eq!(offered(server, assets[1]).await, (vec![], 0));
    assert_eq!(act(admin, &number, "pause").await.code(), "job_paused");
    assert_eq!(act(admin, &number, "disable").await.code(), "job_started");
    act(admin, &number, "resume").await.expect(200);
    report(server, assets[1], Outcome::Failed).await;
    report(server, assets[0], Outcome::Succeeded).await;
    assert_eq!(job(admin, &number).await["summary"]["status"], "COMPLETED_WITH_FAILURES");

    // What failed, again; then the whole job, again.
    act(admin, &number, "retry").await.expect(200);
    look(server).await;
    let again = tasks(admin, &number, "").await;
    assert!(again.iter().all(|task| task["asset"] == assets[1]), "{again:?}");
    report(server, assets[1], Outcome::Succeeded).await;
    let shown = job(admin, &number).await;
    assert_eq!((&shown["summary"]["status"], &shown["runs"]), (&json!("COMPLETED"), &json!(2)));
    assert_eq!(act(admin, &number, "retry").await.code(), "nothing_failed");
    // The report of the retry tells of what it left alone as well.
    let report = admin.get(&format!("/api/v1/jobs/{number}/report?format=json")).await.expect(200);
    let lines = report["lines"].as_array().expect("lines");
    assert!(lines.len() >= 2 && lines.iter().all(|line| line["actionStatus"] == "Succeeded"), "{report}");
    act(admin, &number, "run").await.expect(200);
    look(server).await;
    assert_eq!(act(admin, &number, "run").await.code(), "job_started");
    act(admin, &number, "cancel").await.expect(200);
    look(server).await;
    let made = runs(admin, &number).await;
    let causes: Vec<&Value> = made.iter().map(|run| &run["cause"]).collect();
    assert_eq!(causes, ["now", "retry", "enabled"]);
    assert_eq!(made[0]["state"], "cancelled");
    assert_eq!(job(admin, &number).await["summary"]["status"], "COMPLETED");

    // A copy is a draft of who asked for it.
    let copy = act(admin, &number, "clone").await.expect(201);
    assert_eq!(copy["job"]["summary"]["status"], "DRAFT");
    assert_eq!(copy["job"]["assets"].as_array().unwrap().len(), 2);
    assert_eq!(copy["job"]["actions"], job(admin, &number).await["actions"]);
    assert_eq!(admin.delete(&format!("/api/v1/jobs/{number}")).await.status, 204);
    assert_eq!(admin.get(&format!("/api/v1/jobs/{number}")).await.status, 404);
});

both_servers!(s1_18_r23_who_may_do_what_to_a_job, |server| async move {
    let world = World::ready(server).await;
    let (server, admin) = (&world.server, &world.admin);
    let author = server.user("author", &["job_author"]).await;
    let second = server.user("second", &["job_author"]).await;
    let reader = server.user("reader", &["job_reader"]).await;
    let (number, _) = draft(&world, &json!({ "coauthors": ["second"] })).await;
    admin.post(&format!("/api/v1/jobs/{number}/save"), &json!({})).await.expect(200);
    let owner = format!("/api/v1/jobs/{number}/owner");

    // Not yours: a co-author works on it, and neither gives it away nor deletes it.
    assert_eq!(act(&author, &number, "enable").await.code(), "not_yours");
    assert_eq!(second.put(&owner, &json!({ "owner": "second" })).await.code(), "owner_only");
    assert_eq!(second.delete(&format!("/api/v1/jobs/{number}")).await.code(), "owner_only");
    act(&second, &number, "enable").await.expect(200);
    for word in ["pause", "resume", "run", "retry", "cancel"] {
        assert_eq!(act(&reader, &number, word).await.status, 403, "{word}");
        assert_eq!(act(&author, &number, word).await.code(), "not_yours", "{word}");
    }
    act(&second, &number, "pause").await.expect(200);

    // A new owner must be able to work on it, and is no co-author then.
    for (name, code) in [("reader", "owner_unable"), ("nobody", "unknown_user")] {
        let refused = admin.put(&owner, &json!({ "owner": name })).await;
        assert_eq!(refused.status, 422, "{}", refused.text);
        assert!(refused.text.contains(code), "{}", refused.text);
    }
    let given = admin.put(&owner, &json!({ "owner": "second" })).await.expect(200);
    assert_eq!((&given["job"]["summary"]["owner"], &given["job"]["coauthors"]), (&json!("second"), &json!([])));
    let audit = admin.get("/api/v1/audit?q=action:job.change_owner").await.expect(200);
    let detail = audit["entries"][0].to_string();
    assert!(detail.contains("admin") && detail.contains("second"), "{detail}");
    // Whoever may only look, copies nothing: making jobs is a permission of its own.
    assert_eq!(act(&reader, &number, "clone").await.status, 403);
    let copy = act(&author, &number, "clone").await.expect(201);
    assert_eq!((&copy["job"]["summary"]["owner"], &copy["job"]["coauthors"]), (&json!("author"), &json!([])));
});

both_servers!(s1_22_a_recurring_job_is_disabled_paused_and_run_between_its_runs, |server| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let (number, assets) = draft(&world, &daily("2027-04-30")).await;
    act(&world.admin, &number, "save").await.expect(200);
    come(server, "2027-03-26T23:00:00Z").await;
    let admin = server.admin().await;
    assert_eq!(runs(&admin, &number).await.len(), 1, "made, and waiting");

    // Disabled, the run that has not begun is taken back; enabled again it comes back.
    act(&admin, &number, "disable").await.expect(200);
    assert!(runs(&admin, &number).await.is_empty());
    come(server, "2027-03-27T00:00:00Z").await;
    let admin = server.admin().await;
    assert!(runs(&admin, &number).await.is_empty());
    act(&admin, &number, "enable").await.expect(200);
    look(server).await;
    assert_eq!(runs(&admin, &number).await[0]["time"], "2027-03-27T02:30:00");

    // One run now besides; only one of a job at a time on an asset (R20).
    act(&admin, &number, "run").await.expect(200);
    look(server).await;
    assert_eq!(act(&admin, &number, "disable").await.code(), "job_started");
    let (orders, _) = offered(server, assets[0]).await;
    assert!(!orders.is_empty());
    come(server, "2027-03-27T01:31:00Z").await;
    assert_eq!(offered(server, assets[0]).await.0.len(), orders.len(), "the same orders again, none of the other run");
    for asset in &assets {
        report(server, *asset, Outcome::Succeeded).await;
    }
    report(server, assets[0], Outcome::Succeeded).await;
    come(server, "2027-03-27T02:31:00Z").await;
    let admin = server.admin().await;
    report(server, assets[1], Outcome::Succeeded).await;
    let states: Vec<Value> = runs(&admin, &number).await.iter().map(|run| run["state"].clone()).collect();
    assert_eq!(states, ["completed", "completed"]);

    // While it is paused no run is made; resumed it goes on with the next time that lies ahead.
    act(&admin, &number, "pause").await.expect(200);
    come(server, "2027-03-30T12:00:00Z").await;
    let admin = server.admin().await;
    assert_eq!(runs(&admin, &number).await.len(), 2);
    let resumed = act(&admin, &number, "resume").await.expect(200);
    assert_eq!(resumed["job"]["next_time"], "2027-03-31T02:30:00");
    // A schedule that is over cannot be enabled.
    act(&admin, &number, "disable").await.expect(200);
    edit(&admin, &number, &daily("2027-03-30")).await.expect(200);
    let over = act(&admin, &number, "enable").await;
    assert_eq!((over.status, over.code()), (409, "schedule_over"), "{}", over.text);
});

both_servers!(an_agent_that_changes_its_zone_is_resolved_anew_and_windows_bind_orders, |server| async move {
    let world = World::ready(server).await;
    let (server, admin) = (&world.server, &world.admin);
    let patch = json!({ "schedule": { "when": "once", "at": "2026-11-24T02:00", "window_minutes": 4 } });
    let (number, assets) = draft(&world, &patch).await;
    act(admin, &number, "save").await.expect(200);
    let of = async |asset: i64| {
        let client = server.admin().await;
        tasks(&client, &number, "").await.into_iter().find(|task| task["asset"] == asset).unwrap()
    };
    assert_eq!(
        (of(assets[0]).await["due_at"].clone(), of(assets[0]).await["zone"].clone()),
        (json!("2026-11-24T01:00:00Z"), json!("Europe/Rome"))
    );
    in_zone(server, assets[0], "Asia/Tokyo").await;
    assert_eq!(of(assets[0]).await["due_at"], "2026-11-23T17:00:00Z");
    assert_eq!(of(assets[0]).await["window_end"], "2026-11-23T17:04:00Z");
    // Ready, and then flown to where it is not time yet: it waits again.
    come(server, "2026-11-23T17:01:00Z").await;
    assert_eq!(of(assets[0]).await["state"], "ready");
    in_zone(server, assets[0], "Europe/Rome").await;
    assert_eq!(
        (of(assets[0]).await["state"].clone(), of(assets[0]).await["due_at"].clone()),
        (json!("pending"), json!("2026-11-24T01:00:00Z"))
    );
    // The order's own time-out shrinks with a short window, and its start ends so that it can end in it.
    come(server, "2026-11-24T01:00:30Z").await;
    let (orders, _) = offered(server, assets[0]).await;
    assert_eq!(
        (&orders[0]["not_after"], &orders[0]["run_timeout_seconds"]),
        (&json!("2026-11-24T01:02:00Z"), &json!(120))
    );
    // Once ordered, a new zone changes nothing.
    in_zone(server, assets[0], "Asia/Tokyo").await;
    assert_eq!(of(assets[0]).await["due_at"], "2026-11-24T01:00:00Z");
    // The other asset asks too late, by so much that it could not end in its window.
    server.clock.set(at("2026-11-24T02:02:01Z"));
    assert!(offered(server, assets[1]).await.0.is_empty());
    look(server).await;
    assert_eq!(of(assets[1]).await["state"], "expired");
});

both_servers!(s1_11_what_is_no_schedule_is_refused_by_field, |server| async move {
    let world = World::ready(server).await;
    let (number, _) = draft(&world, &json!({})).await;
    let at = "2026-12-01T02:00";
    for (schedule, code) in [
        (json!({ "when": "sometimes" }), "bad_schedule"),
        (json!({ "when": "once", "at": "tomorrow" }), "bad_time"),
        (json!({ "when": "once", "at": at, "zone": "Mars/Base" }), "unknown_zone"),
        (json!({ "when": "once", "at": at, "window_minutes": 10_081 }), "bad_window"),
        (json!({ "when": "once", "at": at, "window_minutes": -1 }), "bad_window"),
        (json!({ "when": "recurring", "at": at }), "bad_repeat"),
        (json!({ "when": "recurring", "at": at, "repeat": { "by": "hourly" } }), "bad_repeat"),
        (json!({ "when": "recurring", "at": at, "repeat": { "by": "weekly" } }), "bad_weekdays"),
        (json!({ "when": "recurring", "at": at, "repeat": { "by": "weekly", "days": ["noday"] } }), "bad_weekdays"),
        (json!({ "when": "recurring", "at": at, "repeat": { "by": "daily", "every": 0 } }), "bad_every"),
        (json!({ "when": "recurring", "at": at, "repeat": { "by": "month_day", "day": 300 } }), "bad_day"),
        (json!({ "when": "recurring", "at": at, "repeat": { "by": "month_weekday", "nth": "fifth" } }), "bad_nth"),
        (json!({ "when": "recurring", "at": at, "repeat": { "by": "patch_tuesday", "offset": 28 } }), "bad_offset"),
        (
            json!({ "when": "recurring", "at": at, "repeat": { "by": "daily", "count": 3, "until": "2027-01-01" } }),
            "bad_end",
        ),
        (json!({ "when": "recurring", "at": at, "repeat": { "by": "daily", "until": "2026-01-01" } }), "bad_end"),
    ] {
        let refused = edit(&world.admin, &number, &json!({ "schedule": schedule })).await;
        assert_eq!(refused.status, 422, "{schedule}: {}", refused.text);
        assert!(refused.text.contains(code), "{schedule}: {}", refused.text);
        let previewed =
            world.admin.post(&format!("/api/v1/jobs/{number}/preview"), &json!({ "schedule": schedule })).await;
        assert_eq!(previewed.status, 422, "{schedule}: {}", previewed.text);
    }
    // What is good comes back as it was given.
    let good = json!({
        "when": "recurring", "at": "2026-12-01T02:00:00", "zone": "Europe/Rome", "window_minutes": 240,
        "repeat": { "by": "patch_tuesday", "every": 2, "offset": -3, "count": 6 },
    });
    edit(&world.admin, &number, &json!({ "schedule": good, "standing": true })).await.expect(200);
    let kept = job(&world.admin, &number).await;
    for field in ["when", "at", "zone", "window_minutes"] {
        assert_eq!(kept["schedule"][field], good[field], "{field}");
    }
    for field in ["by", "every", "offset", "count"] {
        assert_eq!(kept["schedule"]["repeat"][field], good["repeat"][field], "{field}");
    }
    assert_eq!(kept["standing"], true);
    assert_eq!(
        kept["summary"]["schedule"],
        "Every 2 months 3 days before Patch Tuesday at 02:00 (Europe/Rome), for 4 hours, 6 times"
    );
});

/// The pages say the same: step 4 without a script, the runs on the job's page, every quick action with its reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_10_s1_17_s1_19_s1_21_the_pages_of_schedules_and_runs() {
    let world = World::ready(TestServer::start().await).await;
    let (number, assets) = draft(&world, &json!({})).await;
    let me = world::admin_browser(&world.server).await;
    let step = format!("/jobs/{number}/edit/schedule");
    let page = me.page(&step).await;
    assert!(page.contains("value=\"demand\" checked"), "S1.10: on demand is preselected");
    assert!(page.contains("<option value=\"Europe/Rome\">"), "a list of zones");
    let fields = [
        ("when", "timed"),
        ("date", "2027-03-27"),
        ("time", "02:30"),
        ("repeat", "weekly"),
        ("days", "sat"),
        ("days", "sun"),
        ("every", "1"),
        ("ends", "after"),
        ("count", "4"),
        ("window", "120"),
        ("standing", "on"),
    ];
    let with = |more: &[(&'static str, &'static str)], version: &str| {
        let mut all: Vec<(String, String)> =
            fields.iter().chain(more).map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        all.push(("version".to_owned(), version.to_owned()));
        all
    };
    fn borrowed(all: &[(String, String)]) -> Vec<(&str, &str)> {
        all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
    // With a script the times follow the form; nothing is kept by that.
    let followed = me.post(&format!("{step}/times"), &borrowed(&with(&[], "1"))).await;
    assert_eq!(followed.status, 200, "{}", followed.text);
    assert!(followed.text.contains("Every week on Saturday and Sunday at 02:30"), "{}", followed.text);
    assert!(followed.text.contains("The clocks jump over this time"), "{}", followed.text);
    assert_eq!(job(&world.admin, &number).await["schedule"]["when"], "on_demand");
    // What cannot be is said at its field.
    let bad: Vec<(&str, &str)> = vec![
        ("when", "timed"),
        ("date", "2027-03-27"),
        ("time", "02:30"),
        ("repeat", "weekly"),
        ("then", "next"),
        ("version", world::version(&page)),
    ];
    let refused = me.post(&step, &bad).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text.contains("Choose at least one day of the week"), "{}", world::gist(&refused.text));
    let kept = with(&[("then", "stay")], world::version(&page));
    assert_eq!(me.leads(&step, &borrowed(&kept)).await, step);
    let page = me.page(&step).await;
    assert!(
        page.contains("value=\"weekly\" checked") && page.contains("value=\"sat\" checked"),
        "{}",
        world::gist(&page)
    );
    assert!(page.contains("Sat 27 Mar 2027 02:30") && page.contains("Sun 28 Mar 2027 02:30"), "{}", world::gist(&page));
    let confirm = me.page(&format!("/jobs/{number}/edit/confirm")).await;
    assert!(confirm.contains("2027-03-27 02:30: 27 Mar 01:30 UTC to 27 Mar 02:30 UTC"), "{}", world::gist(&confirm));
    me.leads(&format!("/jobs/{number}/edit/confirm"), &[("then", "enable"), ("version", world::version(&confirm))])
        .await;

    // The job's page: quick actions, each that is not possible with its reason, and the runs.
    let page = me.page(&format!("/jobs/{number}")).await;
    for word in ["Run now", "Pause", "Retry failed", "Clone", "Change owner"] {
        assert!(page.contains(word), "{word} in {}", world::gist(&page));
    }
    assert!(page.contains("no asset and action of the job has failed"), "{}", world::gist(&page));
    assert!(page.contains("No tasks here") && page.contains("2027-03-27 02:30, first at"), "{}", world::gist(&page));
    me.leads(&format!("/jobs/{number}/run_now"), &[]).await;
    look(&world.server).await;
    for asset in &assets {
        report(&world.server, *asset, Outcome::Succeeded).await;
    }
    let page = me.page(&format!("/jobs/{number}?run=1")).await;
    assert!(page.contains("id=\"run-1\"") && page.contains("run now by"), "{}", world::gist(&page));
    me.leads(&format!("/jobs/{number}/pause"), &[]).await;
    assert!(me.page(&format!("/jobs/{number}")).await.contains("The job is paused"));
    assert!(me.page("/jobs").await.contains("Paused"));
    world.server.user("heir", &["job_author"]).await;
    let page = me.page(&format!("/jobs/{number}/owner")).await;
    assert!(page.contains("heir"), "{}", world::gist(&page));
    assert_eq!(me.leads(&format!("/jobs/{number}/owner"), &[("owner", "heir")]).await, format!("/jobs/{number}"));
    assert_eq!(me.post(&format!("/jobs/{number}/owner"), &[("owner", "nobody")]).await.status, 422);
    let copy = me.leads(&format!("/jobs/{number}/clone"), &[]).await;
    assert!(copy.ends_with("/edit/basic"), "{copy}");
}
