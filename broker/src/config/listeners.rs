//! Listeners: where a node listens, what it tells others to connect to, and by which protocol.
//!
//! Names are upper-cased, hosts may be empty (all addresses) or bracketed IPv6. What cannot work is
//! refused here, before anything is bound.
//!
//! Kafka: `SocketServerConfigs.java`, `KafkaConfig.validateValues`, `AbstractKafkaConfig.java` (4.3).

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr},
};

use kafka_shared::config::ConfigError;

use super::values::BrokerValues;

#[cfg(test)]
mod tests;

/// How a listener's connections are secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecurityProtocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl SecurityProtocol {
    /// The number that stands for it in registrations.
    pub fn id(self) -> i16 {
        match self {
            Self::Plaintext => 0,
            Self::Ssl => 1,
            Self::SaslPlaintext => 2,
            Self::SaslSsl => 3,
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "PLAINTEXT" => Some(Self::Plaintext),
            "SSL" => Some(Self::Ssl),
            "SASL_PLAINTEXT" => Some(Self::SaslPlaintext),
            "SASL_SSL" => Some(Self::SaslSsl),
            _ => None,
        }
    }
}

impl fmt::Display for SecurityProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        })
    }
}

/// One entry of `listeners` or `advertised.listeners`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Upper case.
    pub name: String,
    /// Without brackets; empty for all addresses.
    pub host: String,
    /// 0 for any free port.
    pub port: u16,
    pub security_protocol: SecurityProtocol,
}

/// The listeners of a node, checked against each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listeners {
    /// All that are bound, in the order of the configuration.
    pub bound: Vec<Listener>,
    /// What clients and brokers are told; an empty host or port 0 is filled in once it is bound.
    pub advertised: Vec<Listener>,
    /// What other nodes are told of the controller's listeners, if the node has that role.
    pub advertised_controllers: Vec<Listener>,
    /// Names of those that belong to the controller, the first being the one others connect to.
    pub controller_names: Vec<String>,
    /// The listener that brokers use among each other.
    pub inter_broker_name: String,
}

impl Listeners {
    /// Whether the listener is the controller's.
    pub fn is_controller(&self, name: &str) -> bool {
        self.controller_names.iter().any(|n| n == name)
    }

    /// Reads and checks everything about listeners.
    ///
    /// # Errors
    /// The first thing that cannot work.
    pub fn new(values: &BrokerValues) -> Result<Self, ConfigError> {
        let controller_names: Vec<String> = values
            .list("controller.listener.names")
            .iter()
            .map(|n| n.to_uppercase())
            .collect();
        let protocols = protocol_map(values, &controller_names)?;
        let bound = parse_list("listeners", values.list("listeners"), &protocols)?;
        check_distinct(&bound, values.list("listeners"), true)?;
        let advertised = match values.list("advertised.listeners") {
            [] => bound.clone(),
            list => {
                let advertised = parse_list("advertised.listeners", list, &protocols)?;
                check_distinct(&advertised, list, false)?;
                advertised
            }
        };
        let (controllers, advertised): (Vec<_>, Vec<_>) = advertised
            .into_iter()
            .partition(|l| controller_names.contains(&l.name));
        let advertised_controllers =
            advertised_controllers(values, &controller_names, &bound, &controllers)?;
        let inter_broker_name = inter_broker_name(values, &protocols)?;
        let listeners = Self {
            bound,
            advertised,
            advertised_controllers,
            controller_names,
            inter_broker_name,
        };
        listeners.check(values)?;
        Ok(listeners)
    }

