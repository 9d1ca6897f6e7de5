//! `acls`, `users` and `quotas`.

use std::fmt::Write as _;

use serde::Serialize;

use crate::derive::{AclAnswer, AclQuestion, AppliedQuota, IdleAcl, limit_text};
use crate::model::{Acl, Quota, ScramUser};
use crate::output::{Printable, Table, or_dash};

/// `acls list`.
#[derive(Clone, Debug, Serialize)]
pub struct AclsJson {
    pub acls: Vec<Acl>,
}

impl Printable for AclsJson {
    fn table(&self) -> String {
        if self.acls.is_empty() {
            return "there are no rules\n".to_owned();
        }
        let columns = [
            "RESOURCE",
            "NAME",
            "PATTERN",
            "PRINCIPAL",
            "HOST",
            "OPERATION",
            "PERMISSION",
        ];
        let mut table = Table::new(&columns);
        for acl in &self.acls {
            table.row([
                acl.resource.to_string(),
                acl.name.clone(),
                acl.pattern.to_string(),
                acl.principal.clone(),
                acl.host.clone(),
                acl.operation.to_string(),
                acl.permission.to_string(),
            ]);
        }
        table.render()
    }
}

/// `acls explain`.
#[derive(Clone, Debug, Serialize)]
pub struct AclAnswerJson {
    pub question: AclQuestion,
    #[serde(flatten)]
    pub answer: AclAnswer,
}

impl Printable for AclAnswerJson {
    fn table(&self) -> String {
        let AclQuestion {
            principal,
            host,
            operation,
            resource,
            name,
        } = &self.question;
        let from = host.as_deref().unwrap_or("anywhere");
        let mut text = format!("may {principal} {operation} {resource} \"{name}\" from {from}?\n");
        let _ = writeln!(text, "{}", self.answer.why);
        for note in &self.answer.notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }
}

/// `acls idle`.
#[derive(Clone, Debug, Serialize)]
pub struct IdleAclsJson {
    pub idle: Vec<IdleAcl>,
    pub of: usize,
    /// Kinds of resources of which it is not known what is there.
    pub not_checked: Vec<String>,
}

impl Printable for IdleAclsJson {
    fn table(&self) -> String {
        let mut text = match (self.idle.len(), self.of) {
            (0, n) => format!("each of the {n} rules does something\n"),
            (idle, n) => format!("{idle} of {n} rules do nothing\n"),
        };
        for idle in &self.idle {
            let _ = writeln!(text, "{}\n  {}", idle.rule, idle.why);
        }
        for kind in &self.not_checked {
            let _ = writeln!(text, "- whether each {kind} exists is not known");
        }
        text
    }
}

/// `users list`.
#[derive(Clone, Debug, Serialize)]
pub struct UsersJson {
    pub users: Vec<ScramUser>,
}

impl Printable for UsersJson {
    fn table(&self) -> String {
        if self.users.is_empty() {
            return "the cluster keeps no passwords\n".to_owned();
        }
        let mut table = Table::new(&["USER", "MECHANISM", ">ITERATIONS"]);
        for user in &self.users {
            for credential in &user.credentials {
                table.row([
                    user.name.clone(),
                    credential.mechanism.to_string(),
                    credential.iterations.to_string(),
                ]);
            }
        }
        table.render()
    }
}

/// `quotas list`.
#[derive(Clone, Debug, Serialize)]
pub struct QuotasJson {
    pub quotas: Vec<Quota>,
}

impl Printable for QuotasJson {
    fn table(&self) -> String {
        if self.quotas.is_empty() {
            return "there are no quotas\n".to_owned();
        }
        let mut table = Table::new(&["ENTITY", "LIMIT", ">VALUE"]);
        for quota in &self.quotas {
            for (limit, value) in &quota.limits {
                table.row([
                    quota.entity.to_string(),
                    limit.clone(),
                    limit_text(limit, *value),
                ]);
            }
        }
        table.render()
    }
}

/// `quotas which`.
#[derive(Clone, Debug, Serialize)]
pub struct WhichQuotasJson {
    pub user: Option<String>,
    pub client_id: Option<String>,
    pub ip: Option<String>,
    pub quotas: Vec<AppliedQuota>,
}

impl Printable for WhichQuotasJson {
    fn table(&self) -> String {
        let mut table = Table::new(&["LIMIT", ">VALUE", "FROM", "SHARED BY"]);
        for quota in &self.quotas {
            let value = quota.value.map(|value| limit_text(&quota.limit, value));
            table.row([
                quota.limit.clone(),
                value.unwrap_or_else(|| "none".to_owned()),
                or_dash(quota.entity.as_ref()),
                or_dash(quota.shared_by.as_ref()),
            ]);
        }
        table.render()
    }
}
