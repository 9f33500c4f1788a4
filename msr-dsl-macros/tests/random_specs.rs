//! Generated code and reference interpreter agree on random specs, which use every rule of the language in any combination.
//!
//! All specs are modules of one program, compiled once. `MSR_RANDOM_SPECS=1000` runs as many, `MSR_RANDOM_SEED=N` others.

#[path = "random/generate.rs"]
mod generate;

use generate::{Random, spec};
use std::path::{Path, PathBuf};
use std::process::Command;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

fn package(specs: &[String]) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("random-specs");
    std::fs::create_dir_all(root.join("src")).expect("a folder under target/tmp");
    let here = env!("CARGO_MANIFEST_DIR");
    let manifest = format!(
        "[package]\nname = \"random-specs\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n\
         msr-dsl = {{ path = \"{here}/../msr-dsl\", default-features = false }}\n\
         msr-dsl-macros = {{ path = \"{here}\" }}\nmsr-runtime = {{ path = \"{here}/../msr-dsl/runtime\" }}\n\n\
         [profile.dev]\ndebug = false\n\n[workspace]\n"
    );
    let mut main = String::from("mod driver;\n\n");
    let mut calls = String::new();
    for (i, spec) in specs.iter().enumerate() {
        std::fs::write(root.join(format!("spec{i}.msr")), spec).expect("a spec");
        main += &format!(
            "mod s{i} {{ use msr_dsl_macros::interface; include!(\"../spec{i}.msr\"); }}\n"
        );
        calls += &format!(
            "    let model = msr_dsl::source::compile_text(include_str!(\"../spec{i}.msr\")).model.expect(\"a model\");\n    \
             compared += driver::run::<s{i}::v1::State>(\"spec{i}.msr\", &model, &mut numbers);\n"
        );
    }
    main += &format!(
        "\nfn main() {{\n    let mut numbers = driver::Numbers(0x1234_5678_9abc_def1);\n    let mut compared = 0;\n{calls}    println!(\"{{compared}}\");\n}}\n"
    );
    std::fs::write(root.join("Cargo.toml"), manifest).expect("Cargo.toml");
    std::fs::copy(
        Path::new(here).join("../Cargo.lock"),
        root.join("Cargo.lock"),
    )
    .expect("Cargo.lock");
    std::fs::write(root.join("src/driver.rs"), include_str!("random/driver.rs"))
        .expect("driver.rs");
    std::fs::write(root.join("src/main.rs"), main).expect("main.rs");
    root
}

#[test]
fn generated_code_and_interpreter_agree_on_random_specs() {
    let mut random = Random::new(number("MSR_RANDOM_SEED", 1));
    let specs: Vec<String> = (0..number("MSR_RANDOM_SPECS", 60))
        .map(|_| spec(&mut random))
        .collect();
    let registers: usize = specs
        .iter()
        .map(|spec| spec.matches("register R").count())
        .sum();
    assert!(
        registers > 3 * specs.len(),
        "only {registers} registers in {} specs",
        specs.len()
    );
    let root = package(&specs);
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet"])
        .env("CARGO_TARGET_DIR", root.join("target"))
        .current_dir(&root)
        .output()
        .expect("cargo runs");
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "in {}: {}",
        root.display(),
        stderr.lines().take(60).collect::<Vec<_>>().join("\n")
    );
    let compared: u64 = stdout.trim().parse().expect("the number of accesses");
    assert!(
        compared >= specs.len() as u64 * 1000,
        "only {compared} accesses compared"
    );
}
