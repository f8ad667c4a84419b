//! `file.scan`: something is in none of some files. It only tells; what it finds is for a person to rewrite.

use super::{Finding, KindError, Presence, Workspace};
use crate::host::Host;
use catalogue::actions::{FileScan, ScanRule};
use std::collections::{BTreeMap, BTreeSet};

/// Most files read for one look.
const FILES_MAX: usize = 256;
/// Aliases that name aliases.
const ALIAS_DEPTH_MAX: u32 = 16;

/// See [`super::check`].
///
/// # Errors
/// Never; the signature is that of all kinds.
pub fn check(action: &FileScan, host: &Host, _: &Workspace<'_>) -> Result<Finding, KindError> {
    let ScanRule::SudoersAllButRoot = action.rule;
    let Some(files) = sudoers(host) else {
        return Ok(Finding::because(Presence::NotHere, "(absent)", "there is no /etc/sudoers"));
    };
    Ok(match files.and_then(|files| all_but_root(&files)) {
        Err(why) => Finding::unknown(why),
        Ok(None) => Finding::new(Presence::Present, "no such rule"),
        Ok(Some((path, line))) => Finding::because(
            Presence::Absent,
            format!("{path} line {line}"),
            "a rule allows everybody but root; name the users it is for instead",
        ),
    })
}

/// See [`super::plan`].
///
/// # Errors
/// Always: there is nothing this agent could do.
pub fn plan(action: &FileScan) -> Result<(), KindError> {
    Err(KindError::Cannot(format!("what is in {} has to be rewritten by a person", action.rule.files())))
}

/// One line of a file, joined where lines continue.
struct Line {
    path: String,
    number: usize,
    text: String,
}

/// All lines of sudo's rules, those of included files counted; nothing where there is no sudo.
fn sudoers(host: &Host) -> Option<Result<Vec<Line>, String>> {
    const MAIN: &str = "/etc/sudoers";
    let node = host.tree.node(MAIN).ok()?;
    (node != crate::fs::Node::Absent).then(|| {
        let (mut lines, mut todo, mut read) = (Vec::new(), vec![MAIN.to_owned()], BTreeSet::new());
        while let Some(path) = todo.pop() {
            if !read.insert(path.clone()) {
                continue;
            }
            if read.len() > FILES_MAX {
                return Err(format!("{MAIN} includes more than {FILES_MAX} files"));
            }
            let text = host.tree.fact(&path).ok_or_else(|| format!("{path} cannot be read"))?;
            for line in joined(&path, &text) {
                todo.extend(includes(&path, &line.text, host)?);
                lines.push(line);
            }
        }
        Ok(lines)
    })
}

fn joined(path: &str, text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut continues = false;
    for (at, raw) in text.lines().enumerate() {
        let part = raw.strip_suffix('\\');
        match lines.last_mut().filter(|_| continues) {
            Some(last) => last.text.push_str(part.unwrap_or(raw)),
            None => lines.push(Line { path: path.to_owned(), number: at + 1, text: part.unwrap_or(raw).to_owned() }),
        }
        continues = part.is_some();
    }
    lines
}

/// The files that a line of a file includes; a name without a directory is one beside that file.
fn includes(of: &str, line: &str, host: &Host) -> Result<Vec<String>, String> {
    let mut words = line.split_whitespace();
    let (word, named) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().trim_matches('"'));
    let folder = matches!(word, "@includedir" | "#includedir");
    if !folder && !matches!(word, "@include" | "#include") {
        return Ok(Vec::new());
    }
    if named.contains('%') {
        return Err(format!("{named} depends on the name of the host"));
    }
    let beside = of.rsplit_once('/').map_or("", |(folder, _)| folder);
    let path = if named.starts_with('/') { named.to_owned() } else { format!("{beside}/{named}") };
    if !folder {
        return Ok(vec![path]);
    }
    let names = host.tree.names(&path).unwrap_or_default();
    // As sudo does: no backups, no packages' leftovers.
    Ok(names
        .iter()
        .filter(|name| !name.contains('.') && !name.ends_with('~'))
        .map(|name| format!("{path}/{name}"))
        .collect())
}

