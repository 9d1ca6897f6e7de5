//! Plans for rules, passwords and quotas.

use std::collections::{BTreeMap, BTreeSet};

use kafka_shared::sasl::scram::ITERATIONS_MIN;

use crate::model::{
    Acl, AclPattern, AclPermission, AclResource, CLIENT_LIMITS, CLUSTER_RESOURCE, ClusterMetadata,
    ClusterSnapshot, Fault, IP_LIMITS, Quota, QuotaEntity, Resource, ScramCredential,
    ScramMechanism, ScramUser,
};
use crate::ops::action::{Action, SecurityAction, SetPassword};
use crate::ops::plan::{Danger, Plan};

use super::{bootstrap, count, quote};

/// What becomes of the subject of a change: the rule is there, or not.
const RULE: &str = "a rule";

/// Kafka takes no more iterations than this for a new password.
const ITERATIONS_MAX: i32 = 16_384;

pub(super) fn plan(
    action: SecurityAction,
    metadata: &ClusterMetadata,
    snapshot: &ClusterSnapshot,
) -> Result<Plan, Fault> {
    let security = &snapshot.security;
    match action {
        SecurityAction::CreateAcls(acls) => create(acls, known(&security.acls)?, metadata),
        SecurityAction::DeleteAcls(acls) => delete(acls, known(&security.acls)?, metadata),
        SecurityAction::SetPassword(set) => set_password(set, known(&security.users)?, metadata),
        SecurityAction::DeletePassword { user, mechanism } => {
            delete_password(user, mechanism, known(&security.users)?, metadata)
        }
        SecurityAction::AlterQuota { entity, limits } => {
            alter_quota(entity, limits, known(&security.quotas)?, metadata)
        }
    }
}

/// What is there now, as far as it was read; a cluster that has no such thing says so itself.
fn known<T>(resource: &Resource<Vec<T>>) -> Result<Option<&[T]>, Fault> {
    match (resource.get(), resource.fault()) {
        (Some(value), _) => Ok(Some(value)),
        (None, Some(fault)) => Err(Fault::clone(fault)),
        (None, None) => Ok(None),
    }
}

fn check_acl(acl: &Acl) -> Result<(), String> {
    match acl.principal.split_once(':') {
        Some((kind, name)) if !kind.is_empty() && !name.is_empty() => {}
        _ => {
            return Err(format!(
                "\"{}\" is no principal: it is written as User:alice",
                acl.principal
            ));
        }
    }
    if acl.name.is_empty() {
        return Err("the resource has no name: * is every one".to_owned());
    }
    if acl.host.is_empty() {
        return Err("the host is empty: * is every one".to_owned());
    }
    if acl.resource == AclResource::CLUSTER
        && (acl.name != CLUSTER_RESOURCE || acl.pattern != AclPattern::LITERAL)
    {
        return Err(format!(
            "there is one cluster, and its name is {CLUSTER_RESOURCE}"
        ));
    }
    let known = crate::derive::operations_of(acl.resource);
    let is_all = acl.operation == crate::model::AclOperation::ALL;
    if !known.is_empty() && !is_all && !known.contains(&acl.operation) {
        let names: Vec<&str> = known.iter().map(|operation| operation.name()).collect();
        return Err(format!(
            "a {} has no operation {}: it has {} and all",
            acl.resource,
            acl.operation,
            names.join(", ")
        ));
    }
    Ok(())
}

fn title(verb: &str, acls: &[Acl]) -> Result<String, Fault> {
    Ok(match acls {
        [] => return Err(Fault::refused(format!("{verb} rules"), "no rule is named")),
        [acl] => format!("{verb} the rule: {acl}"),
        acls => format!("{verb} {}", count(acls.len(), "rule")),
    })
}

