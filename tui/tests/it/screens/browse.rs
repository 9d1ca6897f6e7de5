//! Browsing messages: filters and decoders on the screen.

use serde_json::json;

use super::*;
use kafka_shared::types::Endpoint;
use kafka_tui::ops::ProduceMessage;

use crate::transaction::registry;

#[test]
fn what_is_read_is_chosen_and_read_on() -> anyhow::Result<()> {
    let mut session = Session::start(SMALL, &[], &[], &[("log", 1)])?;
    let bootstrap = session.bootstrap();
    session.runtime.block_on(produce(&bootstrap, "log", 30))?;
    session.see(":messages space log enter", "value-29")?;
    session.see("f", "what to read")?;
    session.see("value space == space value-7 enter", "1 · the newest")?;
    session.see("", "30 looked at")?;
    session.see("", "value-7")?;
    session.see(
        ":find space value space ~ space nothing enter",
        "no message fits the filter",
    )?;
    session.see(":find space offset== enter", "nothing follows")?;
    session.see("f ctrl-u enter", "value-29")?;
    // The key as hexadecimal digits, in the detail.
    session.see("G enter", "key (text, detected, 6 B)")?;
    session.see("x", "key (hex, 6 B)")?;
    session.see("", "6b 65 79 2d 32 39")?;
    session.see("a d", "value (text, 8 B)")?;
    session.see("d", "! json: ")?;
    session.terminal.resize(40, 10)?;
    session.see("", "partition 0")?;
    session.terminal.resize(80, 24)?;
    session.see("esc", "value-29")?;
    session.quit()
}

#[test]
fn schemas_of_a_registry_are_used_on_the_screen() -> anyhow::Result<()> {
    let schema = json!({"schema": "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"string\"}]}"});
    let proto = json!({"schemaType": "PROTOBUF", "schema": "syntax = \"proto3\"; message P { string s = 1; }"});
    let with_title =
        json!({"schemaType": "JSON", "schema": "{\"title\":\"Order\",\"type\":\"object\"}"});
    let url = registry(&[
        ("/schemas/ids/5", schema.to_string()),
        ("/schemas/ids/6", proto.to_string()),
        ("/schemas/ids/8", with_title.to_string()),
    ])?;
    let mut session = Session::start(WIDE, &["--registry", &url], &[], &[("log", 1)])?;
    let bootstrap: Endpoint = session.bootstrap().parse()?;
    session.runtime.block_on(async {
        let client = crate::client(&[bootstrap]);
        for value in [
            &b"\0\0\0\0\x06\0\x0a\x02pb"[..],
            b"\0\0\0\0\x08{\"order\":1}",
            b"\0\0\0\0\x05\x04hi",
            b"\0\0\0\0\x05\x04ho",
            b"\0\0\0\0\x05\x44x",
        ] {
            let message = ProduceMessage {
                topic: "log".to_owned(),
                value: Some(value.to_vec()),
                ..ProduceMessage::default()
            };
            let written = client.produce(&message).await;
            written.map_err(|fault| anyhow::anyhow!("{fault}"))?;
        }
        anyhow::Ok(())
    })?;
    session.see(":messages space log enter", "{\"a\":\"hi\"}")?;
    session.see(
        "G enter",
        "! avro R, schema 5: a: byte 1: 34 bytes are wanted, 1 are left",
    )?;
    session.see("esc k enter", "value (avro R, schema 5, detected, 8 B)")?;
    session.see(
        "esc g enter",
        "value (protobuf P, schema 6, detected, 10 B)",
    )?;
    session.see("", "\"s\": \"pb\"")?;
    session.see("esc j enter", "schema 8, detected, 16 B)")?;
    session.see("", "\"order\": 1")?;
    session.see("esc f value.a space == space ho enter", "1 · the newest")?;
    session.see("", "{\"a\":\"ho\"}")?;
    session.quit()
}
