//! Commands for ACL rules, SCRAM users and client quotas.

use std::collections::BTreeMap;
use std::path::Path;

use clap::{Args, Subcommand};
use kafka_shared::secret::{Secret, Source, read_text};

use crate::derive::{self, AclQuestion, Allowed};
use crate::model::{
    Acl, AclOperation, AclPattern, AclPermission, AclResource, CLUSTER_RESOURCE, Fault,
    QuotaEntity, ScramMechanism, SecurityUpdate, Update,
};
use crate::ops::{Action, SecurityAction, SetPassword};
use crate::output::{
    AclAnswerJson, AclsJson, EXIT_NO, IdleAclsJson, QuotasJson, UsersJson, WhichQuotasJson,
};

use super::change::execute;
use super::{ChangeArgs, GlobalArgs, Io, Session, key_value, shared};

/// Which resources.
#[derive(Clone, Debug, Default, Args)]
#[group(multiple = false)]
pub struct AclResourceArgs {
    /// A topic; * is every one
    #[arg(long)]
    pub topic: Option<String>,
    /// A consumer group; * is every one
    #[arg(long)]
    pub group: Option<String>,
    /// The cluster itself
    #[arg(long = "on-cluster")]
    pub on_cluster: bool,
    /// A transactional id; * is every one
    #[arg(long, value_name = "ID")]
    pub transactional_id: Option<String>,
    /// A delegation token; * is every one
    #[arg(long, value_name = "ID")]
    pub delegation_token: Option<String>,
    /// A user, for making delegation tokens in its name
    #[arg(long, value_name = "PRINCIPAL")]
    pub user: Option<String>,
}

impl AclResourceArgs {
    fn named(&self) -> Option<(AclResource, String)> {
        let own = |kind, name: &Option<String>| name.clone().map(|name| (kind, name));
        own(AclResource::TOPIC, &self.topic)
            .or_else(|| own(AclResource::GROUP, &self.group))
            .or_else(|| own(AclResource::TRANSACTIONAL_ID, &self.transactional_id))
            .or_else(|| own(AclResource::DELEGATION_TOKEN, &self.delegation_token))
            .or_else(|| own(AclResource::USER, &self.user))
            .or_else(|| {
                let cluster = || (AclResource::CLUSTER, CLUSTER_RESOURCE.to_owned());
                self.on_cluster.then(cluster)
            })
    }

    fn wanted(&self, what: &str) -> Result<(AclResource, String), Fault> {
        self.named().ok_or_else(|| {
            Fault::refused(what, "no resource is named").with_hint(
                "use --topic, --group, --on-cluster, --transactional-id, --delegation-token or \
                 --user",
            )
        })
    }
}

/// Rules by what they say.
#[derive(Clone, Debug, Default, Args)]
pub struct AclFilterArgs {
    #[command(flatten)]
    pub resource: AclResourceArgs,
    /// Only rules of this pattern: literal, prefixed
    #[arg(long)]
    pub pattern: Option<AclPattern>,
    /// Only rules that are about the resource of that name, by a prefix or * too
    #[arg(long)]
    pub matching: bool,
    /// Only rules of this principal: User:alice
    #[arg(long)]
    pub principal: Option<String>,
    /// Only rules for this address; * for those of every address
    #[arg(long)]
    pub host: Option<String>,
    /// Only rules of these operations: read, write, create, delete, alter, describe, all, …
    #[arg(long, value_delimiter = ',')]
    pub operation: Vec<AclOperation>,
    /// allow or deny
    #[arg(long)]
    pub permission: Option<AclPermission>,
}

impl AclFilterArgs {
    fn accepts(&self, acl: &Acl) -> bool {
        let is_named = self.resource.named().is_none_or(|(kind, name)| {
            let is_it = if self.matching {
                derive::is_about(acl, kind, &name)
            } else {
                acl.name == name
            };
            acl.resource == kind && is_it
        });
        is_named
            && self.pattern.is_none_or(|pattern| pattern == acl.pattern)
            && self
                .principal
                .as_ref()
                .is_none_or(|who| *who == acl.principal)
            && self.host.as_ref().is_none_or(|host| *host == acl.host)
            && (self.operation.is_empty() || self.operation.contains(&acl.operation))
            && self
                .permission
                .is_none_or(|permission| permission == acl.permission)
    }