    fn check(&self, values: &BrokerValues) -> Result<(), ConfigError> {
        let refuse = |why: String| Err(ConfigError::new("", why));
        let has_role = |role: &str| values.list("process.roles").iter().any(|r| r == role);
        let is_bound = |name: &String| self.bound.iter().any(|l| l.name == *name);
        if has_role("broker") && !has_role("controller") {
            if self.controller_names.is_empty() {
                return refuse(
                    "controller.listener.names must contain at least one value when running KRaft \
                     with just the broker role"
                        .to_owned(),
                );
            }
            if self.controller_names.iter().any(is_bound) {
                return refuse(
                    "controller.listener.names must not contain a value appearing in the \
                     'listeners' configuration when running KRaft with just the broker role"
                        .to_owned(),
                );
            }
        }
        if has_role("controller")
            && !has_role("broker")
            && self.bound.iter().any(|l| !self.is_controller(&l.name))
        {
            return refuse(
                "The listeners config must only contain KRaft controller listeners from \
                 controller.listener.names when process.roles=controller"
                    .to_owned(),
            );
        }
        // Differs from Kafka: a node that is both may leave its controller without a listener. The
        // only voter of a quorum is never connected to.
        if has_role("controller")
            && !has_role("broker")
            && !self.controller_names.iter().all(is_bound)
        {
            return refuse(
                "controller.listener.names must only contain values appearing in the 'listeners' \
                 configuration when running the KRaft controller role"
                    .to_owned(),
            );
        }
        let is_nonroutable = |l: &Listener| l.host == "0.0.0.0";
        if self.advertised_controllers.iter().any(is_nonroutable) {
            return refuse(NONROUTABLE.to_owned());
        }
        self.check_served()?;
        if !has_role("broker") {
            return Ok(());
        }
        let names = |listeners: &[Listener]| {
            listeners
                .iter()
                .map(|l| l.name.as_str())
                .collect::<Vec<_>>()
                .join(",")
        };
        if self.advertised.is_empty() {
            return refuse(
                "There must be at least one broker advertised listener. Perhaps all listeners \
                 appear in controller.listener.names?"
                    .to_owned(),
            );
        }
        if !self
            .advertised
            .iter()
            .any(|l| l.name == self.inter_broker_name)
        {
            return refuse(format!(
                "inter.broker.listener.name must be a listener name defined in \
                 advertised.listeners. The valid options based on currently configured listeners \
                 are {}",
                names(&self.advertised)
            ));
        }
        if !self.advertised.iter().all(|l| is_bound(&l.name)) {
            return refuse(format!(
                "advertised.listeners listener names must be equal to or a subset of the ones \
                 defined in listeners. Found {}. The valid options based on the current \
                 configuration are {}",
                names(&self.advertised),
                names(&self.bound)
            ));
        }
        if self.advertised.iter().any(is_nonroutable) {
            return refuse(NONROUTABLE.to_owned());
        }
        Ok(())
    }

    /// A listener that is to be encrypted or authenticated must not be served in the clear.
    // Differs from Kafka: there is no TLS and no SASL yet, so it is refused and not only warned about.
    fn check_served(&self) -> Result<(), ConfigError> {
        match self
            .bound
            .iter()
            .find(|l| l.security_protocol != SecurityProtocol::Plaintext)
        {
            Some(listener) => Err(ConfigError::new(
                "",
                format!(
                    "listener {} uses the security protocol {}, which this version cannot serve; \
                     only PLAINTEXT listeners can be started",
                    listener.name, listener.security_protocol
                ),
            )),
            None => Ok(()),
        }
    }
}

const NONROUTABLE: &str = "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. \
                           Use a routable IP address.";

/// Each of the controller's listeners that is bound, as `advertised.listeners` says or as it is
/// bound. The first one is taken from `controller.quorum.voters` when nothing else says its host.
fn advertised_controllers(
    values: &BrokerValues,
    names: &[String],
    bound: &[Listener],
    advertised: &[Listener],
) -> Result<Vec<Listener>, ConfigError> {
    let mut listeners = Vec::new();
    for (idx, name) in names.iter().enumerate() {
        let explicit = advertised.iter().find(|l| l.name == *name);
        let is_explicit = explicit.is_some() && !values.list("advertised.listeners").is_empty();
        let Some(listener) = explicit.or_else(|| bound.iter().find(|l| l.name == *name)) else {
            continue;
        };
        let mut listener = listener.clone();
        let is_open = listener.host.is_empty() || listener.host == "0.0.0.0";
        if idx == 0 && is_open && !is_explicit {
            let own_id = values.integer("node.id");
            let voters = super::voters(values)?;
            if let Some((_, voter)) = voters.iter().find(|(id, _)| i64::from(*id) == own_id) {
                listener.host.clone_from(&voter.host);
                listener.port = voter.port;
            }
        }
        listeners.push(listener);
    }
    Ok(listeners)
}

