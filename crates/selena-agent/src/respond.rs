//! What is done about a violation (protocol, section 8.2, steps 1 to 4).

use std::time::Duration;

use selena_manifest::VerificationKey;
use selena_runtime::notify;

use crate::{
    check::{self, Checked},
    clock,
    containers::Containers,
    core_api::{CoreApi, ReportError},
    image::Root,
    keys,
    memory::{Episode, Memory, Stage},
    places::Places,
    published::{self, State},
    report::{Finding, MAX_LISTED, Report},
    restart::Restart,
    restore, store,
    waits::Waits,
};

/// How often it is tried to restore.
const ATTEMPTS: u32 = 3;
/// How long is waited between two attempts.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(5);
/// How often a report is sent while nobody answers, and how long is waited between.
const REPORTS: u32 = 3;
const BETWEEN_REPORTS: Duration = Duration::from_millis(500);
/// The same after a restart, which takes its time.
const REPORTS_AFTER_RESTART: u32 = 60;

/// All that the watching agent has.
pub(crate) struct Guard {
    pub(crate) places: Places,
    pub(crate) key: Option<VerificationKey>,
    pub(crate) containers: Containers,
    pub(crate) core: CoreApi,
    pub(crate) restart: Restart,
    pub(crate) root: Root,
    pub(crate) memory: Memory,
    pub(crate) waits: Waits,
    pub(crate) interval_secs: u64,
}

impl Guard {
    /// Checks once, and acts on what was found.
    pub(crate) fn round(&mut self) {
        self.find_key();
        let checked = check::check_idly(&self.places, self.key.as_ref(), notify::watchdog);
        notify::watchdog();
        if checked.report.status == Finding::Ok {
            self.clean(&checked.report);
        } else {
            checked.report.log();
            self.violated(checked);
        }
    }

    /// Checks between two attempts, without standing back: modules wait for the outcome.
    fn check_again(&mut self) -> Checked {
        self.find_key();
        check::check_with(&self.places, self.key.as_ref(), &mut notify::watchdog)
    }

    /// A key that was read once is kept: who removes its file changes nothing.
    fn find_key(&mut self) {
        if self.key.is_none() {
            self.key = check::key(&self.places);
        }
    }

    /// All is well: what was begun before is brought to its end.
    fn clean(&mut self, report: &Report) {
        let stage = self.memory.open().map(|episode| episode.stage);
        self.publish(report, report.status.word());
        match stage {
            None => {}
            // The agent ended after it had restored the files, or somebody else restored them.
            Some(Stage::Restoring | Stage::Restored) => self.restored(),
            Some(Stage::GivenUp | Stage::Over) => {
                tracing::warn!("the files are as they should be again; a person can end SAFE MODE");
                self.note(|episode| episode.stage = Stage::Over);
            }
        }
    }

    fn violated(&mut self, checked: Checked) {
        // What was restored and is changed again is a violation of its own.
        if self.memory.open().is_none_or(|episode| episode.stage == Stage::Restored) {
            self.begin(&checked.report);
        }
        if self.memory.open().is_some_and(|episode| episode.stage == Stage::GivenUp) {
            return self.stay_in_safe_mode(&checked.report);
        }
        self.publish(&checked.report, "restoring");
        self.containers.stop_all(&self.waits);
        self.report_violation(&checked.report);
        self.containers.stop_until_none(&self.waits);
        self.restore(checked);
    }

    fn begin(&mut self, report: &Report) {
        self.memory.episode = Some(Episode {
            finding: report.status,
            found_at: clock::wall(),
            files: report.files().into_iter().take(MAX_LISTED).collect(),
            attempts: 0,
            stage: Stage::Restoring,
            reported: false,
        });
        self.memory.write(&self.places);
    }

    /// Behind a baseline that was not the signed one, more may come to light.
    fn remember_files(&mut self, report: &Report) {
        let files = report.files();
        self.note(|episode| {
            let listed = files.into_iter().take(MAX_LISTED);
            let new = listed.filter(|file| !episode.files.contains(file)).collect::<Vec<_>>();
            episode.files.extend(new);
            episode.files.truncate(MAX_LISTED);
        });
    }

