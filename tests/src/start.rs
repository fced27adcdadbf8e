//! How a hub is started.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use selena_powercut::Disk;

use crate::{
    Engine,
    processes::{self, Processes},
    programs, wait,
};

/// Where the programs that a hub starts are.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How a hub is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether requests are limited; off for tests that ask more than a client does.
    pub rate_limit: bool,
    /// The hub's Docker.
    pub engine: Engine,
    /// The level of its log.
    pub log_level: &'static str,
    /// A file system in memory of so many MiB for all its data, so that it can be full.
    pub data_mib: Option<u32>,
    /// A disk of its own for all its data, which can lose what was not flushed.
    pub disk: Option<Arc<Disk>>,
    /// Where the kernel tells the hub what a device is; the real one if not given.
    pub sysfs: Option<PathBuf>,
    /// Whether it makes a new key for secrets at its start.
    pub new_key: bool,
    /// An authority it believes besides the system's.
    pub ca_file: Option<PathBuf>,
    /// The change at which it kills itself, from 1, counted from [`Hub::count_points`]; 0: it only counts.
    pub kill_at: u64,
    /// Its port on the host; 0 picks a free one.
    pub port: u16,
    /// Its settings file, if it has one.
    pub settings: Option<&'static str>,
    /// Whether the sandbox is a process of its own and the core has no right, as on a real hub; by default, if the
    /// environment has `SELENA_TEST_TWO_PROCESSES`.
    pub two_processes: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rate_limit: true,
            engine: Engine::default(),
            log_level: "debug",
            data_mib: None,
            disk: None,
            sysfs: None,
            new_key: false,
            ca_file: None,
            kill_at: 0,
            port: 0,
            settings: None,
            two_processes: env::var_os("SELENA_TEST_TWO_PROCESSES").is_some_and(|value| !value.is_empty()),
        }
    }
}

/// Starts the hub; gives its port once it listens.
pub(crate) fn spawn(options: &Options, dir: &Path, prefix: &str, token: &str, secret: &str) -> (Processes, u16) {
    let sandbox = options.two_processes.then(|| {
        processes::make_room(dir);
        processes::spawn_sandbox(options, dir, prefix)
    });
    let (core, port) = spawn_core(options, dir, prefix, token, secret);
    (Processes { core, sandbox }, port)
}

/// Starts the core; gives its port once it listens.
pub(crate) fn spawn_core(options: &Options, dir: &Path, prefix: &str, token: &str, secret: &str) -> (Child, u16) {
    let (log_path, first_line) = (dir.join("log"), dir.join("stdout"));
    let log = OpenOptions::new().create(true).append(true).open(&log_path).expect("the log can be written");
    let out = File::create(&first_line).expect("the directory can be written");
    let settings = options.settings.map(|text| {
        let path = dir.join("core.toml");
        fs::write(&path, text).expect("the directory can be written");
        path
    });
    let mut program =
        if options.two_processes { processes::unprivileged_core(options, dir) } else { all_in_one(options, prefix) };
    let mut process = program
        .args(["--listen", &format!("127.0.0.1:{}", options.port)])
        .arg("--data-dir")
        .arg(dir.join("data"))
        .args(if options.rate_limit { None } else { Some("--no-rate-limit") })
        .args(settings.iter().flat_map(|path| [OsStr::new("--config"), path.as_os_str()]))
        .args(options.new_key.then_some("--new-key"))
        .env_clear()
        .env("PATH", PATH)
        .env("DEV_MODULE_TOKEN", token)
        .env("SELENA_WEBHOOK_SECRET", secret)
        .env("CORE_LOG_LEVEL", options.log_level)
        .env("SELENA_KILL_AT", options.kill_at.to_string())
        .env("SELENA_KILL_LOG", dir.join("points"))
        .envs(options.ca_file.as_ref().map(|file| ("CORE_CA_FILE", processes::readable(options, file, dir))))
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(log)
        .spawn()
        .expect("the hub's program can be started");
    let port = wait::for_some("the hub's first line", 20, || {
        if let Ok(Some(status)) = process.try_wait() {
            panic!("the hub ended with {status}:\n{}", fs::read_to_string(&log_path).unwrap_or_default());
        }
        let mut line = String::new();
        BufReader::new(File::open(&first_line).ok()?).read_line(&mut line).ok()?;
        line.strip_prefix("listening on 127.0.0.1:")?.strip_suffix('\n')?.parse().ok()
    });
    (process, port)
}

/// The whole hub in one process, as root.
fn all_in_one(options: &Options, prefix: &str) -> Command {
    let mut command = Command::new(programs::selenad());
    command.args(["--dev", "--name-prefix", prefix]).arg("--docker-socket").arg(options.engine.socket());
    command.arg("--init").arg(programs::init());
    command.args(options.sysfs.iter().flat_map(|sysfs| [OsStr::new("--sysfs"), sysfs.as_os_str()]));
    command
}
