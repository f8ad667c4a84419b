//! Several people, one scan: what joins a scan that waits to be launched, and what calling a request off means then.

use super::Target;
use crate::id::{ChildScanId, InstanceId};
use crate::refusal::Refusal;

/// A launch that nobody has sent yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its key.
    pub child: ChildScanId,
    /// Subscription.
    pub instance: InstanceId,
    /// Appliance.
    pub appliance: String,
    /// Network.
    pub network: String,
    /// Key of the option profile.
    pub profile: String,
    /// Addresses.
    pub addresses: Vec<String>,
}

impl Waiting {
    fn takes(&self, target: &Target) -> bool {
        self.instance == target.instance
            && self.appliance == target.appliance
            && self.network == target.network
            && self.profile == target.profile
            && self.addresses.contains(&target.address)
    }
}

/// Which targets a waiting launch looks at anyway: the others, and for each of these the place of its launch in `waiting`.
/// A scan that runs takes nothing in any more: it may have passed the host.
#[must_use]
pub fn coalesce(targets: Vec<Target>, waiting: &[Waiting]) -> (Vec<Target>, Vec<(usize, Target)>) {
    let (mut rest, mut joined) = (Vec::new(), Vec::new());
    for target in targets {
        match waiting.iter().position(|launch| launch.takes(&target)) {
            Some(place) => joined.push((place, target)),
            None => rest.push(target),
        }
    }
    (rest, joined)
}

/// Who calls a request off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// He is among those who want it.
    pub asked: bool,
    /// How many others want it.
    pub others: usize,
    /// His role may stop what others asked for.
    pub may_stop: bool,
    /// He wants it stopped for everybody.
    pub everybody: bool,
}

/// What calling a request off does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOff {
    /// The scan goes on for the others.
    Leave,
    /// It stops.
    Stop,
}

/// What calling a request off does: the last one who wants it stops it, and so does whoever may and says so.
///
/// # Errors
/// `others_asked`, `not_assigned`.
pub fn call_off(leaving: Leaving) -> Result<CallOff, Refusal> {
    match leaving {
        Leaving { asked: true, others: 0, .. } => Ok(CallOff::Stop),
        Leaving { asked: true, everybody: false, .. } => Ok(CallOff::Leave),
        Leaving { may_stop: true, .. } => Ok(CallOff::Stop),
        Leaving { asked: true, .. } => Err(Refusal::new(
            "others_asked",
            "others asked for this scan too: leave it, or let a vulnerability analyst or an administrator cancel it",
        )),
        Leaving { .. } => Err(Refusal::new("not_assigned", "only who asked for the scan calls it off")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ItemId, SourceHostId};

    #[test]
    fn calling_off_by_table() {
        use CallOff::{Leave, Stop};
        for (asked, others, may_stop, everybody, expected) in [
            (true, 0, false, false, Ok(Stop)),
            (true, 0, false, true, Ok(Stop)),
            (true, 0, true, false, Ok(Stop)),
            (true, 1, false, false, Ok(Leave)),
            (true, 1, true, false, Ok(Leave)),
            (true, 1, false, true, Err("others_asked")),
            (true, 2, true, true, Ok(Stop)),
            (false, 1, true, false, Ok(Stop)),
            (false, 2, true, true, Ok(Stop)),
            (false, 1, false, false, Err("not_assigned")),
            (false, 1, false, true, Err("not_assigned")),
        ] {
            let found = call_off(Leaving { asked, others, may_stop, everybody }).map_err(|refusal| refusal.code);
            assert_eq!(found, expected, "{asked} {others} {may_stop} {everybody}");
        }
    }

    #[test]
    fn a_target_joins_only_a_launch_that_looks_the_same_way() {
        let target = Target {
            item: ItemId(1),
            source_host: SourceHostId(1),
            instance: InstanceId(1),
            network: "5".to_owned(),
            appliance: "a".to_owned(),
            profile: "7".to_owned(),
            address: "10.0.0.1".to_owned(),
        };
        let same = Waiting {
            child: ChildScanId(9),
            instance: InstanceId(1),
            appliance: "a".to_owned(),
            network: "5".to_owned(),
            profile: "7".to_owned(),
            addresses: vec!["10.0.0.2".to_owned(), "10.0.0.1".to_owned()],
        };
        let others = [
            Waiting { instance: InstanceId(2), ..same.clone() },
            Waiting { appliance: "b".to_owned(), ..same.clone() },
            Waiting { network: String::new(), ..same.clone() },
            Waiting { profile: "8".to_owned(), ..same.clone() },
            Waiting { addresses: vec!["10.0.0.11".to_owned()], ..same.clone() },
        ];
        assert_eq!(coalesce(vec![target.clone()], &others), (vec![target.clone()], vec![]));
        let mut waiting = others.to_vec();
        waiting.push(same);
        assert_eq!(coalesce(vec![target.clone()], &waiting), (vec![], vec![(5, target)]));
    }
}
