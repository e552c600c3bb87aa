//! The plans of the installation, for people who are operators: what each allows and who is on it; made, changed and removed by forms.

mod change;
mod delete;
mod form;
mod lists;
mod page;

pub(super) use self::change::{ask_edit, create, edit, new};
pub(super) use self::delete::{ask_delete, delete};
pub(super) use self::lists::list;
pub(super) use self::page::show;
