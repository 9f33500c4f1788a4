//! The language in somebody else's workspace: docs/example is built and tested as it stands.

use std::process::Command;

use boot::workspace::Workspace;

#[test]
fn a_package_of_its_own_uses_the_language() {
    let workspace = Workspace::find().unwrap();
    let example = workspace.root.join("docs/example");
    let output = Command::new(env!("CARGO"))
        .args(["test", "--locked", "--quiet"])
        .current_dir(&example)
        .env("CARGO_TARGET_DIR", workspace.root.join("target/example"))
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("4 passed; 0 failed"), "{said}");
}

/// Nothing but the macro and the runtime: what the example shows holds for a project that has no more.
#[test]
fn it_needs_two_packages() {
    let workspace = Workspace::find().unwrap();
    let lock = std::fs::read_to_string(workspace.root.join("docs/example/Cargo.lock")).unwrap();
    let (_, own) = lock.split_once("name = \"power-msrs\"").unwrap();
    let (_, dependencies) = own.split_once("dependencies = [").unwrap();
    let (dependencies, _) = dependencies.split_once(']').unwrap();
    let names: Vec<&str> = dependencies.split('"').skip(1).step_by(2).collect();
    assert_eq!(names, ["msr-dsl-macros", "msr-runtime"]);
}
