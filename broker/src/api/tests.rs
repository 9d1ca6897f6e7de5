//! Tests of the API table.
