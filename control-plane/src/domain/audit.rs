//! The audit log: who did what, when and from where. An entry is written in the transaction of the change that it tells
//! of, so there is never one without the other, and the database refuses to change or delete it.
//!
//! Entries carry names and ids, never a key, a password or a token.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value;

/// Who does something, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The user; `None` for the holder of a token.
    pub user_id: Option<String>,
    /// The operator's token; `None` for a user, and for a token of the environment.
    pub token_id: Option<String>,
    /// For people: the user's address, `token:` and the token's name, or `admin token` for one of the environment.
    pub name: String,
    /// Through what.
    pub via: Via,
    /// The client's address.
    pub address: Option<IpAddr>,
}

/// What an actor uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// The pages.
    Page,
    /// The REST API.
    Api,
    /// The command line, which says so itself.
    Cli,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A key was made.
    KeyCreated,
    /// Existing keys were stored.
    KeysImported,
    /// A key got another name.
    KeyRenamed,
    /// A key got another expiry or other limits.
    KeyUpdated,
    /// A key was replaced.
    KeyRotated,
    /// A key was ended.
    KeyRevoked,
    /// A key was put in shadow.
    KeyShadowBegun,
    /// A key is in shadow no more.
    KeyShadowEnded,
    /// A workspace was made.
    WorkspaceCreated,
    /// A workspace was changed.
    WorkspaceUpdated,
    /// A user was made or joined a workspace.
    UserAdded,
    /// Somebody was invited into a workspace.
    MemberInvited,
    /// An invitation was withdrawn.
    InvitationWithdrawn,
    /// A user got another role, or none.
    RoleSet,
    /// A user became an operator.
    OperatorMade,
    /// A user is no operator any more.
    OperatorEnded,
    /// A user got another password.
    PasswordSet,
    /// A user has a second factor from now on.
    SecondFactorSet,
    /// A user has no second factor any more.
    SecondFactorRemoved,
    /// A user was locked out.
    UserDisabled,
    /// A user was let in again.
    UserEnabled,
    /// A user signed in.
    SignedIn,
    /// A user signed out.
    SignedOut,
    /// A user ended all their sessions.
    SignedOutEverywhere,
    /// A gateway credential was made.
    GatewayCredentialAdded,
    /// A gateway credential was ended.
    GatewayCredentialRevoked,
    /// A gateway was forgotten.
    GatewayForgotten,
    /// A token of operators was made.
    TokenCreated,
    /// A token of operators was ended.
    TokenRevoked,
    /// One session of a user was ended, by them or by an operator.
    SessionEnded,
    /// A plan was made.
    PlanCreated,
    /// A plan was changed, for all who have it.
    PlanUpdated,
    /// A plan was removed.
    PlanDeleted,
}

/// An entry to be written.
#[derive(Clone, Debug)]
pub struct NewEntry<'a> {
    /// Who.
    pub by: &'a Actor,
    /// What.
    pub action: Action,
    /// In which workspace.
    pub workspace_seq: Option<i64>,
    /// The id of the thing that it was done to.
    pub target_id: Option<&'a str>,
    /// Its name.
    pub target: &'a str,
    /// More, as an object.
    pub details: Value,
}

/// An entry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its number: order of writing.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// Id of the workspace.
    pub workspace: Option<String>,
    /// Slug of the workspace.
    pub workspace_slug: Option<String>,
    /// `user`, `token` or `admin_token`.
    pub actor_kind: String,
    /// The user's or the token's id.
    pub actor_id: Option<String>,
    /// The actor's name at that time.
    pub actor: String,
    /// `page`, `api` or `cli`.
    pub via: String,
    /// The client's address.
    pub address: Option<String>,
    /// For example `api_key.revoked`.
    pub action: String,
    /// Id of the thing that it was done to.
    pub target_id: Option<String>,
    /// Its name at that time.
    pub target: String,
    /// More.
    pub details: Value,
}

