//! From a provider's claims to a user here: who it is, and which roles they get. Whatever workspace a rule names is the provider's to
//! give and to take; all others are left to operators.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::domain::names;
use crate::domain::users::{Role, normal_email};

/// What a provider says of somebody.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims(pub Map<String, Value>);

/// Which claims make which roles, as `groups=admins:operator,groups=acme:acme/owner,*:acme/viewer`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    /// A claim and a value that it has to have; `None` for everybody.
    claim: Option<(String, String)>,
    grant: Grant,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Grant {
    Operator,
    Role(String, Role),
}

/// Who somebody is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What the provider calls them, for good.
    pub subject: String,
    /// What they are called here.
    pub email: String,
    /// Workspaces that the rules name (slugs), and the role in each; `None` for no place there.
    pub roles: BTreeMap<String, Option<Role>>,
    /// Whether they are an operator, if the rules have a say in it.
    pub operator: Option<bool>,
}

/// What the rules look like.
const FORM: &str = "rules are CLAIM=VALUE:WORKSPACE/ROLE or CLAIM=VALUE:operator, or * for everybody, such as groups=acme-admins:acme/owner,*:acme/viewer";
const EMAIL: [&str; 2] = ["email", "email_verified"];
/// Longest subject (OpenID Connect Core, 2).
const MAX_SUBJECT: usize = 255;

impl FromStr for Rules {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rules = text.split(',').map(str::trim).filter(|rule| !rule.is_empty());
        rules.map(Rule::parse).collect::<Option<Vec<_>>>().map(Self).ok_or(FORM)
    }
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        // A claim's name and value may have colons (`https://example.com/groups`), a slug has none.
        let (condition, grant) = text.rsplit_once(':')?;
        let claim = match condition {
            "*" => None,
            condition => {
                let (name, value) = condition.split_once('=')?;
                Some((name.to_owned(), value.to_owned()))
                    .filter(|_| !name.is_empty() && !value.is_empty())?
                    .into()
            }
        };
        let grant = match grant.split_once('/') {
            None if grant == "operator" => Grant::Operator,
            Some((workspace, role)) if !workspace.is_empty() => {
                Grant::Role(workspace.to_owned(), Role::named(role)?)
            }
            _ => return None,
        };
        // Everybody an operator is nobody's wish.
        (claim.is_some() || grant != Grant::Operator).then_some(Self { claim, grant })
    }

    fn holds(&self, claims: &Claims) -> bool {
        self.claim.as_ref().is_none_or(|(name, value)| claims.has(name, value))
    }
}

impl Rules {
    /// True when there are none: people and roles are then the operators' business.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of claims that count.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|rule| rule.claim.as_ref()).map(|(name, _)| name.as_str())
    }

    /// Who somebody with these claims is here. The error is for them.
    pub fn identify(&self, claims: &Claims) -> Result<Identity, &'static str> {
        let subject = claims.text("sub").filter(|subject| (1..=MAX_SUBJECT).contains(&subject.len()));
        let subject = subject.ok_or("The provider does not say who you are.")?.to_owned();
        let email = claims.text("email").map(normal_email).filter(|email| is_plain(email));
        let email = email.ok_or("The provider does not tell your e-mail address.")?;
        // Some say so in a text.
        let verified = claims.get("email_verified").is_some_and(|v| v == &Value::Bool(true) || v == "true");
        if !verified {
            return Err("The provider has not verified your e-mail address.");
        }
        let (mut roles, mut operator) = (BTreeMap::<String, Option<Role>>::new(), None);
        for rule in &self.0 {
            let holds = rule.holds(claims);
            match &rule.grant {
                Grant::Operator => operator = Some(operator == Some(true) || holds),
                Grant::Role(workspace, role) => {
                    let best = roles.entry(workspace.clone()).or_default();
                    *best = (*best).max(holds.then_some(*role));
                }
            }
        }
        Ok(Identity { subject, email, roles, operator })
    }
}

impl Identity {
    /// True when the rules give them a place.
    pub fn has_place(&self) -> bool {
        self.operator == Some(true) || self.roles.values().any(Option::is_some)
    }
}

