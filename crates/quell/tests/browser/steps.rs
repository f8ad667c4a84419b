//! Steps of a walk. A walk shares one server and one browser, because each of them starts for seconds; its steps are
//! functions named by the statements and rules that they hold (`s1_07_...`, `r13_...`). `xtask`'s test `acceptance`
//! fails when a statement has no step.

/// Walk a step, and say so by its name before and after.
macro_rules! step {
    ($name:ident($($argument:expr),* $(,)?)) => {{
        eprintln!("step {} ...", stringify!($name));
        let gave = $name($($argument),*).await;
        eprintln!("step {} ok", stringify!($name));
        gave
    }};
}

pub(crate) use step;
