//! From a file to a server and back: everything is there, and gateways do not notice.

use crate::common::gateway::Gateway;
use crate::common::program::{Program, failed, json_of, offline};
use crate::{SERVER, fill, name, new_database, serve, tool};

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_moves_to_a_server_and_back_and_gateways_do_not_notice() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (file, url) = (folder.path().join("control.db"), new_database());
    let (at, back) = (file.to_str().unwrap(), folder.path().join("back.db"));
    let back = back.to_str().unwrap();
    let program = Program::serve(&file);
    let kept = fill(&program);
    let mut gateway = Gateway::at(http, program.url.clone(), "gw-1");
    gateway.poll().await.unwrap();
    let refused = failed(&offline(&["database", "copy", "--from", at, "--to", &url]), 1);
    assert!(refused.contains("in use by another flamegate-control"), "{refused}");
    drop(program);
    let of = |database: &str| json_of(&tool(&["check", "--json"], database));
    let before = of(at);
    let copied = json_of(&offline(&["database", "copy", "--from", at, "--to", &url, "--json"]));
    assert_eq!(
        (&copied["tables"]["api_keys"], &copied["tables"]["workspaces"]),
        (&2.into(), &1.into()),
        "{copied}"
    );
    assert!(copied["tables"]["audit_log"].as_u64().unwrap() >= 4, "{copied}");
    assert_eq!(of(&url), before, "epoch, revision, keys");
    let refused = failed(&offline(&["database", "copy", "--from", at, "--to", &url]), 1);
    assert!(refused.contains("the target is not empty"), "{refused}");
    let program = serve(&url);
    (gateway.base, gateway.query.wait) = (program.url.clone(), 0);
    gateway.poll().await.unwrap();
    assert_eq!((gateway.ids(), gateway.resets), (vec![kept.as_str()], 1), "the reset at its start alone");
    // New rows come behind the old ones.
    program.cli(&["keys", "create", "--workspace", "demo", "--name", "Three", "--environment", "live"]);
    program.cli(&["workspaces", "create", "--name", "Other"]);
    drop(program);
    offline(&["database", "copy", "--from", &url, "--to", back, "--json"]);
    assert_eq!(of(back), of(&url));
    let program = Program::serve(back.as_ref());
    gateway.base = program.url.clone();
    gateway.poll().await.unwrap();
    assert_eq!((gateway.ids().len(), gateway.resets), (2, 1));
    program.cli(&["keys", "create", "--workspace", "other", "--name", "Four", "--environment", "live"]);
}

#[test]
fn a_copy_that_differs_is_not_kept() {
    let (from, to) = (new_database(), new_database());
    let program = serve(&from);
    fill(&program);
    drop(program);
    drop(serve(&to));
    SERVER.sql(
        name(&to),
        "CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := 'other'; RETURN NEW; END $$;
         CREATE TRIGGER other BEFORE INSERT ON api_keys FOR EACH ROW EXECUTE FUNCTION other()",
    );
    let told = failed(&offline(&["database", "copy", "--from", &from, "--to", &to]), 1);
    assert!(told.contains("the copy differs from its source in api_keys"), "{told}");
    assert_eq!(SERVER.sql(name(&to), "SELECT count(*) FROM api_keys"), "0");
}