    /// Attempts are counted before they are made: one that ends the agent is one too.
    fn restore(&mut self, mut checked: Checked) {
        let too_often = self.memory.restored_too_often();
        if too_often {
            tracing::error!(
                "the files were restored ten times within an hour and are changed again and again: they are left"
            );
        }
        while !too_often && self.attempts() < ATTEMPTS {
            self.note(|episode| {
                episode.attempts += 1;
                episode.stage = Stage::Restoring;
            });
            let attempt = self.attempts();
            let bad_slot = self.attempt(&checked);
            checked = self.check_again();
            self.remember_files(&checked.report);
            if checked.report.status == Finding::Ok {
                self.memory.note_restoration();
                self.publish(&checked.report, checked.report.status.word());
                return self.restored();
            }
            tracing::error!(attempt, of = ATTEMPTS, "after this attempt the files are still not as they should be");
            checked.report.log();
            if bad_slot {
                break;
            }
            if self.attempts() < ATTEMPTS && !self.waits.pause(BETWEEN_ATTEMPTS) {
                return;
            }
        }
        self.give_up(&checked.report);
    }

    /// One attempt; whether it failed on a verified root, where further ones cannot help.
    fn attempt(&mut self, checked: &Checked) -> bool {
        if checked.report.status == Finding::ManifestTampered {
            let Some(key) = &self.key else { return false };
            match store::lock(&self.places).and_then(|_lock| store::restore_live(&self.places, key)) {
                Ok(version) => tracing::warn!(version, "the baseline itself was restored from its copy"),
                Err(error) => tracing::error!(error = format!("{error:#}"), "the baseline itself was not restored"),
            }
            return false;
        }
        let outcome = restore::restore(&self.places, checked, &self.root);
        if outcome.bad_slot {
            tracing::error!(
                "the verified root is not as the baseline has it: this slot is bad. This agent cannot mark it and boot the \
                 other one yet: do that by hand"
            );
        }
        outcome.bad_slot
    }

    fn restored(&mut self) {
        self.note(|episode| episode.stage = Stage::Restored);
        let files = self.memory.open().map(|episode| episode.files.clone()).unwrap_or_default();
        let restarted = self.restart.core(&self.waits);
        let tries = if restarted { REPORTS_AFTER_RESTART } else { REPORTS };
        self.send(tries, |core| core.restored(&files));
        self.note(|episode| episode.stage = Stage::Over);
    }

    fn give_up(&mut self, report: &Report) {
        tracing::error!("the files cannot be restored: the hub goes into SAFE MODE until a person has restored them");
        self.note(|episode| episode.stage = Stage::GivenUp);
        self.publish(report, report.status.word());
        self.enter_safe_mode(report);
    }

    fn enter_safe_mode(&mut self, report: &Report) {
        let why = format!("{}: {}\n", report.status.word(), report.files().first().map_or("", String::as_str));
        if let Err(error) = published::lay_flag(&self.places, &why) {
            tracing::error!(%error, "the flag of SAFE MODE cannot be written: it is tried again with the next check");
        }
        self.restart.core(&self.waits);
    }

    /// It was left: no further attempt, but nothing comes back to life either.
    fn stay_in_safe_mode(&mut self, report: &Report) {
        self.publish(report, report.status.word());
        self.containers.stop_all(&self.waits);
        if !published::flag_is_there(&self.places) {
            self.enter_safe_mode(report);
        }
    }

    fn report_violation(&mut self, report: &Report) {
        if self.send(REPORTS, |core| core.violation(report)) {
            self.note(|episode| episode.reported = true);
        }
    }

    /// Sends until it is taken, a few times; the rest does not wait for a core that is dead.
    fn send(&mut self, tries: u32, send: impl Fn(&CoreApi) -> Result<(), ReportError>) -> bool {
        for last in (0..tries).rev() {
            let Err(error) = send(&self.core) else { return true };
            let final_answer = !matches!(error, ReportError::Unreachable { .. });
            if last == 0 || final_answer {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "the core was not told; the agent goes on without it");
                return false;
            }
            if !self.waits.pause(BETWEEN_REPORTS) {
                return false;
            }
        }
        false
    }

    fn publish(&mut self, report: &Report, status: &str) {
        let attempts = self.attempts();
        let state =
            State::now(status, self.interval_secs, report.files_checked, &report.files(), attempts, keys::signer());
        match state {
            Ok(state) => state.under(report.announced_by).publish(&self.places),
            Err(error) => tracing::error!(%error, "the kernel does not say which boot this is"),
        }
    }

    fn attempts(&mut self) -> u32 {
        self.memory.open().map_or(0, |episode| episode.attempts)
    }

    /// Changes what is remembered of the open violation, durably.
    fn note(&mut self, change: impl FnOnce(&mut Episode)) {
        if let Some(episode) = self.memory.open() {
            change(episode);
            self.memory.write(&self.places);
        }
    }
}
