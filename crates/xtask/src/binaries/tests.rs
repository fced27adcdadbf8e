//! Programs that the machine's own compiler makes, well and badly protected.

use std::process::Command;

use super::*;

const WELL: [&str; 5] = ["-fPIE", "-pie", "-Wl,-z,relro,-z,now", "-Wl,-z,noexecstack", "-fstack-protector-all"];

/// Compiles a small program with these flags.
fn compile(directory: &Path, name: &str, flags: &[&str]) -> Protections {
    let source = directory.join("source.c");
    fs::write(&source, "int main(int n, char **v) { char b[16]; b[n] = 0; return b[0] + v[0][0]; }").expect("written");
    let program = directory.join(name);
    let output = Command::new("cc").args(flags).arg("-o").arg(&program).arg(&source).output().expect("`cc` runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    elf::protections(&fs::read(program).expect("built")).expect("an ELF file")
}

#[test]
fn each_missing_protection_is_seen() {
    let directory = tempfile::tempdir().expect("a directory");
    let compiled = |flags: &[&str]| compile(directory.path(), "program", flags);
    let well = compiled(&WELL);
    let libraries = ["libc.so.6".to_owned()].into();
    let all = Protections {
        position_independent: true,
        full_relro: true,
        no_execute: true,
        no_run_path: true,
        is_static: false,
        stack_protector: true,
        libraries,
    };
    assert_eq!(well, all);
    let without = |flag: &str, instead: &[&str]| {
        let kept = WELL.into_iter().filter(|it| *it != flag);
        compiled(&kept.chain(instead.iter().copied()).collect::<Vec<_>>())
    };
    let fixed = without("-pie", &["-no-pie"]);
    assert_eq!(fixed, Protections { position_independent: false, ..all.clone() });
    for relro in ["-Wl,-z,relro,-z,lazy", "-Wl,-z,norelro"] {
        let partial = without("-Wl,-z,relro,-z,now", &[relro]);
        assert_eq!(partial, Protections { full_relro: false, ..all.clone() }, "{relro}");
    }
    let executable = without("-Wl,-z,noexecstack", &["-Wl,-z,execstack"]);
    assert_eq!(executable, Protections { no_execute: false, ..all.clone() });
    for path in ["-Wl,-rpath,/tmp", "-Wl,--disable-new-dtags,-rpath,/tmp"] {
        assert_eq!(without("", &[path]), Protections { no_run_path: false, ..all.clone() }, "{path}");
    }
    let unguarded = without("-fstack-protector-all", &["-fno-stack-protector"]);
    assert_eq!(unguarded, Protections { stack_protector: false, ..all.clone() });
    assert_eq!(
        without("", &["-lm", "-Wl,--no-as-needed"]).libraries.len(),
        1,
        "a library that is not used is not named"
    );
    assert!(elf::protections(b"#!/bin/sh\n").is_err());
}

#[test]
fn what_differs_from_the_list_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let programs = directory.path().join("programs");
    fs::create_dir(&programs).expect("made");
    let protections = compile(directory.path(), "programs/program", &WELL);
    let list = |max_kib| List::from([("program".to_owned(), Expected { max_kib, protections: protections.clone() })]);
    assert_eq!(differences(&list(1024), &programs, Profile::Release).expect("read"), [""; 0]);
    assert_eq!(differences(&list(1), &programs, Profile::Release).expect("read").len(), 1, "too large");
    assert_eq!(differences(&list(1), &programs, Profile::Dev).expect("read").len(), 0);
    let weak = Expected { max_kib: 1024, protections: Protections { full_relro: false, ..protections.clone() } };
    let told = differences(&List::from([("program".to_owned(), weak)]), &programs, Profile::Dev).expect("read");
    assert!(told.len() == 1 && told[0].contains("full_relro: false"), "{told:?}");
    let bare =
        Expected { max_kib: 1024, protections: Protections { libraries: Default::default(), ..protections.clone() } };
    let told = differences(&List::from([("program".to_owned(), bare)]), &programs, Profile::Dev).expect("read");
    assert_eq!(told.len(), 1, "a library more");
    let more =
        Protections { libraries: ["libc.so.6".to_owned(), "libm.so.6".to_owned()].into(), ..protections.clone() };
    assert!(protections.meet(&more), "a library less");
    fs::write(programs.join("other"), "").expect("written");
    assert_eq!(differences(&list(1024), &programs, Profile::Dev).expect("read"), ["other: is not in the list"]);
    fs::remove_file(programs.join("program")).expect("removed");
    assert!(differences(&list(1024), &programs, Profile::Dev).is_err(), "one that is missing");
}

#[test]
fn the_list_is_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    assert!(list(&root).expect("it is well-formed").len() >= 4);
}
