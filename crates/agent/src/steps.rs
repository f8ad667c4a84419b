//! Doing one step on the host. What it is done for, and that it is journalled before, is [`crate::work`]'s and
//! [`crate::restore`]'s business.

use crate::fs::{Image, Tree};
use crate::host::Host;
use crate::kinds;
use crate::record::Step;
use crate::services::systemctl;

/// Do one step on the host.
///
/// # Errors
/// A sentence.
pub(crate) fn perform(
    step: &Step,
    host: &mut Host,
    bytes: &dyn Fn(&str) -> Option<Vec<u8>>,
    tag: &str,
) -> Result<(), String> {
    let tree: &Tree = &host.tree;
    let done = match step {
        Step::File { path, before, after, made } => match (before, after) {
            (None, None) => Ok(()),
            (Some(before), None) => tree.remove(path, before).map(|()| tree.unmake(made)),
            (before, Some(after)) => {
                let bytes =
                    bytes(&after.digest).ok_or_else(|| format!("the bytes for {path} are not kept any more"))?;
                let image = Image { bytes, mode: after.mode, uid: after.uid, gid: after.gid };
                tree.make(made).and_then(|()| tree.replace(path, &image, before.as_ref(), tag))
            }
        },
        Step::Mode { path, before, after, mark } => tree.change_mode(path, *before, *after, mark.as_ref()),
        Step::Link { path, before, after, made } => {
            let make = if after.is_some() { tree.make(made) } else { Ok(()) };
            let changed = make.and_then(|()| tree.change_link(path, before.as_deref(), after.as_deref(), tag));
            changed.map(|()| {
                if after.is_none() {
                    tree.unmake(made);
                }
            })
        }
        Step::Kernel { path, before, after } => tree.write_kernel(path, before, after),
        Step::Stop { unit } => return systemctl(host, &["stop", "--", unit]),
        Step::Start { unit } => {
            // Until it has read the unit's files again the service manager still calls it masked.
            let _ = systemctl(host, &["daemon-reload"]);
            return systemctl(host, &["start", "--", unit]);
        }
        Step::Remove { packages } => return kinds::package_state::remove(packages, host),
        Step::Install { packages } => return kinds::package_state::install(packages, host),
        Step::Archive { .. } => return kinds::archive_member_absent::perform(step, host, bytes, tag),
        Step::Firewall { name, before, after } => {
            return kinds::firewall_rule::perform(name, before.as_deref(), after.as_deref(), host);
        }
        Step::SelinuxBoolean { name, before, after } => {
            return kinds::selinux_boolean::perform(name, *before, *after, host);
        }
        Step::CryptoPolicy { before, after, .. } => {
            return kinds::crypto_policy_module::perform(before, after, host);
        }
        Step::WindowsSwitch { setting, at, before, after } => {
            return kinds::windows_setting::perform(*setting, at, before, after, host);
        }
        Step::FileAccess { path, before, after } => return kinds::file_acl::perform(path, before, after, host),
        Step::RewriteRule { .. } | Step::IisModule { .. } => return kinds::iis::perform(step, host),
        Step::BootArgument { param, after, .. } => return kinds::kernel_cmdline::argument(param, *after, host),
        Step::BootMenu => return kinds::kernel_cmdline::perform(host),
        Step::Registry { .. } | Step::RegistryTree { .. } => return kinds::registry::perform(step, host),
        Step::Service { name, before, after } => return kinds::windows_service::perform(name, *before, *after, host),
    };
    done.map_err(|error| error.to_string())
}
