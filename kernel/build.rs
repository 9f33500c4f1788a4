//! Links the image: freestanding, at 1 MiB, with defmt's table.

fn main() {
    println!("cargo:rerun-if-changed=link.ld");
    // defmt's filter, at compile time: without it only errors are in the image.
    println!("cargo:rustc-env=DEFMT_LOG=debug");
    let here = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    for argument in [
        "-nostdlib".to_owned(),
        "-nostartfiles".to_owned(),
        "-static".to_owned(),
        "-no-pie".to_owned(),
        format!("-Wl,-T,{here}/link.ld"),
        "-Wl,-Tdefmt.x".to_owned(),
        "-Wl,--build-id=none".to_owned(),
        "-Wl,-z,max-page-size=4096".to_owned(),
        "-Wl,--no-dynamic-linker".to_owned(),
    ] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
