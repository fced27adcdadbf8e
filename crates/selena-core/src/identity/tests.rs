use super::*;

fn unshared() -> ModuleRun {
    Arc::into_inner(run("one", "t")).expect("nobody else has it")
}

fn run(name: &str, token: &str) -> Arc<ModuleRun> {
    let new = NewRun {
        name: name.parse().expect("a name"),
        module_type: ModuleType::Driver,
        port: None,
        permissions: vec![],
        events: ManifestEvents::default(),
        oauth: BTreeMap::new(),
        run: RunId("r".into()),
        webhook_secret: Secret::new("s".into()),
        token: token::hash(token),
        boot: Secret::new("A=B\0".into()),
    };
    Arc::new(ModuleRun::new(new, RequestLimits::Protocol))
}

fn identity() -> Identity {
    Identity::new(Some(&Secret::new("dev".into())), RequestLimits::Protocol)
}

#[tokio::test(start_paused = true)]
async fn k02_a_token_is_good_on_its_own_listener_only() {
    let identity = identity();
    let (one, two) = (run("one", "t1"), run("two", "t2"));
    identity.set_current(&one.name, token::hash("t1"));
    identity.set_current(&two.name, token::hash("t2"));
    let ask = |origin: &Origin, token| identity.authenticate(origin, Credentials::Bearer(token));
    assert!(matches!(ask(&Origin::Module(one.clone()), "t1"), Ok(Caller::Module(_))));
    for origin in [Origin::Module(two.clone()), identity.host_origin()] {
        assert!(matches!(ask(&origin, "t1"), Err(ApiError::WrongNamespace)));
    }
    assert!(matches!(ask(&Origin::Module(one), "dev"), Err(ApiError::WrongNamespace)));
    assert!(matches!(ask(&identity.host_origin(), "dev"), Ok(Caller::Development)));
    assert!(matches!(ask(&identity.host_origin(), "nothing"), Err(ApiError::Unauthenticated)));
}

#[tokio::test(start_paused = true)]
async fn k03_old_tokens_are_unknown_everywhere() {
    let identity = identity();
    let first = run("one", "t1");
    identity.set_current(&first.name, token::hash("t1"));
    first.end();
    let on_own = identity.authenticate(&Origin::Module(first.clone()), Credentials::Bearer("t1"));
    assert!(matches!(on_own, Err(ApiError::WrongNamespace)), "a stopped module's listener takes it no more");
    identity.set_current(&first.name, token::hash("t2"));
    let on_host = identity.authenticate(&identity.host_origin(), Credentials::Bearer("t1"));
    assert!(matches!(on_host, Err(ApiError::Unauthenticated)), "an earlier start's");
    let stopped = identity.authenticate(&identity.host_origin(), Credentials::Bearer("t2"));
    assert!(matches!(stopped, Err(ApiError::WrongNamespace)), "a current one, on the host");
    identity.revoke(&first.name);
    let removed = identity.authenticate(&identity.host_origin(), Credentials::Bearer("t2"));
    assert!(matches!(removed, Err(ApiError::Unauthenticated)), "a removed module's");
}

#[tokio::test(start_paused = true)]
async fn k09_without_a_valid_token_twenty_a_second() {
    let identity = identity();
    let own = run("one", "t1");
    let origin = Origin::Module(own.clone());
    let limited = |credentials| {
        let refused = |_: &i32| {
            matches!(identity.authenticate(&origin, credentials), Err(ApiError::RateLimited | ApiError::Flooding))
        };
        50 - (0..50).filter(refused).count()
    };
    assert_eq!(limited(Credentials::Bearer("wrong")), 20);
    assert_eq!(limited(Credentials::None), 0, "all without a valid token share the window");
    assert!(identity.authenticate(&origin, Credentials::Bearer("t1")).is_ok(), "the module itself is not hit");
}

#[tokio::test(start_paused = true)]
async fn k09_a_flood_of_guesses_makes_no_health_check_part_of_it() {
    let origin = Origin::Module(run("one", "t1"));
    assert!(matches!(origin.refused_health(ApiError::Unauthenticated), ApiError::Unauthenticated));
    let at_once =
        (0..50).filter(|_| matches!(origin.refused_health(ApiError::Flooding), ApiError::RateLimited)).count();
    assert_eq!(at_once, 20, "a flood of health checks is one too");
}

#[test]
fn the_environment_is_given_once() {
    let run = run("one", "t");
    assert!(run.take_boot().is_ok());
    assert!(matches!(run.take_boot(), Err(ApiError::Gone)));
}

#[tokio::test(flavor = "multi_thread")]
async fn k06_no_request_that_begins_after_a_revocation_passes() {
    use std::sync::atomic::AtomicUsize;

    for _ in 0..200 {
        let identity = Arc::new(Identity::new(None, RequestLimits::Lifted));
        let new = Arc::new(ModuleRun {
            limit: RequestLimit::new(None),
            strangers: StrangerLimits::new(RequestLimits::Lifted),
            ..unshared()
        });
        identity.set_current(&new.name, token::hash("t"));
        let (revoked, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let askers: Vec<_> = (0..4)
            .map(|_| {
                let (identity, origin) = (identity.clone(), Origin::Module(new.clone()));
                let (revoked, asked) = (revoked.clone(), asked.clone());
                std::thread::spawn(move || {
                    loop {
                        let began_after = revoked.load(Ordering::SeqCst);
                        let passed = identity.authenticate(&origin, Credentials::Bearer("t")).is_ok();
                        assert!(!(began_after && passed), "it passed after the revocation had returned");
                        asked.fetch_add(1, Ordering::SeqCst);
                        if began_after {
                            return;
                        }
                    }
                })
            })
            .collect();
        while asked.load(Ordering::SeqCst) < 20 {
            std::thread::yield_now();
        }
        new.end();
        revoked.store(true, Ordering::SeqCst);
        for asker in askers {
            asker.join().expect("no request passed");
        }
    }
}

#[test]
fn k04_the_place_of_a_wrong_character_does_not_show_in_the_time() {
    let identity = Identity::new(None, RequestLimits::Lifted);
    let right = "t".repeat(64);
    let own = Arc::new(ModuleRun {
        limit: RequestLimit::new(None),
        strangers: StrangerLimits::new(RequestLimits::Lifted),
        ..Arc::into_inner(run("one", &right)).expect("alone")
    });
    let origin = Origin::Module(own);
    let wrong = |place: usize| format!("{}x{}", &right[..place], &right[place + 1..]);
    let tokens = [wrong(0), wrong(63)];
    let mut times = [Vec::new(), Vec::new()];
    // In turns, so that whatever else the machine does hits both alike.
    for _ in 0..50_000 {
        for (token, times) in tokens.iter().zip(&mut times) {
            let begun = std::time::Instant::now();
            assert!(identity.authenticate(&origin, Credentials::Bearer(token)).is_err());
            times.push(begun.elapsed());
        }
    }
    let [first, last] = times.map(|mut times| {
        times.sort_unstable();
        let at = |part: usize| times[times.len() * part / 4];
        (at(2), at(3) - at(1))
    });
    let apart = first.0.abs_diff(last.0);
    let noise = first.1.max(last.1).max(std::time::Duration::from_nanos(20));
    assert!(
        apart <= noise,
        "medians {:?} and {:?}, middle halves {:?} and {:?} wide",
        first.0,
        last.0,
        first.1,
        last.1
    );
}