fn create(
    acls: Vec<Acl>,
    known: Option<&[Acl]>,
    metadata: &ClusterMetadata,
) -> Result<Plan, Fault> {
    let title = title("create", &acls)?;
    if let Some(why) = acls.iter().find_map(|acl| check_acl(acl).err()) {
        return Err(Fault::refused(title, why));
    }
    let denies = acls.iter().any(|acl| acl.permission == AclPermission::DENY);
    let danger = if denies {
        Danger::Disruptive
    } else {
        Danger::Safe
    };
    let is_there = |acl: &Acl| known.is_some_and(|known| known.contains(acl));
    let (old, new): (Vec<Acl>, Vec<Acl>) = acls.into_iter().partition(is_there);
    let action = Action::Security(SecurityAction::CreateAcls(new.clone()));
    let mut plan = Plan::new(action, title, danger);
    let told = old.iter().map(|acl| format!("there is already: {acl}"));
    plan.not_done.extend(told);
    let mut first = BTreeSet::new();
    for acl in &new {
        plan.change(acl.to_string(), None, Some(RULE.to_owned()));
        let on_it = |other: &&Acl| {
            other.resource == acl.resource && other.name == acl.name && other.pattern == acl.pattern
        };
        if known.is_some_and(|known| !known.iter().any(|other| on_it(&other))) {
            first.insert(acl.resource_text());
        }
    }
    for resource in first {
        plan.warnings.push(format!(
            "{resource} has no rule yet: where allow.everyone.if.no.acl.found is true, everybody \
             who is not named by a rule loses it"
        ));
    }
    if denies {
        plan.warnings
            .push("what is denied is denied, whatever allows it".to_owned());
    }
    plan.equivalent = equivalent("--add", &new, metadata);
    plan.inverse = Some(Action::Security(SecurityAction::DeleteAcls(new)));
    Ok(plan)
}

fn delete(
    acls: Vec<Acl>,
    known: Option<&[Acl]>,
    metadata: &ClusterMetadata,
) -> Result<Plan, Fault> {
    let title = title("delete", &acls)?;
    let is_there = |acl: &Acl| known.is_none_or(|known| known.contains(acl));
    let (there, gone): (Vec<Acl>, Vec<Acl>) = acls.into_iter().partition(is_there);
    let action = Action::Security(SecurityAction::DeleteAcls(there.clone()));
    let mut plan = Plan::new(action, title, Danger::Disruptive);
    let told = gone
        .iter()
        .map(|acl| format!("there is no such rule: {acl}"));
    plan.not_done.extend(told);
    for acl in &there {
        plan.change(acl.to_string(), Some(RULE.to_owned()), None);
    }
    if there
        .iter()
        .any(|acl| acl.permission == AclPermission::DENY)
    {
        plan.warnings
            .push("what a rule denied may be allowed by others".to_owned());
    }
    let is_last = |acl: &&Acl| {
        let left = known.unwrap_or_default().iter();
        let mut left = left.filter(|other| !there.contains(other));
        known.is_some()
            && !left.any(|other| other.resource == acl.resource && other.name == acl.name)
    };
    let last: BTreeSet<String> = there
        .iter()
        .filter(is_last)
        .map(Acl::resource_text)
        .collect();
    for resource in last {
        plan.warnings.push(format!(
            "no other rule names {resource}: where allow.everyone.if.no.acl.found is true, \
             everybody may use it then"
        ));
    }
    plan.equivalent = equivalent("--remove --force", &there, metadata);
    plan.inverse = Some(Action::Security(SecurityAction::CreateAcls(there)));
    Ok(plan)
}

/// Each rule as a line of kafka-acls: together they would multiply.
fn equivalent(verb: &str, acls: &[Acl], metadata: &ClusterMetadata) -> Vec<String> {
    let line = |acl: &Acl| {
        let resource = match acl.resource {
            AclResource::CLUSTER => "--cluster".to_owned(),
            AclResource::TRANSACTIONAL_ID => format!("--transactional-id {}", quote(&acl.name)),
            AclResource::DELEGATION_TOKEN => format!("--delegation-token {}", quote(&acl.name)),
            AclResource::USER => format!("--user-principal {}", quote(&acl.name)),
            kind => format!("--{kind} {}", quote(&acl.name)),
        };
        let pattern = match acl.pattern {
            AclPattern::PREFIXED => " --resource-pattern-type prefixed",
            _ => "",
        };
        let who = acl.permission.name();
        let operation = acl.operation.name().split('_').map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            first.to_uppercase() + rest
        });
        let operation: String = operation.collect();
        format!(
            "kafka-acls.sh {} {verb} --{who}-principal {} --{who}-host {} --operation {operation} \
             {resource}{pattern}",
            bootstrap(metadata),
            quote(&acl.principal),
            quote(&acl.host),
        )
    };
    acls.iter().map(line).collect()
}