/// A comment ends a line, but `#` before a number is a user.
fn uncommented(line: &str) -> &str {
    let mut comment = line.char_indices().filter(|(at, c)| {
        let number = line.get(at + 1..).and_then(|rest| rest.chars().next()).is_some_and(|c| c.is_ascii_digit());
        *c == '#' && !number
    });
    comment.next().and_then(|(at, _)| line.get(..at)).unwrap_or(line)
}

/// The first rule that lets somebody be everybody but root.
fn all_but_root(lines: &[Line]) -> Result<Option<(String, usize)>, String> {
    let mut aliases: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in lines {
        let Some(rest) = uncommented(&line.text).trim().strip_prefix("Runas_Alias") else { continue };
        for definition in rest.split(':') {
            if let Some((name, members)) = definition.split_once('=') {
                aliases.entry(name.trim()).or_default().extend(members.split(',').map(str::trim));
            }
        }
    }
    for line in lines {
        let text = uncommented(&line.text);
        let says_no_rule = ["Defaults", "User_Alias", "Runas_Alias", "Host_Alias", "Cmnd_Alias", "Cmd_Alias"];
        if says_no_rule.iter().any(|word| text.trim_start().starts_with(word)) {
            continue;
        }
        for list in text.split('(').skip(1) {
            let Some((users, _)) = list.split_once(')') else { continue };
            let users = users.split(':').next().unwrap_or_default();
            let mut says = Says::default();
            for user in users.split(',') {
                says.add(user.trim(), &aliases, false, 0)?;
            }
            if says.all && says.root_excluded {
                return Ok(Some((line.path.clone(), line.number)));
            }
        }
    }
    Ok(None)
}

#[derive(Default)]
struct Says {
    all: bool,
    root_excluded: bool,
}

impl Says {
    fn add(&mut self, user: &str, aliases: &BTreeMap<&str, Vec<&str>>, not: bool, depth: u32) -> Result<(), String> {
        if depth > ALIAS_DEPTH_MAX {
            return Err("aliases of sudo name each other".to_owned());
        }
        let bare = user.trim_start_matches('!').trim();
        let not = not != ((user.len() - user.trim_start_matches('!').len()) % 2 == 1);
        match bare.trim_matches('"') {
            "ALL" => self.all |= !not,
            "root" => self.root_excluded |= not,
            number if number.strip_prefix('#').is_some_and(|n| n.parse::<u32>() == Ok(0)) => self.root_excluded |= not,
            alias => {
                for member in aliases.get(alias).into_iter().flatten() {
                    self.add(member, aliases, not, depth + 1)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<usize> {
        all_but_root(&joined("/etc/sudoers", text)).unwrap().map(|(_, line)| line)
    }

    #[test]
    fn a_rule_with_all_and_an_excluded_root_is_found() {
        for (text, line) in [
            ("root ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL:ALL) ALL\n", None),
            ("bob ALL=(ALL, !root) /usr/bin/vi\n", Some(1)),
            ("# x\nbob ALL = ( ALL , !#0 : ALL ) NOPASSWD: ALL\n", Some(2)),
            ("# bob ALL=(ALL, !root) ALL\n", None),
            ("bob ALL=(www, !root) ALL\n", None),
            ("bob ALL=(ALL, !operator) ALL\n", None),
            ("bob ALL=(ALL, \\\n !root) ALL\n", Some(1)),
            ("Runas_Alias NOT = ALL, !root\nbob ALL=(NOT) ALL\n", Some(2)),
            ("Runas_Alias TOP = root, #1\nbob ALL=(ALL, !TOP) ALL\n", Some(2)),
            ("Runas_Alias TOP = !root\nbob ALL=(ALL, !TOP) ALL\n", None),
            ("bob ALL=(a) x, (ALL,!root) y\n", Some(1)),
            ("bob ALL=(ALL, !!root) y\n", None),
        ] {
            assert_eq!(found(text), line, "{text}");
        }
        assert!(all_but_root(&joined("f", "Runas_Alias A = B\nRunas_Alias B = A\nx ALL=(A) y\n")).is_err());
    }
}
