//! A call graph in small: Envoy enters the filter's code, which calls the host by a bridge and a gate.

use super::*;

/// One thousand requests; `extra` is one more call of the host by the same gate.
fn dump(extra: &str) -> String {
    let (own, bridge, entrance) = ("0x00003766c5af6040", "0x00003766c5dd52c0", "0x00003766c5c6e800");
    format!(
        "positions: instr line\nevents: Ir\n\
         fn=(1) 0x0000000000001000\n0x1000 0 9000\ncfn=(2) 0x0000000000002000\ncalls=1000 0x0 0\n0x1001 0 20000000\n\
         fn=(2)\n+3 0 1000\ncfn=(3) 0x0000000000003000\ncalls=1000 0x0 0\n* 0 8000000\n\
         fn=(3)\n+3 0 500000\ncfn=(4) {entrance}\ncalls=1000 0x0 0\n* 0 7000000\n\
         fn=(4)\n+3 0 100000\ncfn=(5) {own}\ncalls=1000 0x0 0\n* 0 6900000\n\
         fn=(5)\n+3 0 700000\ncfn=(6) {bridge}\ncalls=1000 0x0 0\n* 0 6200000\n\
         fn=(6)\n+3 0 40000\ncfn=(7) 0x0000000000007000\ncalls=1000 0x0 0\n* 0 6160000\n\
         fn=(7)\n+3 0 100000\ncfn=(8) 0x0000000000008000\ncalls=1000 0x0 0\n* 0 6000000\n\
         cfn=(11) malloc\ncalls=2000 0x0 0\n* 0 60000\n\
         fn=(8)\n+3 0 10000\ncfn=(9) 0x0000000000009000\ncalls=1000 0x0 0\n* 0 5990000\n\
         fn=(9)\n+3 0 10000\ncfn=(10) 0x000000000000a000\ncalls=1000 0x0 0\n* 0 5980000\n{extra}"
    )
}

#[test]
fn a_refusal_is_taken_apart_to_the_instruction() {
    let mut known = BTreeMap::new();
    let mut graph = taken_apart(&dump(""), 1_000, true, &[READS], &mut known).expect("a graph");
    graph.added = 19_000.0;
    assert_eq!(graph.own, 700.0);
    assert_eq!(graph.calls[READS], (1.0, 6_200.0));
    assert_eq!(graph.entry, 1_100.0);
    assert_eq!(graph.response, Some(12_000.0));
    assert_eq!(graph.rest(), 19_000.0 - 700.0 - 6_200.0 - 1_100.0 - 12_000.0);
    let again = taken_apart(&dump(""), 1_000, false, &[], &mut known).expect("known by now");
    assert!(again.response.is_none() && again.calls.contains_key(READS));
}

#[test]
fn what_was_going_on_when_the_counters_were_set_to_zero_is_no_call() {
    // A tick that began before: its callback's caller is called by it, says callgrind, and so is all that comes after.
    let returned = "fn=(5)\n+3 0 10\ncfn=(1)\ncalls=1 0x0 0\n* 0 90000000\nfn=(20) main\n+3 0 1\ncfn=(4)\ncalls=1 0x0 0\n* 0 80000000\n";
    let graph = taken_apart(&dump(returned), 1_000, true, &[READS], &mut BTreeMap::new()).expect("a graph");
    assert_eq!(graph.calls[READS], (1.0, 6_200.0));
    assert_eq!((graph.entry, graph.response), (1_100.0, Some(12_000.0)));
}

#[test]
fn a_host_call_that_nobody_has_named_is_an_error_and_one_of_ticks_is_not() {
    let known = BTreeMap::from([("0x000000000000a000".to_owned(), READS.to_owned())]);
    let other = |calls: u32| {
        dump(&format!(
            "fn=(7)\n+1 0 0\ncfn=(12) 0x000000000000c000\ncalls={calls} 0x0 0\n* 0 90000\n\
             fn=(12)\n+3 0 10\ncfn=(13) 0x000000000000d000\ncalls={calls} 0x0 0\n* 0 89990\n\
             fn=(13)\n+3 0 10\ncfn=(14) 0x000000000000e000\ncalls={calls} 0x0 0\n* 0 89980\n"
        ))
    };
    let error = taken_apart(&other(1_000), 1_000, false, &[], &mut known.clone()).expect_err("unknown");
    assert!(error.to_string().contains("0x000000000000e000"), "{error}");
    let graph = taken_apart(&other(20), 1_000, false, &[], &mut known.clone()).expect("ticks");
    assert!(graph.ticks > 89.0 && graph.calls.len() == 1);
}
