//! What a plan changes in a file, as people read it. It goes to the server, is kept there, and is shown to whoever may see the job, so
//! it holds the lines that go and the lines that come and nothing else of the file: what stands beside a setting may be a password.

use std::collections::HashMap;

/// Most lines of a diff shown, so that evidence stays readable.
const LINES_MAX: usize = 60;

/// Lines that one text has more often than the other.
struct Surplus<'t>(HashMap<&'t str, i64>);

impl<'t> Surplus<'t> {
    fn of(more: &[&'t str], less: &[&'t str]) -> Self {
        let mut counts = HashMap::new();
        more.iter().for_each(|line| *counts.entry(*line).or_insert(0) += 1);
        less.iter().for_each(|line| *counts.entry(*line).or_insert(0) -= 1);
        Self(counts)
    }

    /// Whether this line is one too many; then it is counted off.
    fn takes(&mut self, line: &str) -> bool {
        let left = self.0.get_mut(line).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
    }
}

/// The lines that go (`-`) and those that come (`+`), each place with the number it has in the old text. A line that both texts have is
/// never shown, also where it stands elsewhere now; where nothing else changed, the diff says that.
pub(super) fn lines_diff(path: &str, before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - head;
    let tail = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let (old, new) = (middle(&old, head, tail), middle(&new, head, tail));
    let (mut goes, mut comes) = (Surplus::of(old, new), Surplus::of(new, old));
    let mut text = format!("--- {path}\n+++ {path}\n");
    let (mut at, mut to, mut lines, mut elsewhere) = (0, 0, 0_usize, true);
    while at < old.len() || to < new.len() {
        let (sign, line) = match (old.get(at), new.get(to)) {
            (Some(line), _) if goes.takes(line) => ('-', *line),
            (_, Some(line)) if comes.takes(line) => ('+', *line),
            // In both: the same line, or one that was moved.
            _ => {
                (at, to, elsewhere) = ((at + 1).min(old.len()), (to + 1).min(new.len()), true);
                continue;
            }
        };
        lines += 1;
        if lines <= LINES_MAX {
            if std::mem::take(&mut elsewhere) {
                text.push_str(&format!("@@ line {} @@\n", head + at + 1));
            }
            text.push_str(&format!("{sign}{line}\n"));
        }
        if sign == '-' { at += 1 } else { to += 1 }
    }
    if lines > LINES_MAX {
        text.push_str(&format!("({} more lines)\n", lines - LINES_MAX));
    } else if lines == 0 && before != after {
        text.push_str("(the same lines, in another order or with other ends)\n");
    }
    text
}

fn middle<'a, 't>(lines: &'a [&'t str], head: usize, tail: usize) -> &'a [&'t str] {
    lines.get(head..lines.len().saturating_sub(tail)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_diff_shows_the_change_and_nothing_beside_it() {
        let head = "--- /f\n+++ /f\n";
        for (before, after, shown) in [
            ("a\nb\nc\nd\ne\n", "a\nb\nC\nd\ne\n", "@@ line 3 @@\n-c\n+C\n"),
            ("a\n", "a\na\n", "@@ line 2 @@\n+a\n"),
            ("", "a\nb\n", "@@ line 1 @@\n+a\n+b\n"),
            ("a\nb\n", "", "@@ line 1 @@\n-a\n-b\n"),
            // Two settings of one file: what lies between them stays here, too.
            (
                "x = 1\npassword = hunter2\ny = 1\n",
                "x = 2\npassword = hunter2\ny = 2\n",
                "@@ line 1 @@\n-x = 1\n+x = 2\n@@ line 3 @@\n-y = 1\n+y = 2\n",
            ),
            ("a\nb\n", "b\na\n", "(the same lines, in another order or with other ends)\n"),
            ("a\n", "a", "(the same lines, in another order or with other ends)\n"),
            ("a\n", "a\n", ""),
        ] {
            assert_eq!(lines_diff("/f", before, after), format!("{head}{shown}"), "{before:?} {after:?}");
        }
        let many: String = (0..100).map(|n| format!("{n}\n")).collect();
        assert!(lines_diff("/f", "", &many).ends_with("+59\n(40 more lines)\n"));
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(0_u8..6, 0..12)
    }

    proptest! {
        /// Whatever is changed: shown are as many of a line as one text has more of it, with the right sign.
        #[test]
        fn only_lines_that_go_or_come_are_shown(before in text(), after in text()) {
            let lines = |of: &[u8]| -> String { of.iter().map(|n| format!("line {n}\n")).collect() };
            let diff = lines_diff("/f", &lines(&before), &lines(&after));
            for n in 0..6 {
                let count = |of: &[u8]| of.iter().filter(|other| **other == n).count();
                let shown = |sign: char| diff.lines().filter(|line| *line == format!("{sign}line {n}")).count();
                prop_assert_eq!(shown('-'), count(&before).saturating_sub(count(&after)), "{}", diff);
                prop_assert_eq!(shown('+'), count(&after).saturating_sub(count(&before)), "{}", diff);
            }
            prop_assert!(diff.lines().skip(2).all(|line| line.starts_with(['-', '+', '@', '('])), "{}", diff);
        }
    }
}
