//! Every way from a header to a permit or a denial.

use super::*;
use crate::contract::key::ApiKey;
use crate::contract::record::KeyRecord;
use crate::decision::credential::Authorization;

const ANY: Accepts = Accepts { live: true, test: true, checksum_only: false };
const NOW: WallClock = 1_000_000_000_000;

fn record(environment: Environment, expires_at: Option<u64>) -> Rc<KnownKey> {
    let hash = ApiKey::from_bytes(b"sk_live_good").unwrap().hash();
    let record =
        KeyRecord { expires_at, ..KeyRecord::new("key_1".to_owned(), "ws_1".to_owned(), environment) };
    Rc::new(KnownKey::new(hash, record))
}

fn verdict(header: &str, accepts: Accepts, stored: Option<Rc<KnownKey>>) -> Result<String, Denial> {
    let good = ApiKey::from_bytes(b"sk_live_good").unwrap().hash();
    let find = |hash: &KeyHash| Ok(stored.filter(|_| *hash == good));
    let permit = authenticate(Authorization::Single(header.as_bytes()), accepts, || NOW, find)?;
    Ok(permit.key().record().id.clone())
}

fn invalid(reason: InvalidApiKey) -> Result<String, Denial> {
    Err(Denial::InvalidApiKey(reason))
}

#[test]
fn permits_a_known_key() {
    assert_eq!(
        verdict("Bearer sk_live_good", ANY, Some(record(Environment::Live, None))),
        Ok("key_1".to_owned())
    );
}

#[test]
fn denies_what_is_not_an_active_key_here() {
    let known = || Some(record(Environment::Live, None));
    assert_eq!(verdict("Bearer sk_live_other", ANY, known()), invalid(InvalidApiKey::Unknown));
    assert_eq!(verdict("Bearer nonsense", ANY, known()), invalid(InvalidApiKey::Malformed));
    let test_only = Accepts { live: false, ..ANY };
    assert_eq!(verdict("Bearer sk_live_good", test_only, known()), invalid(InvalidApiKey::Environment));
    let checked = Accepts { checksum_only: true, ..ANY };
    assert_eq!(verdict("Bearer sk_live_good", checked, known()), invalid(InvalidApiKey::Malformed));
}

#[test]
fn denies_a_record_that_contradicts_the_keys_prefix() {
    let wrong = Some(record(Environment::Test, None));
    assert_eq!(verdict("Bearer sk_live_good", ANY, wrong), invalid(InvalidApiKey::Environment));
}

#[test]
fn a_key_is_refused_from_the_second_of_its_expiry_on() {
    let expiring = |at| Some(record(Environment::Live, Some(at)));
    assert!(verdict("Bearer sk_live_good", ANY, expiring(1_001)).is_ok());
    assert_eq!(verdict("Bearer sk_live_good", ANY, expiring(1_000)), invalid(InvalidApiKey::Expired));
    assert_eq!(verdict("Bearer sk_live_good", ANY, expiring(0)), invalid(InvalidApiKey::Expired));
    assert!(verdict("Bearer sk_live_good", ANY, expiring(u64::MAX)).is_ok());
}

#[test]
fn looks_up_nothing_for_a_token_that_is_no_key() {
    for header in [Authorization::Absent, Authorization::Repeated, Authorization::Single(b"Bearer pk_x")] {
        let find = |_: &KeyHash| panic!("looked up");
        assert!(authenticate(header, ANY, || NOW, find).is_err());
    }
}

#[test]
fn a_table_that_cannot_be_read_is_not_an_invalid_key() {
    let header = Authorization::Single(b"Bearer sk_live_good");
    let denial = authenticate(header, ANY, || NOW, |_| Err(Unavailable::NotSynced)).unwrap_err();
    assert_eq!(denial, Denial::Unavailable(Unavailable::NotSynced));
}
