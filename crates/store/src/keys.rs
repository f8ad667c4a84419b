//! The domain's keys and instants as values of the database.
//!
//! Closed enums are made storable where their feature is, by [`text_value!`](crate::text_value).

use crate::newtype_value;
use domain::id::{
    AgentKey, AssetId, ChildScanId, DetectionId, GroupId, InstanceId, ItemId, JobId, RunId, ScanId, SourceHostId,
    TaskId, UserId, VulnerabilityId,
};
use domain::time::Timestamp;

macro_rules! keys {
    ($($name:ident),* $(,)?) => {
        $(newtype_value!($name as i64, |key| key.0, $name);)*
    };
}
keys!(
    AgentKey,
    AssetId,
    ChildScanId,
    DetectionId,
    GroupId,
    InstanceId,
    ItemId,
    JobId,
    RunId,
    ScanId,
    SourceHostId,
    TaskId,
    UserId,
    VulnerabilityId,
);

newtype_value!(Timestamp as i64, |instant| instant.micros(), Timestamp::from_micros);
