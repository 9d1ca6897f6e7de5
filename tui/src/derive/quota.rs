//! Which quota applies to a client.
//!
//! Kafka: `ClientQuotaManager.java` (`DefaultQuotaCallback`), `ConnectionQuotas.scala` (4.3). Each
//! limit is looked up on its own: a client may have its byte rate from one entity and its request
//! percentage from another.

use serde::Serialize;

use crate::model::{CLIENT_LIMITS, IP_LIMITS, Quota, QuotaEntity};

/// A limit and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AppliedQuota {
    pub limit: String,
    /// `None`: not limited.
    pub value: Option<f64>,
    pub entity: Option<QuotaEntity>,
    /// Among whom the value is shared, in words.
    pub shared_by: Option<String>,
}

/// A limit with its unit.
pub fn limit_text(limit: &str, value: f64) -> String {
    match limit {
        "producer_byte_rate" | "consumer_byte_rate" if value.fract() == 0.0 => {
            crate::units::byte_rate(value as i64)
        }
        "producer_byte_rate" | "consumer_byte_rate" => format!("{value} B/s"),
        "request_percentage" => format!("{value} %"),
        "controller_mutation_rate" | "connection_creation_rate" => format!("{value}/s"),
        _ => value.to_string(),
    }
}

type Part = (&'static str, bool);

/// The entities that are asked, strongest first; `true` is the name itself, `false` the default.
const PRECEDENCE: [&[Part]; 8] = [
    &[(QuotaEntity::USER, true), (QuotaEntity::CLIENT_ID, true)],
    &[(QuotaEntity::USER, true), (QuotaEntity::CLIENT_ID, false)],
    &[(QuotaEntity::USER, true)],
    &[(QuotaEntity::USER, false), (QuotaEntity::CLIENT_ID, true)],
    &[(QuotaEntity::USER, false), (QuotaEntity::CLIENT_ID, false)],
    &[(QuotaEntity::USER, false)],
    &[(QuotaEntity::CLIENT_ID, true)],
    &[(QuotaEntity::CLIENT_ID, false)],
];

fn entity(parts: &[Part], user: &str, client_id: &str) -> QuotaEntity {
    let part = |(kind, is_named): &Part| {
        let name = if *kind == QuotaEntity::USER {
            user
        } else {
            client_id
        };
        ((*kind).to_owned(), is_named.then(|| name.to_owned()))
    };
    QuotaEntity(parts.iter().map(part).collect())
}

fn find<'a>(quotas: &'a [Quota], limit: &str, entity: &QuotaEntity) -> Option<(&'a Quota, f64)> {
    let quota = quotas.iter().find(|quota| quota.entity == *entity)?;
    Some((quota, *quota.limits.get(limit)?))
}

/// The limits of a client by Kafka's eight levels. `user` is the name without its type.
pub fn client_quotas(quotas: &[Quota], user: &str, client_id: &str) -> Vec<AppliedQuota> {
    let applied = |limit: &str| {
        let levels = PRECEDENCE.iter();
        let mut found = levels.filter_map(|parts| {
            let (quota, value) = find(quotas, limit, &entity(parts, user, client_id))?;
            Some((*parts, quota, value))
        });
        let found = found.next();
        let shared_by = found.map(|(parts, ..)| {
            let has = |kind| parts.iter().any(|part| part.0 == kind);
            let text = match (has(QuotaEntity::USER), has(QuotaEntity::CLIENT_ID)) {
                (true, true) => "all connections of this user with this client id",
                (true, false) => "all clients of this user",
                _ => "all connections with this client id, whoever the user",
            };
            format!("{text}, at each broker")
        });
        AppliedQuota {
            limit: limit.to_owned(),
            value: found.map(|(_, _, value)| value),
            entity: found.map(|(_, quota, _)| quota.entity.clone()),
            shared_by,
        }
    };
    CLIENT_LIMITS.into_iter().map(applied).collect()
}

