//! A plan in words, wherever a page names one: what it limits, what it restricts, and the choice of one in a form.

use askama::Template;

use super::limits::{limit_lines, short_text};
use super::restrict_form::restriction_lines;
use crate::contract::Scope;
use crate::domain::plans::Plan;

/// What a plan allows.
pub(super) struct PlanWords {
    pub name: String,
    /// A line each.
    pub limits: Vec<String>,
    /// Labels and lists of what it may be used for; none for everything.
    pub restrictions: Vec<(&'static str, Vec<String>)>,
}

/// A plan that can be chosen.
pub(super) struct PlanChoice {
    pub name: String,
    /// `gold: 1,000/min, restricted`.
    pub words: String,
}

/// The field of a form that chooses one.
#[derive(Template)]
#[template(path = "plan_field.html")]
pub(super) struct PlanField {
    pub choices: Vec<PlanChoice>,
    pub chosen: String,
    /// What the choice means.
    pub hint: &'static str,
    /// Why it was refused.
    pub problem: Option<String>,
}

/// What the plan of a key means.
pub(super) const OF_KEY: &str = "A plan takes the place of the workspace's default limit. A custom limit and restrictions of the key itself count \
                                 beside it, and so do the workspace's: each of them must let a request pass. Only operators choose plans.";
/// What the plan of a workspace means.
pub(super) const OF_WORKSPACE: &str = "All keys of the workspace share its limits, and none may do more than it allows. What keys have of their own counts beside it.";

impl PlanWords {
    pub fn new(plan: &Plan) -> Self {
        Self {
            name: plan.name.clone(),
            limits: limit_lines(&plan.limits),
            restrictions: restriction_lines(plan.restrict.as_ref()),
        }
    }
}

impl PlanField {
    /// Of plans of one scope; `chosen` is a name, or empty for none.
    pub fn new(plans: &[Plan], chosen: &str, problem: Option<&str>) -> Self {
        let is_of_keys = plans.first().is_none_or(|plan| plan.scope == Scope::Key);
        Self {
            choices: plans.iter().map(PlanChoice::new).collect(),
            chosen: chosen.to_owned(),
            hint: if is_of_keys { OF_KEY } else { OF_WORKSPACE },
            problem: problem.map(str::to_owned),
        }
    }
}

/// A choice of more letters than this is its name alone, which a narrow field has room for.
const MOST_LETTERS: usize = 32;

impl PlanChoice {
    fn new(plan: &Plan) -> Self {
        let restricted = if plan.restrict.is_some() { ", restricted" } else { "" };
        let name = plan.name.clone();
        let words = format!("{name}: {}{restricted}", short_text(&plan.limits));
        let words = if words.chars().count() > MOST_LETTERS { name.clone() } else { words };
        Self { name, words }
    }
}
