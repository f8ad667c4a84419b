//! Vulnerable items: a vulnerability on an asset as one integration instance reports it, the thing people work on.

mod merge;

pub(crate) use merge::{Ensured, HistoryRow, Observed, ensure, roll_up, write_history};
