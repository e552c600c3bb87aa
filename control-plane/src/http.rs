//! HTTP: REST for people and scripts, the sync for gateways, the pages, and who is admitted. Nothing outside of this folder knows it.

pub mod admission;
pub mod app;
pub mod audit;
pub mod auth;
pub mod caller;
pub mod credentials;
pub mod database;
pub mod envelope;
pub mod error;
pub mod explain;
pub mod extract;
pub mod gateways;
pub mod health;
pub(crate) mod json;
pub mod keys;
pub mod layers;
pub(crate) mod limits;
pub mod openapi;
mod pages;
mod paging;
pub mod receive;
mod replicas;
mod routes;
pub mod server;
pub mod sync;
pub mod users;
pub mod workspaces;
