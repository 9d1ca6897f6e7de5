//! Parts that are read only while somebody looks at them.

use crate::model::{SecurityUpdate, Update};

use super::{Outcome, Part, shared};

/// ACL rules, SCRAM users and quotas, at once: each tells on its own what it lacks.
pub(super) async fn read_security(part: Part) -> Outcome {
    if !part.interest().security {
        return Outcome::Good;
    }
    let client = &part.client;
    let (acls, users, quotas) = tokio::join!(client.acls(), client.scram_users(), client.quotas());
    let mut outcome = Outcome::Failed;
    for update in [
        SecurityUpdate::Acls(shared(acls)),
        SecurityUpdate::Users(shared(users)),
        SecurityUpdate::Quotas(shared(quotas)),
    ] {
        match part.send(Update::Security(update)).await {
            Outcome::Over => return Outcome::Over,
            // A cluster without rules has quotas all the same.
            Outcome::Good | Outcome::Same { .. } | Outcome::Partial => outcome = Outcome::Good,
            Outcome::Failed => {}
        }
    }
    outcome
}

/// Open transactions and whom they hold up, in all partitions.
pub(super) async fn read_transactions(mut part: Part) -> Outcome {
    if !part.interest().transactions {
        return Outcome::Good;
    }
    let Some(metadata) = part.metadata().await else {
        return Outcome::Over;
    };
    let result = shared(part.client.transactions(&metadata, None).await);
    part.send(Update::Transactions(result)).await
}

/// One page of every broker that has an endpoint.
pub(super) async fn read_metrics(mut part: Part) -> Outcome {
    if !part.interest().metrics || part.client.options().metrics.is_none() {
        return Outcome::Good;
    }
    let Some(metadata) = part.metadata().await else {
        return Outcome::Over;
    };
    match part.client.broker_metrics(&metadata).await {
        // Nobody is named in the list.
        None => Outcome::Good,
        Some(read) if read.is_empty() => Outcome::Good,
        Some(read) => part.send(Update::Metrics(read)).await,
    }
}
