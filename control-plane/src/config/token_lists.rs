//! Tokens of the configuration: from a variable, or from the file that another variable names. No error has one in it.

use super::reader::Reader;
use super::secret_file;
use crate::domain::tokens::{Tokens, flaw, token_list};

impl Reader<'_> {
    /// The tokens of a variable, or of the file that another variable names; at least one.
    pub(super) fn tokens(&mut self, variable: &str) -> Tokens {
        self.read_tokens(variable, true)
    }

    /// The same where there need not be any.
    pub(super) fn tokens_if_any(&mut self, variable: &str) -> Tokens {
        self.read_tokens(variable, false)
    }

    fn read_tokens(&mut self, variable: &str, required: bool) -> Tokens {
        let file = format!("{variable}_FILE");
        let (name, text) = match ((self.source)(variable), (self.source)(&file)) {
            (None, None) if !required => return Tokens::default(),
            (Some(_), Some(_)) => {
                self.errors.push(format!("{variable} and {file} cannot both be set"));
                return Tokens::default();
            }
            (None, Some(path)) => match secret_file::read(&path) {
                Ok(secret) => {
                    self.warnings.extend(secret.warning.map(|warning| format!("{file}: {warning}")));
                    (file, secret.text)
                }
                Err(error) => {
                    self.errors.push(format!("{file}: {error}"));
                    return Tokens::default();
                }
            },
            (text, None) => (variable.to_owned(), text.unwrap_or_default()),
        };
        let tokens: Vec<_> = token_list(&text).collect();
        if tokens.is_empty() {
            let from_file = name != variable;
            let what = if from_file { ": there is no token in the file" } else { " is not set" };
            self.errors.push(format!("{name}{what}"));
        }
        // One line for each kind of flaw, however many tokens have it.
        let mut flaws: Vec<_> = tokens.iter().filter_map(|token| flaw(token)).collect();
        flaws.sort();
        flaws.dedup();
        self.errors.extend(flaws.into_iter().map(|flaw| format!("{name}: {flaw}")));
        Tokens::new(tokens)
    }
}
