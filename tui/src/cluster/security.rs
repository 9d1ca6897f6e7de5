//! ACL rules, SCRAM users and quotas: read, changed, and compared with what was planned.
//!
//! Kafka: `AclApis.scala`, `ScramControlManager.java`, `ClientQuotaControlManager.java` (4.3).

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::{
    AlterClientQuotasRequest, AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
    CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest, DescribeClientQuotasRequest,
    DescribeUserScramCredentialsRequest,
};
use kafka_shared::protocol::StrBytes;
use kafka_shared::sasl::scram::ScramHash;
use kafka_shared::types::random_uuid;

use crate::model::{
    Acl, AclOperation, AclPattern, AclPermission, AclResource, Fault, FaultKind, Quota,
    QuotaEntity, Read, ScramCredential, ScramMechanism, ScramUser, SecurityUpdate, Update,
};
use crate::ops::{Report, SecurityAction, SetPassword, Verification};

use super::wire::{ClusterClient, To, VERIFY_ATTEMPTS, VERIFY_PAUSE, check_code};

/// The code that lets every kind, pattern, operation and permission through a filter.
const ANY: i8 = 1;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn unmentioned(what: &str) -> Fault {
    Fault::new(
        FaultKind::Failed,
        what,
        "the broker's answer does not mention it",
    )
}

impl ClusterClient {
    /// All rules, in the order of Kafka's authorizer.
    ///
    /// # Errors
    /// Also when the cluster keeps no rules (`SECURITY_DISABLED`).
    pub async fn acls(&self) -> Result<Vec<Acl>, Fault> {
        let what = "list the ACL rules";
        let request = DescribeAclsRequest::default()
            .with_resource_type_filter(ANY)
            .with_resource_name_filter(None)
            .with_pattern_type_filter(ANY)
            .with_principal_filter(None)
            .with_host_filter(None)
            .with_operation(ANY)
            .with_permission_type(ANY);
        let response = self.ask(what, To::Any, request).await?;
        check_code(what, response.error_code, response.error_message.as_deref())?;
        let mut acls: Vec<Acl> = Vec::new();
        for resource in &response.resources {
            let rule =
                |acl: &kafka_protocol::messages::describe_acls_response::AclDescription| Acl {
                    resource: AclResource(resource.resource_type),
                    name: resource.resource_name.to_string(),
                    pattern: AclPattern(resource.pattern_type),
                    principal: acl.principal.to_string(),
                    host: acl.host.to_string(),
                    operation: AclOperation(acl.operation),
                    permission: AclPermission(acl.permission_type),
                };
            acls.extend(resource.acls.iter().map(rule));
        }
        acls.sort();
        Ok(acls)
    }

