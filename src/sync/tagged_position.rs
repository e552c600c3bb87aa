//! Where the table stands, with its tag: read when somebody begins to lead, noted whenever it moves.

use crate::host::SharedData;
use crate::table::status::Status;
use crate::table::tag;

use super::machine::Position;

/// The position whose tag stands in shared data, if it does.
#[derive(Debug, Default)]
pub struct Tagged(Option<Position>);

/// The position of a whole table, with its tag when that is known.
pub fn position<H: SharedData>(host: &H, status: &Status) -> Position {
    Position {
        epoch: status.epoch.clone(),
        revision: status.revision,
        tag: tag::read(host, &status.epoch, status.revision).ok().flatten(),
    }
}

impl Tagged {
    /// What was just read.
    pub fn from(position: Option<&Position>) -> Self {
        Self(position.filter(|position| position.tag.is_some()).cloned())
    }

    /// Notes the tag of where the table stands, after `status`. When that fails, or the context dies in between, the next
    /// leader is judged by its revision alone.
    pub fn note<H: SharedData>(&mut self, host: &H, position: Option<&Position>) {
        let Some(position) = position.filter(|position| self.0.as_ref() != Some(position)) else { return };
        let Some(tag) = &position.tag else { return };
        match tag::write(host, &position.epoch, position.revision, tag) {
            Ok(()) => self.0 = Some(position.clone()),
            Err(error) => log::debug!("flamegate: the table's tag was not noted: {error}"),
        }
    }
}
