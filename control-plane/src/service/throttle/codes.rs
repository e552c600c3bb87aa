//! Attempts at a second factor's code. Whoever may try one has shown the password, and that attempt is still counted: the success of both
//! takes both back. Six digits are few, so strangers have guesses of their own for each account, beside the counts of all attempts.

use std::time::Duration;

use super::attempts::{Attempt, Throttle};
use super::subject::Subject;

impl Throttle {
    /// Counts an attempt at a code; the error is how long to wait for it. One that nobody guesses, such as a recovery code, counts as a
    /// password does.
    pub fn admit_code(&self, attempt: Attempt<'_>, is_guessable: bool) -> Result<(), Duration> {
        let code = self.code(attempt).filter(|_| is_guessable);
        self.admit_all(attempt, code, 1)
    }

    /// The code was right, and so was the password before it.
    pub fn forgive_code(&self, attempt: Attempt<'_>, is_guessable: bool) {
        self.give_back(attempt);
        if let Some(code) = self.code(attempt).filter(|_| is_guessable) {
            self.inner.lock().give_back(code);
        }
        self.forgive(attempt);
    }

    /// On a device that is known guesses count as a device's.
    fn code(&self, attempt: Attempt<'_>) -> Option<Subject> {
        attempt.known.is_none().then(|| Subject::Codes(self.name(&[attempt.account.as_bytes()])))
    }
}