    /// Creates rules; a result for each.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn create_acls(&self, acls: &[Acl]) -> Result<Vec<Result<(), Fault>>, Fault> {
        let what = "create ACL rules";
        let creation = |acl: &Acl| {
            AclCreation::default()
                .with_resource_type(acl.resource.0)
                .with_resource_name(text(&acl.name))
                .with_resource_pattern_type(acl.pattern.0)
                .with_principal(text(&acl.principal))
                .with_host(text(&acl.host))
                .with_operation(acl.operation.0)
                .with_permission_type(acl.permission.0)
        };
        let request =
            CreateAclsRequest::default().with_creations(acls.iter().map(creation).collect());
        let response = self
            .change(what, request, |r| {
                r.results.first().map_or(0, |result| result.error_code)
            })
            .await?;
        let mut results = response.results.iter();
        let result = |_: &Acl| {
            let result = results.next().ok_or_else(|| unmentioned(what))?;
            check_code(what, result.error_code, result.error_message.as_deref())
        };
        Ok(acls.iter().map(result).collect())
    }

    /// Deletes exactly these rules; for each whether it was there.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn delete_acls(&self, acls: &[Acl]) -> Result<Vec<Result<bool, Fault>>, Fault> {
        let what = "delete ACL rules";
        let filter = |acl: &Acl| {
            DeleteAclsFilter::default()
                .with_resource_type_filter(acl.resource.0)
                .with_resource_name_filter(Some(text(&acl.name)))
                .with_pattern_type_filter(acl.pattern.0)
                .with_principal_filter(Some(text(&acl.principal)))
                .with_host_filter(Some(text(&acl.host)))
                .with_operation(acl.operation.0)
                .with_permission_type(acl.permission.0)
        };
        let request = DeleteAclsRequest::default().with_filters(acls.iter().map(filter).collect());
        let error_of = |r: &kafka_protocol::messages::DeleteAclsResponse| {
            r.filter_results
                .first()
                .map_or(0, |result| result.error_code)
        };
        let response = self.change(what, request, error_of).await?;
        let mut results = response.filter_results.iter();
        let result = |_: &Acl| {
            let result = results.next().ok_or_else(|| unmentioned(what))?;
            check_code(what, result.error_code, result.error_message.as_deref())?;
            for acl in &result.matching_acls {
                check_code(what, acl.error_code, acl.error_message.as_deref())?;
            }
            Ok(!result.matching_acls.is_empty())
        };
        Ok(acls.iter().map(result).collect())
    }

    /// The users with passwords that the cluster keeps, by name.
    ///
    /// # Errors
    /// Also for one user that can't be told.
    pub async fn scram_users(&self) -> Result<Vec<ScramUser>, Fault> {
        let what = "list the users with SCRAM passwords";
        // An empty list means all, as none would. Apache Kafka 4.3.1 breaks on none where the user may
        // not ask, and then never answers on that connection again.
        let request = DescribeUserScramCredentialsRequest::default().with_users(Some(Vec::new()));
        let response = self.ask(what, To::Any, request).await?;
        check_code(what, response.error_code, response.error_message.as_deref())?;
        let mut users = Vec::new();
        for user in &response.results {
            check_code(what, user.error_code, user.error_message.as_deref())?;
            let credentials = user.credential_infos.iter().map(|info| ScramCredential {
                mechanism: ScramMechanism(info.mechanism),
                iterations: info.iterations,
            });
            users.push(ScramUser {
                name: user.user.to_string(),
                credentials: credentials.collect(),
            });
        }
        users.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(users)
    }

    /// Sets a password. It is salted here, with a salt of its own.
    ///
    /// # Errors
    /// What the controller says against it.
    pub async fn set_password(&self, set: &SetPassword) -> Result<(), Fault> {
        let what = format!("set the password of user \"{}\"", set.user);
        let hash = ScramHash::of_mechanism(set.mechanism.name());
        let rounds = u32::try_from(set.iterations).ok().and_then(NonZeroU32::new);
        let (Some(hash), Some(rounds)) = (hash, rounds) else {
            return Err(Fault::refused(
                what,
                "there is no such mechanism or no iteration",
            ));
        };
        let salt = [random_uuid().into_bytes(), random_uuid().into_bytes()].concat();
        let password = set.password.clone();
        let salted = kafka_shared::task::spawn_blocking("salt-password", {
            let salt = salt.clone();
            move || hash.salted_password(&password, &salt, rounds)
        });
        let broken = |_| Fault::new(FaultKind::Failed, &what, "the task broke: see the log");
        let salted = salted.await.map_err(broken)?;
        let upsertion = ScramCredentialUpsertion::default()
            .with_name(text(&set.user))
            .with_mechanism(set.mechanism.0)
            .with_iterations(set.iterations)
            .with_salt(salt.into())
            .with_salted_password(salted.into());
        let request = AlterUserScramCredentialsRequest::default().with_upsertions(vec![upsertion]);
        self.alter_scram(&what, request).await
    }

    /// Deletes a user's passwords for these mechanisms.
    ///
    /// # Errors
    /// What the controller says against it; then all are kept.
    pub async fn delete_passwords(
        &self,
        user: &str,
        mechanisms: &[ScramMechanism],
    ) -> Result<(), Fault> {
        let what = format!("delete the password of user \"{user}\"");
        let deletion = |mechanism: &ScramMechanism| {
            ScramCredentialDeletion::default()
                .with_name(text(user))
                .with_mechanism(mechanism.0)
        };
        // A user may be named once in a request.
        for mechanism in mechanisms {
            let request = AlterUserScramCredentialsRequest::default()
                .with_deletions(vec![deletion(mechanism)]);
            self.alter_scram(&what, request).await?;
        }
        Ok(())
    }

    async fn alter_scram(
        &self,
        what: &str,
        request: AlterUserScramCredentialsRequest,
    ) -> Result<(), Fault> {
        let error_of = |r: &AlterUserScramCredentialsResponse| {
            r.results.first().map_or(0, |result| result.error_code)
        };
        let response = self.change(what, request, error_of).await?;
        let result = response.results.first().ok_or_else(|| unmentioned(what))?;
        check_code(what, result.error_code, result.error_message.as_deref())
    }

    /// All quotas, by entity.
    ///
    /// # Errors
    /// When the cluster does not tell.
    pub async fn quotas(&self) -> Result<Vec<Quota>, Fault> {
        let what = "list the client quotas";
        let request = DescribeClientQuotasRequest::default();
        let response = self.ask(what, To::Any, request).await?;
        check_code(what, response.error_code, response.error_message.as_deref())?;
        let entries = response.entries.iter().flatten();
        let quota =
            |entry: &kafka_protocol::messages::describe_client_quotas_response::EntryData| {
                let entity = entry.entity.iter().map(|part| {
                    let name = part.entity_name.as_ref().map(ToString::to_string);
                    (part.entity_type.to_string(), name)
                });
                let limits = entry
                    .values
                    .iter()
                    .map(|value| (value.key.to_string(), value.value));
                Quota {
                    entity: QuotaEntity(entity.collect()),
                    limits: limits.collect(),
                }
            };
        let mut quotas: Vec<Quota> = entries.map(quota).collect();
        quotas.sort_by(|a, b| a.entity.cmp(&b.entity));
        Ok(quotas)
    }

    /// Sets and removes limits of one entity, or lets the controller check it only.
    ///
    /// # Errors
    /// What the controller says against it.
    pub async fn alter_quota(
        &self,
        entity: &QuotaEntity,
        limits: &BTreeMap<String, Option<f64>>,
        validate_only: bool,
    ) -> Result<(), Fault> {
        let what = format!("change the quota of {entity}");
        let part = |(kind, name): (&String, &Option<String>)| {
            EntityData::default()
                .with_entity_type(text(kind))
                .with_entity_name(name.as_deref().map(text))
        };
        let op = |(limit, value): (&String, &Option<f64>)| {
            OpData::default()
                .with_key(text(limit))
                .with_value(value.unwrap_or(0.0))
                .with_remove(value.is_none())
        };
        let entry = EntryData::default()
            .with_entity(entity.0.iter().map(part).collect())
            .with_ops(limits.iter().map(op).collect());
        let request = AlterClientQuotasRequest::default()
            .with_entries(vec![entry])
            .with_validate_only(validate_only);
        let error_of = |r: &kafka_protocol::messages::AlterClientQuotasResponse| {
            r.entries.first().map_or(0, |entry| entry.error_code)
        };
        let response = self.change(&what, request, error_of).await?;
        let result = response.entries.first().ok_or_else(|| unmentioned(&what))?;
        check_code(&what, result.error_code, result.error_message.as_deref())
    }
}

