//! W02: every step of an update and of a rollback is cut, and each half-done recovery is cut again.

use super::*;

struct House {
    dir: tempfile::TempDir,
    shelf: Shelf,
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to).map(|_| ())
}

/// A module of version `v2` with its data, and `v1` as the version before.
fn house(with_data: bool) -> House {
    let dir = tempfile::tempdir().expect("a directory");
    let name: ModuleName = "m1".parse().expect("a name");
    let house = House { shelf: Shelf::new(dir.path(), &name), dir };
    house.write("modules/m1/manifest.json", "v2");
    house.write("previous/m1/package/manifest.json", "v1");
    if with_data {
        house.write("volumes/m1.ext4", "data of v2");
        house.write("previous/m1/data.ext4", "data of v1");
    } else {
        house.write("previous/m1/no-data", "");
    }
    house
}

impl House {
    fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.dir.path().join(path)).ok()
    }

    fn rename(&self, from: &str, to: &str) {
        let to = self.dir.path().join(to);
        fs::create_dir_all(to.parent().expect("a parent")).expect("made");
        fs::rename(self.dir.path().join(from), to).expect("renamed");
    }

    /// What runs, with which data; and what is before it.
    fn state(&self) -> [Option<String>; 4] {
        ["modules/m1/manifest.json", "volumes/m1.ext4", "previous/m1/package/manifest.json", "previous/m1/data.ext4"]
            .map(|path| self.read(path))
    }

    fn recover(&self, stored: &str, previous: &str) {
        self.shelf.recover(stored, Some(previous)).expect("recovered");
        self.shelf.recover(stored, Some(previous)).expect("again");
        assert!(!self.dir.path().join("aside/m1").exists(), "nothing is left aside");
    }
}

fn texts(state: [&str; 4]) -> [Option<String>; 4] {
    state.map(|text| (!text.is_empty()).then(|| text.to_owned()))
}

const BEFORE: [&str; 4] = ["v2", "data of v2", "v1", "data of v1"];

#[test]
fn w02_an_update_that_was_cut_before_it_was_stored_never_was() {
    type Step = fn(&House);
    let steps: [(&str, Step); 5] = [
        ("the copy of the data is half done", |house| house.write("aside/m1/data.ext4", "data of")),
        ("the data is copied", |house| house.write("aside/m1/data.ext4", "data of v2")),
        ("the package is laid aside", |house| house.rename("modules/m1", "aside/m1/package")),
        ("the new one is placed", |house| house.write("modules/m1/manifest.json", "v3")),
        ("it ran and wrote", |house| house.write("volumes/m1.ext4", "data of v3")),
    ];
    for cut in 1..=steps.len() {
        let house = house(true);
        for (_, step) in &steps[..cut] {
            step(&house);
        }
        house.recover("v2", "v1");
        assert_eq!(house.state(), texts(BEFORE), "cut after: {}", steps[cut - 1].0);
    }
}

#[test]
fn w02_an_update_that_was_stored_is_done_and_the_version_before_is_kept() {
    let made = || {
        let house = house(true);
        house.shelf.set_aside(copy).expect("aside");
        house.write("modules/m1/manifest.json", "v3");
        house.write("volumes/m1.ext4", "data of v3");
        house
    };
    let done = texts(["v3", "data of v3", "v2", "data of v2"]);
    let house = made();
    house.recover("v3", "v2");
    assert_eq!(house.state(), done, "cut before anything was kept");
    let house = made();
    fs::remove_dir_all(house.dir.path().join("previous/m1")).expect("removed");
    house.recover("v3", "v2");
    assert_eq!(house.state(), done, "cut when the one before that was gone");
    let house = made();
    house.shelf.keep_as_previous().expect("kept");
    house.recover("v3", "v2");
    assert_eq!(house.state(), done, "not cut at all");
}

