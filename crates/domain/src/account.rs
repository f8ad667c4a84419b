//! People who use the server: their names, passwords, and how long they stay signed in.
//!
//! Deliberately not here: what they may do (see [`crate::access`]), hashing (it needs randomness and a lot of memory;
//! the server does it), and storage.

use crate::time::Timestamp;
use std::net::{IpAddr, Ipv6Addr};

/// Longest name of a user, group or token, in characters.
pub const NAME_CHARS_MAX: usize = 64;
/// Shortest password accepted, in characters. Length is what makes a password strong; no composition rule is imposed.
pub const PASSWORD_CHARS_MIN: usize = 12;
/// Longest password accepted, in bytes, so that hashing one has a bounded cost.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// Why a name or a password is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// A name without characters.
    #[error("a name needs at least one character")]
    NameEmpty,
    /// Longer than [`NAME_CHARS_MAX`].
    #[error("a name has at most {NAME_CHARS_MAX} characters")]
    NameLong,
    /// A character that could be mistaken for something else in a log, a URL or a command.
    #[error("a name holds letters, digits and . _ - @ + only, and starts with a letter or digit")]
    NameCharacter,
    /// Shorter than [`PASSWORD_CHARS_MIN`].
    #[error("a password needs at least {PASSWORD_CHARS_MIN} characters")]
    PasswordShort,
    /// Longer than [`PASSWORD_BYTES_MAX`].
    #[error("a password has at most {PASSWORD_BYTES_MAX} bytes")]
    PasswordLong,
    /// The user's name, or one character repeated, or a run such as 123456789012.
    #[error("this password is too easy to guess: it is the name, one repeated character or a simple run")]
    PasswordGuessable,
    /// The new password equals the one it replaces.
    #[error("the new password is the same as the one it replaces")]
    PasswordSame,
}

impl AccountError {
    /// The stable code that interfaces show beside the sentence.
    pub fn code(self) -> &'static str {
        match self {
            AccountError::NameEmpty => "name_empty",
            AccountError::NameLong => "name_long",
            AccountError::NameCharacter => "name_character",
            AccountError::PasswordShort => "password_short",
            AccountError::PasswordLong => "password_long",
            AccountError::PasswordGuessable => "password_guessable",
            AccountError::PasswordSame => "password_same",
        }
    }
}

/// Check a sign-in name and return the form it is stored and compared in (lower case, ASCII).
///
/// # Errors
/// [`AccountError`] for an empty, long or misleading name.
pub fn name(given: &str) -> Result<String, AccountError> {
    let given = given.trim();
    let first = given.chars().next().ok_or(AccountError::NameEmpty)?;
    if given.chars().count() > NAME_CHARS_MAX {
        return Err(AccountError::NameLong);
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '+');
    if !first.is_ascii_alphanumeric() || !given.chars().all(fits) {
        return Err(AccountError::NameCharacter);
    }
    Ok(given.to_ascii_lowercase())
}

/// Check a new password for the user called `name`.
///
/// # Errors
/// [`AccountError`] for a password that is too short, too long or guessable at once.
pub fn password(name: &str, given: &str) -> Result<(), AccountError> {
    if given.len() > PASSWORD_BYTES_MAX {
        return Err(AccountError::PasswordLong);
    }
    if given.chars().count() < PASSWORD_CHARS_MIN {
        return Err(AccountError::PasswordShort);
    }
    let lower = given.to_lowercase();
    let rest = if name.is_empty() { lower.clone() } else { lower.replace(&name.to_lowercase(), "") };
    if rest.chars().count() < 4 || simple_run(&lower) {
        return Err(AccountError::PasswordGuessable);
    }
    Ok(())
}

/// Whether each character follows its predecessor by the same small step (aaaa, abcd, 4321), digits wrapping at ten.
fn simple_run(text: &str) -> bool {
    let codes: Vec<i64> = text.chars().map(|c| i64::from(u32::from(c))).collect();
    let step = |(a, b): (&i64, &i64)| match b - a {
        9 => -1,
        -9 => 1,
        other => other,
    };
    let mut steps = codes.iter().zip(codes.iter().skip(1)).map(step);
    let Some(first) = steps.next() else { return true };
    first.abs() <= 1 && steps.all(|step| step == first)
}

/// How long a session lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// It ends when nothing was asked for this many seconds.
    pub idle_seconds: i64,
    /// It ends this many seconds after sign-in, whatever happens.
    pub absolute_seconds: i64,
}

impl Default for SessionLimits {
    fn default() -> Self {
        SessionLimits { idle_seconds: 3_600, absolute_seconds: 12 * 3_600 }
    }
}

/// Whether a session made at `created_at` and last used at `used_at` is still valid at `now`.
#[must_use]
pub fn session_valid(created_at: Timestamp, used_at: Timestamp, now: Timestamp, limits: SessionLimits) -> bool {
    now < used_at.plus_seconds(limits.idle_seconds) && now < created_at.plus_seconds(limits.absolute_seconds)
}

/// How failed sign-ins slow the next attempt down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// This many failures cost nothing: people mistype.
    pub free: i64,
    /// The wait after the first failure beyond `free`; it doubles with each further one.
    pub first_wait_seconds: i64,
    /// The longest wait. Bounded so that a stranger cannot lock an account for good.
    pub longest_wait_seconds: i64,
    /// Failures older than this are forgotten.
    pub forget_after_seconds: i64,
}

