//! The host list (`HOST_LIST_OUTPUT`): machines without detections, or only their ids.

use crate::error::{ReadError, Stop};
use crate::limits::Limits;
use crate::observation::{HostReport, Observation};
use crate::qualys::{hld, host, page};
use crate::summary::Summary;
use crate::xml::Xml;
use std::io::BufRead;

/// The root element.
pub const ROOT: &str = "HOST_LIST_OUTPUT";

/// What one answer held besides the machines.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HostList {
    /// The ids of an answer without details, ranges expanded.
    pub ids: Vec<i64>,
    /// The account of the reading.
    pub summary: Summary,
}

/// Reads one answer; `sink` receives every machine as soon as it is complete.
pub fn read(
    input: impl BufRead,
    limits: &Limits,
    sink: &mut dyn FnMut(Observation) -> Result<(), Stop>,
) -> Result<HostList, ReadError> {
    let mut ids = Vec::new();
    let summary = page::read(input, limits, ROOT, |xml, name| match name {
        "HOST_LIST" => {
            xml.children(
                |xml, name| {
                    if name == "HOST" { host_element(xml, sink) } else { page::error_in_list(xml, name) }
                },
            )
        }
        "ID_SET" => page::id_set(xml, &mut ids),
        _ => Ok(()),
    })?;
    Ok(HostList { ids, summary })
}

fn host_element<R: BufRead>(
    xml: &mut Xml<'_, R>,
    sink: &mut dyn FnMut(Observation) -> Result<(), Stop>,
) -> Result<(), ReadError> {
    let mut found = Box::new(HostReport::default());
    xml.next_record();
    xml.children(|xml, name| host::field(xml, name, &mut found))?;
    if found.host_id.is_none() {
        let row = host::name(&found);
        xml.reject(row, "no host id");
        return Ok(());
    }
    hld::hand_out(xml, found, sink)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<(HostList, usize), ReadError> {
        let mut hosts = 0;
        let list = read(text.as_bytes(), &Limits::default(), &mut |_| {
            hosts += 1;
            Ok(())
        })?;
        Ok((list, hosts))
    }

    #[test]
    fn ids_and_ranges_are_both_read() {
        let (list, hosts) = read_text(
            "<HOST_LIST_OUTPUT><RESPONSE><ID_SET><ID>3</ID><ID_RANGE> 5 - 7 </ID_RANGE><ID>x</ID></ID_SET></RESPONSE>
             </HOST_LIST_OUTPUT>",
        )
        .expect("good");
        assert_eq!((list.ids, hosts), (vec![3, 5, 6, 7], 0));
        assert_eq!(list.summary.rejected, 1);
    }

    #[test]
    fn a_range_cannot_fill_the_memory() {
        let error = read_text(
            "<HOST_LIST_OUTPUT><RESPONSE><ID_SET><ID_RANGE>1-9223372036854775807</ID_RANGE></ID_SET></RESPONSE></HOST_LIST_OUTPUT>",
        );
        assert!(matches!(error, Err(ReadError::TooLarge { .. })));
    }

    #[test]
    fn machines_come_with_their_scores() {
        let mut found = Vec::new();
        let text = "<HOST_LIST_OUTPUT><RESPONSE><HOST_LIST><HOST><ID>9</ID><IP>10.0.0.9</IP><TRURISK_SCORE>640</TRURISK_SCORE>
            <ASSET_CRITICALITY_SCORE>4</ASSET_CRITICALITY_SCORE><QG_HOSTID>u-1</QG_HOSTID></HOST></HOST_LIST></RESPONSE></HOST_LIST_OUTPUT>";
        read(text.as_bytes(), &Limits::default(), &mut |observation| {
            if let Observation::Host(host) = observation {
                found.push(*host);
            }
            Ok(())
        })
        .expect("good");
        assert_eq!((found[0].risk_score, found[0].criticality), (Some(640), Some(4)));
        assert_eq!(found[0].agent_uuid.as_deref(), Some("u-1"));
    }
}
