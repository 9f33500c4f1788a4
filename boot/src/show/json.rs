//! One event per line, as a JSON object.

use serde_json::{Map, Value as Json};

use crate::log::{Event, Value};

/// The fields that come first, in this order, where an event has them.
const FIRST: [&str; 3] = ["cpu", "guest", "vcpu"];

/// `{"t":..., "cpu":..., "guest":..., "vcpu":..., "kind":"...", ...}`.
///
/// Hexadecimal values are strings such as `"0xbd000000000000cf"`: many readers hold a JSON number in a double, which
/// cannot hold a register of 64 bits.
pub fn line(event: &Event) -> String {
    let mut object = Map::new();
    object.insert("t".into(), event.t.map_or(Json::Null, Json::from));
    for name in FIRST {
        if let Some(value) = event.get(name) {
            object.insert(name.into(), json(value));
        }
    }
    object.insert("kind".into(), Json::from(event.kind.as_str()));
    for (name, value) in &event.fields {
        if !object.contains_key(name) {
            object.insert(name.clone(), json(value));
        }
    }
    Json::Object(object).to_string()
}

fn json(value: &Value) -> Json {
    match value {
        Value::Decimal(number) => Json::from(*number),
        Value::Hex(_) | Value::Text(_) => Json::from(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Level;

    #[test]
    fn has_time_place_kind_and_values() {
        let text = "vmce.injected cpu=1 status=0xbd000000000000cf guest=0 vcpu=1 kind=odd";
        assert_eq!(
            line(&Event::parse(text, Some(12), Level::Info)),
            r#"{"t":12,"cpu":1,"guest":0,"vcpu":1,"kind":"vmce.injected","status":"0xbd000000000000cf"}"#
        );
        assert_eq!(
            line(&Event::parse("a \"quoted\" text", None, Level::Info)),
            r#"{"t":null,"kind":"log","text":"a \"quoted\" text"}"#
        );
    }
}