    fn is_empty(&self) -> bool {
        self.resource.named().is_none()
            && self.pattern.is_none()
            && self.principal.is_none()
            && self.host.is_none()
            && self.operation.is_empty()
            && self.permission.is_none()
    }
}

#[derive(Debug, Subcommand)]
pub enum AclsCommand {
    /// List the rules
    List {
        #[command(flatten)]
        filter: AclFilterArgs,
    },
    /// Create rules: one for each principal and operation
    #[command(after_help = super::examples::ACLS_CREATE)]
    Create {
        /// Whom to allow it: User:alice; User:* is everybody
        #[arg(long, value_name = "PRINCIPAL")]
        allow: Vec<String>,
        /// Whom to deny it
        #[arg(long, value_name = "PRINCIPAL")]
        deny: Vec<String>,
        /// read, write, create, delete, alter, describe, all, …
        #[arg(long, required = true, value_delimiter = ',')]
        operation: Vec<AclOperation>,
        #[command(flatten)]
        resource: AclResourceArgs,
        /// literal, or prefixed: every resource whose name begins so
        #[arg(long, default_value = "literal")]
        pattern: AclPattern,
        /// From this address only
        #[arg(long, default_value = "*")]
        host: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Delete the rules that match all of this
    Delete {
        #[command(flatten)]
        filter: AclFilterArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Say whether somebody may do something, and by which rule
    ///
    /// Exits with 8 when the answer is not yes.
    #[command(after_help = super::examples::ACLS_EXPLAIN)]
    Explain {
        /// User:alice
        #[arg(long)]
        principal: String,
        /// What it would do: read, write, create, delete, alter, describe, …
        #[arg(long)]
        operation: AclOperation,
        #[command(flatten)]
        resource: AclResourceArgs,
        /// The client's address
        #[arg(long)]
        host: Option<String>,
    },
    /// List the rules that do nothing: superfluous, denied, or about nothing that is there
    Idle,
}

#[derive(Debug, Subcommand)]
pub enum UsersCommand {
    /// List the users whose SCRAM passwords the cluster keeps
    List,
    /// Set a user's password, for a new user too
    #[command(after_help = super::examples::SET_PASSWORD)]
    SetPassword {
        /// The user's name
        name: String,
        /// SCRAM-SHA-256 or SCRAM-SHA-512
        #[arg(long, default_value = "SCRAM-SHA-512")]
        mechanism: ScramMechanism,
        /// How often the password is hashed
        #[arg(long, default_value_t = 8192)]
        iterations: i32,
        /// Where the password is: env:NAME, file:PATH, command:LINE, or stdin
        #[arg(long, value_name = "WHERE")]
        password_from: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Delete a user's passwords
    Delete {
        /// The user's name
        name: String,
        /// Only the one for this mechanism
        #[arg(long)]
        mechanism: Option<ScramMechanism>,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// Whom a quota is for.
#[derive(Clone, Debug, Default, Args)]
pub struct QuotaEntityArgs {
    /// A user by its name
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Every user without a quota of its own
    #[arg(long, conflicts_with = "user")]
    pub default_user: bool,
    /// A client id; with --user that client id of that user only
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// Every client id without a quota of its own
    #[arg(long, conflicts_with = "client_id")]
    pub default_client_id: bool,
    /// An address that connections come from
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<String>,
    /// Every address without a quota of its own
    #[arg(long, conflicts_with = "ip")]
    pub default_ip: bool,
}

impl QuotaEntityArgs {
    fn entity(&self) -> QuotaEntity {
        let parts = [
            (QuotaEntity::USER, &self.user, self.default_user),
            (
                QuotaEntity::CLIENT_ID,
                &self.client_id,
                self.default_client_id,
            ),
            (QuotaEntity::IP, &self.ip, self.default_ip),
        ];
        let named = parts
            .into_iter()
            .filter(|(_, name, is_default)| name.is_some() || *is_default);
        QuotaEntity(
            named
                .map(|(kind, name, _)| (kind.to_owned(), name.clone()))
                .collect(),
        )
    }
}

#[derive(Debug, Subcommand)]
pub enum QuotasCommand {
    /// List the quotas
    List,
    /// Set and remove limits of a user, a client id, both, or an address
    #[command(after_help = super::examples::QUOTAS_ALTER)]
    Alter {
        #[command(flatten)]
        entity: QuotaEntityArgs,
        /// producer_byte_rate, consumer_byte_rate, request_percentage, controller_mutation_rate;
        /// connection_creation_rate for addresses
        #[arg(long = "set", value_name = "LIMIT=VALUE", value_parser = key_value)]
        set: Vec<(String, String)>,
        /// Removes a limit
        #[arg(long = "unset", value_name = "LIMIT")]
        unset: Vec<String>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Say which limits apply to a client, and where they come from
    Which {
        /// The client's user
        #[arg(long, value_name = "NAME", required_unless_present = "ip")]
        user: Option<String>,
        /// The client's id
        #[arg(long, value_name = "ID", requires = "user")]
        client_id: Option<String>,
        /// The address that it connects from
        #[arg(long, value_name = "ADDRESS")]
        ip: Option<String>,
    },
}

pub(super) async fn acls(
    global: &GlobalArgs,
    command: AclsCommand,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    match command {
        AclsCommand::List { filter } => {
            let mut acls = global.client().await?.acls().await?;
            acls.retain(|acl| filter.accepts(acl));
            io.print(global.output, &AclsJson { acls });
            Ok(0)
        }
        AclsCommand::Create {
            allow,
            deny,
            operation,
            resource,
            pattern,
            host,
            change,
        } => {
            let (kind, name) = resource.wanted("create rules")?;
            if allow.is_empty() && deny.is_empty() {
                let why = "nobody is named";
                return Err(Fault::refused("create rules", why)
                    .with_hint("use --allow User:alice or --deny User:alice"));
            }
            let mut acls = Vec::new();
            for (permission, principals) in
                [(AclPermission::ALLOW, allow), (AclPermission::DENY, deny)]
            {
                for principal in &principals {
                    acls.extend(operation.iter().map(|operation| Acl {
                        resource: kind,
                        name: name.clone(),
                        pattern,
                        principal: principal.clone(),
                        host: host.clone(),
                        operation: *operation,
                        permission,
                    }));
                }
            }
            let mut session = Session::open(global).await?;
            let now = session.client.acls().await;
            session.apply(Update::Security(SecurityUpdate::Acls(shared(now))));
            let action = Action::Security(SecurityAction::CreateAcls(acls));
            execute(global, &session, action, change, io).await
        }
        AclsCommand::Delete { filter, change } => {
            if filter.is_empty() {
                return Err(Fault::refused("delete rules", "no rule is named")
                    .with_hint("name a resource, a principal, an operation; see --help"));
            }
            let mut session = Session::open(global).await?;
            let now = session.client.acls().await?;
            let acls: Vec<Acl> = now
                .iter()
                .filter(|acl| filter.accepts(acl))
                .cloned()
                .collect();
            session.apply(Update::Security(SecurityUpdate::Acls(shared(Ok(now)))));
            if acls.is_empty() {
                return Err(Fault::not_found("delete rules", "no rule matches"));
            }
            let action = Action::Security(SecurityAction::DeleteAcls(acls));
            execute(global, &session, action, change, io).await
        }
        AclsCommand::Explain {
            principal,
            operation,
            resource,
            host,
        } => {
            let (resource, name) = resource.wanted("explain rules")?;
            let acls = global.client().await?.acls().await?;
            let question = AclQuestion {
                principal,
                host,
                operation,
                resource,
                name,
            };
            let answer = derive::explain_acl(&acls, &question);
            let code = if answer.allowed == Allowed::Yes {
                0
            } else {
                EXIT_NO
            };
            io.print(global.output, &AclAnswerJson { question, answer });
            Ok(code)
        }
        AclsCommand::Idle => idle(global, io).await,
    }
}

async fn idle(global: &GlobalArgs, io: &mut Io<'_>) -> Result<u8, Fault> {
    let mut session = Session::open(global).await?;
    let metadata = session.metadata()?;
    let acls = session.client.acls().await?;
    let groups = session.client.groups_in(&metadata).await;
    session.apply(Update::Groups(shared(groups)));
    let idle = derive::idle_acls(&acls, &session.snapshot);
    let kinds: std::collections::BTreeSet<AclResource> =
        acls.iter().map(|acl| acl.resource).collect();
    let not_checked = kinds
        .into_iter()
        .filter(|kind| *kind != AclResource::CLUSTER)
        .filter(|kind| !derive::knows_existing(*kind, &session.snapshot));
    let not_checked = not_checked
        .map(|kind| kind.name().replace('_', " "))
        .collect();
    let of = acls.len();
    io.print(
        global.output,
        &IdleAclsJson {
            idle,
            of,
            not_checked,
        },
    );
    Ok(0)
}

pub(super) async fn users(
    global: &GlobalArgs,
    command: UsersCommand,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let (action, change) = match command {
        UsersCommand::List => {
            let users = global.client().await?.scram_users().await?;
            io.print(global.output, &UsersJson { users });
            return Ok(0);
        }
        UsersCommand::SetPassword {
            name,
            mechanism,
            iterations,
            password_from,
            change,
        } => {
            let password = password(&password_from).await?;
            let set = SetPassword {
                user: name,
                mechanism,
                iterations,
                password,
            };
            (SecurityAction::SetPassword(set), change)
        }
        UsersCommand::Delete {
            name,
            mechanism,
            change,
        } => {
            let delete = SecurityAction::DeletePassword {
                user: name,
                mechanism,
            };
            (delete, change)
        }
    };
    let mut session = Session::open(global).await?;
    let users = session.client.scram_users().await;
    session.apply(Update::Security(SecurityUpdate::Users(shared(users))));
    execute(global, &session, Action::Security(action), change, io).await
}

/// Reads a password from where it is. What stands on a command line can be seen by everybody on
/// the machine, and so it can't stand there itself.
async fn password(place: &str) -> Result<Secret, Fault> {
    let what = "read the password";
    if place == "stdin" {
        use std::io::IsTerminal as _;
        if std::io::stdin().is_terminal() {
            let why = "stdin is a terminal, which would show it";
            return Err(Fault::refused(what, why)
                .with_hint("pipe it in, or use --password-from file:PATH or env:NAME"));
        }
        let text = read_text(Path::new("/dev/stdin")).await;
        let text = text.map_err(|why| Fault::refused(what, why))?;
        return Ok(Secret::new(text.trim_end_matches(['\n', '\r'])));
    }
    match Source::parse(&format!("${{{place}}}")) {
        Source::Literal(_) => Err(Fault::refused(what, "it is not said where it is")
            .with_hint("use env:NAME, file:PATH, command:LINE or stdin")),
        source => source
            .read(Path::new("."))
            .await
            .map_err(|error| Fault::refused(what, error.to_string())),
    }
}

pub(super) async fn quotas(
    global: &GlobalArgs,
    command: QuotasCommand,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    match command {
        QuotasCommand::List => {
            let quotas = global.client().await?.quotas().await?;
            io.print(global.output, &QuotasJson { quotas });
            Ok(0)
        }
        QuotasCommand::Which {
            user,
            client_id,
            ip,
        } => {
            let all = global.client().await?.quotas().await?;
            let mut quotas = Vec::new();
            if let Some(user) = &user {
                let client_id = client_id.as_deref().unwrap_or_default();
                quotas.extend(derive::client_quotas(&all, user, client_id));
            }
            if let Some(ip) = &ip {
                quotas.extend(derive::ip_quotas(&all, ip));
            }
            let which = WhichQuotasJson {
                user,
                client_id,
                ip,
                quotas,
            };
            io.print(global.output, &which);
            Ok(0)
        }
        QuotasCommand::Alter {
            entity,
            set,
            unset,
            change,
        } => {
            let mut limits = BTreeMap::new();
            for (limit, value) in set {
                let number: f64 = value.parse().map_err(|_| {
                    Fault::refused("change a quota", format!("\"{value}\" is no number"))
                })?;
                limits.insert(limit, Some(number));
            }
            for limit in unset {
                if limits.insert(limit.clone(), None).is_some() {
                    let why = format!("{limit} is changed twice");
                    return Err(Fault::refused("change a quota", why));
                }
            }
            let mut session = Session::open(global).await?;
            let quotas = session.client.quotas().await;
            session.apply(Update::Security(SecurityUpdate::Quotas(shared(quotas))));
            let entity = entity.entity();
            let action = Action::Security(SecurityAction::AlterQuota { entity, limits });
            execute(global, &session, action, change, io).await
        }
    }
}
