//! The form of a key by the guarantee it keeps.

use proptest::prelude::*;

use super::*;

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
    let key = ApiKey::from_bytes(b"sk_live_secretsecretsecret").unwrap();
    for printed in [format!("{key:?}"), format!("{:?}", key.hash())] {
        assert!(!printed.contains("secret"), "{printed}");
        assert!(!printed.contains(&key.hash().to_hex()[..8]), "{printed}");
    }
}

proptest! {
    #[test]
    fn hex_comes_back(bytes: [u8; 32]) {
        prop_assert_eq!(KeyHash::from_hex(&KeyHash(bytes).to_hex()), Some(KeyHash(bytes)));
    }
}