/// `listener.security.protocol.map`, with PLAINTEXT for controller listeners when nothing was said.
fn protocol_map(
    values: &BrokerValues,
    controller_names: &[String],
) -> Result<BTreeMap<String, SecurityProtocol>, ConfigError> {
    const KEY: &str = "listener.security.protocol.map";
    let mut map = BTreeMap::new();
    for entry in values
        .text(KEY)
        .unwrap_or_default()
        .split(',')
        .filter(|e| !e.trim().is_empty())
    {
        let Some((name, protocol)) = entry.trim().rsplit_once(':') else {
            return Err(ConfigError::invalid(KEY, entry, "expected NAME:PROTOCOL"));
        };
        let Some(protocol) = SecurityProtocol::from_name(protocol.trim()) else {
            let protocol = protocol.trim();
            return Err(ConfigError::new(
                "",
                format!("Invalid security protocol `{protocol}` defined in {KEY}"),
            ));
        };
        map.insert(name.trim().to_uppercase(), protocol);
    }
    let is_secured = |name: &str| matches!(name, "SSL" | "SASL_SSL" | "SASL_PLAINTEXT");
    let uses_security = controller_names.iter().any(|n| is_secured(n))
        || values.list("listeners").iter().any(|l| {
            l.split_once(':')
                .is_some_and(|(name, _)| is_secured(&name.to_uppercase()))
        });
    if !values.is_set(KEY) && !uses_security {
        for name in controller_names {
            map.entry(name.clone())
                .or_insert(SecurityProtocol::Plaintext);
        }
    }
    Ok(map)
}

fn inter_broker_name(
    values: &BrokerValues,
    protocols: &BTreeMap<String, SecurityProtocol>,
) -> Result<String, ConfigError> {
    const NAME: &str = "inter.broker.listener.name";
    const PROTOCOL: &str = "security.inter.broker.protocol";
    let Some(name) = values.text(NAME) else {
        return Ok(values.text(PROTOCOL).unwrap_or("PLAINTEXT").to_uppercase());
    };
    if values.is_set(PROTOCOL) {
        return Err(ConfigError::new(
            "",
            format!("Only one of {NAME} and {PROTOCOL} should be set."),
        ));
    }
    let name = name.to_uppercase();
    if !protocols.contains_key(&name) {
        return Err(ConfigError::new(
            "",
            format!(
                "Listener with name {name} defined in {NAME} not found in \
             listener.security.protocol.map."
            ),
        ));
    }
    Ok(name)
}

fn parse_list(
    key: &str,
    list: &[String],
    protocols: &BTreeMap<String, SecurityProtocol>,
) -> Result<Vec<Listener>, ConfigError> {
    list.iter()
        .map(|text| {
            parse_listener(text, protocols)
                .map_err(|why| ConfigError::invalid(key, &list.join(","), why))
        })
        .collect()
}

/// Reads `NAME://host:port`.
fn parse_listener(
    text: &str,
    protocols: &BTreeMap<String, SecurityProtocol>,
) -> Result<Listener, String> {
    let cannot = || format!("Unable to parse {text} to a broker endpoint");
    let (name, address) = text.split_once("://").ok_or_else(cannot)?;
    let (host, port) = address.rsplit_once(':').ok_or_else(cannot)?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or_else(cannot)?,
        None if host.contains(':') => return Err(cannot()),
        None => host,
    };
    let is_name_fine = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    let is_host_fine = host
        .chars()
        .all(|c| c.is_alphanumeric() || "-._~%:".contains(c));
    if !is_name_fine || !is_host_fine {
        return Err(cannot());
    }
    let port = port.parse::<u16>().map_err(|_| cannot())?;
    let name = name.to_uppercase();
    let Some(&security_protocol) = protocols.get(&name) else {
        return Err(format!(
            "No security protocol defined for listener {name}: add it to \
             listener.security.protocol.map"
        ));
    };
    Ok(Listener {
        name,
        host: host.to_owned(),
        port,
        security_protocol,
    })
}

/// Names must differ; so must ports, unless one listener is on IPv4 and the other on IPv6.
fn check_distinct(
    listeners: &[Listener],
    list: &[String],
    ports_too: bool,
) -> Result<(), ConfigError> {
    let shown = list.join(",");
    for (i, a) in listeners.iter().enumerate() {
        for b in &listeners[i + 1..] {
            if a.name == b.name {
                return Err(ConfigError::new(
                    "",
                    format!("Each listener must have a different name, listeners: {shown}"),
                ));
            }
            if ports_too && a.port == b.port && a.port != 0 && !is_one_of_each_family(a, b) {
                return Err(ConfigError::new(
                    "",
                    format!("Each listener must have a different port, listeners: {shown}"),
                ));
            }
        }
    }
    Ok(())
}

fn is_one_of_each_family(a: &Listener, b: &Listener) -> bool {
    match (a.host.parse::<IpAddr>(), b.host.parse::<IpAddr>()) {
        (Ok(a), Ok(b)) => a.is_ipv4() != b.is_ipv4(),
        _ => false,
    }
}

/// The host to tell others when a listener has none: the machine's name, else loopback.
pub fn advertised_host(configured: &str) -> String {
    if !configured.is_empty() {
        return configured.to_owned();
    }
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    if name.is_empty() {
        Ipv4Addr::LOCALHOST.to_string()
    } else {
        name
    }
}