/// Which entries, and which part of the list.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Only of this workspace.
    pub workspace_seq: Option<i64>,
    /// Only of this action.
    pub action: Option<Action>,
    /// Only what was done to the thing with this id.
    pub target_id: Option<String>,
    /// Only entries before this one.
    pub before: Option<i64>,
    /// How many of them to leave out.
    pub offset: u32,
    /// For pages, with a workspace: an action is looked for among so many of its newest entries. What was done to one thing is found by an index.
    pub look: Option<u32>,
}

impl Via {
    /// Name in JSON and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Api => "api",
            Self::Cli => "cli",
        }
    }
}

impl Action {
    /// All of them, in the order in which a menu lists them.
    pub const ALL: [Self; 33] = [
        Self::KeyCreated,
        Self::KeysImported,
        Self::KeyRenamed,
        Self::KeyUpdated,
        Self::KeyRotated,
        Self::KeyRevoked,
        Self::KeyShadowBegun,
        Self::KeyShadowEnded,
        Self::WorkspaceCreated,
        Self::WorkspaceUpdated,
        Self::PlanCreated,
        Self::PlanUpdated,
        Self::PlanDeleted,
        Self::UserAdded,
        Self::MemberInvited,
        Self::InvitationWithdrawn,
        Self::RoleSet,
        Self::OperatorMade,
        Self::OperatorEnded,
        Self::PasswordSet,
        Self::SecondFactorSet,
        Self::SecondFactorRemoved,
        Self::UserDisabled,
        Self::UserEnabled,
        Self::SignedIn,
        Self::SignedOut,
        Self::SignedOutEverywhere,
        Self::SessionEnded,
        Self::GatewayCredentialAdded,
        Self::GatewayCredentialRevoked,
        Self::GatewayForgotten,
        Self::TokenCreated,
        Self::TokenRevoked,
    ];

    /// Name in JSON and the database; part of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeyCreated => "api_key.created",
            Self::KeysImported => "api_key.imported",
            Self::KeyRenamed => "api_key.renamed",
            Self::KeyUpdated => "api_key.updated",
            Self::KeyRotated => "api_key.rotated",
            Self::KeyRevoked => "api_key.revoked",
            Self::KeyShadowBegun => "api_key.shadow_begun",
            Self::KeyShadowEnded => "api_key.shadow_ended",
            Self::WorkspaceCreated => "workspace.created",
            Self::WorkspaceUpdated => "workspace.updated",
            Self::UserAdded => "user.added",
            Self::MemberInvited => "member.invited",
            Self::InvitationWithdrawn => "member.invitation_withdrawn",
            Self::RoleSet => "user.role_set",
            Self::OperatorMade => "user.operator_made",
            Self::OperatorEnded => "user.operator_ended",
            Self::PasswordSet => "user.password_set",
            Self::SecondFactorSet => "user.second_factor_set",
            Self::SecondFactorRemoved => "user.second_factor_removed",
            Self::UserDisabled => "user.disabled",
            Self::UserEnabled => "user.enabled",
            Self::SignedIn => "session.signed_in",
            Self::SignedOut => "session.signed_out",
            Self::SignedOutEverywhere => "session.signed_out_everywhere",
            Self::GatewayCredentialAdded => "gateway_credential.added",
            Self::GatewayCredentialRevoked => "gateway_credential.revoked",
            Self::GatewayForgotten => "gateway.forgotten",
            Self::TokenCreated => "token.created",
            Self::TokenRevoked => "token.revoked",
            Self::SessionEnded => "session.ended",
            Self::PlanCreated => "plan.created",
            Self::PlanUpdated => "plan.updated",
            Self::PlanDeleted => "plan.deleted",
        }
    }

    /// The action of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == name)
    }
}

impl Actor {
    /// The holder of a token of the environment.
    pub fn admin_token(via: Via, address: Option<IpAddr>) -> Self {
        Self { user_id: None, token_id: None, name: "admin token".to_owned(), via, address }
    }
}

/// What something is done to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// The workspace that it belongs to.
    pub workspace_seq: Option<i64>,
    /// Its id.
    pub id: Option<&'a str>,
    /// Its name.
    pub name: &'a str,
}
