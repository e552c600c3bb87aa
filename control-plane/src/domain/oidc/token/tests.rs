//! Tokens of keys that are made here; RSA is what the real provider signs with (`tests/browser/suites/oidc.test.mjs`).

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::json;

use super::*;

const NOW: i64 = 1_800_000_000;

struct Signer {
    ed: Ed25519KeyPair,
    ec: EcdsaKeyPair,
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self {
            ed: Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap(),
            ec: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.as_ref(), &random).unwrap(),
        }
    }

    fn keys(&self) -> KeySet {
        let point = self.ec.public_key().as_ref();
        let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
        let keys = json!({"keys": [
            {"kty": "EC", "crv": "P-256", "kid": "ec", "use": "sig", "x": x, "y": y},
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": encode(self.ed.public_key().as_ref())},
            {"kty": "OKP", "crv": "Ed25519", "kid": "other", "use": "enc", "x": encode(&[7; 32])},
            {"kty": "RSA", "kid": "rsa", "alg": "RS256", "n": "AQAB", "e": "AQAB"},
            {"kty": "unheard of"},
        ]});
        serde_json::from_value(keys).unwrap()
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let signed =
            format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = match header["alg"].as_str() {
            Some("ES256") => self.ec.sign(&SystemRandom::new(), signed.as_bytes()).unwrap().as_ref().to_vec(),
            _ => self.ed.sign(signed.as_bytes()).as_ref().to_vec(),
        };
        format!("{signed}.{}", encode(&signature))
    }
}

fn claims(more: Value) -> Value {
    let mut claims = json!({"iss": "https://id.test", "aud": "us", "sub": "1", "exp": NOW + 300, "iat": NOW, "nonce": "n"});
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

const EXPECTED: Expected<'_> = Expected { issuer: "https://id.test", client: "us", nonce: "n", now: NOW };

#[test]
fn a_token_counts_by_a_published_key_and_the_algorithm_of_that_key_alone() {
    let signer = Signer::new();
    let keys = signer.keys();
    let check = |header: Value| keys.check(&signer.token(&header, &claims(json!({}))), &EXPECTED).map(drop);
    for good in
        [json!({"alg": "ES256", "kid": "ec"}), json!({"alg": "EdDSA", "kid": "ed"}), json!({"alg": "EdDSA"})]
    {
        assert_eq!(check(good.clone()), Ok(()), "{good}");
    }
    for (header, flaw) in [
        (json!({"alg": "none"}), Flaw::Algorithm),
        (json!({"alg": "HS256", "kid": "ed"}), Flaw::Algorithm),
        (json!({"alg": "EdDSA", "kid": "ec"}), Flaw::Key),
        (json!({"alg": "EdDSA", "kid": "other"}), Flaw::Key),
        (json!({"alg": "RS512", "kid": "rsa"}), Flaw::Key),
        (json!({"alg": "RS256", "kid": "rsa"}), Flaw::Signature),
        (json!({"alg": "EdDSA", "kid": "ed", "crit": ["x"]}), Flaw::Form),
        (json!({"kid": "ed"}), Flaw::Form),
    ] {
        assert_eq!(check(header.clone()), Err(flaw), "{header}");
    }
    let token = signer.token(&json!({"alg": "EdDSA", "kid": "ed"}), &claims(json!({})));
    let forged = Signer::new().token(&json!({"alg": "EdDSA", "kid": "ed"}), &claims(json!({})));
    assert_eq!(keys.check(&forged, &EXPECTED).map(drop), Err(Flaw::Signature));
    let (head, rest) = token.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    let other = encode(claims(json!({"sub": "2"})).to_string().as_bytes());
    assert_eq!(keys.check(&format!("{head}.{other}.{signature}"), &EXPECTED).map(drop), Err(Flaw::Signature));
    for text in
        ["", ".", "..", "a.b", &format!("{token}.x"), &token.replace('.', " "), &"x".repeat(MAX_LEN + 1)]
    {
        assert_eq!(keys.check(text, &EXPECTED).map(drop), Err(Flaw::Form), "{text}");
    }
    assert!(keys.knows(&token) && !keys.knows("x") && !KeySet::default().knows(&token));
}

#[test]
fn a_token_counts_for_this_sign_in_alone() {
    let signer = Signer::new();
    let keys = signer.keys();
    let check =
        |more: Value| keys.check(&signer.token(&json!({"alg": "EdDSA"}), &claims(more)), &EXPECTED).map(drop);
    for good in [
        json!({"aud": ["us"]}),
        json!({"aud": ["us", "them"], "azp": "us"}),
        json!({"exp": NOW - 59}),
        json!({"iat": NOW + 60}),
    ] {
        assert_eq!(check(good.clone()), Ok(()), "{good}");
    }
    for (more, flaw) in [
        (json!({"iss": "https://id.test/"}), Flaw::Issuer),
        (json!({"iss": null}), Flaw::Issuer),
        (json!({"aud": "them"}), Flaw::Audience),
        (json!({"aud": ["us", "them"]}), Flaw::Audience),
        (json!({"azp": "them"}), Flaw::Audience),
        (json!({"aud": null}), Flaw::Audience),
        (json!({"exp": NOW - 60}), Flaw::Time),
        (json!({"exp": null}), Flaw::Time),
        (json!({"iat": NOW + 61}), Flaw::Time),
        (json!({"nbf": NOW + 61}), Flaw::Time),
        (json!({"nonce": "m"}), Flaw::Nonce),
        (json!({"nonce": null}), Flaw::Nonce),
    ] {
        assert_eq!(check(more.clone()), Err(flaw), "{more}");
    }
}
