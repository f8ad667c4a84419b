//! Vulnerable items: a vulnerability on an asset as one integration instance reports it, the thing people work on.

mod change;
pub mod due;
pub mod exceptions;
mod follow;
mod found;
mod life;
mod list;
mod many;
mod membership;
mod merge;
pub mod settings;
pub mod stale;

pub(crate) use change::assigned;
pub use change::{ChangeError, assign, group_exists, kept_by, set_state};
pub(crate) use follow::{Followed, follow};
pub use found::{Found, found_on};
pub(crate) use life::{Change, LifeOf, apply};
pub(crate) use list::STATUS;
pub use list::{
    DetectionRow, FIELDS, HistoryLine, ItemRow, LIST, ScoreLine, access, detections, history, one, score_history,
    visible,
};
pub use many::{access_of, assign_all, give, numbered, of_keys, ordinals, set_states};
pub(crate) use membership::{hand_back, hand_over};
pub(crate) use merge::{Ensured, HistoryRow, Observed, Origin, ensure, roll_up, words, write_history};
