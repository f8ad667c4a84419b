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

/// Check finished texts before anything is replaced.
///
/// # Errors
/// What the program said.
pub fn staged(entry: &Entry, host: &Host, state: &StateDir, images: &[Image], steps: &[Step]) -> Result<(), String> {
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
        let staged = state.stage(&image.bytes).map_err(|error| error.to_string())?;
        let name = staged.display().to_string();
        let arguments: Vec<&str> = before.iter().copied().chain([name.as_str()]).chain(after.iter().copied()).collect();
        let said = call_reader(program, &arguments);
        let _ = std::fs::remove_file(&staged);
        match said? {
            said if said.ok => {}
            said => return Err(format!("{program} refuses the new {path}: {}", said.text)),
        }
    }
    Ok(())
}

/// Check what is in place now.
///
/// # Errors
/// What the program said.
pub fn in_place(entry: &Entry, host: &Host) -> Result<(), String> {
    let mut asked = Vec::new();
    for validator in entry.actions.iter().filter_map(catalogue::actions::Action::validator) {
        let (program, arguments): (_, &[&str]) = match validator {
            Validator::Apachectl => (host.program(&APACHECTL), &["-t"]),
            Validator::Named => (host.program(&NAMED), &[]),
            Validator::Postfix => (host.program(&POSTFIX), &["check"]),
            Validator::Sshd | Validator::Visudo | Validator::Testparm | Validator::Polkit => continue,
        };
        let Some(program) = program.filter(|program| !asked.contains(program)) else { continue };
        asked.push(program);
        match call_reader(program, arguments)? {
            said if said.ok => {}
            said => return Err(format!("{program} refuses the new configuration: {}", said.text)),
        }
    }
    Ok(())
}