fn set_password(
    set: SetPassword,
    known: Option<&[ScramUser]>,
    metadata: &ClusterMetadata,
) -> Result<Plan, Fault> {
    let title = format!("set the password of user \"{}\"", set.user);
    let refuse = |why: String| Err(Fault::refused(title.clone(), why));
    if set.user.is_empty() {
        return refuse("the user has no name".to_owned());
    }
    if set.password.is_empty() {
        return refuse("the password is empty".to_owned());
    }
    let least = i32::try_from(ITERATIONS_MIN).unwrap_or(i32::MAX);
    if !(least..=ITERATIONS_MAX).contains(&set.iterations) {
        return refuse(format!("iterations are from {least} to {ITERATIONS_MAX}"));
    }
    let user = known.and_then(|users| users.iter().find(|user| user.name == set.user));
    let credentials = user.map_or(&[][..], |user| &user.credentials);
    let before = credentials.iter().find(|c| c.mechanism == set.mechanism);
    let danger = if before.is_some() {
        Danger::Disruptive
    } else {
        Danger::Safe
    };
    let action = Action::Security(SecurityAction::SetPassword(set.clone()));
    let mut plan = Plan::new(action, title, danger);
    plan.change(
        format!("user \"{}\", {}", set.user, set.mechanism),
        before.map(|c| password_text(c.iterations)),
        Some(password_text(set.iterations)),
    );
    if before.is_some() {
        plan.warnings
            .push("clients with the old password can't log in any more".to_owned());
        plan.irrevocable.push(no_password(&set.user));
    }
    let others: Vec<&str> = credentials
        .iter()
        .filter(|c| c.mechanism != set.mechanism)
        .map(|c| c.mechanism.name())
        .collect();
    if !others.is_empty() {
        plan.not_done.push(format!(
            "the password for {} stays as it is",
            others.join(", ")
        ));
    }
    plan.equivalent.push(format!(
        "kafka-configs.sh {} --alter --entity-type users --entity-name {} --add-config \
         '{}=[iterations={},password=…]'",
        bootstrap(metadata),
        quote(&set.user),
        set.mechanism,
        set.iterations
    ));
    if known.is_some() && before.is_none() {
        plan.inverse = Some(Action::Security(SecurityAction::DeletePassword {
            user: set.user,
            mechanism: Some(set.mechanism),
        }));
    }
    Ok(plan)
}

fn no_password(user: &str) -> String {
    format!("the password that user \"{user}\" had is known to nobody here")
}

fn password_text(iterations: i32) -> String {
    format!("a password, {iterations} iterations")
}

fn delete_password(
    user: String,
    mechanism: Option<ScramMechanism>,
    known: Option<&[ScramUser]>,
    metadata: &ClusterMetadata,
) -> Result<Plan, Fault> {
    let title = format!("delete the password of user \"{user}\"");
    let found = known.and_then(|users| users.iter().find(|known| known.name == user));
    let text = |credential: &ScramCredential| {
        let text = password_text(credential.iterations);
        (credential.mechanism, text)
    };
    let mut mechanisms: Vec<(ScramMechanism, String)> = match (known, mechanism) {
        (None, Some(mechanism)) => vec![(mechanism, "a password".to_owned())],
        _ => found
            .map(|user| user.credentials.iter().map(text).collect())
            .unwrap_or_default(),
    };
    mechanisms.retain(|known| mechanism.is_none_or(|wanted| wanted == known.0));
    if mechanisms.is_empty() {
        let why = match (found, mechanism) {
            (Some(_), Some(mechanism)) => format!("user \"{user}\" has none for {mechanism}"),
            _ => format!("there is no user \"{user}\" with a password"),
        };
        return Err(Fault::not_found(title, why));
    }
    let action = Action::Security(SecurityAction::DeletePassword {
        user: user.clone(),
        mechanism,
    });
    let mut plan = Plan::new(action, title, Danger::Destructive);
    for (mechanism, before) in &mechanisms {
        let subject = format!("user \"{user}\", {mechanism}");
        plan.change(subject, Some(before.clone()), None);
    }
    plan.warnings
        .push("clients that log in with it can't any more".to_owned());
    plan.irrevocable.push(no_password(&user));
    plan.not_done
        .push("connections that are open stay until they authenticate again".to_owned());
    plan.typed_confirmation = Some(user.clone());
    let names: Vec<&str> = mechanisms.iter().map(|m| m.0.name()).collect();
    plan.equivalent.push(format!(
        "kafka-configs.sh {} --alter --entity-type users --entity-name {} --delete-config {}",
        bootstrap(metadata),
        quote(&user),
        names.join(",")
    ));
    Ok(plan)
}

