//! When the line is due, and what it says.

use super::*;
use crate::config::Config;
use crate::host::Clock as _;
use crate::host::fake::FakeHost;
use crate::sync::lease::Lease;

fn sync(mode: &str) -> SyncConfig {
    let json = format!(r#"{{"sync":{{"mode":"{mode}"}}}}"#);
    Config::parse(json.as_bytes(), |_| Some("the-sync-token".to_owned())).unwrap().sync.unwrap()
}

/// The seconds at which lines come, and the lines, when every worker is asked once a second.
fn lines(host: &FakeHost, workers: &mut [NoTable], seconds: u64, has_table: bool) -> Vec<(u64, String)> {
    let (config, mut all) = (sync("singleton"), Vec::new());
    for second in 0..seconds {
        for worker in &mut *workers {
            let now = host.now().monotonic;
            let line = worker.due(host, has_table, &config, || Some("mine".to_owned()), now);
            all.extend(line.map(|line| (second, line)));
        }
        host.advance_ns(NANOS_PER_SECOND);
    }
    all
}

#[test]
fn one_line_a_minute_for_all_workers_after_a_while() {
    let host = FakeHost::at(1_000);
    let mut workers: Vec<NoTable> = (0..3).map(|_| NoTable::default()).collect();
    let told: Vec<u64> =
        lines(&host, &mut workers, 200, false).into_iter().map(|(second, _)| second).collect();
    assert_eq!(told, [5, 65, 125, 185]);
}

#[test]
fn a_start_and_a_table_are_silent_and_a_loss_is_told_anew() {
    let host = FakeHost::at(1_000);
    let mut workers = [NoTable::default()];
    assert_eq!(lines(&host, &mut workers, 5, false), []);
    assert_eq!(lines(&host, &mut workers, 300, true), []);
    let told = lines(&host, &mut workers, 20, false);
    assert_eq!(told.len(), 1);
    assert!(told[0].1.starts_with("no key table for 5 s, "), "{told:?}");
}

#[test]
fn without_shared_data_each_worker_has_its_minute() {
    let host = FakeHost::at(1_000);
    host.fail_reads(Some(10));
    let mut workers: Vec<NoTable> = (0..2).map(|_| NoTable::default()).collect();
    assert_eq!(lines(&host, &mut workers, 120, false).len(), 4);
    host.fail_reads(None);
    host.fail_writes(Some(10));
    assert_eq!(lines(&host, &mut workers, 60, false).len(), 2, "and never more");
}

#[test]
fn the_line_names_mode_and_vm_id_and_who_should_fill_the_table() {
    let host = FakeHost::at(1_000);
    let line = |mode: &str, vm_id: Option<&str>| {
        let mut one = NoTable { since: Some(0), told: None };
        host.write(TOLD_KEY, b"foreign", Expect::Any).unwrap();
        one.due(&host, false, &sync(mode), || vm_id.map(str::to_owned), host.now().monotonic).unwrap()
    };
    let alone = line("singleton", Some("other\n"));
    assert!(alone.contains(r#"sync.mode "singleton", vm_id "other\n"; no sync shares this data"#), "{alone}");
    assert!(line("elected", None).contains("vm_id not known here"));
    assert!(line("elected", Some("")).contains(
        r#"vm_id ""; one of this process's own contexts should fetch it from cluster "flamegate-control""#
    ));
    assert!(Lease::new(1, 0).hold(&host, host.now().monotonic).unwrap().is_some());
    for mode in ["singleton", "elected"] {
        let led = line(mode, Some("flamegate"));
        assert!(led.contains("a sync shares this data and has received no table yet"), "{led}");
    }
}
