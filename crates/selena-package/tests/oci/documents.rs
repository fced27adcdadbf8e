//! What an image says of itself.

use selena_package::oci::{Image, ImageLimits, Program};
use serde_json::{Value, json};

use crate::{
    as_file, flatten,
    forge::{Forge, INDEX_TYPE, MANIFEST_TYPE, Tar, architecture, descriptor, digest, gzip, hex, layout},
    refused, try_flatten,
};

fn plain() -> Forge {
    Forge::new(vec![Tar::new().file("run", b"x").done()])
}

fn with_platform(mut descriptor: Value, os: &str, architecture: &str) -> Value {
    descriptor["platform"] = json!({ "os": os, "architecture": architecture });
    descriptor
}

fn index(manifests: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "manifests": manifests })
}

fn manifest_of(forge: &Forge) -> (Value, Vec<u8>) {
    let manifest = forge.manifest().to_string().into_bytes();
    (descriptor(MANIFEST_TYPE, &manifest), manifest)
}

#[test]
fn the_program_is_entry_point_and_command_and_the_id_is_the_configurations_digest() {
    let forge = plain();
    let limits = ImageLimits::default();
    for image in [forge.oci(), forge.docker()] {
        let file = as_file(&image);
        let image = Image::open(&file, &limits).unwrap();
        let program = Program {
            argv: ["/run", "now"].map(str::to_owned).into(),
            env: ["PATH=/bin", "A=b=c"].map(str::to_owned).into(),
            working_dir: "/srv".to_owned(),
        };
        assert_eq!(*image.program(), program);
        assert_eq!(image.id(), format!("1-{}", hex(forge.config.to_string().as_bytes())));
    }
}

#[test]
fn a_configuration_that_starts_nothing_or_what_no_container_takes_is_refused() {
    for container in [
        json!(null),
        json!({ "Entrypoint": null, "Cmd": [] }),
        json!({ "Cmd": [""] }),
        json!({ "Cmd": ["a\u{0}b"] }),
        json!({ "Cmd": ["x"], "Env": ["NOVALUE"] }),
        json!({ "Cmd": ["x"], "Env": ["=x"] }),
        json!({ "Cmd": ["x".repeat(70_000)] }),
        json!({ "Cmd": ["x"], "WorkingDir": "srv" }),
        json!({ "Cmd": ["x"], "WorkingDir": "/srv/../.." }),
    ] {
        refused(&plain().set("/config", container).oci(), "image_config");
    }
    refused(&plain().set("/config", json!({ "Cmd": "x" })).oci(), "image_document");
}

#[test]
fn r04_an_image_for_another_machine_says_which_one_is_needed() {
    for (os, machine) in [("linux", "s390x"), ("windows", architecture()), ("linux", "AMD64")] {
        let forge = plain().set("/os", json!(os)).set("/architecture", json!(machine));
        for image in [forge.oci(), forge.docker()] {
            let text = refused(&image, "module_image_error");
            assert!(text.contains(&format!("--platform linux/{}", architecture())), "{text}");
        }
    }
}

#[test]
fn of_several_platforms_the_hubs_is_taken_and_attestations_are_not_images() {
    let (forge, other) = (plain(), plain().set("/architecture", json!("s390x")));
    let ((own, own_text), (foreign, foreign_text)) = (manifest_of(&forge), manifest_of(&other));
    let own = with_platform(own, "linux", architecture());
    let foreign = with_platform(foreign, "linux", "s390x");
    let attestation = with_platform(descriptor(MANIFEST_TYPE, b"{}"), "unknown", "unknown");
    let blobs = [own_text, foreign_text];
    let flat = index(&[foreign.clone(), own.clone(), attestation.clone()]);
    flatten(&forge.oci_with(&flat, &blobs));
    // As a builder writes it: the platforms lie in an index of their own. Two tags of one image are one image.
    let nested = index(&[own.clone(), attestation]).to_string().into_bytes();
    let tagged = descriptor(INDEX_TYPE, &nested);
    let blobs = [blobs[0].clone(), blobs[1].clone(), nested];
    flatten(&forge.oci_with(&index(&[tagged.clone(), tagged, own.clone()]), &blobs));

    refused(&forge.oci_with(&index(std::slice::from_ref(&foreign)), &blobs), "module_image_error");
    let text = refused(
        &forge.oci_with(&index(&[foreign.clone(), with_platform(foreign, "linux", "riscv64")]), &blobs),
        "module_image_error",
    );
    assert!(text.contains("s390x"), "{text}");
}

#[test]
fn two_images_are_not_chosen_between() {
    let (forge, second) = (plain(), plain().set("/config/Cmd", json!(["other"])));
    let ((first, first_text), (other, other_text)) = (manifest_of(&forge), manifest_of(&second));
    let two = index(&[with_platform(first, "linux", architecture()), other]);
    let text = refused(&forge.oci_with(&two, &[first_text, other_text]), "image_ambiguous");
    assert!(text.contains("2 images"), "{text}");
    refused(&forge.oci_with(&index(&[]), &[]), "image_corrupt");
    let one = json!({ "Config": "c.json", "Layers": [] });
    let archive = |images: Value| Tar::new().file("manifest.json", images.to_string().as_bytes()).done();
    refused(&archive(json!([one, one])), "image_ambiguous");
    refused(&archive(json!([])), "image_ambiguous");
}

