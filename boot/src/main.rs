//! `cargo boot`.

fn main() -> std::process::ExitCode {
    boot::command::main()
}
