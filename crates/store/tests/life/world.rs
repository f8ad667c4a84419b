//! A small estate: hosts with weaknesses as a scanner reports them, day by day.

use domain::filter::{Context, parse};
use domain::id::InstanceId;
use domain::time::Timestamp;
use store::detections::{DetectionSeen, Machine};
use store::hosts::HostSeen;
use store::imports::{Cause, Kind, Run, Start};
use store::items::ItemRow;
use store::list::{Query, page};
use store::{Database, detections, imports, instances, items};

pub const DAY: i64 = 86_400;

pub fn day(days: i64) -> Timestamp {
    Timestamp::from_micros(1_790_000_000_000_000).plus_seconds(days * DAY)
}

/// A weakness of a host as it is reported.
#[derive(Clone, Copy, Debug)]
pub struct Weak {
    pub host: u8,
    pub qid: i64,
    pub port: i64,
    pub score: u8,
    pub status: &'static str,
    /// The day it was last found.
    pub found: i64,
    /// The day its host was last scanned.
    pub scanned: i64,
}

pub fn weak(host: u8, qid: i64, score: u8, found: i64) -> Weak {
    Weak { host, qid, port: 0, score, status: "active", found, scanned: found }
}

pub fn begin(db: &Database) -> Run {
    db.write_blocking(|tx| {
        let instance: InstanceId = instances::for_files(tx, "users/test", "Files", "qualys", day(0))?;
        let start = Start { instance, kind: Kind::File, cause: Cause::People, actor: "users/test", source: "" };
        imports::start(tx, start, day(0))
    })
    .unwrap()
}

pub fn import(db: &Database, run: &Run, rows: &[Weak], now: Timestamp) {
    let hosts: std::collections::BTreeSet<u8> = rows.iter().map(|row| row.host).collect();
    let machines: Vec<Machine> = hosts
        .into_iter()
        .map(|host| Machine {
            host: HostSeen {
                host_key: host.to_string(),
                keyed: true,
                last_scan_at: rows.iter().filter(|row| row.host == host).map(|row| day(row.scanned)).max(),
                ..HostSeen::default()
            },
            detections: rows
                .iter()
                .filter(|row| row.host == host)
                .map(|row| DetectionSeen {
                    qid: row.qid,
                    port: row.port,
                    kind: "confirmed".to_owned(),
                    status: row.status.to_owned(),
                    qds: Some(row.score),
                    last_found_at: Some(day(row.found)),
                    ..DetectionSeen::default()
                })
                .collect(),
        })
        .collect();
    let run = run.clone();
    db.write_bulk_blocking(move |tx| detections::merge(tx, &run, &machines, now)).unwrap();
}

/// The items that a query gives at a moment, in order of their numbers.
pub fn list(db: &Database, q: &str, now: Timestamp) -> Vec<ItemRow> {
    let mut query = Query::new(parse(q, &items::FIELDS).unwrap(), Context::at(now));
    query.limit = 500;
    db.read_blocking(move |tx| Ok(page::<ItemRow>(tx, &items::LIST, None, &query).unwrap().rows)).unwrap()
}

pub fn item(db: &Database, qid: i64) -> ItemRow {
    list(db, &format!("qid:{qid}"), day(0)).remove(0)
}
