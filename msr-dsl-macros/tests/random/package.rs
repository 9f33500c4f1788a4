//! The programs that hold the generated code.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A package under `target/tmp`, with a program for each group of specs.
pub struct Package {
    root: PathBuf,
    programs: usize,
}

/// A spec as a program has it.
pub struct Code {
    /// How the program gets its code.
    pub source: Source,
    /// Its vCPUs share some state.
    pub is_shared: bool,
    /// The version that guests run.
    pub version: u16,
}

/// How a program gets the code of a spec.
pub enum Source {
    /// As text.
    Generated(String),
    /// The spec itself, for the macro.
    Macro(String),
}

impl Package {
    /// Writes a program for each group.
    pub fn write<'c>(groups: impl Iterator<Item = Vec<&'c Code>>) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("random-specs");
        let bins = root.join("src/bin");
        let sources = root.join("src");
        if sources.exists() {
            std::fs::remove_dir_all(&sources).expect("a folder of this test");
        }
        std::fs::create_dir_all(&bins).expect("a folder under target/tmp");
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let put = |name: &str, text: &str| std::fs::write(root.join(name), text).expect(name);
        put("Cargo.toml", &manifest(here));
        put("src/lib.rs", include_str!("subject.rs"));
        std::fs::copy(here.join("../Cargo.lock"), root.join("Cargo.lock")).expect("Cargo.lock");
        let mut programs = 0;
        for group in groups {
            program(&bins.join(format!("part{programs}")), &group);
            programs += 1;
        }
        Self { root, programs }
    }

    /// Compiles all programs; what the compiler says if it refuses.
    pub fn build(&self) -> Result<(), String> {
        let output = Command::new(env!("CARGO"))
            .args(["build", "--quiet"])
            .env("CARGO_TARGET_DIR", self.root.join("target"))
            .current_dir(&self.root)
            .output()
            .expect("cargo runs");
        let said = String::from_utf8_lossy(&output.stderr);
        let errors = said.lines().skip_while(|line| !line.starts_with("error"));
        let first: Vec<&str> = errors.take(60).collect();
        match output.status.success() {
            true => Ok(()),
            false => Err(format!("in {}: {}", self.root.display(), first.join("\n"))),
        }
    }

    /// What a program answers to some lines.
    pub fn run(&self, program: usize, lines: &str) -> String {
        assert!(program < self.programs, "there is no program {program}");
        let (input, bin) = (
            self.root.join(format!("part{program}.lines")),
            self.root.join(format!("target/debug/part{program}")),
        );
        std::fs::write(&input, lines).expect("lines");
        let output = Command::new(bin)
            .stdin(std::fs::File::open(&input).expect("lines"))
            .stderr(Stdio::inherit())
            .output()
            .expect("the program runs");
        String::from_utf8(output.stdout).expect("text")
    }
}

fn manifest(here: &Path) -> String {
    let here = here.display();
    format!(
        "[package]\nname = \"random-specs\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n\
         msr-dsl-macros = {{ path = \"{here}\" }}\nmsr-runtime = {{ path = \"{here}/../msr-dsl/runtime\" }}\n\n\
         [profile.dev]\ndebug = false\nincremental = false\n\n[workspace]\n"
    )
}

/// A program whose modules are the specs of a group.
fn program(folder: &Path, group: &[&Code]) {
    std::fs::create_dir_all(folder).expect("a folder");
    let put = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect(name);
    let (mut main, mut table) = (String::new(), String::new());
    for (number, code) in group.iter().enumerate() {
        let body = match &code.source {
            Source::Generated(text) => {
                put(&format!("s{number}.rs"), text);
                format!("include!(\"s{number}.rs\");")
            }
            Source::Macro(spec) => {
                put(&format!("s{number}.msr"), spec);
                format!("use msr_dsl_macros::interface; include!(\"s{number}.msr\");")
            }
        };
        let _ = writeln!(main, "mod s{number} {{ {body} }}");
        let own = format!("s{number}::v{}", code.version);
        let hold = format!("|state, value| state.hold({own}::Held::Kept, value)");
        let hold_shared = format!("|guest, value| guest.hold({own}::GuestHeld::Ours, value)");
        let _ = match code.is_shared {
            false => writeln!(table, "    || random_specs::new::<{own}::State>({hold}),"),
            true => writeln!(
                table,
                "    || random_specs::sharing::<{own}::State>({hold}, {hold_shared}),"
            ),
        };
    }
    put(
        "main.rs",
        &format!("{main}\nfn main() {{\n    random_specs::run(&[\n{table}    ]);\n}}\n"),
    );
}