#[test]
fn w02_a_rollback_that_was_cut_leaves_both_versions_with_their_data() {
    type Step = fn(&House);
    let steps: [(&str, Step); 4] = [
        ("laid aside", |house| house.shelf.set_aside(copy).expect("aside")),
        ("the old data is back", |house| house.rename("previous/m1/data.ext4", "volumes/m1.ext4")),
        ("the old package is back", |house| house.rename("previous/m1/package", "modules/m1")),
        ("it ran and wrote", |house| house.write("volumes/m1.ext4", "data of v1, and more")),
    ];
    for cut in 1..=steps.len() {
        let house = house(true);
        for (_, step) in &steps[..cut] {
            step(&house);
        }
        // The way back is cut too, at each of its steps.
        house.shelf.put_back(Some("v1")).expect("back");
        let mut state = house.state();
        if cut == 4 {
            assert_eq!(state[3].as_deref(), Some("data of v1, and more"));
            state[3] = Some("data of v1".to_owned());
        }
        assert_eq!(state, texts(BEFORE), "cut after: {}", steps[cut - 1].0);
        house.recover("v2", "v1");
    }
    let house = house(true);
    house.shelf.set_aside(copy).expect("aside");
    house.shelf.take_previous().expect("taken");
    house.recover("v1", "v2");
    assert_eq!(house.state(), texts(["v1", "data of v1", "v2", "data of v2"]), "stored, and then cut");
}

#[test]
fn w02_the_way_back_is_cut_at_each_of_its_steps() {
    type Step = fn(&House);
    let steps: [(&str, Step); 3] = [
        ("the package went back", |house| house.rename("modules/m1", "previous/m1/package")),
        ("its data went back", |house| house.rename("volumes/m1.ext4", "previous/m1/data.ext4")),
        ("the data that was laid aside is back", |house| house.rename("aside/m1/data.ext4", "volumes/m1.ext4")),
    ];
    for cut in 1..=steps.len() {
        let house = house(true);
        house.shelf.set_aside(copy).expect("aside");
        house.shelf.take_previous().expect("taken");
        for (_, step) in &steps[..cut] {
            step(&house);
        }
        house.recover("v2", "v1");
        assert_eq!(house.state(), texts(BEFORE), "cut after: {}", steps[cut - 1].0);
    }
}

#[test]
fn w02_a_module_without_data_goes_both_ways_without() {
    let house = house(false);
    house.shelf.set_aside(copy).expect("aside");
    house.shelf.take_previous().expect("taken");
    house.write("volumes/m1.ext4", "v1 made some");
    house.shelf.put_back(Some("v1")).expect("back");
    assert_eq!(house.state(), texts(["v2", "", "v1", ""]));
}

#[test]
fn what_the_store_does_not_call_the_version_before_goes() {
    let house = house(true);
    house.shelf.recover("v2", None).expect("recovered");
    assert_eq!(house.state(), texts(["v2", "data of v2", "", ""]));
}

#[test]
fn w02_a_granted_update_that_was_cut_waits_again() {
    let house = house(true);
    house.write("pending/m1/report.json", "{}");
    // Granted: what ran is aside, and what waited is in its place, not stored yet.
    house.rename("modules/m1", "aside/m1/package");
    house.write("aside/m1/data.ext4", "data of v2");
    house.write("modules/m1/manifest.json", "v3");
    for _again in 0..2 {
        house.shelf.recover("v2", Some("v1")).expect("recovered");
        assert_eq!(house.state(), texts(BEFORE));
        assert_eq!(house.read("pending/m1/package/manifest.json").as_deref(), Some("v3"));
        assert_eq!(house.read("pending/m1/report.json").as_deref(), Some("{}"));
    }
}

#[test]
fn w02_an_update_that_was_granted_and_stored_waits_no_more() {
    let house = house(true);
    house.write("pending/m1/report.json", "{}");
    house.rename("modules/m1", "aside/m1/package");
    house.write("aside/m1/data.ext4", "data of v2");
    house.write("modules/m1/manifest.json", "v3");
    house.shelf.recover("v3", Some("v2")).expect("recovered");
    assert_eq!(house.state(), texts(["v3", "data of v2", "v2", "data of v2"]));
    assert!(!house.dir.path().join("pending/m1").exists(), "nothing of what waited is left");
}
