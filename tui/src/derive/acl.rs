//! What ACL rules come to: who may do what and by which rule, and which rules do nothing.
//!
//! Kafka: `StandardAuthorizerData.java`, `AclEntry.java` (4.3).

use std::sync::Arc;

use serde::Serialize;

use crate::model::{
    Acl, AclOperation, AclPattern, AclPermission, AclResource, ClusterSnapshot, EVERYBODY, WILDCARD,
};

/// Who wants to do what, to what, from where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AclQuestion {
    /// `User:alice`.
    pub principal: String,
    /// The client's address; `None` asks about any one that no rule names.
    pub host: Option<String>,
    pub operation: AclOperation,
    pub resource: AclResource,
    pub name: String,
}

/// The answer of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Allowed {
    Yes,
    No,
    /// No rule is about this resource: `allow.everyone.if.no.acl.found` decides, which a broker
    /// does not tell.
    Default,
}

/// The answer, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AclAnswer {
    pub allowed: Allowed,
    /// The rule that decides.
    pub rule: Option<Acl>,
    /// Why, in a sentence.
    pub why: String,
    /// What else bears on it.
    pub notes: Vec<String>,
}

/// Operations that allow `describe` too.
const IMPLY_DESCRIBE: [AclOperation; 4] = [
    AclOperation::READ,
    AclOperation::WRITE,
    AclOperation::DELETE,
    AclOperation::ALTER,
];

/// What is done only with a concrete resource: what `all` stands for.
pub fn operations_of(resource: AclResource) -> &'static [AclOperation] {
    use AclOperation as Op;
    match resource {
        AclResource::TOPIC => &[
            Op::READ,
            Op::WRITE,
            Op::CREATE,
            Op::DESCRIBE,
            Op::DELETE,
            Op::ALTER,
            Op::DESCRIBE_CONFIGS,
            Op::ALTER_CONFIGS,
        ],
        AclResource::GROUP => &[
            Op::READ,
            Op::DESCRIBE,
            Op::DELETE,
            Op::DESCRIBE_CONFIGS,
            Op::ALTER_CONFIGS,
        ],
        AclResource::CLUSTER => &[
            Op::CREATE,
            Op::CLUSTER_ACTION,
            Op::DESCRIBE_CONFIGS,
            Op::ALTER_CONFIGS,
            Op::IDEMPOTENT_WRITE,
            Op::ALTER,
            Op::DESCRIBE,
        ],
        AclResource::TRANSACTIONAL_ID => &[Op::DESCRIBE, Op::WRITE, Op::TWO_PHASE_COMMIT],
        AclResource::DELEGATION_TOKEN => &[Op::DESCRIBE],
        AclResource::USER => &[Op::CREATE_TOKENS, Op::DESCRIBE_TOKENS],
        _ => &[],
    }
}

/// Whether a rule of this operation speaks of that one. Only what is allowed implies more.
fn speaks_of(rule: AclOperation, permission: AclPermission, asked: AclOperation) -> bool {
    if rule == AclOperation::ALL || rule == asked {
        return true;
    }
    permission == AclPermission::ALLOW
        && match asked {
            AclOperation::DESCRIBE => IMPLY_DESCRIBE.contains(&rule),
            AclOperation::DESCRIBE_CONFIGS => rule == AclOperation::ALTER_CONFIGS,
            _ => false,
        }
}

/// Whether a rule is about the resource of that name.
pub fn is_about(rule: &Acl, resource: AclResource, name: &str) -> bool {
    rule.resource == resource
        && match rule.pattern {
            AclPattern::PREFIXED => name.starts_with(&*rule.name),
            AclPattern::LITERAL => rule.name == name || rule.name == WILDCARD,
            _ => false,
        }
}

fn is_for(rule: &Acl, principal: &str, host: Option<&str>) -> bool {
    (rule.principal == principal || rule.principal == EVERYBODY)
        && (rule.host == WILDCARD || Some(&*rule.host) == host)
}

