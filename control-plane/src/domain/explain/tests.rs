//! Every state of a gateway against every state of a key.

use super::*;
use crate::domain::keys::End;

const NOW: i64 = 2_000_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn key(change: impl FnOnce(&mut Key)) -> Key {
    let mut key = Key {
        seq: 1,
        id: "key_a".to_owned(),
        workspace: "ws_a".to_owned(),
        workspace_seq: 1,
        workspace_slug: "a".to_owned(),
        environment: Environment::Live,
        name: "A".to_owned(),
        note: None,
        hint: "sk_live_…a1B2".to_owned(),
        own_limits: None,
        limits: Vec::new(),
        restrict: None,
        plan: None,
        workspace_plan: None,
        shadow: false,
        created_at: now(),
        created_by: None,
        expires_at: None,
        revoked_at: None,
        rotated_from: None,
        rotated_to: None,
        revision: Some(10),
        uses: Default::default(),
    };
    change(&mut key);
    key
}

fn gateway(acknowledged: Option<u64>, change: impl FnOnce(&mut GatewayView)) -> GatewayView {
    let mut gateway = GatewayView {
        id: "shared/a".to_owned(),
        credential: "shared".to_owned(),
        has_session: true,
        version: None,
        connected: true,
        stale: false,
        workers: Some(3),
        accepts: Protocol::Two,
        shadow: Some(false),
        other_database: false,
        leaving: false,
        acknowledged,
        acknowledged_at: None,
        first_seen: now(),
        last_seen: now(),
    };
    change(&mut gateway);
    gateway
}

#[test]
fn a_gateway_answers_by_what_it_has_acknowledged() {
    let (active, revoked, expired) = (
        key(|_| {}),
        key(|key| key.revoked_at = Some(now())),
        key(|key| key.expires_at = End::from_second(NOW)),
    );
    let of = |gateway: &GatewayView, key: Option<&Key>| Verdict::of_gateway(gateway, key, 12, now());
    let current = gateway(Some(10), |_| {});
    assert_eq!(of(&current, Some(&active)), Verdict::Accepted);
    assert_eq!(of(&current, Some(&revoked)), Verdict::Revoked);
    assert_eq!(of(&current, Some(&expired)), Verdict::Expired);
    assert_eq!(of(&current, None), Verdict::Unknown);
    let older = gateway(Some(9), |_| {});
    for key in [&active, &revoked, &expired] {
        assert_eq!(of(&older, Some(key)), Verdict::Behind);
    }
    assert_eq!(of(&older, None), Verdict::Unknown, "a key that never was is in no table");
    // Its removal has left the log: only who is at the head is known to have it.
    let forgotten = key(|key| (key.revoked_at, key.revision) = (Some(now()), None));
    assert_eq!(of(&current, Some(&forgotten)), Verdict::Behind);
    assert_eq!(of(&gateway(Some(12), |_| {}), Some(&forgotten)), Verdict::Revoked);
}

#[test]
fn who_has_no_table_or_does_not_count_answers_otherwise() {
    let active = key(|_| {});
    let of = |gateway: &GatewayView| Verdict::of_gateway(gateway, Some(&active), 12, now());
    assert_eq!(of(&gateway(None, |gateway| gateway.workers = Some(0))), Verdict::NoTable);
    // It keeps the table of another database (ADR 0033), or is half through a new one: nobody here knows what it accepts.
    assert_eq!(of(&gateway(None, |_| {})), Verdict::NotKnown);
    assert_eq!(of(&gateway(None, |gateway| gateway.workers = None)), Verdict::NotKnown);
    assert_eq!(of(&gateway(None, |gateway| gateway.stale = true)), Verdict::Stale);
    // Its sync has acknowledged everything, and none of its workers has the keys.
    assert_eq!(of(&gateway(Some(10), |gateway| gateway.workers = Some(0))), Verdict::NoTable);
    let mute = |gateway: &mut GatewayView| {
        (gateway.has_session, gateway.credential) = (false, "eu".to_owned());
    };
    assert_eq!(of(&gateway(None, mute)), Verdict::NotKnown);
    assert_eq!(of(&gateway(None, |gateway| gateway.connected = false)), Verdict::NotKnown);
    // Cut off, and it had the change: nothing takes a revocation back, and that it still accepts anything nobody knows.
    let cut_off = |gateway: &mut GatewayView| gateway.connected = false;
    assert_eq!(of(&gateway(Some(10), cut_off)), Verdict::NotKnown);
    let revoked = key(|key| key.revoked_at = Some(now()));
    let cut_off = gateway(Some(10), cut_off);
    assert_eq!(Verdict::of_gateway(&cut_off, Some(&revoked), 12, now()), Verdict::Revoked);
    assert_eq!(of(&gateway(None, |gateway| gateway.other_database = true)), Verdict::OtherDatabase);
}

#[test]
fn a_key_in_shadow_is_accepted_where_the_filter_knows_of_it_and_revived_nowhere() {
    let of = |gateway: &GatewayView, key: &Key| Verdict::of_gateway(gateway, Some(key), 12, now());
    let active = key(|key| key.shadow = true);
    assert_eq!(of(&gateway(Some(10), |_| {}), &active), Verdict::Shadowed);
    assert_eq!(
        of(&gateway(Some(10), |gateway| gateway.accepts = Protocol::One), &active),
        Verdict::NotUnderstood
    );
    assert_eq!(of(&gateway(Some(10), |gateway| gateway.connected = false), &active), Verdict::NotKnown);
    let revoked = key(|key| (key.shadow, key.revoked_at) = (true, Some(now())));
    let expired = key(|key| (key.shadow, key.expires_at) = (true, End::from_second(NOW)));
    for ended in [&revoked, &expired] {
        assert_eq!(of(&gateway(Some(10), |_| {}), ended).status(), Some(401));
    }
}

#[test]
fn in_general_it_is_what_the_connected_gateways_answer() {
    use Verdict::{Accepted, Differs, NoTable, OtherDatabase};
    assert_eq!(Verdict::in_general(Accepted, &[]), Accepted);
    assert_eq!(Verdict::in_general(Accepted, &[NoTable]), NoTable);
    assert_eq!(Verdict::in_general(Accepted, &[OtherDatabase, OtherDatabase]), OtherDatabase);
    assert_eq!(Verdict::in_general(Accepted, &[Accepted, NoTable]), Differs);
}

#[test]
fn a_key_is_no_question() {
    let made = secret::GeneratedKey::new(Environment::Live).unwrap();
    let key = made.plaintext.expose().to_owned();
    for draft in [
        QuestionDraft { id: Some(key.clone()), ..QuestionDraft::default() },
        QuestionDraft { hint: Some(key.clone()), ..QuestionDraft::default() },
        QuestionDraft { hash: Some(format!("Bearer {key}")), ..QuestionDraft::default() },
        QuestionDraft { id: Some("sk_live_short".to_owned()), ..QuestionDraft::default() },
    ] {
        let Err(Error::Invalid(problems)) = draft.check() else { panic!("it was taken") };
        let text = problems.to_json().to_string();
        assert!(
            text.contains("looks like an API key") && !text.contains("short") && !text.contains(&key),
            "{text}"
        );
    }
    let hint = QuestionDraft { hint: Some(made.hint), ..QuestionDraft::default() };
    assert!(matches!(hint.check(), Ok(Question::Hint(_))));
    let both = QuestionDraft { id: Some("key_a".into()), hint: Some("sk_live_…".into()), hash: None };
    assert!(both.check().is_err() && QuestionDraft::default().check().is_err());
}
