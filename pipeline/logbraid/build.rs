//! Packs the description of all questions, and makes the released program two megabytes smaller: functions whose code is the same are folded, and relocations are
//! packed (DT_RELR) where the system's loader understands that, from glibc 2.36 on.

use std::env::var;
use std::io::Write as _;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    pack("../../configs/reference/questions.json");
    let is = |name: &str, value: &str| var(name).is_ok_and(|found| found == value);
    // Where the compiler links with LLD by default; other linkers refuse the options.
    let lld = is("CARGO_CFG_TARGET_ARCH", "x86_64")
        && is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu");
    if !lld || !is("PROFILE", "release") {
        return;
    }
    println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    if var("HOST") == var("TARGET") && glibc() >= Some((2, 36)) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Writes the file anew into the folder of what is built, by gzip.
fn pack(path: &str) {
    println!("cargo::rerun-if-changed={path}");
    let folder = var("OUT_DIR").expect("cargo names a folder");
    let text = std::fs::read(path).expect("the reference belongs to the sources");
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(&text).expect("memory takes everything");
    let packed = packer.finish().expect("memory takes everything");
    std::fs::write(format!("{folder}/questions.json.gz"), packed).expect("cargo's folder can be written");
}

/// The version of this system's C library; `None` when it does not say.
fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?.stdout;
    let said = String::from_utf8(said).ok()?;
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}
