//! Renders every page with sample data into a folder, so that people can look at them without a server, and holds
//! every page to the rules of the house: no inline script or style, one main heading, labelled tables and icons.
//!
//! The folder is `QUELL_GALLERY` or the build's output folder; serve it with any static file server.

mod administration;
mod assets;
mod assignment;
mod efforts;
mod exceptions;
mod follow;
mod home;
mod items;
mod jobs;
mod operations;
mod sample;
mod scans;
mod tasks;
mod topics;
mod vulnerabilities;
mod wizard;

#[test]
fn every_page_renders_within_the_rules() {
    let out = sample::folder();
    vulnerabilities::pages(&out);
    vulnerabilities::eliminations(&out);
    wizard::pages(&out);
    jobs::pages(&out);
    items::pages(&out);
    scans::pages(&out);
    assignment::pages(&out);
    efforts::pages(&out);
    topics::pages(&out);
    exceptions::pages(&out);
    tasks::pages(&out);
    assets::pages(&out);
    assets::agents(&out);
    operations::pages(&out);
    administration::pages(&out);
    follow::pages(&out);
    home::pages(&out);
    let live = jobs::job_live().to_string();
    assert!(!live.contains("<html"), "a live part is a fragment");
}
