//! Where the pages of a cluster's brokers are, as a person writes it.

use std::collections::BTreeMap;
use std::fmt;

use kafka_shared::http::Url;
use serde::{Deserialize, Serialize};

use crate::model::Broker;

/// One address for all brokers, with `{host}` and `{id}` in it, or one for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Endpoints {
    Template(String),
    ById(BTreeMap<i32, Url>),
}

/// As it stands in the configuration file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "an address, or a table of addresses by broker id"
)]
enum Written {
    Template(String),
    ById(BTreeMap<String, String>),
}

impl Endpoints {
    /// Reads options: one address with placeholders, or `ID=ADDRESS` for each broker.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn of_options(options: &[String]) -> Result<Option<Self>, String> {
        let by_id = |option: &String| -> Option<(String, String)> {
            let (id, url) = option.split_once('=')?;
            id.parse::<i32>().ok()?;
            Some((id.to_owned(), url.to_owned()))
        };
        let pairs: Option<BTreeMap<String, String>> = options.iter().map(by_id).collect();
        let written = match (options, pairs) {
            ([], _) => return Ok(None),
            (_, Some(pairs)) => Written::ById(pairs),
            ([template], None) => Written::Template(template.clone()),
            (_, None) => {
                return Err("one address for all brokers, or ID=ADDRESS for each".to_owned());
            }
        };
        written.try_into().map(Some)
    }

    /// Where this broker's page is; `None` where nothing is said of it.
    pub fn of(&self, broker: &Broker) -> Option<Url> {
        match self {
            Self::ById(all) => all.get(&broker.id).cloned(),
            Self::Template(template) => {
                let host = match broker.host.contains(':') {
                    true => format!("[{}]", broker.host),
                    false => broker.host.clone(),
                };
                filled(template, &host, &broker.id.to_string()).ok()
            }
        }
    }

    /// As [`Endpoints::of_options`] reads it.
    pub fn options(&self) -> Vec<String> {
        match self {
            Self::Template(template) => vec![template.clone()],
            Self::ById(all) => all.iter().map(|(id, url)| format!("{id}={url}")).collect(),
        }
    }
}

impl fmt::Display for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.options().join(", "))
    }
}

/// A template with its places filled.
fn filled(template: &str, host: &str, id: &str) -> Result<Url, String> {
    let text = template.replace("{host}", host).replace("{id}", id);
    if let Some((_, rest)) = text.split_once('{') {
        let place = rest.split('}').next().unwrap_or_default();
        return Err(format!("{{{place}}} is neither {{host}} nor {{id}}"));
    }
    text.parse()
}

impl TryFrom<Written> for Endpoints {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Template(template) => {
                filled(&template, "localhost", "1")?;
                Ok(Self::Template(template))
            }
            Written::ById(all) => {
                let pair = |(id, url): (String, String)| {
                    let id: i32 = id
                        .parse()
                        .map_err(|_| format!("\"{id}\" is no broker id"))?;
                    Ok((id, url.parse()?))
                };
                let all: Result<_, String> = all.into_iter().map(pair).collect();
                Ok(Self::ById(all?))
            }
        }
    }
}

impl From<Endpoints> for Written {
    fn from(endpoints: Endpoints) -> Self {
        match endpoints {
            Endpoints::Template(template) => Self::Template(template),
            Endpoints::ById(all) => Self::ById(
                all.into_iter()
                    .map(|(id, url)| (id.to_string(), url.to_string()))
                    .collect(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(id: i32, host: &str) -> Broker {
        Broker {
            id,
            host: host.to_owned(),
            port: 9092,
            rack: None,
            fenced: None,
        }
    }

    fn told(options: &[&str], of: &Broker) -> String {
        let options: Vec<String> = options.iter().map(|text| (*text).to_owned()).collect();
        match Endpoints::of_options(&options) {
            Ok(None) => "nothing".to_owned(),
            Ok(Some(endpoints)) => {
                assert_eq!(endpoints.options(), options, "written as it was read");
                endpoints
                    .of(of)
                    .map_or("-".to_owned(), |url| url.to_string())
            }
            Err(why) => format!("! {why}"),
        }
    }

    #[test]
    fn addresses_are_found_for_each_broker() {
        let one = broker(1, "b1.example");
        for (options, broker, wanted) in [
            (&[][..], &one, "nothing"),
            (
                &["http://{host}:7071/metrics"],
                &one,
                "http://b1.example:7071/metrics",
            ),
            (
                &["http://h:707{id}/m?id={id}"],
                &one,
                "http://h:7071/m?id=1",
            ),
            (
                &["https://{host}/m"],
                &broker(2, "::1"),
                "https://[::1]:443/m",
            ),
            (&["1=http://a:1/m", "2=http://b:2/m"], &one, "http://a:1/m"),
            (&["2=http://b:2/m"], &one, "-"),
            (
                &["http://{hots}:7071"],
                &one,
                "! {hots} is neither {host} nor {id}",
            ),
            (
                &["http://{host}:1", "http://{host}:2"],
                &one,
                "! one address for all brokers, or ID=ADDRESS for each",
            ),
        ] {
            assert_eq!(told(options, broker), wanted, "{options:?}");
        }
        assert!(told(&["host:7071"], &one).contains("has to begin with http://"));
        assert!(told(&["1=host:7071"], &one).contains("has to begin with http://"));
    }
}
