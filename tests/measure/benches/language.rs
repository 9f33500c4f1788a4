//! Prints how long the language's own tools take: to check each shipped spec, and to make its Rust, as the macro does. Of several
//! runs the shortest, for other programs can only lengthen one.

use msr_dsl::generate::generate;
use msr_dsl::source::compile_text;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// For how long a thing is run again and again.
const PATIENCE: Duration = Duration::from_millis(500);

fn main() {
    println!("{:<24}{:>10}{:>12}", "milliseconds", "check", "generate");
    let mut all = Duration::ZERO;
    for path in shipped() {
        all += line(&path);
    }
    println!("{:<24}{:>22.1}\n", "all of them", milliseconds(all));
    for size in [10, 100, 1000] {
        line(&Path::new(env!("OUT_DIR")).join(format!("registers-{size}.msr")));
    }
}

fn shipped() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../specs");
    let files = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut specs: Vec<PathBuf> = files
        .filter_map(|file| Some(file.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "msr"))
        .collect();
    specs.sort();
    specs
}

/// Prints a spec's times, gives their sum.
fn line(path: &Path) -> Duration {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let check = shortest(|| drop(compile_text(&text)));
    let model = compile_text(&text)
        .model
        .unwrap_or_else(|| panic!("{} has mistakes", path.display()));
    let generated = shortest(|| drop(generate(&model)));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    println!(
        "{name:<24}{:>10.1}{:>12.1}",
        milliseconds(check),
        milliseconds(generated)
    );
    check + generated
}

fn shortest(run: impl Fn()) -> Duration {
    let (begin, mut best) = (Instant::now(), Duration::MAX);
    while begin.elapsed() < PATIENCE {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed());
    }
    best
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
