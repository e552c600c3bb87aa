//! One ideal token bucket beside what clients saw: how much of it was used, and the most that any interval admitted above it.

/// A request as its client saw it; times in seconds since the run began.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// When it was sent.
    pub sent: f64,
    /// When its answer had come: it was decided in between.
    pub answered: f64,
    /// The answer's status.
    pub status: u16,
}

/// The bucket: `burst` requests at once after a rest, `rate` a second in the long run.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// Its size.
    pub burst: f64,
    /// What flows into it, a second.
    pub rate: f64,
}

impl Seen {
    /// True when the gateway let it through.
    pub const fn is_admitted(&self) -> bool {
        self.status == 200
    }
}

impl Bucket {
    /// How many of the requests one bucket for all gateways would have admitted.
    pub fn would_admit(self, seen: &[Seen]) -> u64 {
        let mut times: Vec<f64> = seen.iter().map(|request| request.sent).collect();
        times.sort_by(f64::total_cmp);
        let (mut tokens, mut last, mut admitted) = (self.burst, 0.0, 0);
        for time in times {
            tokens = (tokens + (time - last) * self.rate).min(self.burst);
            last = time;
            if tokens >= 1.0 {
                tokens -= 1.0;
                admitted += 1;
            }
        }
        admitted
    }

    /// The most requests that an interval has admitted beyond `burst + rate × length`. Only what was sent *and* answered within an interval
    /// counts as admitted in it, so this never says more than what happened.
    pub fn most_above(self, seen: &[Seen]) -> f64 {
        let mut admitted: Vec<Seen> = seen.iter().copied().filter(Seen::is_admitted).collect();
        admitted.sort_by(|a, b| a.sent.total_cmp(&b.sent));
        let mut by_end: Vec<usize> = (0..admitted.len()).collect();
        by_end.sort_by(|a, b| admitted[*a].answered.total_cmp(&admitted[*b].answered));
        // Of each begin: how many are known to lie behind it, less what has flowed in until then. A begin counts once its request is answered.
        let mut begins = Most::new(admitted.len());
        let mut most = 0.0_f64;
        for end in by_end {
            let request = admitted[end];
            begins.add_up_to(end, 1.0);
            begins.open(end, request.sent * self.rate);
            most = most.max(begins.most() - request.answered * self.rate - self.burst);
        }
        most
    }
}

/// Numbers by position of which a whole beginning can be raised, and their maximum.
struct Most {
    size: usize,
    most: Vec<f64>,
    raised: Vec<f64>,
}

impl Most {
    fn new(count: usize) -> Self {
        let size = count.next_power_of_two();
        Self { size, most: vec![f64::NEG_INFINITY; 2 * size], raised: vec![0.0; 2 * size] }
    }

    fn most(&self) -> f64 {
        self.most[1]
    }

    /// Raises the positions `0..=last`, those that are not open yet, too.
    fn add_up_to(&mut self, last: usize, by: f64) {
        self.raise(1, self.size, last + 1, by);
    }

    fn raise(&mut self, node: usize, width: usize, count: usize, by: f64) {
        if count >= width {
            self.most[node] += by;
            self.raised[node] += by;
        } else if count > 0 {
            let half = width / 2;
            self.raise(2 * node, half, count.min(half), by);
            self.raise(2 * node + 1, half, count.saturating_sub(half), by);
            self.refresh(node);
        }
    }

    /// Lets a position take part, with what it has been raised by so far and this.
    fn open(&mut self, position: usize, value: f64) {
        let mut node = self.size + position;
        self.most[node] = value + self.raised[node];
        while node > 1 {
            node /= 2;
            self.refresh(node);
        }
    }

    fn refresh(&mut self, node: usize) {
        self.most[node] = self.most[2 * node].max(self.most[2 * node + 1]) + self.raised[node];
    }
}

#[cfg(test)]
mod tests {
    use super::{Bucket, Seen};

    fn at(sent: f64, answered: f64) -> Seen {
        Seen { sent, answered, status: 200 }
    }

    /// By looking at every interval.
    fn slowly(bucket: Bucket, seen: &[Seen]) -> f64 {
        let mut most = 0.0_f64;
        for begin in seen {
            for end in seen {
                let within = |one: &&Seen| one.sent >= begin.sent && one.answered <= end.answered;
                let count = seen.iter().filter(within).count() as f64;
                if count > 0.0 {
                    most = most.max(count - bucket.burst - (end.answered - begin.sent) * bucket.rate);
                }
            }
        }
        most
    }

    #[test]
    fn a_bucket_admits_its_burst_and_what_flows_in() {
        let bucket = Bucket { burst: 3.0, rate: 1.0 };
        let seen: Vec<_> = (0..100).map(|number| at(f64::from(number) * 0.1, 0.0)).collect();
        // 3 at once, and one a second for the 9.9 seconds after.
        assert_eq!(bucket.would_admit(&seen), 12);
        assert_eq!(bucket.would_admit(&seen[..2]), 2);
    }

    #[test]
    fn what_is_above_the_bucket_is_seen_in_the_worst_interval_alone() {
        let bucket = Bucket { burst: 2.0, rate: 1.0 };
        let window = |start: f64| (0..5).map(move |_| at(start, start));
        let seen: Vec<_> = window(0.0).chain(window(100.0)).collect();
        assert_eq!(bucket.most_above(&seen), 3.0);
        // A refused request is none, and one whose answer comes late may have been decided late.
        let refused: Vec<_> = seen.iter().map(|one| Seen { status: 429, ..*one }).collect();
        assert_eq!(bucket.most_above(&refused), 0.0);
        let late: Vec<_> = (0..5).map(|_| at(0.0, 3.0)).collect();
        assert_eq!(bucket.most_above(&late), 0.0);
    }

    #[test]
    fn all_intervals_are_looked_at() {
        let mut state = 7_u64;
        let mut random = |most: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % most
        };
        for count in 1..60 {
            let seen: Vec<_> = (0..count)
                .map(|_| {
                    let sent = random(1_000) as f64 / 100.0;
                    at(sent, sent + random(50) as f64 / 100.0)
                })
                .collect();
            let bucket = Bucket { burst: random(4) as f64, rate: random(5) as f64 };
            let (quickly, slowly) = (bucket.most_above(&seen), slowly(bucket, &seen));
            assert!((quickly - slowly).abs() < 1e-9, "{count}: {quickly} {slowly}");
        }
    }
}
