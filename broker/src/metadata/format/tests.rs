//! What a folder is formatted for: quorums and levels.

use super::super::features::GROUP_VERSION;
use super::*;

#[test]
fn the_quorum_decides_about_kraft_version_and_voters() {
    let dir = tempfile::tempdir().unwrap();
    let voters = "2@[::1]:9094:AAAAAAAAAAAAAAAAAAAAZg,1@h:9093:AAAAAAAAAAAAAAAAAAAAZQ";
    let voters = initial_voters(voters).unwrap();
    let options = |name: &str, node_id, quorum| FormatOptions {
        cluster_id: "bXCdYd2BTe2RpH20eEkfFg".into(),
        node_id,
        dirs: vec![dir.path().join(name)],
        metadata_log_dir: dir.path().join(name),
        controller_listener: "CONTROLLER".into(),
        quorum,
        release_version: Some(25),
        feature_levels: Vec::new(),
        ignore_formatted: false,
    };
    let checkpoint = |name: &str| {
        let id = SnapshotId::BOOTSTRAP.file_name();
        let path = dir.path().join(name).join("__cluster_metadata-0").join(id);
        path.exists()
            .then(|| snapshot::read_file(&path).unwrap().kraft)
    };
    for (name, node_id, quorum, kind, has_voters) in [
        (
            "static",
            1,
            InitialQuorum::Static,
            DirectoryKind::Metadata,
            false,
        ),
        (
            "joins",
            1,
            InitialQuorum::Unknown,
            DirectoryKind::Metadata,
            false,
        ),
        (
            "voter",
            1,
            InitialQuorum::Voters(voters.clone()),
            DirectoryKind::DynamicMetadataVoter,
            true,
        ),
        (
            "no-voter",
            3,
            InitialQuorum::Voters(voters.clone()),
            DirectoryKind::DynamicMetadata,
            true,
        ),
    ] {
        let formatted = format(&options(name, node_id, quorum), 0).unwrap();
        assert_eq!(formatted[0].kind, kind);
        assert_eq!(formatted[0].metadata_version, "4.0-IV3");
        let kraft = checkpoint(name);
        assert_eq!(kraft.is_some(), has_voters, "{name}");
        let Some(kraft) = kraft else { continue };
        assert_eq!(kraft.kraft_version, 1);
        let written = kraft.voters.unwrap().voters;
        let ids: Vec<_> = written.iter().map(|voter| voter.voter_id).collect();
        assert_eq!(ids, [1, 2]);
        assert_eq!(written[1].endpoints[0].host, "::1");
        assert_eq!(
            formatted[0].directory_id == voters[1].directory_id,
            node_id == 1
        );
        // A cluster of that release begins without eligible leader replicas.
        let first = read_bootstrap(&dir.path().join(name)).unwrap();
        assert_eq!(first.len(), 1);
    }
    let with_level = |quorum, level| FormatOptions {
        feature_levels: vec![("kraft.version".into(), level)],
        ..options("refused", 1, quorum)
    };
    assert!(matches!(
        format(&with_level(InitialQuorum::Static, 1), 0),
        Err(FormatError::DynamicLevel(1))
    ));
    assert!(matches!(
        format(&with_level(InitialQuorum::Unknown, 0), 0),
        Err(FormatError::StaticLevel)
    ));
    assert!(!dir.path().join("refused").exists());
}

#[test]
fn initial_controllers_that_cannot_be_read_are_refused_with_the_reason() {
    let id = "AAAAAAAAAAAAAAAAAAAAZg";
    for (text, why) in [
        (String::new(), "No voters given"),
        (format!("1h:1:{id}"), "No @ found"),
        (format!("x@h:1:{id}"), "Failed to parse node id"),
        (format!("-1@h:1:{id}"), "Invalid negative node id"),
        (format!("1@h:{id}"), "is not host:port"),
        (format!("1@h:99999:{id}"), "is not host:port"),
        ("1@h:1:short".to_owned(), "Failed to parse directory ID"),
        (format!("1@h:1:{id},1@g:2:{id}"), "more than once"),
    ] {
        let error = initial_voters(&text).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn feature_levels_that_are_not_implemented_are_refused() {
    let level = |name: &str, level| feature_records(&[(name.to_owned(), level)]);
    assert!(matches!(
        level(GROUP_VERSION, 1),
        Err(FormatError::Level { max: 0, .. })
    ));
    assert!(matches!(
        level("group.versions", 0),
        Err(FormatError::UnknownFeature { .. })
    ));
    assert!(matches!(
        level("metadata.version", 31),
        Err(FormatError::Level { .. })
    ));
    // An older metadata.version goes without what needs a newer one.
    let records = level("metadata.version", 20).unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(metadata_version_name(30), Some("4.3-IV0"));
    assert_eq!(
        (metadata_version_name(6), metadata_version_name(31)),
        (None, None)
    );
}
