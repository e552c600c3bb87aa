//! Migrations come as pairs, and both of a pair lead to the same schema: tables, columns, what may be NULL, keys, indexes, references, checks.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use flamegate_control::store::maintenance;

use crate::fixtures::postgres;

#[test]
fn migrations_come_as_pairs() {
    let names = |engine: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(engine);
        let names =
            fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        names.collect::<BTreeSet<_>>()
    };
    assert_eq!(names("sqlite"), names("postgres"));
}

/// What `check` says of a server's database is what a file of the same migrations has not, and the other way round.
#[tokio::test(flavor = "multi_thread")]
async fn both_engines_have_the_same_schema() {
    let server = postgres().await;
    let inspection = maintenance::inspect(&server.at).await.unwrap();
    assert_eq!((inspection.problems, inspection.remarks), (Vec::new(), Vec::new()));
}
