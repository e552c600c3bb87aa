//! What is remembered of streams whose end nobody announces.

use std::cell::RefCell;

use super::*;
use crate::worker::streams::{OLD_NS, YOUNG_NS};

impl Gateway {
    /// The next streams to end.
    pub fn take_doomed(&mut self, is_open: impl FnMut(u32) -> bool) -> Vec<u32> {
        self.worker.streams.take_doomed(is_open).into_iter().map(|stream| stream.id).collect()
    }

    /// A tick after `ns`, in which the streams that `is_open` names are there. Gives those that were asked for.
    fn tick_after(&mut self, ns: u64, is_open: impl Fn(u32) -> bool) -> Vec<u32> {
        self.host.advance_ns(ns);
        self.worker.tick(&self.host);
        let asked = RefCell::new(Vec::new());
        self.worker.forget_closed_streams(|stream| {
            asked.borrow_mut().push(stream);
            is_open(stream)
        });
        asked.into_inner()
    }
}

#[test]
fn a_stream_is_asked_for_once_when_it_is_a_second_old_and_forgotten_when_it_is_over() {
    let mut gateway = Gateway::new(SYNCED);
    gateway.open(1, 1);
    assert!(gateway.tick_after(YOUNG_NS - 1, |_| false).is_empty());
    gateway.open(2, 1);
    assert_eq!(gateway.tick_after(1, |_| false), [1]);
    assert_eq!(gateway.worker.streams.len(), 1);
    assert_eq!(gateway.tick_after(YOUNG_NS, |_| false), [2]);
    assert!(gateway.worker.streams.is_empty());
}

#[test]
fn a_long_stream_is_remembered_and_ended() {
    let mut gateway = Gateway::new(SYNCED);
    gateway.open(1, 1);
    assert_eq!(gateway.tick_after(YOUNG_NS, |_| true), [1]);
    assert!(gateway.tick_after(OLD_NS - 1, |_| true).is_empty());
    assert_eq!(gateway.tick_after(1, |_| true), [1]);
    gateway.change(2, &[], &[1]);
    gateway.worker.tick(&gateway.host);
    assert_eq!(gateway.take_doomed(|_| true), [1]);
    assert!(gateway.worker.streams.is_empty());
}

#[test]
fn a_flood_of_streams_is_asked_for_in_portions_that_keep_up() {
    let mut gateway = Gateway::new(SYNCED);
    for stream in 0..200_000 {
        gateway.open(stream, 1);
    }
    let asked = gateway.tick_after(YOUNG_NS, |_| false);
    assert_eq!(asked.len(), 200_000 / 16);
    let mut ticks = 0;
    while !gateway.worker.streams.is_empty() {
        gateway.tick_after(20_000_000, |_| false);
        ticks += 1;
    }
    assert!(ticks < 100, "{ticks}");
}

#[test]
fn streams_that_are_over_do_not_delay_the_end_of_an_open_one() {
    let mut gateway = Gateway::new(SYNCED);
    for stream in 0..3_000 {
        gateway.open(stream, 1);
    }
    gateway.change(2, &[], &[1]);
    gateway.worker.tick(&gateway.host);
    assert_eq!(gateway.take_doomed(|stream| stream == 2_999), [2_999]);
}

#[test]
fn a_response_is_given_its_key_once_and_one_that_never_comes_is_forgotten() {
    let mut gateway = Gateway::new(SYNCED);
    for stream in [1, 2] {
        gateway.open(stream, 1);
        let key = gateway.worker.find(&gateway.host, &hash(1)).unwrap().unwrap();
        gateway.worker.streams.await_response(stream, key);
    }
    assert!(gateway.worker.streams.take_awaited(1).is_some());
    assert!(gateway.worker.streams.take_awaited(1).is_none());
    gateway.tick_after(YOUNG_NS, |_| false);
    assert!(gateway.worker.streams.take_awaited(2).is_none());
    gateway.open(3, 1);
    let key = gateway.worker.find(&gateway.host, &hash(1)).unwrap().unwrap();
    gateway.worker.streams.await_response(3, key);
    gateway.change(2, &[], &[1]);
    gateway.worker.tick(&gateway.host);
    assert!(gateway.worker.streams.take_awaited(3).is_none(), "it will be refused");
}

#[test]
fn nothing_is_noted_when_nobody_will_ask() {
    for (json, noted) in [(SYNCED, 1), (r#"{"sync":{},"end_streams":false}"#, 0)] {
        let mut gateway = Gateway::new(json);
        real_key(&mut gateway, 2, None);
        let request = crate::decision::request::Request {
            authorization: crate::decision::credential::Authorization::Single(b"Bearer sk_live_real"),
            ..crate::decision::request::Request::default()
        };
        let decision = crate::worker::decide::decide(&mut gateway.worker, &gateway.host, &request);
        let crate::worker::decide::Outcome::Pass(edits) = decision.outcome else { panic!("refused") };
        let crate::worker::edits::Pass::Permit(permit) = edits.pass else { panic!("bypassed") };
        gateway.worker.opened(1, permit, false);
        assert_eq!(gateway.worker.streams.len(), noted, "{json}");
    }
}

/// The key was revoked before, when this worker did not know of the stream.
#[test]
fn streams_that_are_taken_over_end_with_their_key_too() {
    let mut gateway = Gateway::new(SYNCED);
    gateway.open(1, 1);
    gateway.tick_after(YOUNG_NS, |_| true);
    gateway.open(2, 1);
    gateway.open(3, 2);
    let noted = std::mem::take(&mut gateway.worker.streams);
    gateway.change(2, &[], &[1]);
    gateway.worker.tick(&gateway.host);
    gateway.host.advance_ns(1);
    gateway.open(4, 2);
    gateway.worker.take_over(noted);
    gateway.worker.tick(&gateway.host);
    assert_eq!(gateway.take_doomed(|_| true), [2, 1]);
    assert_eq!(gateway.tick_after(YOUNG_NS, |_| true), [3, 4]);
}

#[test]
fn a_call_is_known_for_grpc_when_it_ends() {
    let mut gateway = Gateway::new(SYNCED);
    let key = gateway.worker.find(&gateway.host, &hash(1)).unwrap().unwrap();
    for (id, grpc) in [(1, false), (2, true)] {
        gateway.worker.streams.opened(id, Rc::clone(&key), grpc, 0);
    }
    gateway.change(2, &[], &[1]);
    gateway.worker.tick(&gateway.host);
    let doomed = gateway.worker.streams.take_doomed(|_| true);
    assert_eq!(
        doomed.iter().map(|stream| (stream.id, stream.grpc)).collect::<Vec<_>>(),
        [(1, false), (2, true)]
    );
}
