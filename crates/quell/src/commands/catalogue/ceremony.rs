//! The commands that use private keys: making keys, trust roots and signed catalogues.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use catalogue::{bundle::Bundle, folder::read_capped, lints::Severity, schema::Entry};
use domain::time::Timestamp;
use protocol::{
    root::{ROOT_BYTES_MAX, ROOT_SPEC, Role, RoleKeys, Roles, Root},
    signed::{Envelope, KeyError, PublicKey, SigningKey},
};
use serde_json::json;

use super::{
    Error, Output, RoleArguments, RootNew, RootUpdate, Sign,
    custom::{load_custom, named_as_custom},
    print_json,
    reading::{findings, load},
    table,
};

/// Largest key file read, in bytes.
const KEY_BYTES_MAX: usize = 4096;

/// Write a file that must not be there yet.
pub(super) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let failed = |source| Error::File { doing: "writing", path: path.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)
}

fn read_key(path: &Path) -> Result<SigningKey, Error> {
    let failed = |source| Error::File { doing: "reading", path: path.to_owned(), source };
    if fs::metadata(path).map_err(failed)?.permissions().mode() & 0o077 != 0 {
        return Err(Error::KeyOpen { path: path.to_owned() });
    }
    let bytes = read_capped(path, KEY_BYTES_MAX)?;
    let key = |source| Error::Key { path: path.to_owned(), source };
    let text = String::from_utf8(bytes).map_err(|_| key(KeyError::PrivateText))?;
    SigningKey::from_pem(&text).map_err(key)
}

pub(super) fn read_keys(paths: &[PathBuf]) -> Result<Vec<SigningKey>, Error> {
    paths.iter().map(|path| read_key(path)).collect()
}

pub(super) fn key_new(path: &Path, output: Output, out: &mut impl Write) -> Result<(), Error> {
    let key = SigningKey::generate().map_err(|source| Error::Key { path: path.to_owned(), source })?;
    write_new(path, key.to_pem().as_bytes(), 0o600)?;
    print_key(&key.public(), output, out)
}

pub(super) fn key_show(path: &Path, output: Output, out: &mut impl Write) -> Result<(), Error> {
    print_key(&read_key(path)?.public(), output, out)
}

pub(super) fn root_show(path: &Path, output: Output, now: Timestamp, out: &mut impl Write) -> Result<(), Error> {
    print_root(&read_root(path)?, output, now, out)
}

fn print_key(key: &PublicKey, output: Output, out: &mut impl Write) -> Result<(), Error> {
    match output {
        Output::Json => print_json(&json!({ "public_key": key, "id": key.id() }), out),
        Output::Table => Ok(writeln!(out, "public key  {key}\nkey id      {}", key.id())?),
    }
}

pub(super) fn read_root(path: &Path) -> Result<Root, Error> {
    Ok(Root::trust_first(&Envelope::parse(&read_capped(path, ROOT_BYTES_MAX)?, ROOT_BYTES_MAX)?)?)
}

