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
fn nothing_that_holds_a_key_prints_it() {
    let text = "sk_live_secretsecretsecret";
    let header = format!("Bearer {text}");
    let single = Authorization::Single(header.as_bytes());
    let parsed = BearerToken::parse(single).unwrap();
    let key = parsed.api_key().unwrap();
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
            let _ = token.api_key().map(|key| (key.hash(), key.has_valid_checksum()));
        }
    }

    #[test]
    fn a_well_formed_key_comes_through_unchanged(secret in "[0-9A-Za-z]{1,64}", blanks in "[ \t]{1,3}") {
        let key = format!("sk_test_{secret}");
        let header = format!("{blanks}bearer{blanks}{key}{blanks}");
        prop_assert_eq!(token(header.as_bytes()), Ok(key.into_bytes()));
    }
}
