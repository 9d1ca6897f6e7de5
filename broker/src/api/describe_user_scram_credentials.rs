//! DescribeUserScramCredentials (50): which users can log in by which mechanism.
//!
//! Salts and keys are never told.
//!
//! Kafka: `image/ScramImage.java` (4.3).

use std::collections::BTreeMap;

use kafka_protocol::messages::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResult,
};
use kafka_protocol::messages::{
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
};
use kafka_shared::error::ErrorCode;

use super::own;
use crate::metadata::MetadataImage;

pub(super) fn handle(
    image: &MetadataImage,
    request: &DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    // How often each user is asked for; no user at all asks for everybody.
    let mut users: BTreeMap<&str, usize> = BTreeMap::new();
    match request.users.as_deref() {
        None | Some([]) => {
            users.extend(image.scram.keys().map(|(_, user)| (&**user, 1)));
        }
        Some(asked) => {
            for user in asked {
                *users.entry(user.name.as_str()).or_default() += 1;
            }
        }
    }
    let results = users.into_iter().map(|(user, times)| {
        let result = DescribeUserScramCredentialsResult::default()
            .with_user(own(user))
            .with_error_message(None);
        let refused = |code: ErrorCode, why: &str| {
            let message = own(&format!("{why}: {user}"));
            (result.clone())
                .with_error_code(code.0)
                .with_error_message(Some(message))
        };
        if times > 1 {
            let why =
                "Cannot describe SCRAM credentials for the same user twice in a single request";
            return refused(ErrorCode::DUPLICATE_RESOURCE, why);
        }
        let infos: Vec<_> = (image.scram.iter())
            .filter(|((_, name), _)| &**name == user)
            .map(|((mechanism, _), credential)| {
                CredentialInfo::default()
                    .with_mechanism(*mechanism)
                    .with_iterations(credential.iterations)
            })
            .collect();
        if infos.is_empty() {
            let why = "Attempt to describe a user credential that does not exist";
            return refused(ErrorCode::RESOURCE_NOT_FOUND, why);
        }
        result.with_credential_infos(infos)
    });
    DescribeUserScramCredentialsResponse::default()
        .with_error_message(None)
        .with_results(results.collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;

    use super::*;
    use crate::metadata::security::ScramCredential;

    /// User, error code, mechanisms with their iterations.
    type Told = (String, i16, Vec<(i8, i32)>);

    fn ask(users: Option<&[&str]>) -> Vec<Told> {
        let mut image = MetadataImage::default();
        for (mechanism, user, iterations) in [(1, "a", 4096), (2, "a", 5000), (2, "b", 8192)] {
            let credential = ScramCredential {
                salt: vec![1],
                stored_key: vec![2],
                server_key: vec![3],
                iterations,
            };
            let key = (mechanism, Arc::from(user));
            image.scram.insert(key, Arc::new(credential));
        }
        let names = |users: &[&str]| {
            let name = |user: &&str| UserName::default().with_name(own(user));
            users.iter().map(name).collect()
        };
        let request = DescribeUserScramCredentialsRequest::default().with_users(users.map(names));
        let result = |result: DescribeUserScramCredentialsResult| {
            let infos = result.credential_infos.iter();
            let infos = infos.map(|info| (info.mechanism, info.iterations));
            let user = result.user.as_str().to_owned();
            (user, result.error_code, infos.collect())
        };
        handle(&image, &request)
            .results
            .into_iter()
            .map(result)
            .collect()
    }

    #[test]
    fn users_are_told_with_their_mechanisms_and_mistakes_with_kafkas_codes() {
        let all = [
            ("a".to_owned(), 0, vec![(1, 4096), (2, 5000)]),
            ("b".to_owned(), 0, vec![(2, 8192)]),
        ];
        assert_eq!(ask(None), all);
        assert_eq!(ask(Some(&[])), all);
        let mixed = ask(Some(&["b", "c", "a", "a"]));
        let (duplicate, missing) = (
            ErrorCode::DUPLICATE_RESOURCE.0,
            ErrorCode::RESOURCE_NOT_FOUND.0,
        );
        assert_eq!(
            mixed,
            [
                ("a".to_owned(), duplicate, vec![]),
                ("b".to_owned(), 0, vec![(2, 8192)]),
                ("c".to_owned(), missing, vec![]),
            ]
        );
    }
}
