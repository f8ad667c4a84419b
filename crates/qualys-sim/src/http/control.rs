//! The simulator's own control, under `/sim/`, for tests of the stand-alone binary. It is no part of the simulated service.
//!
//! | Call | Does |
//! |---|---|
//! | `GET /sim/` | what is simulated |
//! | `GET /sim/hosts?from=&limit=` | hosts with ids, addresses, agent UUIDs |
//! | `GET /sim/scans` | scans with their state |
//! | `GET /sim/journal?endpoint=`, `DELETE /sim/journal` | requests received |
//! | `PUT /sim/faults` | replaces the fault plan (JSON list) |
//! | `POST /sim/clock?step_seconds=` | steps the clock |
//! | `POST /sim/truth?host=&qid=&present=0 or 1` | sets whether a QID is really there |
//! | `POST /sim/root?host=&path=` | points a host at a root folder |
//! | `POST /sim/alive?host=&alive=0 or 1` | lets a host answer scans or not |
//! | `GET /sim/truth` | every finding as a full pull would tell it now, as CSV |
//! | `POST /sim/purged?host=&purged=0 or 1` | purges a host or takes it back |
//! | `POST /sim/disabled?qid=&disabled=0 or 1` | disables a QID or enables it |
//! | `POST /sim/dropped?host=&dropped=0 or 1` | lets launches leave out a host's address without a word |
//! | `POST /sim/criticality?host=&value=` | says how important a host is, 1 to 5 |
//! | `POST /sim/hidden?seconds=` | keeps the next launched scan out of the scan list for so long |
//! | `GET /sim/parallel`, `DELETE /sim/parallel` | calls side by side per end point |
//! | `POST /sim/outcome?next=truth, no-host, error, partial, never-processed or stuck` | how the next scan ends |

use super::call::Call;
use super::faults::FaultPlan;
use super::reply::{Family, Reply};
use crate::hosts::Host;
use crate::scans::Outcome;
use crate::truth::Truth;
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::sync::Arc;

/// Most hosts in one answer.
const HOSTS_MAX: usize = 1_000;

/// Answers a control call.
pub(super) fn answer(call: &Call) -> Reply {
    if !call.app.world.options.control {
        return Reply::json(404, &json!({ "error": "control is switched off" }));
    }
    let name = call.path.trim_start_matches("/sim").trim_matches('/');
    match (call.method.as_str(), name) {
        ("GET", "") => Reply::json(200, &summary(call)),
        ("GET", "hosts") => Reply::json(200, &hosts(call)),
        ("GET", "scans") => Reply::json(200, &scans(call)),
        ("GET", "journal") => Reply::json(200, &journal(call)),
        ("DELETE", "journal") => {
            call.app.journal.clear();
            ok()
        }
        ("GET", "truth") => truth(call),
        ("GET", "parallel") => Reply::json(200, &json!(call.app.meter.parallel())),
        ("DELETE", "parallel") => {
            call.app.meter.forget_most();
            ok()
        }
        ("POST", "disabled") => disabled(call),
        ("POST", "hidden") => match seconds(call, "seconds") {
            Some(hidden) => {
                call.app.world.hide_next(hidden);
                ok()
            }
            None => refused("seconds must be a number"),
        },
        ("PUT" | "POST", "faults") => faults(call),
        ("POST", "clock") => clock(call),
        ("POST", "truth" | "root" | "alive" | "purged" | "dropped" | "criticality") => host_state(call, name),
        ("POST", "outcome") => match call.params.get("next").and_then(Outcome::parse) {
            Some(outcome) => {
                call.app.world.set_next_outcome(outcome);
                ok()
            }
            None => refused("next must be truth, no-host, error, partial, never-processed or stuck"),
        },
        _ => Reply::json(404, &json!({ "error": format!("no control end point {} {name}", call.method) })),
    }
}

fn ok() -> Reply {
    Reply::json(200, &json!({ "ok": true }))
}

fn refused(why: &str) -> Reply {
    Reply::json(400, &json!({ "error": why }))
}

fn summary(call: &Call) -> Value {
    let world = &call.app.world;
    json!({
        "simulator": "qualys",
        "seed": world.options.seed,
        "hosts": world.fleet().len(),
        "demo_hosts": world.fleet().demo_len(),
        "vulnerabilities": world.knowledge().qids().count(),
        "now": world.clock.now().to_string(),
    })
}