/// Actions as a whole.
impl ClusterClient {
    /// What planning this action has to know.
    pub(crate) async fn read_for(&self, action: &SecurityAction) -> Update {
        fn shared<T>(result: Result<T, Fault>) -> Read<T> {
            result.map(Arc::new).map_err(Arc::new)
        }
        Update::Security(match action {
            SecurityAction::CreateAcls(_) | SecurityAction::DeleteAcls(_) => {
                SecurityUpdate::Acls(shared(self.acls().await))
            }
            SecurityAction::SetPassword(_) | SecurityAction::DeletePassword { .. } => {
                SecurityUpdate::Users(shared(self.scram_users().await))
            }
            SecurityAction::AlterQuota { .. } => {
                SecurityUpdate::Quotas(shared(self.quotas().await))
            }
        })
    }

    pub(crate) async fn check_security(
        &self,
        action: &SecurityAction,
        report: &mut Report,
    ) -> Result<(), Fault> {
        if let SecurityAction::AlterQuota { entity, limits } = action {
            let outcome = self.alter_quota(entity, limits, true).await;
            report.add(entity.to_string(), outcome.map(|()| "accepted".to_owned()));
        }
        Ok(())
    }

    pub(crate) async fn do_security(
        &self,
        action: &SecurityAction,
        report: &mut Report,
    ) -> Result<(), Fault> {
        match action {
            SecurityAction::CreateAcls(acls) => {
                let outcomes = self.create_acls(acls).await?;
                for (acl, outcome) in acls.iter().zip(outcomes) {
                    report.add(acl.to_string(), outcome.map(|()| "created".to_owned()));
                }
            }
            SecurityAction::DeleteAcls(acls) => {
                let outcomes = self.delete_acls(acls).await?;
                for (acl, outcome) in acls.iter().zip(outcomes) {
                    let told = |was_there| {
                        if was_there {
                            "deleted"
                        } else {
                            "it was gone already"
                        }
                    };
                    report.add(acl.to_string(), outcome.map(|there| told(there).to_owned()));
                }
            }
            SecurityAction::SetPassword(set) => {
                let outcome = self.set_password(set).await;
                report.add(
                    format!("user \"{}\"", set.user),
                    outcome.map(|()| format!("password set for {}", set.mechanism)),
                );
            }
            SecurityAction::DeletePassword { user, mechanism } => {
                let users = self.scram_users().await?;
                let found = users.iter().filter(|known| known.name == *user);
                let has = found.flat_map(|known| known.credentials.iter().map(|c| c.mechanism));
                let has = has.filter(|has| mechanism.is_none_or(|wanted| wanted == *has));
                let outcome = self.delete_passwords(user, &has.collect::<Vec<_>>()).await;
                report.add(
                    format!("user \"{user}\""),
                    outcome.map(|()| "password deleted".to_owned()),
                );
            }
            SecurityAction::AlterQuota { entity, limits } => {
                let outcome = self.alter_quota(entity, limits, false).await;
                report.add(entity.to_string(), outcome.map(|()| "changed".to_owned()));
            }
        }
        Ok(())
    }

