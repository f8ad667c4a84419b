//! Hashing passwords: argon2id, off the asynchronous threads, a bounded number at a time because each takes 19 MiB.

use crate::http::Error;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use rand::RngExt as _;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Hashes computed at the same time at most, so that sign-ins together take no more than 2 x 19 MiB.
const AT_ONCE_MAX: usize = 2;

/// A hash with today's cost and no known password. Checked against where there is no account, so that the time taken
/// does not tell whether there is one.
const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$cXVlbGwtZGVjb3ktc2FsdA$yH8rY1mXw3pT5bQ0nVf6kLs9dGz2aCe4uJi7oRtWxBM";

/// The letters of one-time passwords: none that look alike.
const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// Hashes and checks passwords.
#[derive(Clone, Debug)]
pub struct Passwords(Arc<Semaphore>);

impl Default for Passwords {
    fn default() -> Self {
        Passwords(Arc::new(Semaphore::new(AT_ONCE_MAX)))
    }
}

impl Passwords {
    /// The PHC string of a password, with a fresh salt and today's cost.
    ///
    /// # Errors
    /// [`Error::Internal`] where the system has no memory or randomness.
    pub async fn hash(&self, password: String) -> Result<String, Error> {
        self.run(move || {
            let hash = Argon2::default().hash_password(password.as_bytes()).map_err(|error| error.to_string())?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether `password` is that of `hash`. Without a hash the answer is no, after the same work.
    ///
    /// # Errors
    /// [`Error::Internal`] where the stored hash is damaged.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, Error> {
        self.run(move || {
            let known = hash.is_some();
            let text = hash.unwrap_or_else(|| DECOY.to_owned());
            let hash =
                PasswordHash::new(&text).map_err(|error| format!("a stored password hash is damaged: {error}"))?;
            let matches = Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
            Ok(known && matches)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, Error> {
        let turn = self.0.clone().acquire_owned().await.map_err(Error::internal)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(Error::internal)?.map_err(Error::internal)
    }
}

/// A password nobody chose: 99 bits in four groups that can be read out.
#[must_use]
pub fn one_time() -> String {
    let mut random = rand::rng();
    let group = |random: &mut rand::rngs::ThreadRng| -> String {
        (0..5).filter_map(|_| LETTERS.get(random.random_range(0..LETTERS.len()))).map(|b| char::from(*b)).collect()
    };
    [(); 4].map(|()| group(&mut random)).join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[tokio::test]
    async fn a_hash_fits_its_password_only() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse battery".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.verify("correct horse battery".to_owned(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("correct horse batterx".to_owned(), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn the_decoy_is_a_hash_of_todays_cost_and_never_matches() {
        let passwords = Passwords::default();
        let hash = passwords.hash("x".to_owned()).await.unwrap();
        let cost = |hash: &str| hash.split('$').take(4).collect::<Vec<_>>().join("$");
        assert_eq!(cost(&hash), cost(DECOY));
        let timed = async |hash: Option<String>| {
            let started = Instant::now();
            assert!(!passwords.verify("guess".to_owned(), hash).await.unwrap());
            started.elapsed()
        };
        let (known, unknown) = (timed(Some(hash)).await, timed(None).await);
        assert!(unknown * 5 > known, "checking nobody's password takes as long: {unknown:?}, {known:?}");
    }

    #[test]
    fn one_time_passwords_differ_and_satisfy_the_rules() {
        let (one, other) = (one_time(), one_time());
        assert_ne!(one, other);
        assert_eq!(one.len(), 23);
        assert_eq!(domain::account::password("admin", &one), Ok(()));
    }
}
