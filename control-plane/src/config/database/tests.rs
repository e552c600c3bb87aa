//! Addresses of databases: what is one, what is shown of it, and whether somebody checks whose server it is.

use super::*;

fn of(text: &str) -> Result<DatabaseAddress, String> {
    DatabaseAddress::of(text, None, None)
}

#[test]
fn a_password_is_never_shown() {
    for (text, expected) in [
        ("postgres://fg:s3cret@db.example.com/fg?sslmode=verify-full", "postgres://fg@db.example.com/fg"),
        ("postgresql://fg:s3cret@db:5433/fg?password=s3cret", "postgres://fg@db:5433/fg"),
        ("postgres:///fg?host=/run/postgresql&password=s3cret", "postgres:///run/postgresql/fg"),
    ] {
        let address = of(text).unwrap();
        assert_eq!((address.to_string(), format!("{address:?}")), (expected.to_owned(), expected.to_owned()));
    }
    for text in [
        "postgres://fg:s3cret@db:port/fg",
        "postgres://fg:s3cret@db/fg?sslmode=s3cret",
        "postgres://fg:s3cret@db/fg?s=s3cret",
    ] {
        let error = of(text).unwrap_err();
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[test]
fn what_is_no_address_of_a_server_is_a_file() {
    assert_eq!(of("/var/lib/fg.db").unwrap().file(), Some(Path::new("/var/lib/fg.db")));
    assert!(of("fg.db").unwrap().file().unwrap().is_absolute());
    assert!(of("").unwrap_err().contains("empty"));
    assert!(of("postgres://db/fg?connect_timeout=3").unwrap_err().contains("connect_timeout is not known"));
    assert!(of("postgres://db/fg?sslmode=on").unwrap_err().contains("sslmode must be"));
    let direct = |text: &str, direct: &str| DatabaseAddress::of(text, None, Some(direct.to_owned()));
    assert!(direct("fg.db", "postgres://db/fg").unwrap_err().contains("no pooler"));
    assert!(direct("postgres://pooler/fg", "db:5432").unwrap_err().starts_with(DIRECT));
}

#[test]
fn a_pooler_is_one_that_something_stands_behind() {
    let server = |direct: Option<&str>| {
        let address = DatabaseAddress::of("postgres://pooler/fg", None, direct.map(str::to_owned)).unwrap();
        let DatabaseAddress::Server(server) = address else { panic!("a server") };
        (server.is_pooled(), server.direct().map(str::to_owned))
    };
    assert_eq!(server(None), (false, Some("postgres://pooler/fg".to_owned())));
    assert_eq!(server(Some("none")), (true, None));
    assert_eq!(server(Some("postgres://db/fg")), (true, Some("postgres://db/fg".to_owned())));
}

/// What is said of an address: an error, a warning, or nothing.
fn judged(text: &str, direct: Option<&str>, host: Option<&str>) -> (Option<String>, usize) {
    let source = |name: &str| match name {
        DIRECT => direct.map(str::to_owned),
        "PGHOST" => host.map(str::to_owned),
        _ => None,
    };
    let mut warnings = Vec::new();
    let read = DatabaseAddress::read_with(Some(text), &source, &mut warnings);
    assert_eq!(read.as_ref().is_ok_and(DatabaseAddress::is_unverified), !warnings.is_empty());
    (read.err(), warnings.len())
}

#[test]
fn a_server_on_another_machine_is_checked_or_somebody_has_said_that_it_is_not() {
    for text in [
        "postgres://fg@db.example.com/fg",
        "postgres://fg@10.0.0.7/fg?application_name=fg",
        "postgres://fg@localhost/fg?host=db.example.com",
        "postgres://fg@localhost/fg?hostaddr=10.0.0.7",
    ] {
        let (error, warnings) = judged(text, None, None);
        assert!(error.is_some_and(|error| error.contains("add sslmode=verify-full")), "{text}");
        assert_eq!(warnings, 0);
    }
    for (text, expected) in [
        ("postgres://fg@db.example.com/fg?sslmode=require", 1),
        ("postgres://fg@db.example.com/fg?sslmode=disable", 1),
        ("postgres://fg@db.example.com/fg?sslmode=verify-ca", 1),
        ("postgres://fg@db.example.com/fg?sslmode=verify-ca&sslrootcert=ca.crt", 0),
        ("postgres://fg@db.example.com/fg?sslmode=verify-full", 0),
        ("postgres://fg@localhost/fg", 0),
        ("postgres://fg@127.0.0.1/fg", 0),
        ("postgres://fg@[::1]/fg", 0),
        ("postgres:///fg", 0),
        ("postgres:///fg?host=/run/postgresql", 0),
        ("postgres://%2Frun%2Fpostgresql/fg", 0),
    ] {
        assert_eq!(judged(text, None, None), (None, expected), "{text}");
    }
    let beyond = |direct: &str| judged("postgres://fg@127.0.0.1:6432/fg", Some(direct), None);
    assert_eq!(beyond("none"), (None, 0));
    assert!(beyond("postgres://fg@db/fg").0.unwrap().starts_with(DIRECT));
    assert_eq!(beyond("postgres://fg@db/fg?sslmode=require"), (None, 1));
    assert!(
        judged("postgres:///fg", None, Some("db.example.com")).0.is_some(),
        "where the server is by PGHOST"
    );
}