/// The throttle of one account, whoever tries; from a network the account is known from ([`subjects`]), that network alone.
pub const ACCOUNT_THROTTLE: Throttle =
    Throttle { free: 5, first_wait_seconds: 1, longest_wait_seconds: 900, forget_after_seconds: 86_400 };

/// The throttle of one network address, whatever account it tries: wider, for offices behind one address.
pub const ADDRESS_THROTTLE: Throttle =
    Throttle { free: 20, first_wait_seconds: 1, longest_wait_seconds: 900, forget_after_seconds: 86_400 };

impl Throttle {
    /// The instant from which the next attempt is allowed, after `failures` of which the last was at `last_at`.
    #[must_use]
    pub fn open_at(&self, failures: i64, last_at: Timestamp) -> Timestamp {
        let beyond = failures.saturating_sub(self.free);
        if beyond <= 0 {
            return last_at;
        }
        let factor = u32::try_from(beyond - 1).ok().and_then(|shift| 1i64.checked_shl(shift)).unwrap_or(i64::MAX);
        let factor = if factor <= 0 { i64::MAX } else { factor };
        last_at.plus_seconds(self.first_wait_seconds.saturating_mul(factor).min(self.longest_wait_seconds))
    }

    /// How many failures still count at `now`.
    #[must_use]
    pub fn counted(&self, failures: i64, last_at: Timestamp, now: Timestamp) -> i64 {
        if now >= last_at.plus_seconds(self.forget_after_seconds) { 0 } else { failures }
    }
}

/// A network an account has signed in from counts as its own for this long after the last time, in seconds (90 days).
pub const KNOWN_SECONDS: i64 = 90 * 86_400;

/// What failures from an address are counted by: an IPv4 address alone, of an IPv6 address the /64, of which one
/// subscriber has all.
#[must_use]
pub fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let prefix = Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX));
            format!("{prefix}/64")
        }
    }
}

/// What an attempt is counted under. The owner of an account who comes from a network it is known from waits only for
/// failures from there, so a stranger who fails on purpose elsewhere cannot keep him out.
#[must_use]
pub fn subjects(account: &str, network: &str, known: bool) -> [(String, Throttle); 2] {
    // Two prefixes: a name that was made up can look like anything.
    let own = if known { format!("known:{network} {account}") } else { format!("account:{account}") };
    [(own, ACCOUNT_THROTTLE), (format!("address:{network}"), ADDRESS_THROTTLE)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_counts_as_its_network() {
        for (address, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ] {
            assert_eq!(network(address.parse().unwrap()), expected, "{address}");
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros((1_790_000_000 + seconds) * 1_000_000)
    }

    #[test]
    fn names_are_folded_and_checked() {
        assert_eq!(name(" Ada.Lovelace "), Ok("ada.lovelace".to_owned()));
        assert_eq!(name("a@b.example"), Ok("a@b.example".to_owned()));
        assert_eq!(name(""), Err(AccountError::NameEmpty));
        assert_eq!(name("   "), Err(AccountError::NameEmpty));
        assert_eq!(name("-rf"), Err(AccountError::NameCharacter));
        assert_eq!(name("a b"), Err(AccountError::NameCharacter));
        assert_eq!(name("аda"), Err(AccountError::NameCharacter), "a Cyrillic letter looks like a Latin one");
        assert_eq!(name(&"x".repeat(65)), Err(AccountError::NameLong));
    }

    #[test]
    fn passwords_are_checked_by_length_and_guessability() {
        assert_eq!(password("ada", "correct horse battery"), Ok(()));
        assert_eq!(password("ada", "short"), Err(AccountError::PasswordShort));
        assert_eq!(password("ada", &"ab".repeat(513)), Err(AccountError::PasswordLong));
        for easy in ["aaaaaaaaaaaa", "abcdefghijkl", "123456789012", "098765432109", "adaadaadaada1"] {
            assert_eq!(password("ada", easy), Err(AccountError::PasswordGuessable), "{easy}");
        }
        assert_eq!(password("", "correct horse battery"), Ok(()));
    }

    #[test]
    fn a_session_ends_by_idleness_and_by_age() {
        let limits = SessionLimits { idle_seconds: 60, absolute_seconds: 600 };
        for (created, used, now, valid) in
            [(0, 0, 59, true), (0, 0, 60, false), (0, 590, 599, true), (0, 590, 600, false)]
        {
            assert_eq!(session_valid(at(created), at(used), at(now), limits), valid, "{created} {used} {now}");
        }
    }

    #[test]
    fn the_wait_doubles_and_is_bounded() {
        let waits: Vec<i64> = (0..20).map(|n| ACCOUNT_THROTTLE.open_at(n, at(0)).seconds_since(at(0))).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900]);
        assert_eq!(ACCOUNT_THROTTLE.open_at(i64::MAX, at(0)), at(900));
        assert_eq!(ACCOUNT_THROTTLE.counted(9, at(0), at(86_399)), 9);
        assert_eq!(ACCOUNT_THROTTLE.counted(9, at(0), at(86_400)), 0);
    }
}
