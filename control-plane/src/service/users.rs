//! People: added and managed by an operator, never by signing up; signing in and out.

mod manage;
mod members;
mod password;
mod provider;
mod service;
mod sessions;
mod sign_in;

pub use self::manage::Added;
pub use self::members::Invited;
pub use self::service::Users;
pub use self::sign_in::SignIn;
