//! Tests of the client against a server made for the purpose.
