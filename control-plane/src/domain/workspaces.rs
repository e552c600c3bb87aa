//! Workspaces: whom keys belong to.

pub(crate) mod draft;
pub(crate) mod slug;
pub(crate) mod workspace;

pub use self::draft::{Defaults, WorkspaceDraft, WorkspacePatch};
pub use self::workspace::{Renewed, Workspace};
