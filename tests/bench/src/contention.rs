//! What the one mutex of Envoy's shared data does to many workers: a model fed with measured costs, because no machine with 64
//! cores is at hand.
//!
//! A closed queueing network with one server (the mutex) and a delay (everything else of a request), solved by exact mean
//! value analysis (Reiser and Lavenberg, 1980). The unit of time is one instruction.

/// What one request of a design costs, in instructions.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// All of it on one worker, with nobody else there.
    pub total: f64,
    /// Of these, while the mutex is held.
    pub held: f64,
}

/// Instructions for which one read or write of shared data holds the mutex: a look-up by a text and a copy of the value. It
/// cannot be measured from outside; these are a low and a high guess. Waking a thread that waits is left out, which is kind
/// to whoever waits.
pub const HELD: [f64; 2] = [500.0, 2_000.0];

/// Instructions that the obvious design adds: hash, look-up in shared data, compare-and-swap limiter (design, section 8).
pub const OBVIOUS_ADDED: f64 = 60_100.0;
/// Its reads and writes of shared data per request: a bucket of keys, a bucket of limits, and that one's replacement.
pub const OBVIOUS_LOCKS: f64 = 3.0;

/// Requests of `workers` workers together in the time in which one alone would finish one.
pub fn speed_up(cost: Cost, workers: u32) -> f64 {
    let outside = cost.total - cost.held;
    let (mut waiting, mut throughput) = (0.0, 0.0);
    for number in 1..=workers {
        let at_mutex = cost.held * (1.0 + waiting);
        throughput = f64::from(number) / (outside + at_mutex);
        waiting = throughput * at_mutex;
    }
    throughput * cost.total
}

#[cfg(test)]
mod tests {
    use super::{Cost, speed_up};

    #[test]
    fn without_a_mutex_workers_add_up_and_with_nothing_else_they_do_not() {
        let free = Cost { total: 100_000.0, held: 0.0 };
        assert!((speed_up(free, 64) - 64.0).abs() < 1e-9);
        let only = Cost { total: 1_000.0, held: 1_000.0 };
        assert!((speed_up(only, 64) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_mutex_is_the_ceiling() {
        let cost = Cost { total: 100_000.0, held: 10_000.0 };
        assert!((speed_up(cost, 1) - 1.0).abs() < 1e-9);
        assert!(speed_up(cost, 4) > 3.5 && speed_up(cost, 4) < 4.0);
        assert!(speed_up(cost, 64) > 9.9 && speed_up(cost, 64) <= 10.0);
    }
}