/// Says whether the rules allow something, and which of them decides. `acls` in their order.
///
/// A rule that denies wins over all that allow; of several that allow, the authorizer goes by the
/// last one that it comes to, the ones for `*` coming last.
pub fn explain_acl(acls: &[Acl], question: &AclQuestion) -> AclAnswer {
    let AclQuestion {
        principal,
        host,
        operation,
        resource,
        name,
    } = question;
    let about = |rule: &&Acl| is_about(rule, *resource, name);
    // Those for every name are looked through after all others.
    let is_wild = |rule: &&Acl| rule.pattern == AclPattern::LITERAL && rule.name == WILDCARD;
    let named = acls.iter().filter(about).filter(|rule| !is_wild(rule));
    let rules: Vec<&Acl> = named
        .chain(acls.iter().filter(about).filter(is_wild))
        .collect();
    let matching = |permission: AclPermission| {
        let rules = rules.iter().copied();
        rules.filter(move |rule| {
            rule.permission == permission
                && is_for(rule, principal, host.as_deref())
                && speaks_of(rule.operation, permission, *operation)
        })
    };
    let mut notes = notes(acls, question);
    let deny = matching(AclPermission::DENY).next();
    let allow = matching(AclPermission::ALLOW).next_back();
    let (allowed, rule, why) = match (deny, allow) {
        (Some(rule), _) => {
            let n_allow = matching(AclPermission::ALLOW).count();
            if n_allow > 0 {
                let that = if n_allow == 1 {
                    "1 rule allows"
                } else {
                    "rules allow"
                };
                notes.push(format!("{that} it, but what is denied is denied"));
            }
            (Allowed::No, Some(rule), format!("no, by the rule: {rule}"))
        }
        (None, Some(rule)) => {
            let implied = if rule.operation == *operation || rule.operation == AclOperation::ALL {
                String::new()
            } else {
                format!(", because {} allows {operation} too", rule.operation)
            };
            let why = format!("yes, by the rule: {rule}{implied}");
            (Allowed::Yes, Some(rule), why)
        }
        (None, None) if rules.is_empty() => {
            let why = "no rule is about this resource: allow.everyone.if.no.acl.found of the \
                       brokers decides, no being its default";
            (Allowed::Default, None, why.to_owned())
        }
        (None, None) => {
            let n = rules.len();
            let rules = if n == 1 { "1 rule is" } else { "rules are" };
            let why = format!("no: {rules} about this resource, and none allows it");
            (Allowed::No, None, why)
        }
    };
    if allowed != Allowed::Yes {
        notes.push("a super user of the brokers' super.users may do everything".to_owned());
    }
    AclAnswer {
        allowed,
        rule: rule.cloned(),
        why,
        notes,
    }
}

/// What the brokers ask besides, or instead.
fn notes(acls: &[Acl], question: &AclQuestion) -> Vec<String> {
    let mut notes = Vec::new();
    let with = |resource, name: &str, operation| AclQuestion {
        resource,
        name: name.to_owned(),
        operation,
        ..question.clone()
    };
    match (question.resource, question.operation) {
        (AclResource::TOPIC, AclOperation::CREATE) => {
            let cluster = with(
                AclResource::CLUSTER,
                crate::model::CLUSTER_RESOURCE,
                AclOperation::CREATE,
            );
            let answer = explain_acl(acls, &cluster);
            if answer.allowed == Allowed::Yes {
                notes.push(format!(
                    "who may create on the cluster may too: {}",
                    answer.why
                ));
            }
        }
        (AclResource::CLUSTER, AclOperation::IDEMPOTENT_WRITE) => {
            notes.push("who may write to any topic may write idempotently".to_owned());
        }
        (AclResource::TOPIC, AclOperation::READ) => {
            notes.push("reading as a member of a group needs read on the group too".to_owned());
        }
        _ => {}
    }
    if question.host.is_none() {
        let is_other = |rule: &&Acl| {
            rule.host != WILDCARD
                && is_about(rule, question.resource, &question.name)
                && (rule.principal == question.principal || rule.principal == EVERYBODY)
                && speaks_of(rule.operation, rule.permission, question.operation)
        };
        let mut hosts: Vec<&str> = acls
            .iter()
            .filter(is_other)
            .map(|rule| &*rule.host)
            .collect();
        hosts.dedup();
        if !hosts.is_empty() {
            notes.push(format!("from {} it may be otherwise", hosts.join(", ")));
        }
    }
    notes
}

/// What is the matter with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Idle {
    /// Nothing of that name is there.
    NoSuchResource,
    /// Another rule says all that it says.
    Redundant,
    /// What it allows is denied.
    Denied,
    /// Such a resource has no such operation.
    NoSuchOperation,
}

/// A rule that does nothing, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdleAcl {
    pub rule: Acl,
    pub idle: Idle,
    /// The rule that makes it so.
    pub by: Option<Acl>,
    pub why: String,
}

/// Whether `wide` is about every resource that `narrow` is about.
fn covers_resource(wide: &Acl, narrow: &Acl) -> bool {
    if wide.resource != narrow.resource {
        return false;
    }
    let is_any = |rule: &Acl| rule.pattern == AclPattern::LITERAL && rule.name == WILDCARD;
    match (wide.pattern, narrow.pattern) {
        _ if is_any(wide) => true,
        _ if is_any(narrow) => false,
        (AclPattern::PREFIXED, AclPattern::PREFIXED | AclPattern::LITERAL) => {
            narrow.name.starts_with(&*wide.name)
        }
        (a, b) => a == b && wide.name == narrow.name,
    }
}