impl RoleArguments {
    fn root(&self, version: u64, root_keys: &[SigningKey], now: Timestamp) -> Result<Root, Error> {
        if self.expires <= now {
            return Err(Error::AlreadyExpired(self.expires));
        }
        let role =
            |keys: &[PublicKey], threshold| RoleKeys { keyids: keys.iter().map(PublicKey::id).collect(), threshold };
        let root_keys: Vec<PublicKey> = root_keys.iter().map(SigningKey::public).collect();
        let mut keys: Vec<PublicKey> = Vec::new();
        for key in root_keys.iter().chain(&self.content).chain(&self.organisation).chain(&self.order) {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        let roles = Roles {
            root: role(&root_keys, self.root_threshold),
            content: role(&self.content, self.content_threshold),
            organisation: role(&self.organisation, self.organisation_threshold),
            order: role(&self.order, 1),
        };
        Ok(Root { spec: ROOT_SPEC, version, expires: self.expires, keys, roles })
    }
}

pub(super) fn root_new(arguments: &RootNew, output: Output, now: Timestamp, out: &mut impl Write) -> Result<(), Error> {
    let keys = read_keys(&arguments.root_keys)?;
    let root = arguments.roles.root(1, &keys, now)?;
    let sealed = root.seal(&keys.iter().collect::<Vec<_>>())?;
    // What nobody would trust is not written.
    Root::trust_first(&sealed)?;
    write_new(&arguments.out, &sealed.to_json(), 0o644)?;
    print_root(&root, output, now, out)
}

pub(super) fn root_update(
    arguments: &RootUpdate,
    output: Output,
    now: Timestamp,
    out: &mut impl Write,
) -> Result<(), Error> {
    let before = read_root(&arguments.from)?;
    let keys = read_keys(&arguments.root_keys)?;
    let old_keys = read_keys(&arguments.old_root_keys)?;
    let root = arguments.roles.root(before.version.saturating_add(1), &keys, now)?;
    let mut sealed = root.seal(&keys.iter().collect::<Vec<_>>())?;
    for key in &old_keys {
        sealed.add_signature(key);
    }
    before.accept_update(&sealed)?;
    write_new(&arguments.out, &sealed.to_json(), 0o644)?;
    print_root(&root, output, now, out)
}

fn print_root(root: &Root, output: Output, now: Timestamp, out: &mut impl Write) -> Result<(), Error> {
    let fresh = root.freshness(now).allows_new_work();
    if output == Output::Json {
        return print_json(&json!({ "root": root, "fresh": fresh }), out);
    }
    writeln!(out, "version  {}\nexpires  {}{}", root.version, root.expires, if fresh { "" } else { "  (expired)" })?;
    let mut table = table(["role", "needed", "key id"]);
    for role in Role::ALL {
        let keys = root.role(role);
        for id in &keys.keyids {
            table.add_row([role.to_string(), keys.threshold.to_string(), id.to_string()]);
        }
    }
    Ok(writeln!(out, "{table}")?)
}

pub(super) fn sign(arguments: &Sign, output: Output, now: Timestamp, out: &mut impl Write) -> Result<(), Error> {
    if arguments.expires <= now {
        return Err(Error::AlreadyExpired(arguments.expires));
    }
    let mut named = load(arguments.entries.as_deref())?;
    named.iter().try_for_each(|(_, entry)| named_as_custom(&entry.id, false))?;
    let custom = load_custom(arguments.custom.as_deref())?;
    let unsigned = !custom.is_empty() && arguments.organisation_keys.is_empty();
    named.extend(custom);
    let errors = findings(&named).iter().filter(|finding| finding.severity == Severity::Error).count();
    if errors > 0 {
        return Err(Error::LintErrors(errors));
    }
    let entries: Vec<Entry> = named.into_iter().map(|(_, entry)| entry).collect();
    let keys = [read_keys(&arguments.keys)?, read_keys(&arguments.organisation_keys)?].concat();
    let keys: Vec<&SigningKey> = keys.iter().collect();
    let mut bundle = Bundle::sign(arguments.version, arguments.expires, &entries, arguments.revoke.clone(), &keys)?;
    for path in &arguments.roots {
        bundle.roots.push(read_capped(path, ROOT_BYTES_MAX)?);
    }
    bundle.write_to(&arguments.out)?;
    let signers: Vec<String> = keys.iter().map(|key| key.id().to_string()).collect();
    match output {
        Output::Json => print_json(
            &json!({
                "folder": arguments.out, "version": arguments.version, "expires": arguments.expires,
                "entries": entries.len(), "revoked": arguments.revoke.len(), "signed_by": signers,
            }),
            out,
        ),
        Output::Table => {
            writeln!(
                out,
                "signed {} entries as version {} until {} into {}\nby {}",
                entries.len(),
                arguments.version,
                arguments.expires,
                arguments.out.display(),
                signers.join("\n   ")
            )?;
            if unsigned {
                let folder = arguments.out.display();
                writeln!(out, "its own entries wait for the organisation: quell catalogue countersign {folder}")?;
            }
            Ok(())
        }
    }
}
