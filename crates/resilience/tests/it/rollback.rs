//! Rolling back by a job, end to end: what was there comes back, what others did stays.