fn host(call: &Call, host: &Host) -> Value {
    json!({
        "index": host.index, "id": host.id, "asset_id": host.asset_id, "ip": host.ip.to_string(), "name": host.name,
        "fqdn": host.fqdn, "os": host.os.scanner_name(), "network_id": host.network_id, "agent_uuid": host.agent_uuid,
        "machine_id": host.machine_id, "mac": host.mac, "time_zone": host.time_zone,
        "root": call.app.world.root(host.index), "purged": call.app.world.is_purged(host.index),
    })
}

fn hosts(call: &Call) -> Value {
    let from = call.params.number("from").unwrap_or(0);
    let limit = call.params.number("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(100).min(HOSTS_MAX);
    let first = usize::try_from(from).unwrap_or(usize::MAX);
    Value::Array(call.app.world.fleet().iter().skip(first).take(limit).map(|one| host(call, &one)).collect())
}

fn scans(call: &Call) -> Value {
    let rows = call.app.world.scans().into_iter().map(|scan| {
        json!({
            "reference": scan.reference, "id": scan.id, "title": scan.title, "state": scan.state.word(), "processed": scan.processed,
            "launched": scan.launched.to_string(), "targets": scan.target_text, "reached": scan.results.len(),
        })
    });
    Value::Array(rows.collect())
}

fn journal(call: &Call) -> Value {
    let endpoint = call.params.get("endpoint");
    let entries = call.app.journal.all().into_iter().filter(|entry| match endpoint {
        Some(wanted) => entry.endpoint == wanted,
        None => entry.endpoint != "control",
    });
    serde_json::to_value(entries.collect::<Vec<_>>()).unwrap_or(Value::Null)
}

fn faults(call: &Call) -> Reply {
    match serde_json::from_str::<FaultPlan>(&call.body) {
        Ok(plan) => {
            call.app.faults.set(plan);
            ok()
        }
        Err(error) => refused(&format!("the body is no fault plan: {error}")),
    }
}

fn clock(call: &Call) -> Reply {
    let Some(step) = seconds(call, "step_seconds") else {
        return refused("step_seconds must be a number");
    };
    call.app.world.clock.step(step);
    call.app.world.advance();
    Reply::json(200, &json!({ "now": call.app.world.clock.now().to_string() }))
}

/// A number of seconds with a fraction, if it can be one.
fn seconds(call: &Call, name: &str) -> Option<SignedDuration> {
    let seconds = call.params.get(name)?.parse::<f64>().ok()?;
    SignedDuration::try_from_secs_f64(seconds).ok()
}

fn disabled(call: &Call) -> Reply {
    let qid = call.params.number("qid").and_then(|qid| u32::try_from(qid).ok());
    let (Some(qid), Some(disabled)) = (qid, call.params.get("disabled")) else {
        return refused("qid and disabled are needed");
    };
    call.app.world.set_disabled(qid, disabled == "1");
    ok()
}

/// Host by host, so that a large subscription is never held as a whole.
fn truth(call: &Call) -> Reply {
    let app = Arc::clone(&call.app);
    let rows = (0..app.world.fleet().len())
        .map(move |index| app.world.truth_of(index).iter().map(Truth::line).collect::<String>().into_bytes());
    let body = std::iter::once(Truth::COLUMNS.as_bytes().to_vec()).chain(rows);
    Reply { family: Family::Plain, ..Reply::stream("text/csv", Box::new(body)) }
}

fn host_state(call: &Call, name: &str) -> Reply {
    let world = &call.app.world;
    let Some(index) = call.params.number("host").and_then(|id| world.fleet().index_of(id)) else {
        return refused("host must be the id of a host");
    };
    let flag = |name: &str| call.params.get(name).map(|value| value == "1");
    match name {
        "truth" => {
            let qid = call.params.number("qid").and_then(|qid| u32::try_from(qid).ok());
            let (Some(qid), Some(present)) = (qid, flag("present")) else {
                return refused("qid and present are needed");
            };
            world.set_present(index, qid, present);
        }
        "root" => match call.params.get("path") {
            Some(path) => world.set_root(index, std::path::Path::new(path)),
            None => return refused("path is needed"),
        },
        "criticality" => match call.params.number("value").and_then(|value| u8::try_from(value).ok()) {
            Some(value) => world.set_criticality(index, value),
            None => return refused("value is needed"),
        },
        name => match (name, flag(name)) {
            ("purged", Some(purged)) => world.set_purged(index, purged),
            ("dropped", Some(dropped)) => world.set_dropped(index, dropped),
            (_, Some(alive)) => world.set_alive(index, alive),
            (_, None) => return refused(&format!("{name} is needed")),
        },
    }
    ok()
}
