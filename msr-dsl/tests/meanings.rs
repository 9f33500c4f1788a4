//! What lines of the language mean, asked of the interpreter.

use msr_dsl::interpret::{Answer, Machine};
use msr_dsl::model::Model;
use msr_dsl::source::compile_text;

/// A spec of two versions with this inside.
fn model(items: &str) -> Model {
    let spec = format!(
        "interface! {{
    /// For tests.
    interface demo {{ vendor any; version 1 \"a\"; version 2 \"b\"; version 3 \"c\"; }}
{items}
}}
"
    );
    let compiled = compile_text(&spec);
    let said: Vec<String> = compiled.diagnostics.iter().map(|one| one.text()).collect();
    compiled.model.unwrap_or_else(|| panic!("{spec}{said:?}"))
}

/// Something that is new in each version.
const NEW: &str = "    /// New.
    register NEW @ 0x20 { cite \"x\"; in 1 { read 1; } in 2 { read 2; } in 3.. { read 3; } write fault; }";

#[test]
fn a_value_of_an_enumeration_has_its_name_beside_its_field() {
    let model = model(&format!(
        "{NEW}
    /// A mode.
    register MODE @ 0x10 {{
        cite \"x\"; write store; reserved ignore; migrate saved 1;
        require value.KIND != OFF || KIND == OFF else fault;
        [3:0] KIND: enum {{ OFF = 0, SLOW = 3, FAST = 9 }};
        [5:4] LEVEL: enum {{ LOW = 0, MIDDLE = 1, HIGH = 2 }} {{ legal LOW, HIGH else keep; }}
        [8] QUICK: bool {{ read FAST == KIND; }}
    }}
    /// There in one mode.
    register SLOWLY @ 0x11 {{ cite \"x\"; when MODE.KIND == SLOW else fault; read MODE.LEVEL >= HIGH; write fault; }}"
    ));
    let mut guest = Machine::new(model.newest());
    assert_eq!(guest.read(0x11), Answer::Fault);
    assert_eq!(guest.write(0x10, 0x29), Answer::Ok);
    assert_eq!(guest.read(0x10), Answer::Value(0x129));
    assert_eq!(guest.write(0x10, 0x0), Answer::Fault, "never off again");
    assert_eq!(guest.write(0x10, 0x13), Answer::Ok);
    assert_eq!(guest.read(0x10), Answer::Value(0x23), "MIDDLE is not legal");
    assert_eq!(guest.read(0x11), Answer::Value(1));
    assert_eq!(guest.write(0x10, 0x3), Answer::Ok);
    assert_eq!(guest.read(0x11), Answer::Value(0));
}

#[test]
fn a_name_that_means_something_else_means_that() {
    let model = model(&format!(
        "{NEW}
    /// Reads two.
    register TWO @ 0x10 {{ cite \"x\"; read 2; write fault; }}
    /// A mode.
    register MODE @ 0x11 {{
        cite \"x\"; write store; reserved ignore; migrate saved 1; [3:0] KIND: enum {{ ONE = 1, TWO = 3, _ }};
    }}
    /// Whether the mode is what the register says.
    register SAME @ 0x12 {{ cite \"x\"; read MODE.KIND == TWO; write fault; }}"
    ));
    let mut guest = Machine::new(model.newest());
    for (kind, same) in [(3, 0), (2, 1)] {
        assert_eq!(guest.write(0x11, kind), Answer::Ok);
        assert_eq!(guest.read(0x12), Answer::Value(same));
    }
}

#[test]
fn what_was_removed_is_accepted_from_a_version_on() {
    let model = model(&format!(
        "{NEW}
    /// Goes.
    register GONE @ 0x10 in 1 {{ cite \"x\"; write store; migrate saved 7; }}
    removed tag 7 accepted in 3.. \"nobody needs it\";"
    ));
    let mut old = Machine::new(&model.views[0]);
    assert_eq!(old.write(0x10, 5), Answer::Ok);
    let record = old.save();
    let taken = |version: usize| Machine::new(&model.views[version]).refusals(&record);
    assert_eq!(taken(0), Vec::<String>::new());
    let unknown = "item 7 (GONE, until version 1) is unknown to version 2 and not zero";
    assert_eq!(taken(1), [unknown]);
    assert_eq!(taken(2), Vec::<String>::new());
}
