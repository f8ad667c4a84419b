//! Programs that check a configuration, by name: fixed argument vectors, on the live system only, confined to looking
//! ([`crate::confine`]).
//!
//! Where the program takes a file name the finished text is checked before it replaces anything; the others look at what is in
//! place, and a refusal puts the change back.

use crate::confine::call_reader;
use crate::fs::Image;
use crate::host::Host;
use crate::record::Step;
use crate::state::StateDir;
use catalogue::actions::Validator;
use catalogue::schema::Entry;

const SSHD: [&str; 2] = ["/usr/sbin/sshd", "/usr/bin/sshd"];
const VISUDO: [&str; 2] = ["/usr/sbin/visudo", "/usr/bin/visudo"];
const TESTPARM: [&str; 2] = ["/usr/bin/testparm", "/usr/sbin/testparm"];
const APACHECTL: [&str; 3] = ["/usr/sbin/apachectl", "/usr/sbin/apache2ctl", "/usr/sbin/httpd"];
const NAMED: [&str; 3] = ["/usr/bin/named-checkconf", "/usr/sbin/named-checkconf", "/sbin/named-checkconf"];
const POSTFIX: [&str; 2] = ["/usr/sbin/postfix", "/sbin/postfix"];

/// Why a configuration does not count as accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The program refuses it: what it said.
    #[error("{0}")]
    Refused(String),
    /// The program could not be asked: why.
    #[error("{0}")]
    Unasked(String),
}

/// Call a program that checks; `what` is what it refuses.
fn ask(program: &'static str, arguments: &[&str], host: &Host, what: &str) -> Result<(), Fault> {
    match call_reader(program, arguments, host.until).map_err(Fault::Unasked)? {
        said if said.ok => Ok(()),
        said => Err(Fault::Refused(format!("{program} refuses {what}: {}", said.text))),
    }
}

/// Check finished texts before anything is replaced.
///
/// # Errors
/// See [`Fault`].
pub fn staged(entry: &Entry, host: &Host, state: &StateDir, images: &[Image], steps: &[Step]) -> Result<(), Fault> {
    for action in &entry.actions {
        let (Some(validator), Some(path)) = (action.validator(), action.path()) else { continue };
        let digest = steps.iter().find_map(|step| match step {
            Step::File { path: of, after: Some(after), .. } if of == path => Some(&after.digest),
            _ => None,
        });
        let image = images.iter().find(|image| digest.is_some_and(|digest| image.state().digest == *digest));
        let Some(image) = image else { continue };
        let (program, before, after): (_, &[&str], &[&str]) = match validator {
            Validator::Sshd => (host.program(&SSHD), &["-t", "-f"], &[]),
            Validator::Visudo => (host.program(&VISUDO), &["-c", "-q", "-f"], &[]),
            Validator::Testparm => (host.program(&TESTPARM), &["-s", "--suppress-prompt"], &[]),
            Validator::Apachectl | Validator::Named | Validator::Postfix | Validator::Polkit => continue,
        };
        let Some(program) = program else { continue };
        let staged = state.stage(&image.bytes).map_err(|error| Fault::Unasked(error.to_string()))?;
        let name = staged.display().to_string();
        let arguments: Vec<&str> = before.iter().copied().chain([name.as_str()]).chain(after.iter().copied()).collect();
        let said = ask(program, &arguments, host, &format!("the new {path}"));
        let _ = std::fs::remove_file(&staged);
        said?;
    }
    Ok(())
}

/// Check what is in place now by the programs that were not shown the finished text before.
///
/// # Errors
/// See [`Fault`].
pub fn in_place(entry: &Entry, host: &Host) -> Result<(), Fault> {
    check_placed(entry, host, false, "the new configuration")
}

/// Check all that is in place now, before a service is restarted into it: others may have left something unfinished there.
///
/// # Errors
/// See [`Fault`].
pub fn whole(entry: &Entry, host: &Host) -> Result<(), Fault> {
    check_placed(entry, host, true, "the configuration that is in place")
}

fn check_placed(entry: &Entry, host: &Host, all: bool, what: &str) -> Result<(), Fault> {
    let mut asked = Vec::new();
    for validator in entry.actions.iter().filter_map(catalogue::actions::Action::validator) {
        let (program, arguments): (_, &[&str]) = match validator {
            Validator::Apachectl => (host.program(&APACHECTL), &["-t"]),
            Validator::Named => (host.program(&NAMED), &[]),
            Validator::Postfix => (host.program(&POSTFIX), &["check"]),
            Validator::Sshd if all => (host.program(&SSHD), &["-t"]),
            Validator::Testparm if all => (host.program(&TESTPARM), &["-s", "--suppress-prompt"]),
            // No service reads what visudo checks.
            Validator::Sshd | Validator::Visudo | Validator::Testparm | Validator::Polkit => continue,
        };
        let Some(program) = program.filter(|program| !asked.contains(program)) else { continue };
        asked.push(program);
        ask(program, arguments, host, what)?;
    }
    Ok(())
}
