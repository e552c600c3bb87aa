//! The written configuration is `envoy/envoy.yaml` with the user's values.

use super::*;
use crate::cli::envoy_config::conflicts;
use crate::cli::envoy_config::values::{Keys, ListenAt, StreamPath};

fn gateway() -> Gateway {
    Gateway {
        upstream: "api.internal:8081".parse().unwrap(),
        control: vec!["127.0.0.1:8080".parse().unwrap()],
        control_tls: None,
        wasm: "/etc/envoy/flamegate.wasm".parse().unwrap(),
        listen: "0.0.0.0:10000".parse().unwrap(),
        admin_port: 9901,
        access_log: "/dev/stdout".parse().unwrap(),
        name: "eu-1".parse().unwrap(),
        open: Vec::new(),
        streams: Vec::new(),
        jwt: None,
    }
}

fn jwt(keys: &str) -> Option<Jwt> {
    let audiences = vec!["api".parse().unwrap()];
    Some(Jwt { issuer: "https://login.example.com".parse().unwrap(), keys: keys.parse().unwrap(), audiences })
}

#[test]
fn nothing_of_the_demo_and_no_place_is_left() {
    let text = render(&gateway()).unwrap();
    for word in ["${", "# [", "/public/", "/healthz\"", "/v1/events", "jwt", "filter.json and"] {
        assert!(!text.contains(word), "{word} in {text}");
    }
    for part in ["name: flamegate\n", "envoy.bootstrap.wasm", "api.internal", "stats_tags", "\"bypass\":[]"] {
        assert!(text.contains(part), "no {part} in {text}");
    }
}

#[test]
fn it_is_the_file_that_the_tests_run_but_for_marked_parts() {
    // Every line of the source that is outside of the marks and has no place in it, in order.
    let text = render(&gateway()).unwrap();
    let mut lines = text.lines();
    let mut inside = false;
    for line in SOURCE.split_once("\nnode:").unwrap().1.lines().skip(1) {
        let mark = line.trim();
        match mark {
            "# [streams]" => inside = true,
            "# [end of streams]" => inside = false,
            _ if inside || mark.starts_with("# [") || line.contains("${") => {}
            _ => assert!(lines.any(|found| found == line), "{line}"),
        }
    }
}

#[test]
fn open_paths_are_rules_of_the_filter_and_streams_get_routes() {
    let mut gateway = gateway();
    gateway.open = vec!["/livez".parse().unwrap(), "/docs/".parse().unwrap()];
    gateway.streams = vec!["/feed".parse().unwrap()];
    let text = render(&gateway).unwrap();
    for part in ["path_separated_prefix: \"/feed\"", r#""path":"/livez""#, r#""path":"/docs/""#] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    for path in ["/.flamegate/ready", "/.flamegate/"] {
        gateway.open = vec![path.parse().unwrap()];
        assert!(render(&gateway).unwrap_err().to_string().contains("whether it is ready"), "{path}");
    }
    for path in ["/a//", "//", "/a/../b", "/./"] {
        assert!(path.parse::<OpenPath>().unwrap_err().contains("in one way"), "{path}");
        assert!(path.parse::<StreamPath>().unwrap_err().contains("in one way"), "{path}");
    }
}

