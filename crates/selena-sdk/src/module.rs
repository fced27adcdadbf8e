//! A module: what it reacts to, and how it runs.

use std::{collections::HashMap, path::PathBuf, rc::Rc, time::Duration};

use bytes::Bytes;
use selena_types::{Event, EventPattern};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    task::{LocalSet, spawn_local},
};

use crate::{
    EnvironmentError, Hub, HubError, Result, RunError,
    environment::Environment,
    hub::PATIENCE,
    journal::log,
    serving::{CommandHandler, EventHandler, HealthCheck, LocalFuture, Pages, Serving},
};

/// Where the hub delivers events to.
const EVENTS_PATH: &str = "/webhook/events";
/// How often a module makes sure that the hub still knows its subscription, if it says nothing else.
const RESUBSCRIBE: Duration = Duration::from_secs(60);
/// How long to wait before a subscription is tried again after the hub stayed away.
const SUBSCRIBE_PAUSE: Duration = Duration::from_secs(1);

type Preparation = Box<dyn FnOnce(Hub) -> LocalFuture<Result>>;

/// A module: what it reacts to, and how it runs.
///
/// It answers `GET /health` from its first moment on, takes signed events and commands, and shows pages.
/// All of its functions run on one thread, so they share state through `Rc` and `Cell`.
pub struct Module {
    environment: Environment,
    patience: Duration,
    resubscribe: Duration,
    preparation: Option<Preparation>,
    events: Vec<(String, EventHandler)>,
    commands: Vec<(String, CommandHandler)>,
    health: Option<HealthCheck>,
    pages: Vec<(String, Bytes)>,
    directory: Option<PathBuf>,
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module").field("environment", &self.environment).finish_non_exhaustive()
    }
}

impl Module {
    /// The module this process is, by its environment (protocol, section 2).
    ///
    /// # Errors
    /// [`EnvironmentError`] names the variable that is not there or wrong.
    pub fn from_env() -> Result<Self, EnvironmentError> {
        Environment::of_process().map(Self::new)
    }

    /// The module that an environment describes which is not this process's own, such as a test's.
    ///
    /// # Errors
    /// As [`Module::from_env`].
    pub fn from_vars<N, V>(variables: impl IntoIterator<Item = (N, V)>) -> Result<Self, EnvironmentError>
    where
        N: Into<String>,
        V: Into<String>,
    {
        let variables: HashMap<String, String> =
            variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Environment::read(|name| variables.get(name).cloned()).map(Self::new)
    }

    fn new(environment: Environment) -> Self {
        Self {
            environment,
            patience: PATIENCE,
            resubscribe: RESUBSCRIBE,
            preparation: None,
            events: Vec::new(),
            commands: Vec::new(),
            health: None,
            pages: Vec::new(),
            directory: None,
        }
    }

    /// How long a call is made again while the hub is away or busy; 30 seconds by default.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// How often the subscription is renewed; every minute by default. A hub that restarts beside a running module
    /// has forgotten it; the module also renews when it notices that.
    #[must_use]
    pub fn resubscribe_every(self, period: Duration) -> Self {
        Self { resubscribe: period, ..self }
    }

    /// Runs once before the first event can come, such as to register devices. An error ends the module.
    #[must_use]
    pub fn prepare(mut self, preparation: impl AsyncFnOnce(Hub) -> Result + 'static) -> Self {
        self.preparation = Some(Box::new(|hub| Box::pin(async move { preparation(hub).await })));
        self
    }

    /// What `GET /health` answers: 200, or 503 with the error. Without it always 200.
    #[must_use]
    pub fn health(mut self, check: impl AsyncFn(Hub) -> Result + 'static) -> Self {
        let check = Rc::new(check);
        self.health = Some(Box::new(move |hub| {
            let check = check.clone();
            Box::pin(async move { check(hub).await })
        }));
        self
    }

    /// Reacts to events: an exact type, `prefix.*` or `*` (protocol, section 6). The module subscribes by itself.
    ///
    /// Events come one after the other, in the hub's order, each once as long as the module runs;
    /// one that ends in an error is delivered again up to two times. After a restart one may come again.
    #[must_use]
    pub fn on_event(mut self, pattern: &str, handler: impl AsyncFn(Hub, Event) -> Result + 'static) -> Self {
        let handler = Rc::new(handler);
        let boxed: EventHandler = Box::new(move |hub, event| {
            let handler = handler.clone();
            Box::pin(async move { handler(hub, event).await })
        });
        self.events.push((pattern.to_owned(), boxed));
        self
    }

