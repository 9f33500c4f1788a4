//! A run as a trace for Chrome's viewer or Perfetto (the JSON form of the Trace Event Format).
//!
//! One nanosecond of the trace is one tick of the time stamp counter, in an emulator one instruction.

use serde_json::{Value, json};

use super::{Doing, Row, Story};

/// The trace's text.
pub fn trace(story: &Story) -> String {
    let mut events = Vec::new();
    for row in &story.rows {
        let (pid, tid) = place(*row);
        let process = match row {
            Row::Processor(_) => "processors".to_owned(),
            Row::Guest(guest) | Row::Vcpu(guest, _) => story.name(Row::Guest(*guest)),
        };
        events.push(named("process_name", pid, tid, &process));
        events.push(named("thread_name", pid, tid, &story.name(*row)));
    }
    for span in &story.spans {
        let (pid, tid) = place(span.row);
        let name = match span.doing {
            Doing::Guest => story.name(span.row),
            doing => doing.word().to_owned(),
        };
        events.push(json!({
            "name": name, "cat": "span", "ph": "X", "pid": pid, "tid": tid,
            "ts": microseconds(span.start), "dur": microseconds(span.end - span.start),
            "args": {"what": span.doing.words(), "ticks": span.end - span.start},
        }));
    }
    for mark in &story.marks {
        let (pid, tid) = place(mark.row);
        let arguments: serde_json::Map<_, _> = mark
            .event
            .fields
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.to_string())))
            .collect();
        events.push(json!({
            "name": mark.event.kind, "cat": "event", "ph": "i", "s": "t", "pid": pid, "tid": tid,
            "ts": microseconds(mark.at), "args": arguments,
        }));
    }
    // A line each: readable, and small differences stay small.
    let lines: Vec<_> = events.iter().map(Value::to_string).collect();
    format!(
        "{{\"displayTimeUnit\":\"ns\",\"otherData\":{{\"unit\":\"1 ns is 1 tick of the time stamp counter\"}},\"traceEvents\":[\n{}\n]}}\n",
        lines.join(",\n")
    )
}

/// The process and the thread that a row is to the viewer.
fn place(row: Row) -> (u64, u64) {
    match row {
        Row::Processor(number) => (1, number),
        Row::Guest(guest) => (2 + guest, 0),
        Row::Vcpu(guest, vcpu) => (2 + guest, 1 + vcpu),
    }
}

fn named(what: &str, pid: u64, tid: u64, name: &str) -> Value {
    json!({"name": what, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}})
}

/// The format's unit; as many decimals as a double keeps for weeks of ticks.
fn microseconds(ticks: u64) -> f64 {
    ticks as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::super::tests::{RUN, story};
    use super::*;

    #[test]
    fn is_a_trace_with_a_row_for_each_and_spans_that_nest() {
        let text = trace(&story(RUN));
        let whole: Value = serde_json::from_str(&text).unwrap();
        let events = whole["traceEvents"].as_array().unwrap();
        let names: Vec<_> = events
            .iter()
            .filter(|event| event["name"] == "thread_name")
            .map(|event| event["args"]["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["cpu0", "cpu1", "g0", "g0 vCPU 0"]);
        let gate = events
            .iter()
            .find(|event| event["name"] == "gate" && event["tid"] == 1)
            .unwrap();
        assert_eq!(
            (gate["ts"].as_f64(), gate["dur"].as_f64()),
            (Some(0.12), Some(0.01))
        );
        let mark = events
            .iter()
            .find(|event| event["name"] == "page.retired")
            .unwrap();
        assert_eq!(
            (mark["ph"].as_str(), mark["args"]["gpa"].as_str()),
            (Some("i"), Some("0x2000"))
        );
    }
}