impl Claims {
    /// A claim of this name, or with dots what lies that deep (`realm_access.roles`).
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).or_else(|| {
            let (first, rest) = name.split_once('.')?;
            rest.split('.').try_fold(self.0.get(first)?, |value, part| value.get(part))
        })
    }

    /// Adds what is not there yet. The address and whether it is verified are of one piece: both, or neither.
    pub fn add(&mut self, more: Self) {
        if EMAIL.iter().any(|name| !self.0.contains_key(*name)) {
            EMAIL.iter().for_each(|name| drop(self.0.remove(*name)));
        }
        for (name, value) in more.0 {
            self.0.entry(name).or_insert(value);
        }
    }

    /// A claim that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// Whether a claim is this value, or a list with it.
    fn has(&self, name: &str, value: &str) -> bool {
        let is = |found: &Value| match found {
            Value::String(text) => text == value,
            Value::Bool(_) | Value::Number(_) => found.to_string().as_str() == value,
            _ => false,
        };
        match self.get(name) {
            Some(Value::Array(all)) => all.iter().any(is),
            Some(one) => is(one),
            None => false,
        }
    }
}

fn is_plain(email: &str) -> bool {
    names::hidden(email).is_none()
        && email.len() <= 254
        && email.split('@').filter(|part| !part.is_empty()).count() == 2
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Claims {
        let Value::Object(more) = value else { panic!("an object") };
        let mut all = json!({"sub": "42", "email": "Ann@Example.com", "email_verified": true});
        all.as_object_mut().unwrap().extend(more);
        Claims(all.as_object().unwrap().clone())
    }

    #[test]
    fn rules_give_the_highest_role_and_take_what_they_name() {
        let rules: Rules =
            "groups=ops:operator, groups=acme-admins:acme/owner,*:acme/viewer,realm.roles=dev:beta/member,https://x.example/t=a:b:gamma/owner"
                .parse()
                .unwrap();
        let of = |value| rules.identify(&claims(value)).unwrap();
        let plain = of(json!({}));
        assert_eq!(
            (plain.email.as_str(), plain.operator, plain.has_place()),
            ("ann@example.com", Some(false), true)
        );
        let roles = |identity: &Identity| identity.roles.values().copied().collect::<Vec<_>>();
        assert_eq!(roles(&plain), [Some(Role::Viewer), None, None], "acme, beta, gamma");
        let more = of(
            json!({"groups": ["acme-admins", "ops"], "realm": {"roles": "dev"}, "https://x.example/t": "a:b"}),
        );
        assert_eq!(more.operator, Some(true));
        assert_eq!(roles(&more), [Some(Role::Owner), Some(Role::Member), Some(Role::Owner)]);
        // A part of a value is not the value.
        assert_eq!(roles(&of(json!({"groups": "acme-admins-not"})))[0], Some(Role::Viewer));
        let none = Rules::default().identify(&claims(json!({}))).unwrap();
        assert!(!none.has_place() && none.operator.is_none() && Rules::default().is_empty());
    }

    #[test]
    fn an_address_is_verified_by_who_says_it() {
        let of = |value: Value| Claims(value.as_object().unwrap().clone());
        let mut claims = of(json!({"sub": "1", "email": "boss@example.com", "groups": "a"}));
        claims.add(of(json!({"sub": "1", "email": "me@example.com", "email_verified": true, "groups": "b"})));
        assert_eq!((claims.text("email"), claims.text("groups")), (Some("me@example.com"), Some("a")));
        let mut claims = of(json!({"email_verified": true}));
        claims.add(of(json!({"email": "me@example.com"})));
        assert!(claims.get("email_verified").is_none());
    }

    #[test]
    fn rules_that_could_mean_another_thing_are_refused() {
        for text in [
            "*:operator",
            "groups:acme/owner",
            "=x:acme/owner",
            "groups=:acme/owner",
            "groups=x:acme",
            "groups=x:acme/boss",
            "groups=x:/owner",
            "x",
        ] {
            assert_eq!(text.parse::<Rules>(), Err(FORM), "{text}");
        }
        assert!("".parse::<Rules>().unwrap().is_empty());
    }

    #[test]
    fn nobody_comes_in_by_an_address_that_is_not_theirs() {
        let rules = Rules::default();
        for wrong in [
            json!({"email_verified": false}),
            json!({"email_verified": null}),
            json!({"email_verified": "yes"}),
            json!({"email": "ann"}),
            json!({"email": "a@b@c"}),
            json!({"email": null}),
            json!({"sub": ""}),
            json!({"sub": 7}),
            json!({"sub": "x".repeat(256)}),
        ] {
            assert!(rules.identify(&claims(wrong.clone())).is_err(), "{wrong}");
        }
        assert!(rules.identify(&claims(json!({"email_verified": "true"}))).is_ok());
    }
}
