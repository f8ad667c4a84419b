//! Remediation tasks: what they hold, how their states and their items' move each other, who has them, and what makes them.
//!
//! [`settle`] is where states go up and down; every function that changes a task or its items ends in it, within the same
//! transaction, and [`follow`] calls it for every other writer of items.

mod change;
mod down;
mod grouping;
mod list;
mod make;
mod members;
pub mod rules;
mod settle;

pub use change::{add, assign, delete, remove, rename, set_state, split};
pub use list::{
    FIELDS, HistoryLine, LIST, OfItem, TaskRow, access, clip, counts, history, items_of, life, one, open_items_of,
    outranking, read, tasks_of,
};
pub use make::{Made, NewTasks, Split, create, open_tasks_of};
pub(crate) use settle::{follow, rescored};
