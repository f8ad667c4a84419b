//! Whether two assets may be joined, or a host of one given to the other.

use crate::id::AssetId;
use crate::refusal::Refusal;
use std::collections::BTreeSet;

/// What has to be known of one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// The asset.
    pub asset: AssetId,
    /// It was joined into another one.
    pub gone: bool,
    /// An agent of ours is on it.
    pub agent: bool,
    /// Jobs or mitigations of ours know it.
    pub mitigations: bool,
    /// UUIDs of scanners' agents on it.
    pub uuids: BTreeSet<String>,
}

/// Both of them, and what goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joining {
    /// The asset that hosts are taken from.
    pub from: Side,
    /// The one they go to.
    pub into: Side,
    /// UUIDs of the hosts that go.
    pub moving: BTreeSet<String>,
}

/// Whether these hosts may go; `whole` where the asset goes with them.
///
/// # Errors
/// `same_asset`, `merged`, `two_agents`, `has_mitigations`, `two_uuids`.
pub fn may_join(joining: &Joining, whole: bool) -> Result<(), Refusal> {
    let Joining { from, into, moving } = joining;
    let refuse = |code, why: &str| Err(Refusal::new(code, why));
    if from.asset == into.asset {
        return refuse("same_asset", "this is the asset itself; choose another one");
    }
    if from.gone || into.gone {
        return refuse("merged", "one of the two was joined into another asset already; choose that one");
    }
    if whole && from.agent && into.agent {
        return refuse("two_agents", "each of the two has an agent, so they are two machines");
    }
    // What we did to a machine stays with the asset that it was done to.
    if whole && (from.agent || from.mitigations) {
        let why = "the asset that would go has an agent, jobs or mitigations; join the other one into it instead";
        return refuse("has_mitigations", why);
    }
    let after: BTreeSet<&String> = into.uuids.iter().chain(moving).collect();
    if !moving.is_empty() && after.len() > into.uuids.len().max(1) {
        return refuse("two_uuids", "scanners know two different agents on them, so they are two machines");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(asset: i64, uuids: &[&str]) -> Side {
        let uuids = uuids.iter().map(|uuid| (*uuid).to_owned()).collect();
        Side { asset: AssetId(asset), gone: false, agent: false, mitigations: false, uuids }
    }

    #[test]
    fn two_machines_are_not_joined() {
        let joining = |from: Side, into: Side| Joining { moving: from.uuids.clone(), from, into };
        let code = |joining: &Joining, whole| may_join(joining, whole).map_err(|refusal| refusal.code);
        let plain = joining(side(1, &[]), side(2, &[]));
        assert_eq!(code(&plain, true), Ok(()));
        assert_eq!(code(&joining(side(1, &[]), side(1, &[])), true), Err("same_asset"));
        assert_eq!(code(&joining(Side { gone: true, ..side(1, &[]) }, side(2, &[])), true), Err("merged"));
        assert_eq!(code(&joining(side(1, &[]), Side { gone: true, ..side(2, &[]) }), false), Err("merged"));
        let agents = joining(Side { agent: true, ..side(1, &[]) }, Side { agent: true, ..side(2, &[]) });
        assert_eq!((code(&agents, true), code(&agents, false)), (Err("two_agents"), Ok(())));
        let worked = joining(Side { mitigations: true, ..side(1, &[]) }, side(2, &[]));
        assert_eq!((code(&worked, true), code(&worked, false)), (Err("has_mitigations"), Ok(())));
        for (from, into, wanted) in [
            (&["u"][..], &[][..], Ok(())),
            (&["u"], &["u"], Ok(())),
            (&[], &["u"], Ok(())),
            (&["u"], &["v"], Err("two_uuids")),
            (&["u", "v"], &[], Err("two_uuids")),
        ] {
            assert_eq!(code(&joining(side(1, from), side(2, into)), true), wanted, "{from:?} {into:?}");
        }
    }
}
