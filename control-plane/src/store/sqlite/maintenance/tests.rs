//! New files are new.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::store::sqlite::maintenance::*;

#[test]
fn a_new_file_is_never_what_lay_there_before() {
    let folder = tempfile::tempdir().unwrap();
    let (precious, name) = (folder.path().join("precious"), folder.path().join("new"));
    fs::write(&precious, "precious").unwrap();
    for suffix in ["", "-journal", "-wal", "-shm"] {
        symlink(&precious, beside(&name, suffix)).unwrap();
    }
    let mut file = make_new(&name).unwrap();
    io::Write::write_all(&mut file, b"new").unwrap();
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
    assert!(!fs::symlink_metadata(&name).unwrap().is_symlink());
    assert_eq!(fs::metadata(&name).unwrap().permissions().mode() & 0o077, 0);
    assert!(["-journal", "-wal", "-shm"].iter().all(|suffix| !beside(&name, suffix).exists()));
}

#[test]
fn what_comes_there_meanwhile_is_an_error_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody can take this away, as in a folder where others may write but not delete what is not theirs.
    let name = folder.path().join("new");
    fs::create_dir(&name).unwrap();
    make_new(&name).unwrap_err();
    let planted = folder.path().join("planted");
    symlink(folder.path().join("elsewhere"), &planted).unwrap();
    let error = private_options().create_new(true).open(&planted).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert!(!folder.path().join("elsewhere").exists(), "not followed");
}

#[tokio::test]
async fn what_migrations_make_is_told_line_by_line() {
    let known: Vec<i64> = migrations::MIGRATIONS.iter().map(|known| known.version).collect();
    let lines = schema_by(&known).await.unwrap().unwrap();
    assert!(lines.len() > 80, "everything is looked at: {}", lines.len());
    for line in
        ["audit_log: key seq", "gateways: session bytes", "api_keys: unique hash", "api_keys: 6 checks"]
    {
        assert!(lines.contains(line), "{line}: {lines:?}");
    }
    assert!(schema_by(&known[..2]).await.unwrap().unwrap().len() < lines.len());
    assert_eq!(schema_by(&[9_999]).await.unwrap(), None, "nobody here knows what that makes");
}
