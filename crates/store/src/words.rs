//! The domain's keys, instants and words as values of a statement and fields of a row.
//!
//! A closed enum is stored as its word, never as a number, so that a database can be read without the program.

use crate::{newtype_value, text_value};
use domain::id::{
    AgentKey, AssetId, AssetMergeId, AssignmentRuleId, ChildScanId, DetectionId, EffortId, ExceptionId,
    ExclusionRuleId, GroupId, InstanceId, ItemId, JobId, RemediationTaskId, RunId, ScanId, SourceHostId, TaskId,
    TaskRuleId, TopicId, UserId, VulnerabilityId,
};
use domain::time::Timestamp;

macro_rules! keys {
    ($($name:ident),* $(,)?) => { $(newtype_value!($name as i64, |key| key.0, $name);)* };
}

keys!(
    AgentKey,
    AssetId,
    AssignmentRuleId,
    AssetMergeId,
    ChildScanId,
    DetectionId,
    EffortId,
    ExceptionId,
    ExclusionRuleId,
    GroupId,
    InstanceId,
    ItemId,
    JobId,
    RemediationTaskId,
    RunId,
    ScanId,
    SourceHostId,
    TaskId,
    TaskRuleId,
    TopicId,
    UserId,
    VulnerabilityId,
);

newtype_value!(Timestamp as i64, |at| at.micros(), Timestamp::from_micros);

text_value!(domain::job::Status, |word| word.as_str(), |text| domain::job::Status::parse(text));
text_value!(domain::approval::State, |word| word.as_str(), |text| domain::approval::State::parse(text));
text_value!(domain::task::State, |word| word.as_str(), |text| domain::task::State::parse(text));
text_value!(domain::progress::Progress, |word| word.as_str(), |text| Some(domain::progress::Progress::parse(text)));
text_value!(domain::rollout::run::RunState, |word| word.as_str(), |text| domain::rollout::run::RunState::parse(text));
text_value!(domain::item::State, |word| word.as_str(), |text| domain::item::State::parse(text));
text_value!(domain::autoclose::Kind, |word| word.as_str(), |text| domain::autoclose::Kind::parse(text));
text_value!(domain::due::Ending, |word| word.as_str(), |text| domain::due::Ending::parse(text));
text_value!(domain::score::Band, |word| word.as_str(), |text| domain::score::Band::parse(text));
text_value!(domain::exception::Kind, |word| word.as_str(), |text| domain::exception::Kind::parse(text));
text_value!(domain::exception::State, |word| word.as_str(), |text| domain::exception::State::parse(text));
text_value!(domain::remediation::Origin, |word| word.as_str(), |text| domain::remediation::Origin::parse(text));
text_value!(domain::remediation::Substate, |word| word.as_str(), |text| Some(domain::remediation::Substate::parse(
    text
)));
text_value!(domain::assignment::Kind, |word| word.as_str(), |text| domain::assignment::Kind::parse(text));
text_value!(domain::effort::State, |word| word.as_str(), |text| domain::effort::State::parse(text));
text_value!(domain::rescan::State, |word| word.as_str(), |text| domain::rescan::State::parse(text));
text_value!(domain::rescan::Child, |word| word.as_str(), |text| domain::rescan::Child::parse(text));
text_value!(domain::mitigation::Coverage, |word| word.as_str(), |text| domain::mitigation::Coverage::parse(text));
text_value!(domain::mitigation::ControlState, |word| word.as_str(), |text| Some(
    domain::mitigation::ControlState::parse(text)
));
text_value!(domain::mitigation::Origin, |word| word.as_str(), |text| Some(domain::mitigation::Origin::parse(text)));
text_value!(domain::control::Reason, |word| word.as_str(), |text| domain::control::Reason::parse(text));
text_value!(domain::control::Standing, |word| word.as_str(), |text| domain::control::Standing::parse(text));
text_value!(domain::mail::Kind, |word| word.as_str(), |text| domain::mail::Kind::parse(text));
text_value!(domain::mail::State, |word| word.as_str(), |text| domain::mail::State::parse(text));
text_value!(domain::job::Kind, |word| word.as_str(), |text| Some(domain::job::Kind::parse(text)));
text_value!(domain::score::Mitigation, |word| word.as_str(), |text| Some(domain::score::Mitigation::parse(text)));
text_value!(domain::score::Source, |word| word.as_str(), |text| Some(domain::score::Source::parse(text)));
text_value!(domain::item::Substate, |word| word.as_str(), |text| Some(domain::item::Substate::parse(text)));
text_value!(domain::asset::Platform, |word| word.as_str(), |text| Some(domain::asset::Platform::parse(text)));
