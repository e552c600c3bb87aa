//! People: who may use the pages of which workspace, and as what.

pub mod device;
pub(crate) mod draft;
pub(crate) mod invitation;
pub mod password;
pub mod second_factor;
pub(crate) mod user;

pub use self::draft::{PasswordDraft, RoleDraft, UserDraft, UserPatch};
pub use self::invitation::Invitation;
pub(crate) use self::user::normal_email;
pub use self::user::{Membership, NewUser, Role, User};