/// The limits of an address.
pub fn ip_quotas(quotas: &[Quota], ip: &str) -> Vec<AppliedQuota> {
    let applied = |limit: &str| {
        let named = QuotaEntity::new([(QuotaEntity::IP, Some(ip))]);
        let default = QuotaEntity::new([(QuotaEntity::IP, None)]);
        let found = find(quotas, limit, &named).or_else(|| find(quotas, limit, &default));
        AppliedQuota {
            limit: limit.to_owned(),
            value: found.map(|(_, value)| value),
            entity: found.map(|(quota, _)| quota.entity.clone()),
            shared_by: found.map(|_| "all connections of this address, at each broker".to_owned()),
        }
    };
    IP_LIMITS.into_iter().map(applied).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(parts: &[(&str, Option<&str>)], limits: &[(&str, f64)]) -> Quota {
        let own =
            |(kind, name): &(&str, Option<&str>)| ((*kind).to_owned(), name.map(str::to_owned));
        Quota {
            entity: QuotaEntity(parts.iter().map(own).collect()),
            limits: limits.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect(),
        }
    }

    /// Every level, strongest first; the number of the level is its value.
    fn all() -> Vec<Quota> {
        let parts: [&[(&str, Option<&str>)]; 8] = [
            &[("user", Some("u")), ("client-id", Some("c"))],
            &[("user", Some("u")), ("client-id", None)],
            &[("user", Some("u"))],
            &[("user", None), ("client-id", Some("c"))],
            &[("user", None), ("client-id", None)],
            &[("user", None)],
            &[("client-id", Some("c"))],
            &[("client-id", None)],
        ];
        let level =
            |(at, parts): (usize, &&[_])| quota(parts, &[("producer_byte_rate", at as f64 + 1.0)]);
        parts.iter().enumerate().map(level).collect()
    }

    fn rate(quotas: &[Quota], user: &str, client_id: &str) -> Option<f64> {
        client_quotas(quotas, user, client_id)[0].value
    }

    #[test]
    fn the_strongest_of_the_eight_levels_that_is_there_applies() {
        let all = all();
        for at in 0..=all.len() {
            let wanted = (at < all.len()).then_some(at as f64 + 1.0);
            assert_eq!(rate(&all[at..], "u", "c"), wanted, "without the first {at}");
        }
    }

    #[test]
    fn another_user_or_client_has_what_is_left_for_it() {
        let all = all();
        for (user, client_id, level) in [
            ("u", "c", 1.0),
            ("u", "x", 2.0),
            ("x", "c", 4.0),
            ("x", "x", 5.0),
        ] {
            assert_eq!(
                rate(&all, user, client_id),
                Some(level),
                "{user}/{client_id}"
            );
        }
        assert_eq!(rate(&all[2..3], "x", "c"), None);
        assert_eq!(rate(&all[5..], "x", "c"), Some(6.0));
        assert_eq!(rate(&all[6..], "x", "x"), Some(8.0));
    }

    #[test]
    fn each_limit_is_looked_up_on_its_own() {
        let quotas = [
            quota(
                &[("user", Some("u")), ("client-id", Some("c"))],
                &[("producer_byte_rate", 1.0)],
            ),
            quota(&[("user", Some("u"))], &[("request_percentage", 50.0)]),
        ];
        let applied = client_quotas(&quotas, "u", "c");
        let of = |limit: &str| applied.iter().find(|a| a.limit == limit).unwrap();
        assert_eq!(of("producer_byte_rate").value, Some(1.0));
        assert_eq!(
            of("request_percentage").entity,
            Some(quotas[1].entity.clone())
        );
        assert_eq!(
            of("request_percentage").shared_by.as_deref(),
            Some("all clients of this user, at each broker")
        );
        assert_eq!(of("consumer_byte_rate").value, None);
    }

    #[test]
    fn an_address_has_its_own_limit_or_the_default() {
        let quotas = [
            quota(
                &[("ip", Some("10.0.0.1"))],
                &[("connection_creation_rate", 5.0)],
            ),
            quota(&[("ip", None)], &[("connection_creation_rate", 9.0)]),
        ];
        assert_eq!(ip_quotas(&quotas, "10.0.0.1")[0].value, Some(5.0));
        assert_eq!(ip_quotas(&quotas, "10.0.0.2")[0].value, Some(9.0));
        assert_eq!(ip_quotas(&quotas[..1], "10.0.0.2")[0].value, None);
    }
}
