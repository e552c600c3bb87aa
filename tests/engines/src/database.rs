//! A database as its users see it: each of them by a way of their own that leads to whichever cluster is the primary now, as a service's
//! name does.

use crate::{Link, Postgres, Replication, standby::Standby};

/// A primary, perhaps with a standby, and the ways to it.
pub struct Database {
    /// The cluster that takes writes.
    pub primary: Postgres,
    /// Who follows it.
    pub standby: Option<Standby>,
    /// One way for each user.
    pub links: Vec<Link>,
    /// The database's name.
    pub name: String,
    replication: Option<Replication>,
}

impl Database {
    /// A new database for so many users, with a standby of this kind.
    pub fn start(users: usize, replication: Option<Replication>) -> Self {
        Self::on(Postgres::start(), users, replication)
    }

    /// The same on a cluster that runs.
    pub fn on(primary: Postgres, users: usize, replication: Option<Replication>) -> Self {
        let links = (0..users).map(|_| Link::to(primary.port)).collect();
        let name = primary.new_database();
        let standby = replication.map(|kind| primary.standby(kind));
        Self { primary, standby, links, name, replication }
    }

    /// The address for one of the users.
    pub fn url(&self, user: usize) -> String {
        self.primary.url_by(self.links[user].port, &self.name)
    }

    /// Kills the primary; the standby takes its place, and everybody's way leads to it. It has no standby yet.
    pub fn fail_over(&mut self) {
        self.primary.kill();
        let standby = self.standby.take().expect("a standby");
        self.primary = standby.promote();
        for link in &self.links {
            link.lead_to(self.primary.port);
        }
    }

    /// Gives the primary a standby again.
    pub fn follow(&mut self) {
        self.standby = self.replication.map(|kind| self.primary.standby(kind));
    }

    /// Runs statements in it as the superuser, whatever stands between its users and it.
    pub fn sql(&self, statements: &str) -> String {
        self.primary.sql(&self.name, statements)
    }
}
