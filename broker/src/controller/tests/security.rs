//! Quotas and SCRAM credentials: what is refused, and what is written.

use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_protocol::messages::{AlterClientQuotasRequest, AlterUserScramCredentialsRequest};
use kafka_shared::error::ErrorCode;
use kafka_shared::schema::metadata::{FeatureLevelRecord, MetadataRecord};

use super::script::{Script, text};

/// `user=a,client-id= KEY=VALUE -KEY…`: no name is the default, `''` the empty name.
fn entry(line: &str) -> EntryData {
    let mut words = line.split(' ');
    let part = |part: &str| {
        let (kind, name) = part.split_once('=').unwrap();
        EntityData::default()
            .with_entity_type(text(kind))
            .with_entity_name((!name.is_empty()).then(|| text(name.trim_matches('\''))))
    };
    let parts = words.next().unwrap().split(',').filter(|p| !p.is_empty());
    let entity = parts.map(part).collect();
    let op = |word: &str| match word.split_once('=') {
        Some((key, value)) => OpData::default()
            .with_key(text(key))
            .with_value(value.parse().unwrap()),
        None => OpData::default()
            .with_key(text(&word[1..]))
            .with_remove(true),
    };
    EntryData::default()
        .with_entity(entity)
        .with_ops(words.map(op).collect())
}

/// The codes of the entities in their order, and what was written, as `KEY=VALUE` and `-KEY`.
fn alter(script: &mut Script, lines: &[&str], validate_only: bool) -> (Vec<i16>, Vec<String>) {
    let request = AlterClientQuotasRequest::default()
        .with_entries(lines.iter().map(|line| entry(line)).collect())
        .with_validate_only(validate_only);
    let outcome = script.controller.alter_client_quotas(&request).unwrap();
    script.apply(&outcome.records);
    let codes = outcome
        .response
        .entries
        .iter()
        .map(|entry| entry.error_code);
    let written = outcome.records.iter().map(|record| match record {
        MetadataRecord::ClientQuota(record) if record.remove => format!("-{}", record.key),
        MetadataRecord::ClientQuota(record) => format!("{}={}", record.key, record.value),
        other => panic!("{other:?}"),
    });
    (codes.collect(), written.collect())
}

#[test]
fn quotas_are_set_changed_and_removed_and_what_is_set_already_is_not_written() {
    let mut script = Script::new();
    let mut alter = |lines: &[&str], dry| {
        let (codes, written) = alter(&mut script, lines, dry);
        assert!(codes.iter().all(|code| *code == 0), "{lines:?}: {codes:?}");
        written
    };
    let both = ["user=a producer_byte_rate=5 request_percentage=0.5"];
    assert!(alter(&both, true).is_empty());
    assert_eq!(
        alter(&both, false),
        ["producer_byte_rate=5", "request_percentage=0.5"]
    );
    let changed = ["user=a producer_byte_rate=5 request_percentage=0.75 -consumer_byte_rate"];
    assert_eq!(alter(&changed, false), ["request_percentage=0.75"]);
    assert_eq!(
        alter(&["user= producer_byte_rate=9"], false),
        ["producer_byte_rate=9"]
    );
    let ips = [
        "ip= connection_creation_rate=1",
        "ip=::1 connection_creation_rate=2",
    ];
    assert_eq!(alter(&ips, false).len(), 2);
    let gone = ["user=a -producer_byte_rate -request_percentage -no_such_key"];
    assert_eq!(
        alter(&gone, false),
        ["-producer_byte_rate", "-request_percentage"]
    );
    assert_eq!(script.controller.image().client_quotas.len(), 3);
}

#[test]
fn quotas_that_make_no_sense_leave_their_entity_alone() {
    let cases = [
        "",
        "group=a producer_byte_rate=5",
        "user=a connection_creation_rate=5",
        "user='' producer_byte_rate=5",
        "user=a producer_byte_rate=0",
        "user=a producer_byte_rate=-1",
        "user=a producer_byte_rate=1.5",
        "user=a producer_byte_rate=1e30",
        "user=a request_percentage=5 nothing=1",
        "user=a producer_byte_rate=5 producer_byte_rate=6",
        "ip=1.2.3.4,user=a connection_creation_rate=5",
        "ip=no/host connection_creation_rate=5",
        "ip=1.2.3.4 connection_creation_rate=2147483648",
        "ip=1.2.3.4 producer_byte_rate=5",
    ];
    let mut script = Script::new();
    for case in cases {
        let (codes, written) = alter(&mut script, &[case], false);
        assert_eq!(codes, [ErrorCode::INVALID_REQUEST.0], "{case:?}");
        assert!(written.is_empty(), "{case:?}: {written:?}");
    }
    // A second naming is an error, and what the first one did stays.
    let twice = ["user=a producer_byte_rate=5", "user=a producer_byte_rate=6"];
    let (codes, written) = alter(&mut script, &twice, false);
    assert_eq!(codes, [ErrorCode::INVALID_REQUEST.0]);
    assert_eq!(written, ["producer_byte_rate=5"]);
    let many = (0..10_001).map(|n| format!("user={n} producer_byte_rate=5"));
    let many = many.map(|line| entry(&line)).collect();
    let request = AlterClientQuotasRequest::default().with_entries(many);
    let refused = script.controller.alter_client_quotas(&request);
    assert_eq!(refused.unwrap_err().code, ErrorCode::POLICY_VIOLATION);
}

