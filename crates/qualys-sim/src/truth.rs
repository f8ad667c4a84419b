//! What the platform tells of every finding at this moment: the answer book for tests that compare a data base with it.

use crate::detections::Status;
use crate::knowledge::EntryKind;
use crate::state::World;

/// One finding, as a full pull with every status and information gathered would tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truth {
    /// The scanner's host id.
    pub host: u64,
    /// QID.
    pub qid: u32,
    /// Port and protocol, for findings made over the network.
    pub port: Option<(u16, &'static str)>,
    /// Confirmed, potential or information.
    pub kind: EntryKind,
    /// Where it stands; information gathered has no status.
    pub status: Option<Status>,
}

impl Truth {
    /// The names of the columns of [`Self::line`].
    pub const COLUMNS: &'static str = "host,qid,port,protocol,type,status\n";

    /// The finding as a line of CSV; no cell needs quotes.
    pub fn line(&self) -> String {
        let (port, protocol) = self.port.map_or((String::new(), ""), |(port, protocol)| (port.to_string(), protocol));
        let status = self.status.map_or("", Status::word);
        format!("{},{},{port},{protocol},{},{status}\n", self.host, self.qid, self.kind.detection_type())
    }
}

impl World {
    /// The findings of one host; none where it is purged.
    pub fn truth_of(&self, index: u32) -> Vec<Truth> {
        if self.is_purged(index) {
            return Vec::new();
        }
        let host = self.fleet().host(index);
        let disabled = self.disabled();
        let rows = self.record_unmoved(&host).detections;
        rows.into_iter()
            .filter(|row| !disabled.contains(&row.qid))
            .map(|row| Truth {
                host: host.id,
                qid: row.qid,
                port: row.port,
                kind: row.kind,
                status: (row.kind != EntryKind::Information).then_some(row.status),
            })
            .collect()
    }
}