    /// Answers a command of the platform (protocol, section 6, `MODULE_COMMAND`): gets its `args`, and its JSON is the
    /// command's result. A command that is delivered twice is done once.
    #[must_use]
    pub fn on_command(mut self, name: &str, handler: impl AsyncFn(Hub, Value) -> Result<Value> + 'static) -> Self {
        let handler = Rc::new(handler);
        let boxed: CommandHandler = Box::new(move |hub, args| {
            let handler = handler.clone();
            Box::pin(async move { handler(hub, args).await })
        });
        self.commands.push((name.to_owned(), boxed));
        self
    }

    /// Shows a page that is part of the program, such as `/widget.html` (protocol, section 7).
    #[must_use]
    pub fn page(mut self, path: &str, content: impl Into<Bytes>) -> Self {
        self.pages.push((path.to_owned(), content.into()));
        self
    }

    /// Shows the files of a directory of the package: `static_dir("ui")` shows `ui/widget.html` as `/widget.html`.
    #[must_use]
    pub fn static_dir(mut self, directory: &str) -> Self {
        self.directory = Some(self.environment.install_path.join(directory));
        self
    }

    /// Runs the module until `main` fails; if `main` ends well, the module lives on for its events.
    ///
    /// # Errors
    /// [`RunError`]; the hub starts a module that ended anew.
    pub fn run(self, main: impl AsyncFnOnce(Hub) -> Result) -> Result<(), RunError> {
        self.live(main, false)
    }

    /// Runs the module until `main` ends, for a module whose `runtime_mode` is `scheduled`.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn run_once(self, main: impl AsyncFnOnce(Hub) -> Result) -> Result<(), RunError> {
        self.live(main, true)
    }

    fn live(self, main: impl AsyncFnOnce(Hub) -> Result, ends: bool) -> Result<(), RunError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(RunError::EventLoop)?;
        LocalSet::new().block_on(&runtime, async {
            let port = self.environment.port;
            let listener = TcpListener::bind(("127.0.0.1", port)).await;
            let listener = listener.map_err(|source| RunError::Listen { port, source })?;
            let (hub, subscription, preparation) = self.serve(listener)?;
            if let Some(prepare) = preparation {
                prepare(hub.clone()).await.map_err(RunError::Failed)?;
            }
            subscription.establish(&hub).await?;
            let main = async {
                main(hub.clone()).await.map_err(RunError::Failed)?;
                if ends { Ok(()) } else { std::future::pending().await }
            };
            tokio::select! {
                ended = main => ended,
                refused = subscription.keep(&hub) => Err(refused),
            }
        })
    }

    /// Answers requests from now on.
    fn serve(self, listener: TcpListener) -> Result<(Hub, SubscriptionKeeper, Option<Preparation>), RunError> {
        let secret = self.environment.webhook_secret.clone();
        if secret.is_none() && !(self.events.is_empty() && self.commands.is_empty()) {
            return Err(RunError::NoWebhookSecret);
        }
        let pages = Pages::new(self.pages, self.directory)?;
        let mut events = Vec::new();
        for (pattern, handler) in self.events {
            match EventPattern::new(&pattern) {
                Ok(read) => events.push((read, handler)),
                Err(source) => return Err(RunError::Pattern { pattern, source }),
            }
        }
        let subscription = SubscriptionKeeper {
            patterns: events.iter().map(|(pattern, _)| pattern.to_string()).collect(),
            period: self.resubscribe,
        };
        let hub = Hub::new(self.environment, self.patience);
        let serving = Serving::new(hub.clone(), secret, events, self.commands, self.health, pages);
        spawn_local(Rc::new(serving).run(listener));
        Ok((hub, subscription, self.preparation))
    }
}

/// Keeps the hub's memory of what the module wants to hear.
struct SubscriptionKeeper {
    patterns: Vec<String>,
    period: Duration,
}

impl SubscriptionKeeper {
    /// Subscribes, however long the hub is away.
    async fn establish(&self, hub: &Hub) -> Result<(), RunError> {
        if self.patterns.is_empty() {
            return Ok(());
        }
        loop {
            match hub.subscribe(&self.patterns, EVENTS_PATH).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_passing() => self.wait_after(&error).await,
                Err(error) => return Err(RunError::Subscribe(error)),
            }
        }
    }

    async fn wait_after(&self, error: &HubError) {
        log(format_args!("not subscribed yet: {error}"));
        tokio::time::sleep(SUBSCRIBE_PAUSE).await;
    }

    /// Renews the subscription for ever; ends with the hub's refusal.
    async fn keep(&self, hub: &Hub) -> RunError {
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.period) => {}
                () = hub.came_back() => {}
            }
            if let Err(error) = self.establish(hub).await {
                return error;
            }
        }
    }
}
