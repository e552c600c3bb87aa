//! The schema.

use sqlx::migrate::Migrator;

/// Every schema that there ever was, in order.
pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");
