//! Parser rows by the guarantee they keep, then properties over arbitrary bytes.

use proptest::prelude::*;

use super::*;

fn token(value: &[u8]) -> Result<Vec<u8>, NoToken> {
    BearerToken::parse(Authorization::Single(value)).map(|token| token.0.to_vec())
}

#[test]
fn takes_the_token_whatever_the_spelling_of_the_scheme_and_the_white_space() {
    for value in
        ["Bearer t", "bearer t", "BEARER t", "Bearer   t", "Bearer\tt", "  Bearer t \t", "bEaReR \t t"]
    {
        assert_eq!(token(value.as_bytes()), Ok(b"t".to_vec()), "{value:?}");
    }
}

#[test]
fn tells_the_ways_apart_in_which_a_token_can_be_missing() {
    assert_eq!(BearerToken::parse(Authorization::Absent).map(drop), Err(NoToken::Missing));
    assert_eq!(BearerToken::parse(Authorization::Repeated).map(drop), Err(NoToken::Repeated));
    for (value, why) in [
        (&b"Bearer a,Bearer b"[..], NoToken::Repeated),
        (b"Bearer a, Bearer b", NoToken::Repeated),
        (b"Basic a", NoToken::Scheme),
        (b"Bearersk_live_x", NoToken::Scheme),
        (b"sk_live_x", NoToken::Scheme),
        (b"\xff sk_live_x", NoToken::Scheme),
        (b"", NoToken::Scheme),
        (b"Bearer", NoToken::Empty),
        (b"Bearer  \t", NoToken::Empty),
    ] {
        assert_eq!(token(value), Err(why), "{value:?}");
    }
}

#[test]
fn a_key_has_a_known_prefix_and_a_visible_secret() {
    for (bytes, environment) in
        [(&b"sk_live_x"[..], Environment::Live), (b"sk_test_a-b.c~d", Environment::Test)]
    {
        assert_eq!(ApiKey::from_bytes(bytes).map(|key| key.environment()), Some(environment));
    }
    let long = [b"sk_live_".as_slice(), &[b'x'; MAX_KEY_LEN]].concat();
    for bytes in [
        &b""[..],
        b"sk_live_",
        b"sk_prod_x",
        b"pk_live_x",
        b"SK_LIVE_x",
        b"sk_live_a b",
        b"sk_live_\xff",
        b"sk_live_\0",
        b"sk_live_a,b",
        &long,
    ] {
        assert!(ApiKey::from_bytes(bytes).is_none(), "{bytes:?}");
    }
}

#[test]
fn hashes_the_whole_key_with_sha256() {
    // printf sk_test_abc | sha256sum
    let hash = ApiKey::from_bytes(b"sk_test_abc").unwrap().hash();
    assert_eq!(hash.to_hex(), "4b4090ccee1e713c3d411b96a4226b90bd0f0deb34e02d19475a951316fd04ee".to_owned());
}

#[test]
fn the_checksum_is_zlibs_crc32_in_base62() {
    // python3: zlib.crc32(b"123456789") == 0xCBF43926
    assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    let body = b"sk_live_00000000000000000000000000000000";
    let mut key = body.to_vec();
    key.extend(checksum(body));
    assert!(ApiKey::from_bytes(&key).unwrap().has_valid_checksum());
    for index in 8..key.len() {
        let mut wrong = key.clone();
        wrong[index] = if wrong[index] == b'A' { b'B' } else { b'A' };
        assert!(!ApiKey::from_bytes(&wrong).unwrap().has_valid_checksum(), "changed at {index}");
    }
    assert!(!ApiKey::from_bytes(b"sk_live_x").unwrap().has_valid_checksum());
}

#[test]
fn nothing_that_holds_a_key_prints_it() {
    let text = "sk_live_secretsecretsecret";
    let header = format!("Bearer {text}");
    let single = Authorization::Single(header.as_bytes());
    let parsed = BearerToken::parse(single).unwrap();
    let key = ApiKey::from_token(parsed).unwrap();
    for printed in
        [format!("{single:?}"), format!("{parsed:?}"), format!("{key:?}"), format!("{:?}", key.hash())]
    {
        assert!(!printed.contains("secret"), "{printed}");
        assert!(!printed.contains(&key.hash().to_hex()[..8]), "{printed}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_without_panic(bytes: Vec<u8>) {
        if let Ok(token) = BearerToken::parse(Authorization::Single(&bytes)) {
            let _ = ApiKey::from_token(token).map(|key| (key.hash(), key.has_valid_checksum()));
        }
    }

    #[test]
    fn a_well_formed_key_comes_through_unchanged(secret in "[0-9A-Za-z]{1,64}", blanks in "[ \t]{1,3}") {
        let key = format!("sk_test_{secret}");
        let header = format!("{blanks}bearer{blanks}{key}{blanks}");
        prop_assert_eq!(token(header.as_bytes()), Ok(key.into_bytes()));
    }

    #[test]
    fn hex_comes_back(bytes: [u8; 32]) {
        prop_assert_eq!(KeyHash::from_hex(&KeyHash(bytes).to_hex()), Some(KeyHash(bytes)));
    }
}
