//! Gateways as they were last seen.

use flamegate_control::domain::gateways::StoredGateway;

use crate::fixtures::{Database, at};

fn gateway(id: &str, seconds: i64) -> StoredGateway {
    StoredGateway {
        id: id.to_owned(),
        session: Some([7; 32]),
        version: Some("1.2.3".to_owned()),
        connected: true,
        first_seen: at(0),
        last_seen: at(seconds),
    }
}

async fn save(database: &Database, gateways: Vec<StoredGateway>) {
    database.write(move |tx| Box::pin(async move { tx.save_gateways(&gateways).await })).await;
}

async fn newest(database: &Database, most: usize) -> Vec<StoredGateway> {
    database.store.read().await.unwrap().newest_gateways(most).await.unwrap()
}

pub async fn gateways_come_back_as_they_were_saved_last_seen_first(database: Database) {
    let plain = StoredGateway { session: None, version: None, connected: false, ..gateway("shared/a", 2) };
    let saved = vec![gateway("eu/b", 1), plain, gateway("eu/c", 3)];
    save(&database, saved.clone()).await;
    assert_eq!(newest(&database, 10).await, [saved[2].clone(), saved[1].clone(), saved[0].clone()]);
    assert_eq!(newest(&database, 1).await, [saved[2].clone()]);
    assert!(newest(&database, 0).await.is_empty());
}

pub async fn a_gateway_is_saved_again_in_its_place(database: Database) {
    save(&database, vec![gateway("eu/a", 1)]).await;
    let later = StoredGateway { session: None, connected: false, ..gateway("eu/a", 9) };
    save(&database, vec![later.clone()]).await;
    assert_eq!(newest(&database, 10).await, [later]);
    save(&database, Vec::new()).await;
    assert_eq!(newest(&database, 10).await.len(), 1);
}

pub async fn a_forgotten_gateway_is_gone(database: Database) {
    save(&database, vec![gateway("eu/a", 1), gateway("eu/b", 2)]).await;
    let ids = vec!["eu/a".to_owned(), "eu/unknown".to_owned()];
    database.write(move |tx| Box::pin(async move { tx.forget_gateways(&ids).await })).await;
    assert_eq!(newest(&database, 10).await, [gateway("eu/b", 2)]);
}
