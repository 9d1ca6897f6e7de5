//! Examples below the help of the commands that have many options. A test parses each of them.

pub(super) const APPLY: &str = "\
Examples:
  kafka-tui apply -f topics.toml                  # what differs; nothing is changed
  kafka-tui apply -f topics/ --check              # for CI: 0 as declared, 8 drifted
  kafka-tui apply -f topics.toml --execute --throttle 20M";

pub(super) const RESET: &str = "\
Examples:
  kafka-tui groups reset billing --to-earliest    # from what to what; nothing is changed
  kafka-tui groups reset billing --topic orders:0,3 --to-datetime 2026-11-21T14:00 --execute
  kafka-tui groups reset billing --shift-by -100 --export";

pub(super) const READ: &str = "\
Examples:
  kafka-tui messages read orders --from 10m --filter 'value.total > 90'
  kafka-tui messages read orders --from beginning --partition 0,3 -n 20 -o jsonl";

pub(super) const COPY: &str = "\
Examples:
  kafka-tui messages copy orders orders-2 --from beginning
  kafka-tui messages copy orders orders --to-cluster staging --limit 1000 --dry-run";

pub(super) const PRODUCE: &str = "\
Examples:
  kafka-tui messages produce orders --key 42 --value '{\"total\": 7}' --header source=shop
  kafka-tui messages produce orders --file orders.txt --key-separator :";

pub(super) const REASSIGN_PLAN: &str = "\
Examples:
  kafka-tui reassign plan --drain 3 --out plan.json
  kafka-tui reassign plan --balance all --topic orders --throttle 20M
  kafka-tui reassign plan --replication-factor 3 --topic audit --out plan.json";

pub(super) const REASSIGN_RUN: &str = "\
Examples:
  kafka-tui reassign run plan.json                # what it comes to; nothing is changed
  kafka-tui reassign run plan.json --throttle 20M --batch 10 --execute";

pub(super) const ELECT: &str = "\
Examples:
  kafka-tui elect --topic orders --dry-run
  kafka-tui elect --every 15m";

pub(super) const ACLS_CREATE: &str = "\
Examples:
  kafka-tui acls create --allow User:billing --operation read --topic orders
  kafka-tui acls create --allow User:shop --operation write,describe --topic shop- --pattern prefixed";

pub(super) const ACLS_EXPLAIN: &str = "\
Example:
  kafka-tui acls explain --principal User:billing --operation read --topic orders --host 10.0.0.7";

pub(super) const SET_PASSWORD: &str = "\
Example:
  kafka-tui users set-password alice --password-from env:PASSWORD";

pub(super) const QUOTAS_ALTER: &str = "\
Examples:
  kafka-tui quotas alter --user alice --set producer_byte_rate=1048576
  kafka-tui quotas alter --default-user --client-id reports --unset consumer_byte_rate";

pub(super) const FEATURES_UPGRADE: &str = "\
Example:
  kafka-tui features upgrade metadata.version=4.3 --dry-run";

pub(super) const ADD_VOTER: &str = "\
Example:
  kafka-tui quorum add-voter 4 --listener CONTROLLER://host4:9093";

pub(super) const WAIT: &str = "\
Examples:
  kafka-tui wait 'urp == 0 and reassignments == 0' --timeout 10m
  kafka-tui wait 'lag(\"billing\") < 100' --every 5s --stable 3";

pub(super) const CHANGES: &str = "\
Examples:
  kafka-tui changes --for 1h --record changes.rec
  kafka-tui changes --replay changes.rec --from 14:00 --diff";

pub(super) const CONNECT_CONFIG: &str = "\
Example:
  kafka-tui connect config files --set tasks.max=2 --dry-run --url http://host:8083";

pub(super) const CLUSTERS_ADD: &str = "\
Examples:
  kafka-tui clusters add dev --bootstrap localhost:9092 --danger low
  kafka-tui clusters add prod --bootstrap host:9093 --tls --user me --password-from env:PW --danger high --read-only
  kafka-tui clusters add old --properties client.properties";

pub(super) const CLUSTERS_EDIT: &str = "\
Examples:
  kafka-tui clusters edit prod --bootstrap host1:9093,host2:9093
  kafka-tui clusters edit prod --password-from file:/run/secrets/kafka --danger high
  kafka-tui clusters edit old --rename archive --read-only --clear connect,connect-login";

pub(super) const LOCAL_START: &str = "\
Examples:
  kafka-tui local start                           # one broker, called default
  kafka-tui local start dev --brokers 3 --racks a,b,c
  kafka-tui local start mixed --brokers 3 --apache kafka_2.13-4.3.1 --apache-nodes 2,3";