fn covers_who(wide: &Acl, narrow: &Acl) -> bool {
    (wide.principal == narrow.principal || wide.principal == EVERYBODY)
        && (wide.host == narrow.host || wide.host == WILDCARD)
}

/// The operations that a rule speaks of.
fn spoken(rule: &Acl) -> impl Iterator<Item = AclOperation> {
    let (operation, permission) = (rule.operation, rule.permission);
    let all = operations_of(rule.resource).iter().copied();
    all.filter(move |asked| speaks_of(operation, permission, *asked))
}

/// The rules that do nothing: of which there is nothing, that say what others say, whose every
/// permission is denied. What is not known (groups that were not read) is not called missing.
pub fn idle_acls(acls: &[Acl], snapshot: &ClusterSnapshot) -> Vec<IdleAcl> {
    let idle = |rule: &Acl| {
        let found = no_operation(rule)
            .or_else(|| covered(acls, rule))
            .or_else(|| missing(rule, snapshot));
        found.map(|(idle, by, why)| IdleAcl {
            rule: rule.clone(),
            idle,
            by,
            why,
        })
    };
    acls.iter().filter_map(idle).collect()
}

type Found = (Idle, Option<Acl>, String);

fn no_operation(rule: &Acl) -> Option<Found> {
    let known = operations_of(rule.resource);
    let is_known = AclOperation::KNOWN.contains(&rule.operation);
    if known.is_empty() || !is_known || spoken(rule).next().is_some() {
        return None;
    }
    let why = format!("nobody asks for {} on a {}", rule.operation, rule.resource);
    Some((Idle::NoSuchOperation, None, why))
}

fn covered(acls: &[Acl], rule: &Acl) -> Option<Found> {
    // What a newer cluster means by it is not known here.
    spoken(rule).next()?;
    let wider =
        |other: &&Acl| *other != rule && covers_resource(other, rule) && covers_who(other, rule);
    let says_all =
        |other: &Acl| spoken(rule).all(|asked| speaks_of(other.operation, other.permission, asked));
    let denials = || {
        let wider = acls.iter().filter(wider);
        wider.filter(|other| other.permission == AclPermission::DENY)
    };
    if rule.permission == AclPermission::ALLOW {
        let is_denied = |asked: AclOperation| {
            denials().any(|deny| speaks_of(deny.operation, deny.permission, asked))
        };
        if spoken(rule).all(is_denied) {
            let by = denials().find(|deny| {
                spoken(rule).any(|asked| speaks_of(deny.operation, deny.permission, asked))
            });
            let why = by.map_or_else(String::new, |by| format!("denied by: {by}"));
            return Some((Idle::Denied, by.cloned(), why));
        }
    }
    let same = acls.iter().filter(wider);
    let mut same = same.filter(|other| other.permission == rule.permission);
    let by = same.find(|other| says_all(other))?;
    let why = format!("says no more than: {by}");
    Some((Idle::Redundant, Some(by.clone()), why))
}

/// The resources of that kind that are there; `None` where that is not known.
fn existing(resource: AclResource, snapshot: &ClusterSnapshot) -> Option<Vec<Arc<str>>> {
    match resource {
        AclResource::TOPIC => {
            let metadata = snapshot.metadata.get()?;
            // Who may not describe all sees a part.
            let whole = metadata.may_describe != Some(false);
            whole.then(|| {
                metadata
                    .topics
                    .iter()
                    .map(|t| Arc::clone(&t.name))
                    .collect()
            })
        }
        AclResource::GROUP => {
            let groups = snapshot
                .groups
                .get()
                .filter(|groups| groups.faults.is_empty())?;
            Some(groups.groups.keys().cloned().collect())
        }
        _ => None,
    }
}

/// Whether it is known which resources of that kind there are.
pub fn knows_existing(resource: AclResource, snapshot: &ClusterSnapshot) -> bool {
    existing(resource, snapshot).is_some()
}

fn missing(rule: &Acl, snapshot: &ClusterSnapshot) -> Option<Found> {
    if rule.pattern == AclPattern::LITERAL && rule.name == WILDCARD {
        return None;
    }
    let names = existing(rule.resource, snapshot)?;
    if names.iter().any(|name| is_about(rule, rule.resource, name)) {
        return None;
    }
    let kind = rule.resource.name();
    let why = match rule.pattern {
        AclPattern::PREFIXED => format!("no {kind} begins with \"{}\"", rule.name),
        _ => format!("there is no {kind} \"{}\"", rule.name),
    };
    Some((Idle::NoSuchResource, None, why))
}

#[cfg(test)]
mod tests;
