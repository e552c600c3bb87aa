//! The harness does what it says: each fault happens, and nothing is left behind.

#![allow(missing_docs, reason = "a test")]

use std::{path::Path, thread, time::Duration};

use flamegate_engines::{
    Database, Link, Passage, PgBouncer, Postgres, Redis, Replication, Stop, eventually, postgres::ROLE,
};

fn written(cluster: &Postgres, database: &str) -> String {
    cluster.sql(database, "SELECT string_agg(x::text, ',' ORDER BY x) FROM t")
}

#[test]
fn a_cluster_keeps_its_data_through_stops_kills_and_freezes() {
    let mut cluster = Postgres::start_with(&[("max_connections", "10")]);
    let database = cluster.new_database();
    cluster.sql(&database, "CREATE TABLE t (x int); INSERT INTO t VALUES (1)");
    cluster.restart(Stop::Fast);
    cluster.sql(&database, "INSERT INTO t VALUES (2)");
    cluster.restart(Stop::Immediate);
    cluster.sql(&database, "INSERT INTO t VALUES (3)");
    cluster.kill();
    assert!(cluster.ask(&database, "SELECT 1").is_err(), "a killed cluster does not answer");
    cluster.start_again();
    assert_eq!(written(&cluster, &database), "1,2,3");

    cluster.read_only(true);
    let refused = cluster.ask(&database, "INSERT INTO t VALUES (4)").expect_err("read-only");
    assert!(refused.contains("read-only transaction"), "{refused}");
    cluster.read_only(false);

    let held = cluster.exhaust_connections(&database);
    eventually("new connections are refused", || {
        let log = cluster.log();
        if log.contains("remaining connection slots are reserved") { Ok(()) } else { Err(log) }
    });
    drop(held);

    thread::scope(|scope| {
        cluster.freeze();
        let answer = scope.spawn(|| cluster.ask(&database, "SELECT 5"));
        thread::sleep(Duration::from_millis(100));
        assert!(!answer.is_finished(), "a frozen cluster does not answer");
        cluster.thaw();
        assert_eq!(answer.join().expect("psql"), Ok("5".to_owned()));
    });

    cluster.freeze();
    let folder = cluster.socket_folder().to_owned();
    drop(cluster);
    assert!(!folder.exists(), "its folder goes with it");
    assert_eq!(working_in(&folder), Vec::<String>::new(), "its processes go with it, frozen ones, too");
}

fn working_in(folder: &Path) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let inside = |path: &Path| std::fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
    processes.filter(|p| inside(&p.path())).map(|p| p.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_full_disk_refuses_rows_and_takes_them_again() {
    let cluster = Postgres::on_small_disk();
    let database = cluster.new_database();
    cluster.sql(&database, "CREATE TABLE t (x int, y text)");
    cluster.fill_disk();
    let row = "INSERT INTO t SELECT 1, repeat('x', 1000) FROM generate_series(1, 100)";
    let refused = (0..20).find_map(|_| cluster.ask(&database, row).err()).expect("no space");
    assert!(refused.contains("No space left on device"), "{refused}");
    cluster.free_disk();
    cluster.sql(&database, row);
}

#[test]
fn a_standby_takes_over_with_what_it_has_received() {
    let mut database = Database::start(1, Some(Replication::Synchronous));
    database.sql("CREATE TABLE t (x int); INSERT INTO t VALUES (1)");
    database.fail_over();
    assert_eq!(written(&database.primary, &database.name), "1");
    database.sql("INSERT INTO t VALUES (2)");

    let Database { primary: second, name, .. } = database;
    let standby = second.standby(Replication::Asynchronous);
    let has = || standby.cluster.ask(&name, "SELECT max(x) FROM t");
    eventually("it follows", || has()?.eq("2").then_some(()).ok_or_else(|| "not yet".to_owned()));
    standby.link.set(Passage::Cut);
    second.sql(&name, "INSERT INTO t VALUES (3)");
    let third = standby.promote();
    assert_eq!(written(&third, &name), "1,2", "what it has not received is lost");
    third.sql(&name, "INSERT INTO t VALUES (4)");
}

#[test]
fn a_link_and_a_pooler_lead_to_it() {
    let cluster = Postgres::start();
    let database = cluster.new_database();
    let link = Link::to(cluster.port);
    let pooler = PgBouncer::start(link.port, 3);
    let by_pooler = || {
        let mut command = std::process::Command::new("psql");
        command.env("PGCONNECT_TIMEOUT", "5");
        let output = command.args(["-XAtq", &pooler.url(&database), "-c", "SELECT current_user"]).output();
        let output = output.expect("psql");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    };
    assert_eq!(by_pooler(), Ok(ROLE.to_owned()));
    // It lets its clients wait for two minutes, which is its default.
    thread::scope(|scope| {
        let before = link.connections();
        link.set(Passage::Cut);
        let answer = scope.spawn(by_pooler);
        eventually("it has asked again", || {
            let now = link.connections();
            if now > before { Ok(()) } else { Err(format!("{now} connections")) }
        });
        assert!(!answer.is_finished(), "nobody answers");
        link.set(Passage::Open);
        assert_eq!(answer.join().expect("psql"), Ok(ROLE.to_owned()));
    });
    thread::scope(|scope| {
        link.set(Passage::Swallowed);
        let answer = scope.spawn(by_pooler);
        thread::sleep(Duration::from_millis(100));
        assert!(!answer.is_finished(), "nothing passes");
        link.set(Passage::Slow(Duration::from_millis(1)));
        assert_eq!(answer.join().expect("psql"), Ok(ROLE.to_owned()));
    });
    assert!(link.connections() >= 3);
}

#[test]
fn redis_answers_again_after_a_kill() {
    let mut redis = Redis::start();
    redis.kill();
    redis.start_again();
    redis.freeze();
    redis.thaw();
    assert_eq!(redis.say(&["MSET", "a", "1", "b", "2"]), Ok("OK".to_owned()));
    assert_eq!(redis.say(&["MGET", "a", "none", "b"]), Ok("1\n\n2".to_owned()));
    assert_eq!(redis.say(&["INCR", "a"]), Ok("2".to_owned()));
    assert!(redis.say(&["NONSENSE"]).is_err_and(|error| error.starts_with("ERR unknown command")));
    assert!(redis.url().starts_with("redis://127.0.0.1:"));
}
