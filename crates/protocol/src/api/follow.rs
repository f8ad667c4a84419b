//! What follows a job: controls, proposed rollbacks, reviews, asset risk, and their settings.

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

macro_rules! bodies {
    ($($(#[$meta:meta])* pub struct $name:ident { $($body:tt)* })*) => {
        $($(#[$meta])* #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
        pub struct $name { $($body)* })*
    };
}

bodies! {
    /// `{"controls": …, "next": …}`.
    pub struct ControlsBody {
        /// A page of controls.
        pub controls: Vec<Control>,
        /// Where the next page begins.
        pub next: Option<String>,
    }

    /// A mitigation on an asset, in force or that was.
    pub struct Control {
        /// Its key.
        pub id: i64,
        /// Key of the asset.
        pub asset_id: i64,
        /// Name of the asset.
        pub asset: String,
        /// Catalogue entry.
        pub entry: String,
        /// Its title.
        pub title: String,
        /// `effective`, `configured`, `drifted`, `exposed`, `unknown` or `not-applicable`.
        pub state: String,
        /// `ours`, or `external`: others put it there.
        pub origin: String,
        /// The job that put it there, or that found it.
        pub job: Option<String>,
        /// Can be rolled back.
        pub reversible: bool,
        /// What the last check found.
        pub note: String,
        /// In this state since.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub since_at: Option<Timestamp>,
        /// Last check.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub checked_at: Option<Timestamp>,
        /// Drifted since.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub drifted_at: Option<Timestamp>,
        /// When it expires.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub expires_at: Option<Timestamp>,
        /// When it expired: it takes nothing off any more.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub expired_at: Option<Timestamp>,
        /// How often it was put back by itself lately; after three times in a day a person has to.
        pub put_back: i64,
    }

    /// `{"job": "MJ0000001"}`: the job that was made.
    pub struct MadeJob {
        /// Its number.
        pub job: String,
    }

    /// `{"proposals": …, "next": …}`.
    pub struct ProposalsBody {
        /// A page of proposals.
        pub proposals: Vec<Proposal>,
        /// Where the next page begins.
        pub next: Option<String>,
    }

    /// A rollback that is proposed.
    pub struct Proposal {
        /// Its key.
        pub id: i64,
        /// Key of the asset.
        pub asset_id: i64,
        /// Name of the asset.
        pub asset: String,
        /// Catalogue entry.
        pub entry: String,
        /// Its title.
        pub title: String,
        /// `fixed`: the scanner says so of every item it covers there; `expired`: its time is over.
        pub reason: String,
        /// The particulars, in a sentence, the caution included.
        pub detail: String,
        /// What somebody has to know before he accepts it; empty where there is nothing.
        #[serde(default)]
        pub caution: String,
        /// `open`, `accepted`, `dismissed` or `obsolete`.
        pub state: String,
        /// When it was made.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub created_at: Option<Timestamp>,
        /// When it was decided.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub decided_at: Option<Timestamp>,
        /// By whom.
        pub decided_by: String,
        /// Why it was dismissed.
        pub answer: String,
        /// The rollback job that was made of it.
        pub job: Option<String>,
    }

    /// Why a proposal is dismissed.
    pub struct Dismissal {
        /// In at most 500 characters.
        pub reason: String,
    }

    /// `{"reviews": …}`.
    pub struct ReviewsBody {
        /// Jobs whose review is due, the longest first.
        pub reviews: Vec<Review>,
    }

    /// A job whose review is due.
    pub struct Review {
        /// Its number.
        pub job: String,
        /// Its title.
        pub title: String,
        /// Its owner's sign-in name.
        pub owner: String,
        /// Since when.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub review_at: Option<Timestamp>,
        /// Mitigations of it that are in force.
        pub controls: i64,
    }

    /// A review that was done.
    pub struct Reviewed {
        /// When the job is to be looked at again, as a date or an instant; never when absent.
        #[serde(default)]
        pub next: Option<String>,
    }

    /// What a job says of the time after it. In a change every field counts: what is absent is off.
    pub struct Afterwards {
        /// Each mitigation expires so many days after it was put in place, 1 to 3650.
        #[serde(default)]
        pub expires_days: Option<i64>,
        /// Every mitigation expires then: a date (midnight, UTC) or an instant.
        #[serde(default)]
        pub expires_at: Option<String>,
        /// At expiry the rollback is made and enabled; else it is only proposed.
        #[serde(default)]
        pub roll_back: bool,
        /// When somebody should look whether it is still wanted: a date or an instant.
        #[serde(default)]
        pub review_at: Option<String>,
    }

    /// The settings of what follows a job.
    pub struct FollowSettings {
        /// Minutes between two looks of an agent at its mitigations, 15 to 10080.
        pub check_minutes: i64,
        /// The formula of the asset risk: `quell`, `first`, `trurisk_1`, `updated` or `trurisk_2`.
        pub formula: String,
    }

    /// An asset's risk, and by which formula.
    pub struct Risk {
        /// 0 to 1000.
        pub value: i64,
        /// `quell`, `first`, `trurisk_1`, `updated` or `trurisk_2`.
        pub formula: String,
        /// The formula itself.
        pub text: String,
    }

    /// `{"risks": …}`: the risk of one asset by every formula, for comparison.
    pub struct RisksBody {
        /// The one that is shown first.
        pub risks: Vec<Risk>,
    }
}
