//! One list at a time for each person: a list may look at every row of a workspace, and whoever opens a hundred of them
//! makes nobody wait but themselves.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time;

use crate::domain::error::Error;

/// Whose turn it is. Clones share it.
#[derive(Clone, Default)]
pub struct Turns {
    people: Arc<Mutex<HashMap<String, Queue>>>,
}

/// It is the holder's turn until this is dropped.
struct Turn {
    _alone: OwnedSemaphorePermit,
    _place: Place,
}

/// One person's lists: the one that is being made, and those that wait for it.
struct Queue {
    one: Arc<Semaphore>,
    waiting: usize,
}

/// A place in a queue. The last one that leaves takes the queue away, so only who is here costs memory.
struct Place {
    turns: Turns,
    person: String,
}

/// A browser that opens its tabs again asks for some lists at once.
const MOST: usize = 6;
/// How long one waits.
const PATIENCE: Duration = Duration::from_secs(5);

impl Turns {
    /// Makes a list when it is the person's turn. It is made to its end even when the person has gone, because SQLite works on:
    /// otherwise whoever asks and goes has many turns at once.
    pub async fn run<T: Send + 'static>(
        &self,
        person: &str,
        list: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let turn = self.take(person).await?;
        let made = tokio::spawn(async move {
            let made = list.await;
            drop(turn);
            made
        });
        made.await.map_err(Error::internal)?
    }

    /// Waits until no other list of this person is being made; refused when too many wait already.
    async fn take(&self, person: &str) -> Result<Turn, Error> {
        let refused = Error::Unavailable("one list at a time");
        let (place, one) = {
            let mut people = self.lock();
            let fresh = || Queue { one: Arc::new(Semaphore::new(1)), waiting: 0 };
            let queue = people.entry(person.to_owned()).or_insert_with(fresh);
            if queue.waiting >= MOST {
                return Err(refused);
            }
            queue.waiting += 1;
            (Place { turns: self.clone(), person: person.to_owned() }, Arc::clone(&queue.one))
        };
        let alone = time::timeout(PATIENCE, one.acquire_owned()).await.map_err(|_| refused)?;
        Ok(Turn { _alone: alone.map_err(Error::internal)?, _place: place })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Queue>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut people = self.turns.lock();
        if let Some(queue) = people.get_mut(&self.person) {
            queue.waiting -= 1;
            if queue.waiting == 0 {
                people.remove(&self.person);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_list_whose_person_has_gone_is_still_their_turn() {
        let turns = Turns::default();
        let (finish, end) = tokio::sync::oneshot::channel::<()>();
        let list = async move { Ok(end.await.is_ok()) };
        let asked = tokio::time::timeout(Duration::ZERO, turns.run("ada", list)).await;
        assert!(asked.is_err(), "they have gone");
        assert_eq!(turns.lock()["ada"].waiting, 1);
        finish.send(()).unwrap();
        turns.run("ada", async { Ok(()) }).await.unwrap();
        while !turns.lock().is_empty() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_person_has_one_turn_and_a_short_queue_and_others_do_not_wait() {
        let turns = Turns::default();
        let first = turns.take("ada").await.unwrap();
        let waiting: Vec<_> = (1..MOST)
            .map(|_| {
                let turns = turns.clone();
                tokio::spawn(async move { turns.take("ada").await.map(drop) })
            })
            .collect();
        while turns.lock()["ada"].waiting < MOST {
            tokio::task::yield_now().await;
        }
        assert!(turns.take("ada").await.is_err(), "the queue is full");
        drop(turns.take("bob").await.unwrap());
        drop(first);
        for turn in waiting {
            turn.await.unwrap().unwrap();
        }
        assert!(turns.lock().is_empty(), "who is gone costs nothing");
    }
}
