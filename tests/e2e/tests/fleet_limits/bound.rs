//! What clients saw, held to the bound: over any interval of length L at most so many times `burst + L / T`.

/// When a request that was admitted was sent and when its answer was there, in microseconds of one clock.
pub type Admitted = (u64, u64);

/// A limit's numbers, times a factor.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    pub times: u64,
    pub burst: u64,
    pub emission_us: u64,
}

impl Bound {
    /// By how many requests the worst interval is above; 0 or less when the bound holds.
    ///
    /// A request was admitted at some moment between its sending and its answer, so an interval counts those that were sent and answered in
    /// it: what is found above is above, whenever exactly each was admitted. Requests that outlast a whole interval are not counted in it.
    pub fn excess(self, admitted: &[Admitted]) -> i64 {
        let whole = |number: u64| i64::try_from(number).expect("a small number");
        let (times, emission) = (whole(self.times), whole(self.emission_us));
        let mut sent: Vec<i64> = admitted.iter().map(|(sent, _)| whole(*sent)).collect();
        let mut answered: Vec<i64> = admitted.iter().map(|(_, answered)| whole(*answered)).collect();
        sent.sort_unstable();
        answered.sort_unstable();
        // In units of T / times: what is admitted from one sending to one answer, less what may be.
        let (mut best, mut worst, mut begun) = (i64::MIN, i64::MIN, 0);
        for (index, at) in answered.iter().enumerate() {
            while begun < sent.len() && sent[begun] <= *at {
                best = best.max(times * sent[begun] - emission * whole(begun as u64));
                begun += 1;
            }
            worst = worst.max(emission * whole(index as u64 + 1) - times * at + best);
        }
        if admitted.is_empty() {
            return 0;
        }
        let above = worst - times * emission * whole(self.burst);
        above.div_euclid(emission) + i64::from(above.rem_euclid(emission) > 0)
    }
}

#[test]
fn one_more_than_may_be_is_found_in_whatever_interval_it_is() {
    let bound = Bound { times: 1, burst: 3, emission_us: 10 };
    let steady: Vec<Admitted> = (0..50).map(|n| (100 + 10 * n, 101 + 10 * n)).collect();
    assert_eq!(bound.excess(&steady), -2);
    let with = |more: &[Admitted]| [&steady[..], more].concat();
    assert_eq!(bound.excess(&with(&[(203, 203), (208, 209)])), 0, "a burst of three");
    assert_eq!(
        bound.excess(&with(&[(203, 203), (208, 209), (415, 415)])),
        1,
        "and one more, long after that"
    );
    assert_eq!(bound.excess(&with(&[(203, 203), (208, 209), (415, 600)])), 0, "which may have come later");
    let twice = Bound { times: 2, ..bound };
    assert_eq!(twice.excess(&[(7, 7); 6]), 0);
    assert_eq!(twice.excess(&[(7, 7); 8]), 2);
    assert_eq!(bound.excess(&[]), 0);
}