    /// Compares the cluster with what was wanted, for a while: a broker learns a moment later than
    /// the controller what is new.
    pub(crate) async fn verify_security(
        &self,
        action: &SecurityAction,
    ) -> Result<Verification, Fault> {
        let mut found = self.compare_security(action).await?;
        for _ in 0..VERIFY_ATTEMPTS {
            if found == Verification::Done {
                break;
            }
            tokio::time::sleep(VERIFY_PAUSE).await;
            found = self.compare_security(action).await?;
        }
        Ok(found)
    }

    async fn compare_security(&self, action: &SecurityAction) -> Result<Verification, Fault> {
        let differs = match action {
            SecurityAction::CreateAcls(acls) => {
                let now = self.acls().await?;
                let lacking = acls.iter().find(|acl| !now.contains(acl));
                lacking.map(|acl| format!("this rule is not there: {acl}"))
            }
            SecurityAction::DeleteAcls(acls) => {
                let now = self.acls().await?;
                let left = acls.iter().find(|acl| now.contains(acl));
                left.map(|acl| format!("this rule is still there: {acl}"))
            }
            SecurityAction::SetPassword(set) => {
                let wanted = ScramCredential {
                    mechanism: set.mechanism,
                    iterations: set.iterations,
                };
                let users = self.scram_users().await?;
                let user = users.iter().find(|user| user.name == set.user);
                let is_there = user.is_some_and(|user| user.credentials.contains(&wanted));
                (!is_there).then(|| format!("user \"{}\" has no such password", set.user))
            }
            SecurityAction::DeletePassword { user, mechanism } => {
                let users = self.scram_users().await?;
                let found = users.iter().filter(|known| known.name == *user);
                let mut left = found.flat_map(|known| &known.credentials);
                let is_left = left.any(|c| mechanism.is_none_or(|wanted| wanted == c.mechanism));
                is_left.then(|| format!("user \"{user}\" still has it"))
            }
            SecurityAction::AlterQuota { entity, limits } => {
                let quotas = self.quotas().await?;
                let quota = quotas.iter().find(|quota| quota.entity == *entity);
                let now = |limit: &str| quota.and_then(|quota| quota.limits.get(limit).copied());
                let wrong = limits.iter().find(|(limit, value)| now(limit) != **value);
                wrong.map(|(limit, _)| match now(limit) {
                    Some(value) => format!("{limit} is {value}"),
                    None => format!("{limit} is not set"),
                })
            }
        };
        Ok(
            differs.map_or(Verification::Done, |detail| Verification::Differs {
                detail,
            }),
        )
    }
}
