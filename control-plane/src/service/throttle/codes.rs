//! Attempts at a second factor's code. Whoever may try one has shown the password, and that attempt is still counted: the success of both
//! takes both back. Six digits are few, so beside that all strangers together have some guesses at an account's, and all known devices and
//! sessions some others.

use std::time::Duration;

use super::attempts::{Attempt, Throttle};
use super::subject::Subject;

impl Throttle {
    /// Counts an attempt at a code; the error is how long to wait for it. One that nobody guesses, such as a recovery code, counts as a
    /// password does.
    pub fn admit_code(&self, attempt: Attempt<'_>, is_guessable: bool) -> Result<(), Duration> {
        let code = is_guessable.then(|| self.code(attempt));
        self.admit_all(attempt, code, 1)
    }

    /// The code was right, and so was the password before it.
    pub fn forgive_code(&self, attempt: Attempt<'_>, is_guessable: bool) {
        self.give_back(attempt);
        if is_guessable {
            self.inner.lock().give_back(self.code(attempt));
        }
        self.forgive(attempt);
    }

    fn code(&self, Attempt { account, known, .. }: Attempt<'_>) -> Subject {
        let whose: &[u8] = if known.is_some() { b"known" } else { b"" };
        Subject::Codes(self.name(&[account.as_bytes(), whose]))
    }
}