#[test]
fn keys_of_an_issuer_come_by_tls_or_not_or_from_a_file() {
    let with = |keys: &str| render(&Gateway { jwt: jwt(keys), ..gateway() }).unwrap();
    let text = with("https://login.example.com/keys.json");
    for part in [
        "cluster: jwks",
        "sni: \"login.example.com\"",
        "port_value: 443",
        "audiences: [\"api\"]",
        "require_expiration: true",
        "early_header_mutation",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    assert_eq!(text.matches("requirement_name: jwt").count(), 2, "gRPC, and everything else");
    let text = with("http://127.0.0.1:9000/keys");
    assert!(text.contains("port_value: 9000") && !text.contains("transport_socket"), "{text}");
    let text = with("/etc/envoy/jwks.json");
    assert!(text.contains("local_jwks") && !text.contains("name: jwks"), "{text}");
}

#[test]
fn keys_without_tls_from_elsewhere_are_worth_a_word() {
    let warns = |keys: &str| jwt(keys).unwrap().warning().is_some();
    assert!(warns("http://login.example.com/keys.json") && warns("http://10.0.0.1:9000/keys"));
    for fine in
        ["https://login.example.com/keys", "http://127.0.0.1:9000/k", "http://localhost/k", "/etc/keys.json"]
    {
        assert!(!warns(fine), "{fine}");
    }
}

#[test]
fn which_requests_have_a_jwt_is_asked_for_in_any_case_and_whole() {
    let text = render(&Gateway { jwt: jwt("/etc/envoy/jwks.json"), ..gateway() }).unwrap();
    let form = r#"regex: "(?i:bearer) +eyJ[A-Za-z0-9_.-]*""#;
    assert_eq!(text.matches(form).count(), 3, "the routes, and what is answered there: {text}");
    assert!(text.contains(r#"value_prefix: " ""#) && !text.contains("Bearer "), "{text}");
    let filter = include_str!("../../../../../src/decision/reply.rs");
    let body = r#"{"success":false,"error":{"code":"UNAUTHORIZED","message":"Invalid or missing API key"}}"#;
    assert!(text.contains(body) && filter.contains(body), "one envelope");
}

#[test]
fn a_stream_is_a_path_with_or_without_a_slash_at_its_end_or_the_whole_api() {
    for (given, wanted) in
        [("/v1/events/", "path_separated_prefix: \"/v1/events\""), ("/", "match: { prefix: \"/\" }")]
    {
        let streams = vec![given.parse().unwrap()];
        let text = render(&Gateway { streams, jwt: jwt("/etc/envoy/jwks.json"), ..gateway() }).unwrap();
        assert_eq!(text.matches(wanted).count(), 2, "{wanted} for keys and for JWTs in {text}");
    }
}

#[test]
fn each_control_plane_is_an_endpoint_of_one_cluster() {
    let control = vec!["a.internal:8080".parse().unwrap(), "[::1]:8081".parse().unwrap()];
    let text = render(&Gateway { control: control.clone(), ..gateway() }).unwrap();
    let cluster = text.split_once("cluster_name: flamegate-control\n").unwrap().1;
    let cluster = cluster.split_once("stats_config:").unwrap().0;
    for part in [r#"address: "a.internal", port_value: 8080 }"#, r#"address: "::1", port_value: 8081 }"#] {
        assert_eq!((cluster.matches(part).count(), text.matches(part).count()), (1, 1), "{part} in {text}");
    }
    assert_eq!(cluster.matches("- endpoint:").count(), 2, "{cluster}");
    let twice = vec![control[0].clone(), control[1].clone(), control[0].clone()];
    let told = conflicts::check(&Gateway { control: twice, ..gateway() }).unwrap_err();
    assert!(told.contains("a.internal:8080 is given twice"), "{told}");
}

#[test]
fn what_cannot_be_together_is_refused_in_words() {
    for (listen, upstream, admin, wanted) in [
        ("0.0.0.0:10000", "127.0.0.1:8080", 9901, "--upstream and --control are both 127.0.0.1:8080"),
        (
            "0.0.0.0:10000",
            "localhost:10000",
            9901,
            "--upstream localhost:10000 is where the gateway itself listens",
        ),
        ("[::]:8080", "[::1]:8081", 9901, "--control 127.0.0.1:8080 is where"),
        ("127.0.0.1:9901", "api:80", 9901, "--admin-port 9901"),
        ("0.0.0.0:9000", "api:80", 9000, "one port cannot be both"),
    ] {
        let ListenAt(listen) = listen.parse().unwrap();
        let upstream = upstream.parse().unwrap();
        let told =
            conflicts::check(&Gateway { listen, upstream, admin_port: admin, ..gateway() }).unwrap_err();
        assert!(told.contains(wanted), "{told}");
    }
    let ListenAt(listen) = "10.0.0.1:9901".parse().unwrap();
    let upstream = "api:9901".parse().unwrap();
    assert_eq!(conflicts::check(&Gateway { listen, upstream, ..gateway() }), Ok(()));
    for text in ["localhost:10000", "*:10000", ":10000", "10000"] {
        assert!(text.parse::<ListenAt>().unwrap_err().contains("Envoy listens on no name"), "{text}");
    }
    assert_eq!(conflicts::warning(&gateway()), None);
    let tls = Gateway { upstream: "api.example.com:443".parse().unwrap(), ..gateway() };
    assert!(conflicts::warning(&tls).unwrap().contains("plain HTTP to api.example.com:443"));
}

#[test]
fn what_could_end_a_quotation_is_refused() {
    for text in ["a\"b:1", "a b:1", ":1", "a:0", "a:65536", "a", "[::1:1", "a\n:1"] {
        assert!(text.parse::<Endpoint>().is_err(), "{text:?}");
    }
    assert_eq!("[::1]:80".parse::<Endpoint>().unwrap().host, "::1");
    for text in ["x", "/a\"", "/a b", "/a\n", "/a'b", "/${X}", "/a{b}"] {
        assert!(text.parse::<PathText>().is_err(), "{text:?}");
    }
    assert!("/".parse::<OpenPath>().is_err());
    for text in ["", "a\"", "a\\", "a b", "${X}"] {
        assert!(text.parse::<Plain>().is_err(), "{text:?}");
    }
    for text in ["ftp://a/b", "https://a\"b/c", "https:///x", "keys.json", "https://u:p@host/x"] {
        assert!(text.parse::<Keys>().is_err(), "{text:?}");
    }
}
