//! The directory of a new module: files of `templates/`, with the module's own words put in.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use selena_types::{ModuleName, ModulePort, ModuleType};

use crate::cli::Language;

/// The SDK in Python, as the hub's Python base has it.
pub(crate) const PYTHON_SDK: &str = include_str!("../../../image/python-base/selena.py");

/// Why a module was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScaffoldError {
    /// Somebody's files are there.
    #[error("{} is there already and is not an empty directory; nothing was written", .0.display())]
    NotEmpty(PathBuf),
    /// What was given as the SDK is none.
    #[error("{} holds no selena-sdk: give that crate's directory, or the clone of selena-hub it is in", .0.display())]
    NoSdk(PathBuf),
    /// The file system refused.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A module to be made.
#[derive(Debug)]
pub(crate) struct Scaffold {
    pub(crate) name: ModuleName,
    pub(crate) module_type: ModuleType,
    pub(crate) port: ModulePort,
    pub(crate) language: Language,
    /// For Rust: the crate `selena-sdk`, if it was found.
    pub(crate) sdk: Option<PathBuf>,
}

/// A file's path in the new directory, and its text.
type File = (&'static str, &'static str);

/// The files of a type of modules: its manifest, its program and test in both languages, its pages.
struct Sort {
    manifest: &'static str,
    python: [File; 2],
    rust: [File; 2],
    pages: &'static [File],
}

macro_rules! sort {
    ($name:literal, $pages:expr) => {
        Sort {
            manifest: include_str!(concat!("../templates/manifest/", $name, ".json")),
            python: [
                ("main.py", include_str!(concat!("../templates/python/", $name, "/main.py"))),
                ("tests/test_main.py", include_str!(concat!("../templates/python/", $name, "/test_main.py"))),
            ],
            rust: [
                ("src/main.rs", include_str!(concat!("../templates/rust/", $name, "/main.rs"))),
                ("tests/module.rs", include_str!(concat!("../templates/rust/", $name, "/test.rs"))),
            ],
            pages: $pages,
        }
    };
}

const DEVICE: Sort = sort!("device", &[]);
const AUTOMATION: Sort = sort!("automation", &[]);
const PAGE: Sort = sort!(
    "page",
    &[
        ("ui/widget.html", include_str!("../templates/ui/widget.html")),
        ("ui/icon.svg", include_str!("../templates/ui/icon.svg")),
    ]
);

/// What every module in Python has.
const PYTHON: [File; 5] = [
    ("README.md", include_str!("../templates/python/README.md")),
    (".selenaignore", include_str!("../templates/python/selenaignore")),
    (".gitignore", include_str!("../templates/python/gitignore")),
    ("tests/fake_hub.py", include_str!("../templates/python/fake_hub.py")),
    (".sdk/selena.py", PYTHON_SDK),
];

/// What every module in Rust has.
const RUST: [File; 4] = [
    ("Cargo.toml", include_str!("../templates/rust/Cargo.toml")),
    ("README.md", include_str!("../templates/rust/README.md")),
    (".selenaignore", include_str!("../templates/rust/selenaignore")),
    (".gitignore", include_str!("../templates/rust/gitignore")),
];

impl Scaffold {
    /// Writes all files into a directory that is empty or not there; the paths written.
    pub(crate) fn write(&self, dir: &Path) -> Result<Vec<&'static str>, ScaffoldError> {
        if !is_free(dir) {
            return Err(ScaffoldError::NotEmpty(dir.to_owned()));
        }
        let files = self.files();
        for (path, template) in &files {
            let path = dir.join(path);
            write_new(&path, &self.filled(template)).map_err(|source| ScaffoldError::Write { path, source })?;
        }
        Ok(files.into_iter().map(|(path, _)| path).collect())
    }

    fn files(&self) -> Vec<File> {
        let sort = match self.module_type {
            ModuleType::Automation => AUTOMATION,
            ModuleType::Ui => PAGE,
            ModuleType::Driver | ModuleType::Integration | ModuleType::ImportSource | ModuleType::System => DEVICE,
        };
        let (own, common) = match self.language {
            Language::Python => (sort.python, PYTHON.as_slice()),
            Language::Rust => (sort.rust, RUST.as_slice()),
        };
        let manifest = [("manifest.json", sort.manifest)];
        [&manifest, own.as_slice(), sort.pages, common].concat()
    }

    fn filled(&self, template: &str) -> String {
        let runtime = if self.language == Language::Python { "python3" } else { "static" };
        let dependency = |name: &str| match &self.sdk {
            Some(sdk) => format!("{name} = {{ path = {:?} }}", sdk.with_file_name(name).display().to_string()),
            None => format!("# {name} = {{ path = \"…/crates/{name}\" }}"),
        };
        let words = [
            ("{{name}}", self.name.to_string()),
            ("{{type}}", self.module_type.to_string()),
            ("{{port}}", self.port.to_string()),
            ("{{runtime}}", runtime.to_owned()),
            ("{{sdk}}", dependency("selena-sdk")),
            ("{{testkit}}", dependency("selena-testkit")),
        ];
        words.iter().fold(template.to_owned(), |text, (word, value)| text.replace(word, value))
    }
}

/// The crate `selena-sdk` of a path that somebody named: the crate itself, or the clone it is in.
pub(crate) fn named_sdk(path: &Path) -> Result<PathBuf, ScaffoldError> {
    let sdk = sdk_at(path).or_else(|| sdk_at(&path.join("crates/selena-sdk")));
    sdk.ok_or_else(|| ScaffoldError::NoSdk(path.to_owned()))
}

/// The crate `selena-sdk` of a clone that a directory lies in or beside.
pub(crate) fn nearby_sdk(dir: &Path) -> Option<PathBuf> {
    let places = dir.ancestors().flat_map(|above| [above.to_owned(), above.join("selena-hub")]);
    places.into_iter().find_map(|place| sdk_at(&place.join("crates/selena-sdk")))
}

fn sdk_at(path: &Path) -> Option<PathBuf> {
    let manifest = fs::read_to_string(path.join("Cargo.toml")).ok()?;
    let is_sdk = manifest.lines().any(|line| line.trim() == "name = \"selena-sdk\"");
    is_sdk.then(|| path.canonicalize().ok()).flatten()
}

/// A port made from the name, so that two modules of one author seldom want the same.
pub(crate) fn port_of(name: &ModuleName) -> ModulePort {
    let sum = name.as_str().bytes().fold(0_u16, |sum, byte| (sum * 31 + u16::from(byte)) % 101);
    ModulePort::new(8100 + sum).expect("8100 to 8200 are ports of modules")
}

fn is_free(dir: &Path) -> bool {
    match fs::read_dir(dir) {
        Ok(mut items) => items.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    fs::File::create_new(path)?.write_all(text.as_bytes())
}
