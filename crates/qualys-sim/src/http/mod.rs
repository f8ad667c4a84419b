//! The wire: one handler takes every request, writes it down, lets it through the gate, hands it to its end point, and frames the answer.

pub(crate) mod call;
mod control;
mod cve_scores;
mod detection_list;
mod detection_rows;
pub(crate) mod faults;
pub(crate) mod gate;
mod gateway;
mod host_list;
pub(crate) mod journal;
mod knowledge_base;
pub(crate) mod params;
mod qps;
pub(crate) mod reply;
pub(crate) mod route;
mod scan;
mod scan_results;
mod schedule;
mod search;
mod search_lists;
mod select;
pub(crate) mod serve;
mod small;
mod subscription;
mod was;
pub(crate) mod xml;
