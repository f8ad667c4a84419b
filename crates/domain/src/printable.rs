//! Which characters do something else than show themselves: the one rule for text of others wherever it reaches a terminal, a log or
//! a mail. What becomes of them there is decided there: the agent writes them out, mail has a space instead, `quell` a mark.

/// Whether a character ends a line, steers a terminal, or hides or turns around what stands beside it.
#[must_use]
pub fn steers(c: char) -> bool {
    // Line and paragraph ends, marks of writing direction, what joins or has no width, and tags.
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_steers_by_table() {
        for (of, what, steers_it) in [
            ("\0\t\n\r\u{b}\u{1b}\u{7f}", "controls", true),
            ("\u{80}\u{85}\u{9b}\u{9d}\u{9f}", "controls of eight bits", true),
            ("\u{2028}\u{2029}", "line and paragraph ends", true),
            ("\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}", "direction", true),
            ("\u{2066}\u{2067}\u{2068}\u{2069}", "isolated direction", true),
            ("\u{180e}\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}", "without width", true),
            ("\u{fff9}\u{fffb}\u{e0001}\u{e0041}\u{e007f}", "notes and tags", true),
            (" aZ~\\\"'ä漢😀\u{a0}\u{301}\u{fffd}", "what shows itself", false),
        ] {
            assert!(of.chars().all(|c| steers(c) == steers_it), "{what}: {of:?}");
        }
    }

    proptest! {
        /// Said by categories instead of by numbers, as the three rules before this one had it.
        #[test]
        fn no_control_no_line_end_and_no_direction_passes(c in any::<char>()) {
            let mail = matches!(
                c,
                '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}'
            );
            prop_assert!(steers(c) || !(c.is_control() || mail));
            prop_assert!(!(steers(c) && c.is_alphanumeric()), "text that shows itself is left alone");
        }
    }
}
