//! M04, M14: who is believed, over the real store, the real packages and the hub's own checks. Only containers are
//! missing, so a package that is taken fails at its trial.

mod hub;
mod keys;
mod packages;