#[test]
fn an_index_in_an_index_in_an_index_is_refused() {
    let forge = plain();
    let (manifest, text) = manifest_of(&forge);
    let inner = index(&[manifest]).to_string().into_bytes();
    let outer = index(&[descriptor(INDEX_TYPE, &inner)]).to_string().into_bytes();
    let top = index(&[descriptor(INDEX_TYPE, &outer)]);
    refused(&forge.oci_with(&top, &[text, inner, outer]), "image_media");
}

#[test]
fn what_is_named_by_a_digest_has_it() {
    let forge = plain();
    let (good, packed) = (forge.oci(), forge.packed().remove(0));
    let config = forge.config.to_string().into_bytes();
    // A blob of the same length with one other byte, under the name of the good one.
    let swap = |blob: &[u8], at: usize| {
        let found = good.windows(blob.len()).position(|window| window == blob).unwrap();
        let mut swapped = good.clone();
        swapped[found + at] ^= 1;
        swapped
    };
    refused(&swap(&packed, packed.len() / 2), "image_digest");
    refused(&swap(&config, 5), "image_digest");
    refused(&swap(forge.manifest().to_string().as_bytes(), 5), "image_digest");
    let lie = json!([digest(b"something else")]);
    refused(&plain().set("/rootfs/diff_ids", lie.clone()).oci(), "image_digest");
    refused(&plain().set("/rootfs/diff_ids", lie).docker(), "image_digest");
    refused(&plain().set("/rootfs/diff_ids", json!([])).oci(), "image_corrupt");
    refused(&plain().set("/rootfs/diff_ids", json!(["sha512:00"])).oci(), "image_corrupt");
    let name = format!("{}.json", hex(b"another"));
    let wrong_name = json!([{ "Config": name, "Layers": [] }]).to_string();
    let docker = Tar::new().file(&name, &config).file("manifest.json", wrong_name.as_bytes()).done();
    refused(&docker, "image_digest");
}

#[test]
fn only_plain_and_gzip_layers_are_taken() {
    for media_type in [
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "text/plain",
    ] {
        let forge = plain();
        let mut manifest = forge.manifest();
        manifest["layers"][0]["mediaType"] = json!(media_type);
        let text = manifest.to_string().into_bytes();
        let image = forge.oci_with(&index(&[descriptor(MANIFEST_TYPE, &text)]), &[text]);
        assert!(refused(&image, "image_media").contains("no zstd"));
    }
    let odd = index(&[descriptor("application/vnd.oci.artifact.manifest.v1+json", b"{}")]);
    refused(&plain().oci_with(&odd, &[]), "image_media");
}

#[test]
fn ambiguous_deep_large_or_wrong_documents_are_refused() {
    let with_index = |text: &[u8]| layout(text, &[]);
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    let large = format!("{{\"manifests\":[]{}}}", " ".repeat(1024 * 1024));
    for text in [r#"{"manifests":[],"manifests":[]}"#, "{}", "[]", "not json", "", &deep, &large, "{\"manifests\":3}"] {
        refused(&with_index(text.as_bytes()), "image_document");
    }
    let (long, key) = ("x".repeat(10_000), "k".repeat(10_000));
    for text in [format!("{{\"manifests\":\"{long}\"}}"), format!("{{\"{key}\":1,\"{key}\":2}}")] {
        assert!(refused(&with_index(text.as_bytes()), "image_document").len() < 400, "the reason is cut");
    }
    let other_layout = Tar::new().file("oci-layout", br#"{"imageLayoutVersion":"2.0.0"}"#).file("index.json", b"{}");
    refused(&other_layout.done(), "image_document");
    refused(&Tar::new().file("index.json", br#"{"manifests":[]}"#).done(), "image_corrupt");
    let size_lie = {
        let forge = plain();
        let mut manifest = forge.manifest();
        manifest["layers"][0]["size"] = json!(7);
        let text = manifest.to_string().into_bytes();
        forge.oci_with(&index(&[descriptor(MANIFEST_TYPE, &text)]), &[text])
    };
    refused(&size_lie, "image_corrupt");
}

#[test]
fn an_archive_that_is_none_or_lacks_a_part_is_refused() {
    for image in [&b""[..], b"no tar at all", &[0; 1024], &gzip(b"x")] {
        refused(image, "image_corrupt");
    }
    refused(&Tar::new().file("readme", b"").done(), "image_corrupt");
    let (manifest, text) = manifest_of(&plain());
    refused(&layout(index(&[manifest]).to_string().as_bytes(), &[text]), "image_corrupt");
    let good = plain().oci();
    for cut in [100, 512, 700, good.len() / 2, good.len() - 1600] {
        refused(&good[..cut], "image_corrupt");
    }
    for cut in 0..good.len() / 64 {
        let _no_panic = try_flatten(&good[..cut * 64]);
    }
}