fn check_entity(entity: &QuotaEntity) -> Result<&'static [&'static str], String> {
    let kinds: Vec<&str> = entity.0.keys().map(String::as_str).collect();
    match kinds[..] {
        [QuotaEntity::IP] => Ok(&IP_LIMITS),
        [QuotaEntity::USER | QuotaEntity::CLIENT_ID]
        | [QuotaEntity::CLIENT_ID, QuotaEntity::USER] => Ok(&CLIENT_LIMITS),
        [] => Err("nobody is named: a user, a client id, both, or an address".to_owned()),
        _ => Err("a quota is for a user, a client id, both, or an address alone".to_owned()),
    }
}

fn alter_quota(
    entity: QuotaEntity,
    limits: BTreeMap<String, Option<f64>>,
    known: Option<&[Quota]>,
    metadata: &ClusterMetadata,
) -> Result<Plan, Fault> {
    let title = format!("change the quota of {entity}");
    let refuse = |why: String| Err(Fault::refused(title.clone(), why));
    let possible = match check_entity(&entity) {
        Ok(possible) => possible,
        Err(why) => return refuse(why),
    };
    if limits.is_empty() {
        return refuse("no limit is named".to_owned());
    }
    for (limit, value) in &limits {
        if !possible.contains(&limit.as_str()) {
            return refuse(format!(
                "there is no limit {limit} here: there is {}",
                possible.join(", ")
            ));
        }
        if value.is_some_and(|value| !value.is_finite() || value <= 0.0) {
            return refuse(format!("{limit} has to be a number above 0"));
        }
    }
    let quota = known.and_then(|quotas| quotas.iter().find(|quota| quota.entity == entity));
    let now = |limit: &str| quota.and_then(|quota| quota.limits.get(limit).copied());
    let (mut wanted, mut inverse) = (BTreeMap::new(), BTreeMap::new());
    let placeholder = Action::Security(SecurityAction::AlterQuota {
        entity: entity.clone(),
        limits: BTreeMap::new(),
    });
    let mut plan = Plan::new(placeholder, title.clone(), Danger::Safe);
    for (limit, value) in limits {
        let before = now(&limit);
        if known.is_some() && before == value {
            plan.not_done.push(format!("{limit} is so already"));
            continue;
        }
        let is_stricter = value.is_some_and(|value| before.is_none_or(|before| value < before));
        if is_stricter {
            plan.danger = Danger::Disruptive;
        }
        let text = |value: Option<f64>| value.map(|value| value.to_string());
        plan.change(limit.clone(), text(before), text(value));
        inverse.insert(limit.clone(), before);
        wanted.insert(limit, value);
    }
    if plan.danger == Danger::Disruptive {
        plan.warnings
            .push("who is above the new limit is slowed down at once".to_owned());
    }
    if !wanted.is_empty() {
        plan.equivalent.push(quota_line(&entity, &wanted, metadata));
    }
    if known.is_some() && !wanted.is_empty() {
        plan.inverse = Some(Action::Security(SecurityAction::AlterQuota {
            entity: entity.clone(),
            limits: inverse,
        }));
    }
    plan.action = Action::Security(SecurityAction::AlterQuota {
        entity,
        limits: wanted,
    });
    Ok(plan)
}

fn quota_line(
    entity: &QuotaEntity,
    limits: &BTreeMap<String, Option<f64>>,
    metadata: &ClusterMetadata,
) -> String {
    let mut line = format!("kafka-configs.sh {} --alter", bootstrap(metadata));
    for (kind, name) in entity.0.iter().rev() {
        let kind = match kind.as_str() {
            QuotaEntity::CLIENT_ID => "clients",
            QuotaEntity::IP => "ips",
            _ => "users",
        };
        line.push_str(&match name {
            Some(name) => format!(" --entity-type {kind} --entity-name {}", quote(name)),
            None => format!(" --entity-type {kind} --entity-default"),
        });
    }
    let set = limits.iter();
    let set = set.filter_map(|(limit, value)| value.map(|value| format!("{limit}={value}")));
    let set: Vec<String> = set.collect();
    if !set.is_empty() {
        line.push_str(&format!(" --add-config {}", quote(&set.join(","))));
    }
    let removed = limits.iter().filter(|(_, value)| value.is_none());
    let removed: Vec<&str> = removed.map(|(limit, _)| limit.as_str()).collect();
    if !removed.is_empty() {
        line.push_str(&format!(" --delete-config {}", removed.join(",")));
    }
    line
}

#[cfg(test)]
mod tests;
