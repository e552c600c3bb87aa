//! People: added and managed by an operator, never by signing up; signing in and out.

mod half_way;
mod manage;
mod members;
mod password;
mod provider;
mod second_factor;
mod service;
mod sessions;
mod sign_in;

pub use self::half_way::{HalfWay, SetUp};
pub use self::manage::Added;
pub use self::members::Invited;
pub use self::second_factor::Shown as ShownSecondFactor;
pub use self::service::Users;
pub use self::sessions::SESSIONS_SHOWN;
pub use self::sign_in::SignIn;
