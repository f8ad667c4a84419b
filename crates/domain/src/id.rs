//! Keys given by the database: one newtype per noun, so that an asset's key cannot be passed for a job's.

use serde::{Deserialize, Serialize};

macro_rules! keys {
    ($($(#[$meta:meta])* $name:ident;)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map($name)
            }
        }
    )*};
}

keys! {
    /// A machine.
    AssetId;
    /// One subscription of one scanner product.
    InstanceId;
    /// What one integration instance calls a machine.
    SourceHostId;
    /// One scanner signature in a knowledge base.
    VulnerabilityId;
    /// One occurrence of a vulnerability on a source host.
    DetectionId;
    /// The thing people work on: vulnerability x asset x integration instance.
    ItemId;
    /// What the seven-step wizard makes.
    JobId;
    /// One execution of a job.
    RunId;
    /// One mitigation on one asset in a run.
    TaskId;
    /// A request to put items off or to call them false positives (VCA).
    ExceptionId;
    /// A frozen set of items that is worked off together (REF).
    EffortId;
    /// A saved query of items that somebody watches.
    TopicId;
    /// A rule that assigns items.
    AssignmentRuleId;
    /// A set of items for one owner or group (VUL).
    RemediationTaskId;
    /// A rule that puts items into such tasks.
    TaskRuleId;
    /// A rule about detections that nobody has to work on.
    ExclusionRuleId;
    /// Two assets that were joined.
    AssetMergeId;
    /// A rescan request (VSCAN).
    ScanId;
    /// A child of a rescan request: one launch at the scanner.
    ChildScanId;
    /// An agent as the server knows it.
    AgentKey;
    /// A person or service account.
    UserId;
    /// A group of users.
    GroupId;
}
