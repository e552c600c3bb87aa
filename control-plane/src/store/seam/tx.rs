//! What a transaction can do: all areas together.

use std::future::Future;
use std::pin::Pin;

use super::audit::{ReadAudit, WriteAudit};
use super::credentials::{ReadCredentials, WriteCredentials};
use super::gateways::{ReadGateways, WriteGateways};
use super::idempotency::{ReadRequests, WriteRequests};
use super::invitations::{ReadInvitations, WriteInvitations};
use super::keys::{ReadKeys, WriteKeys};
use super::lending::WriteLending;
use super::log::{ReadLog, WriteLog};
use super::operators::{ReadOperators, WriteOperators};
use super::plans::{ReadPlans, WritePlans};
use super::receipts::{ReadReceipts, WriteReceipts};
use super::replicas::{ReadReplicas, WriteReplicas};
use super::second_factors::{ReadSecondFactors, WriteSecondFactors};
use super::sessions::{ReadSessions, WriteSessions};
use super::shadow::{ReadShadow, WriteShadow};
use super::signing::{ReadSigningKeys, WriteSigningKeys};
use super::throttles::WriteThrottles;
use super::usage::{ReadUsage, WriteUsage};
use super::usage_lines::ReadUsageLines;
use super::users::{ReadUsers, WriteUsers};
use super::workspaces::{ReadWorkspaces, WriteWorkspaces};
use crate::domain::error::Error;

/// A trait that is some others together.
macro_rules! sum {
    ($(#[$doc:meta])* $name:ident: $($part:ident)+) => {
        $(#[$doc])*
        pub trait $name: $($part +)+ {}

        impl<T: $($part +)+> $name for T {}
    };
}

sum! {
    /// Everything that can be read.
    Read: ReadKeys ReadWorkspaces ReadUsers ReadAudit ReadSessions ReadRequests ReadCredentials ReadOperators ReadSigningKeys ReadGateways ReadReplicas ReadLog ReadUsage ReadUsageLines ReadReceipts ReadInvitations ReadSecondFactors ReadPlans ReadShadow
}

sum! {
    /// Everything that can be read and written.
    ///
    /// What a transaction has found stays as it is until its end: nobody else changes it meanwhile. Whatever changes what gateways see of a
    /// key takes the next revision in the same call.
    Write: Read WriteKeys WriteWorkspaces WriteUsers WriteAudit WriteSessions WriteRequests WriteCredentials WriteOperators WriteSigningKeys WriteGateways WriteReplicas WriteThrottles WriteLog WriteUsage WriteReceipts WriteInvitations WriteLending WriteSecondFactors WritePlans WriteShadow
}

/// What a reader sees; each call sees everything that was committed before it began.
pub type View = dyn Read;
/// What a write transaction works on.
pub type Tx = dyn Write;

/// A boxed step of a transaction.
pub type Work<'t, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 't>>;
