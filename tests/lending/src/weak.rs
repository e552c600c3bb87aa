//! The book's rule without its clamp: what is lent does not count against the bucket while it is out.

use flamegate_control::domain::lending::book::LEASE_US;
use flamegate_control::domain::lending::{Book, Lent, Numbers, Step};

/// Like [`Book::step`], for numbers that do not change.
pub fn without_clamp(
    found: Option<Book>,
    now: u64,
    since: Option<u64>,
    numbers: Numbers,
    step: Step,
) -> (Book, Lent) {
    let mut book = found.unwrap_or_else(|| Book::at_rest(now, numbers));
    let now = now.max(book.last);
    let t = book.emission_us;
    while book.generation < now / LEASE_US {
        book.generation += 1;
        (book.lent_before, book.lent_now) = (book.lent_now, 0);
    }
    book.last = now;
    if let Some(since) = since {
        book.tat = book.tat.max(since + book.burst * t);
    }
    let lent = if step.generation == book.generation { &mut book.lent_now } else { &mut book.lent_before };
    if step.generation == book.generation || step.generation + 1 == book.generation {
        let returned = step.returned.min(*lent);
        *lent -= (step.spent + returned).min(*lent);
        book.tat = book.tat.saturating_sub(returned * t);
    }
    book.tat = book.tat.max(now);
    let tokens = step.want.min((now + book.burst * t).saturating_sub(book.tat) / t);
    book.tat += tokens * t;
    book.lent_now += tokens;
    (book, Lent { tokens, generation: book.generation, ..Lent::default() })
}
