//! The schema registry of a cluster, as Confluent's serializers have it in client properties.

use std::path::Path;

use kafka_shared::config::properties::Properties;
use kafka_shared::http::Url;
use kafka_shared::secret::{Secret, Source};

use crate::cluster::RegistryOptions;
use crate::model::Fault;

const WHAT: &str = "read the schema registry's settings";

/// The registry that `named` or `schema.registry.url` gives, with who asks there. Its properties
/// are taken out of `all`: to Kafka they mean nothing.
///
/// # Errors
/// The address or a secret can't be read.
pub(super) async fn options(
    named: Option<&str>,
    ca: Option<&Path>,
    all: &mut Properties,
    folder: &Path,
) -> Result<Option<RegistryOptions>, Fault> {
    let mut take = |key: &str| {
        let long = all.remove(&format!("schema.registry.{key}"));
        all.remove(key).or(long)
    };
    let url = take("url");
    let user = take("basic.auth.user.info");
    let token = take("bearer.auth.token");
    take("basic.auth.credentials.source");
    take("bearer.auth.credentials.source");
    // Without the prefix these are the brokers', and stay.
    let mut take_own = |key: &str| all.remove(&format!("schema.registry.{key}"));
    let truststore = take_own("ssl.truststore.location");
    let kind = take_own("ssl.truststore.type");
    take_own("ssl.truststore.password");
    let Some(url) = named.map(str::to_owned).or(url) else {
        return Ok(None);
    };
    // Of several registries, which have the same schemas, the first one is asked.
    let url = url.split(',').next().unwrap_or_default().trim();
    let url: Url = url
        .parse()
        .map_err(|why: String| Fault::refused(WHAT, why))?;
    let user = match user {
        None => None,
        Some(text) => {
            let pair = secret(&text, folder).await?;
            let (user, password) = pair.expose().split_once(':').ok_or_else(|| {
                Fault::refused(WHAT, "basic.auth.user.info has not the form USER:PASSWORD")
            })?;
            Some((user.to_owned(), Secret::new(password)))
        }
    };
    let token = match token {
        None => None,
        Some(text) => Some(secret(&text, folder).await?),
    };
    // What serializers are given in a format of Java's is not read here; PEM is.
    let is_pem = kind.is_some_and(|kind| kind.eq_ignore_ascii_case("PEM"));
    let truststore = truststore.filter(|_| is_pem);
    let ca = ca
        .map(Path::to_owned)
        .or(truststore.map(|path| folder.join(path)));
    Ok(Some(RegistryOptions {
        url,
        user,
        token,
        ca,
    }))
}

async fn secret(text: &str, folder: &Path) -> Result<Secret, Fault> {
    let read = Source::parse(text).read(folder).await;
    read.map_err(|error| Fault::refused(WHAT, error.to_string()))
}
