//! One event per line, as a JSON object.

use humantime::format_rfc3339_micros;
use serde_json::{Map, Value as JsonValue};

use super::clock::Clock;
use crate::log::{Event, Value};

/// The fields that come first, in this order, where an event has them.
const FIRST: [&str; 3] = ["cpu", "guest", "vcpu"];

/// Writes the lines of one log: `{"t":..., "time":"...", "cpu":..., "guest":..., "vcpu":..., "kind":"...", ...}`.
///
/// `t` is in time stamp ticks, a number: readers that hold numbers in doubles lose its last bits from 2^53 on, some ticks after 35 days at 3 GHz.
/// `time` is RFC 3339, UTC, to the microsecond; it stands in every event after its boot's `hypervisor.clock`, unless that knows no time. Hexadecimal values are strings such as `"0xbd000000000000cf"`: many readers hold a JSON number in a double, which
/// cannot hold a register of 64 bits.
#[derive(Debug, Default)]
pub struct Json {
    clock: Clock,
}

impl Json {
    /// Takes what an event says of the clocks, where it is not shown.
    pub fn hear(&mut self, event: &Event) {
        self.clock.hear(event);
    }

    /// An event's line. Each event of the log comes here or to [`Self::hear`].
    pub fn line(&mut self, event: &Event) -> String {
        self.hear(event);
        line(event, self.clock)
    }
}

fn line(event: &Event, clock: Clock) -> String {
    let mut object = Map::new();
    let t = event.t.map_or(JsonValue::Null, JsonValue::from);
    object.insert("t".into(), t);
    if let Some(when) = clock.when(event) {
        let time = format_rfc3339_micros(when).to_string();
        object.insert("time".into(), JsonValue::from(time));
    }
    for name in FIRST {
        if let Some(value) = event.get(name) {
            object.insert(name.into(), json(value));
        }
    }
    object.insert("kind".into(), JsonValue::from(event.kind.as_str()));
    for (name, value) in &event.fields {
        if !object.contains_key(name) {
            object.insert(name.clone(), json(value));
        }
    }
    JsonValue::Object(object).to_string()
}

fn json(value: &Value) -> JsonValue {
    match value {
        Value::Decimal(number) => JsonValue::from(*number),
        Value::Hex(_) | Value::Text(_) => JsonValue::from(value.to_string()),
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
            Json::default().line(&Event::parse(text, Some(12), Level::Info)),
            r#"{"t":12,"cpu":1,"guest":0,"vcpu":1,"kind":"vmce.injected","status":"0xbd000000000000cf"}"#
        );
        assert_eq!(
            Json::default().line(&Event::parse("a \"quoted\" text", None, Level::Info)),
            r#"{"t":null,"kind":"log","text":"a \"quoted\" text"}"#
        );
    }

    #[test]
    fn after_the_clock_event_the_time_of_day_is_there() {
        let event = |t, text| Event::parse(text, Some(t), Level::Info);
        let mut lines = Json::default();
        let text = "hypervisor.clock cpu=0 tsc_khz=1000 source=timer unix=1795391998";
        assert_eq!(
            lines.line(&event(7, text)),
            r#"{"t":7,"time":"2026-11-22T23:59:58.000000Z","cpu":0,"kind":"hypervisor.clock","tsc_khz":1000,"source":"timer","unix":1795391998}"#
        );
        assert_eq!(
            lines.line(&event(1_500_007, "mc.resumed cpu=1")),
            r#"{"t":1500007,"time":"2026-11-22T23:59:59.500000Z","cpu":1,"kind":"mc.resumed"}"#
        );
    }
}
