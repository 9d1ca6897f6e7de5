//! TLS, SASL, delegation tokens and authorization.
//!
//! Facts are those of Apache Kafka 4.3.1; see [`super`] for the columns.

keys! {
    KEYS:
    "authorizer.class.name" String "" any Low ReadOnly public ignored
        "Java class that decides what principals may do.";
    "delegation.token.expiry.check.interval.ms" Long "3600000" [1 ..] Low ReadOnly public ignored
        "How often expired delegation tokens are removed.";
    "delegation.token.expiry.time.ms" Long "86400000" [1 ..] Medium ReadOnly public ignored
        "How long a delegation token is valid before it has to be renewed.";
    "delegation.token.max.lifetime.ms" Long "604800000" [1 ..] Medium ReadOnly public ignored
        "After so long a delegation token cannot be renewed any more.";
    "delegation.token.secret.key" Password null any Medium ReadOnly public ignored
        "Secret that signs delegation tokens, the same on all nodes.";
    "principal.builder.class" Class "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder" any Medium PerBroker public ignored
        "Java class that names principals; the default one is built in.";
    "sasl.client.callback.handler.class" Class null any Medium ReadOnly public ignored
        "Java class that provides this node's own SASL credentials.";
    "sasl.enabled.mechanisms" List "GSSAPI" (list empty []) Medium PerBroker public ignored
        "SASL mechanisms that clients may use.";
    "sasl.jaas.config" Password null any Medium PerBroker public ignored
        "JAAS login context of SASL connections.";
    "sasl.kerberos.kinit.cmd" String "/usr/bin/kinit" any Medium PerBroker public ignored
        "Path of the kinit command.";
    "sasl.kerberos.min.time.before.relogin" Long "60000" any Medium PerBroker public ignored
        "Least time between two Kerberos logins.";
    "sasl.kerberos.principal.to.local.rules" List "DEFAULT" (list empty []) Medium PerBroker public ignored
        "Rules that map Kerberos principals to short names.";
    "sasl.kerberos.service.name" String null any Medium PerBroker public ignored
        "Kerberos principal that Kafka runs as.";
    "sasl.kerberos.ticket.renew.jitter" Double "0.05" any Medium PerBroker public ignored
        "Random share added to the Kerberos renewal time.";
    "sasl.kerberos.ticket.renew.window.factor" Double "0.8" any Medium PerBroker public ignored
        "Share of a ticket's life after which it is renewed.";
    "sasl.login.callback.handler.class" Class null any Medium ReadOnly public ignored
        "Java class that handles SASL logins.";
    "sasl.login.class" Class null any Medium ReadOnly public ignored
        "Java class that performs SASL logins.";
    "sasl.login.connect.timeout.ms" Int null any Low ReadOnly public ignored
        "Time limit for connecting to an identity provider.";
    "sasl.login.read.timeout.ms" Int null any Low ReadOnly public ignored
        "Time limit for reading from an identity provider.";
    "sasl.login.refresh.buffer.seconds" Short "300" any Medium PerBroker public ignored
        "Seconds before expiry that a login refresh must leave.";
    "sasl.login.refresh.min.period.seconds" Short "60" any Medium PerBroker public ignored
        "Least seconds between two login refreshes.";
    "sasl.login.refresh.window.factor" Double "0.8" any Medium PerBroker public ignored
        "Share of a credential's life after which it is refreshed.";
    "sasl.login.refresh.window.jitter" Double "0.05" any Medium PerBroker public ignored
        "Random share added to the refresh time.";
    "sasl.login.retry.backoff.max.ms" Long "10000" any Low ReadOnly public ignored
        "Longest wait between attempts to log in.";
    "sasl.login.retry.backoff.ms" Long "100" any Low ReadOnly public ignored
        "First wait between attempts to log in.";
    "sasl.mechanism.controller.protocol" String "GSSAPI" any High ReadOnly public ignored
        "SASL mechanism between brokers and controllers.";
    "sasl.mechanism.inter.broker.protocol" String "GSSAPI" any Medium PerBroker public ignored
        "SASL mechanism between brokers.";
    "sasl.oauthbearer.assertion.algorithm" String "RS256" (one_of_ignore_case ["ES256", "RS256"]) Medium ReadOnly public ignored
        "Algorithm that signs OAuth assertions.";
    "sasl.oauthbearer.assertion.claim.aud" String null any Medium ReadOnly public ignored
        "Audience claim of OAuth assertions.";
    "sasl.oauthbearer.assertion.claim.exp.seconds" Int "300" [0 .. 86400] Low ReadOnly public ignored
        "Seconds until OAuth assertions expire.";
    "sasl.oauthbearer.assertion.claim.iss" String null any Medium ReadOnly public ignored
        "Issuer claim of OAuth assertions.";
    "sasl.oauthbearer.assertion.claim.jti.include" Boolean "false" any Medium ReadOnly public ignored
        "Whether OAuth assertions carry an id of their own.";
    "sasl.oauthbearer.assertion.claim.nbf.seconds" Int "60" [0 .. 3600] Low ReadOnly public ignored
        "Seconds by which OAuth assertions are valid in advance.";
    "sasl.oauthbearer.assertion.claim.sub" String null any Medium ReadOnly public ignored
        "Subject claim of OAuth assertions.";
    "sasl.oauthbearer.assertion.file" String null any Medium ReadOnly public ignored
        "File with a ready-made OAuth assertion.";
    "sasl.oauthbearer.assertion.private.key.file" String null any Medium ReadOnly public ignored
        "File with the key that signs OAuth assertions.";
    "sasl.oauthbearer.assertion.private.key.passphrase" Password null any Medium ReadOnly public ignored
        "Passphrase of the key that signs OAuth assertions.";
    "sasl.oauthbearer.assertion.template.file" String null any Medium ReadOnly public ignored
        "File with headers and claims of OAuth assertions.";
    "sasl.oauthbearer.client.credentials.client.id" String null any Medium ReadOnly public ignored
        "Client id for the OAuth client-credentials grant.";
    "sasl.oauthbearer.client.credentials.client.secret" Password null any Medium ReadOnly public ignored
        "Client secret for the OAuth client-credentials grant.";
    "sasl.oauthbearer.clock.skew.seconds" Int "30" any Low ReadOnly public ignored
        "Difference of clocks that is tolerated in OAuth tokens.";
    "sasl.oauthbearer.expected.audience" List "" (list empty []) High ReadOnly public ignored
        "Audiences of which an OAuth token must name one.";
    "sasl.oauthbearer.expected.issuer" String null any High ReadOnly public ignored
        "Issuer that an OAuth token must name.";
    "sasl.oauthbearer.jwks.endpoint.refresh.ms" Long "3600000" any Low ReadOnly public ignored
        "How often the OAuth key set is fetched.";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms" Long "10000" any Low ReadOnly public ignored
        "Longest wait between attempts to fetch the OAuth key set.";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms" Long "100" any Low ReadOnly public ignored
        "First wait between attempts to fetch the OAuth key set.";
    "sasl.oauthbearer.jwks.endpoint.url" String null any Medium ReadOnly public ignored
        "Where the OAuth key set is fetched from.";
    "sasl.oauthbearer.jwt.retriever.class" Class "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever" any Medium ReadOnly public ignored
        "Java class that obtains OAuth tokens.";
    "sasl.oauthbearer.jwt.validator.class" Class "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator" any Medium ReadOnly public ignored
        "Java class that checks OAuth tokens.";
    "sasl.oauthbearer.scope" String null any Medium ReadOnly public ignored
        "Scope asked for in the OAuth client-credentials grant.";
    "sasl.oauthbearer.scope.claim.name" String "scope" any Low ReadOnly public ignored
        "Name of the claim with the scope of an OAuth token.";
    "sasl.oauthbearer.sub.claim.name" String "sub" any Low ReadOnly public ignored
        "Name of the claim with the subject of an OAuth token.";
    "sasl.oauthbearer.token.endpoint.url" String null any Medium ReadOnly public ignored
        "Where OAuth tokens are obtained.";
    "sasl.server.callback.handler.class" Class null any Medium ReadOnly public ignored
        "Java class that checks SASL credentials.";
    "sasl.server.max.receive.size" Int "524288" any Medium ReadOnly public ignored
        "Largest SASL message before authentication.";
    "security.providers" String null any Low ReadOnly public ignored
        "Java classes that provide security algorithms.";
    "ssl.allow.dn.changes" Boolean "false" any Low ReadOnly public ignored
        "Whether a new certificate may carry another distinguished name.";
    "ssl.allow.san.changes" Boolean "false" any Low ReadOnly public ignored
        "Whether a new certificate may carry fewer subject alternative names.";
    "ssl.cipher.suites" List "" (list empty []) Medium PerBroker public ignored
        "Cipher suites that may be negotiated.";
    "ssl.client.auth" String "none" (one_of ["required", "requested", "none"]) Medium PerBroker public ignored
        "Whether clients have to present a certificate.";
    "ssl.enabled.protocols" List "TLSv1.2,TLSv1.3" (list empty []) Medium PerBroker public ignored
        "TLS versions that may be negotiated.";
    "ssl.endpoint.identification.algorithm" String "https" any Low PerBroker public ignored
        "How a server's host name is checked against its certificate.";
    "ssl.engine.factory.class" Class null any Low PerBroker public ignored
        "Java class that creates TLS engines.";
    "ssl.key.password" Password null any Medium PerBroker public ignored
        "Password of the private key.";
    "ssl.keymanager.algorithm" String "SunX509" any Medium PerBroker public ignored
        "Algorithm of the Java key manager.";
    "ssl.keystore.certificate.chain" Password null any Medium PerBroker public ignored
        "Certificate chain in PEM.";
    "ssl.keystore.key" Password null any Medium PerBroker public ignored
        "Private key in PEM.";
    "ssl.keystore.location" String null any Medium PerBroker public ignored
        "File with key and certificates of this node.";
    "ssl.keystore.password" Password null any Medium PerBroker public ignored
        "Password of the key store.";
    "ssl.keystore.type" String "JKS" any Medium PerBroker public ignored
        "Format of the key store.";
    "ssl.principal.mapping.rules" String "DEFAULT" any Low ReadOnly public ignored
        "Rules that map distinguished names of certificates to principals.";
    "ssl.protocol" String "TLSv1.3" any Medium PerBroker public ignored
        "TLS version that is preferred.";
    "ssl.provider" String null any Medium PerBroker public ignored
        "Java security provider of TLS.";
    "ssl.secure.random.implementation" String null any Low PerBroker public ignored
        "Java source of random numbers for TLS.";
    "ssl.trustmanager.algorithm" String "PKIX" any Medium PerBroker public ignored
        "Algorithm of the Java trust manager.";
    "ssl.truststore.certificates" Password null any Medium PerBroker public ignored
        "Trusted certificates in PEM.";
    "ssl.truststore.location" String null any Medium PerBroker public ignored
        "File with the trusted certificates.";
    "ssl.truststore.password" Password null any Medium PerBroker public ignored
        "Password of the trust store.";
    "ssl.truststore.type" String "JKS" any Medium PerBroker public ignored
        "Format of the trust store.";
}
