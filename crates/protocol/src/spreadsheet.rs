//! Cells that a spreadsheet opens without harm.
//!
//! Names of hosts, titles and messages come from elsewhere; a cell that begins like a formula would be one. Nothing here
//! escapes for CSV: that is the writer's.

use std::borrow::Cow;

/// The cell as text that no spreadsheet takes for a formula: what begins with `=`, `+`, `-`, `@`, a tab or a line break
/// gets an apostrophe in front.
#[must_use]
pub fn inert(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

/// One line of CSV of these cells, made inert and quoted where they need it, with its line feed.
#[must_use]
pub fn line<'c>(cells: impl IntoIterator<Item = Cow<'c, str>>) -> String {
    let mut text = String::new();
    for (at, cell) in cells.into_iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        let cell = inert(&cell);
        if cell.contains(['"', ',', '\n', '\r']) {
            text.push('"');
            text.push_str(&cell.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(&cell);
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_never_a_formula() {
        for bad in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"] {
            assert!(inert(bad).starts_with('\''), "{bad:?}");
        }
        for good in ["", "1=1", "a@b", "web-1", "'=1"] {
            assert_eq!(inert(good), good);
        }
    }

    #[test]
    fn a_line_keeps_its_cells_apart() {
        let cells = ["a", "b,c", "say \"no\"", "two\nlines", "=1,2", ""].map(Cow::Borrowed);
        assert_eq!(line(cells), "a,\"b,c\",\"say \"\"no\"\"\",\"two\nlines\",\"'=1,2\",\n");
    }
}