/// `-USER/MECHANISM` or `USER/MECHANISM/ITERATIONS` each; the codes by user, and the number of
/// records.
fn scram(script: &mut Script, words: &[&str]) -> (Vec<(String, ErrorCode)>, usize) {
    let mut request = AlterUserScramCredentialsRequest::default();
    for word in words {
        let parts: Vec<_> = word.trim_start_matches('-').split('/').collect();
        let mechanism = parts[1].parse().unwrap();
        if word.starts_with('-') {
            let deletion = ScramCredentialDeletion::default()
                .with_name(text(parts[0]))
                .with_mechanism(mechanism);
            request.deletions.push(deletion);
        } else {
            let upsertion = ScramCredentialUpsertion::default()
                .with_name(text(parts[0]))
                .with_mechanism(mechanism)
                .with_iterations(parts[2].parse().unwrap())
                .with_salt(vec![1, 2, 3].into())
                .with_salted_password(parts.get(3).unwrap_or(&"secret").as_bytes().to_vec().into());
            request.upsertions.push(upsertion);
        }
    }
    let outcome = script.controller.alter_user_scram_credentials(&request);
    script.apply(&outcome.records);
    let result = outcome.response.results.into_iter();
    let codes = result.map(|r| (r.user.as_str().to_owned(), ErrorCode(r.error_code)));
    (codes.collect(), outcome.records.len())
}

#[test]
fn credentials_are_kept_as_keys_and_mistakes_are_told_by_user() {
    let mut script = Script::new();
    let mut code = |words: &[&str], user: &str, expected: ErrorCode, records: usize| {
        let (codes, written) = scram(&mut script, words);
        let found = codes.iter().find(|(name, _)| name == user);
        assert_eq!(found.map(|(_, code)| *code), Some(expected), "{words:?}");
        assert_eq!(written, records, "{words:?}");
    };
    code(&["-a/1"], "a", ErrorCode::RESOURCE_NOT_FOUND, 0);
    code(&["a/1/4095"], "a", ErrorCode::UNACCEPTABLE_CREDENTIAL, 0);
    code(&["a/1/16385"], "a", ErrorCode::UNACCEPTABLE_CREDENTIAL, 0);
    code(&["/1/4096"], "", ErrorCode::UNACCEPTABLE_CREDENTIAL, 0);
    code(&["a/3/4096"], "a", ErrorCode::UNSUPPORTED_SASL_MECHANISM, 0);
    code(&["a/1/4096/"], "a", ErrorCode::UNKNOWN_SERVER_ERROR, 0);
    code(&["a/1/4096", "b/2/16384"], "a", ErrorCode::NONE, 2);
    code(
        &["a/1/4096", "a/2/4096"],
        "a",
        ErrorCode::DUPLICATE_RESOURCE,
        0,
    );
    code(&["-a/1", "-a/1"], "a", ErrorCode::DUPLICATE_RESOURCE, 0);
    code(&["-a/1", "a/1/8192"], "a", ErrorCode::DUPLICATE_RESOURCE, 0);
    // The first mistake of a user is the one that is told.
    code(&["-c/1", "c/1/8192"], "c", ErrorCode::RESOURCE_NOT_FOUND, 0);
    code(&["-b/2", "a/2/8192"], "b", ErrorCode::NONE, 2);
    let image = script.controller.image();
    let keys: Vec<_> = image.scram.keys().map(|(m, user)| (*m, &**user)).collect();
    assert_eq!(keys, [(1, "a"), (2, "a")]);
    let sha512 = &image.scram[&(2, "a".into())];
    assert_eq!((sha512.stored_key.len(), sha512.server_key.len()), (64, 64));
}

#[test]
fn an_old_metadata_version_keeps_no_credentials() {
    let mut script = Script::new();
    let level = FeatureLevelRecord {
        name: "metadata.version".into(),
        feature_level: 10,
    };
    script.apply(&[level.into()]);
    let (codes, written) = scram(&mut script, &["a/1/4096"]);
    assert_eq!(codes, [("a".to_owned(), ErrorCode::UNSUPPORTED_VERSION)]);
    assert_eq!(written, 0);
}
