//! What stays in Docker and on the disk between runs, and what must not.

use std::{collections::HashMap, process::Command};

use bollard::query_parameters::{ListImagesOptions, ListVolumesOptions};
use selena_core::ports::{ContainerPurpose, ExitCause, Sandbox};

use crate::hub::{Hub, attached, until, value, with_causes, with_hub};

#[tokio::test(flavor = "multi_thread")]
async fn data_outlive_the_container_and_let_go_of_the_device() {
    with_hub(async |hub| {
        let spec = hub.spec("keeper");
        let (_, log) = hub.run(&spec, "remember:one").await;
        assert_eq!(value(&log, "known"), "");
        until(async || !attached(&spec.data_image)).await;
        let (cause, log) = hub.run(&spec, "remember:two").await;
        assert_eq!((cause, value(&log, "known")), (ExitCause::Code(0), "one"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_replaces_the_run_before_also_if_it_still_runs() {
    with_hub(async |hub| {
        let spec = hub.spec("again");
        let (first, _listener) = hub.launch(&spec, "idle").await;
        let (second, _listener) = hub.launch(&spec, "idle").await;
        assert_eq!(hub.next_exit().await.run, first);
        let listed = hub.sandbox.list().await.unwrap();
        assert_eq!(
            listed.iter().map(|container| (&container.run, container.running)).collect::<Vec<_>>(),
            [(&second, true)]
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_somebody_else_uses_is_not_attached_twice() {
    with_hub(async |hub| {
        let spec = hub.spec("busy");
        hub.run(&spec, "exit:0").await;
        until(async || !attached(&spec.data_image)).await;
        let losetup = Command::new("losetup").args(["--find", "--show"]).arg(&spec.data_image).output().unwrap();
        let device = String::from_utf8(losetup.stdout).unwrap();
        let refused = hub.try_start(&spec).await;
        assert!(Command::new("losetup").args(["--detach", device.trim()]).status().unwrap().success());
        let refused = with_causes(&refused.unwrap_err());
        assert!(refused.contains("is in use as /dev/loop"), "{refused}");
        hub.start(&spec).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hubs_on_one_docker_do_not_see_each_other() {
    with_hub(async |hub| {
        with_hub(async |other| {
            let run = hub.start(&hub.spec("mine")).await.run;
            assert!(other.sandbox.list().await.unwrap().is_empty());
            other.sandbox.purge(&hub.spec("mine").module).await.unwrap();
            let listed = hub.sandbox.list().await.unwrap();
            assert_eq!(listed.first().map(|container| (&container.run, container.running)), Some((&run, true)));
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_is_marked_and_lives_beside_the_module() {
    with_hub(async |hub| {
        let module = hub.spec("tried");
        let mut trial = hub.spec("tried");
        trial.purpose = ContainerPurpose::Trial;
        trial.data_image = hub.dir.path().join("trial.img");
        let (module, trial) = (hub.start(&module).await.run, hub.start(&trial).await.run);
        let mut listed = hub.sandbox.list().await.unwrap();
        listed.sort_by_key(|container| container.trial);
        let seen: Vec<_> = listed.iter().map(|c| (&c.run, c.module.as_str(), c.trial)).collect();
        assert_eq!(seen, [(&module, "tried", false), (&trial, "tried", true)]);
    })
    .await;
}

async fn tags(hub: &Hub) -> Vec<String> {
    let reference = format!("{}selena-module-*", hub.config.name_prefix);
    let filters = HashMap::from([("reference".to_owned(), vec![reference])]);
    let options = ListImagesOptions { filters: Some(filters), ..ListImagesOptions::default() };
    let images = hub.docker.list_images(Some(options)).await.unwrap();
    let mut tags: Vec<String> = images.into_iter().flat_map(|image| image.repo_tags).collect();
    tags.sort();
    tags
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_made_anew_for_another_user() {
    with_hub(async |hub| {
        let mut spec = hub.spec("moved");
        hub.run(&spec, "exit:0").await;
        let old = hub.docker.inspect_image(&tags(hub).await[0]).await.unwrap().id.unwrap();
        spec.uid += 1;
        spec.data_image = hub.dir.path().join("other.img");
        let (_, log) = hub.run(&spec, "look").await;
        assert_eq!((value(&log, "passwd"), value(&log, "write_data")), ("true", "ok"));
        assert_eq!(tags(hub).await.len(), 1);
        assert!(hub.docker.inspect_image(&old).await.is_err(), "the image before is left over");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_is_total() {
    with_hub(async |hub| {
        let mut spec = hub.spec("purged");
        hub.run(&spec, "exit:0").await;
        spec.version = "1.1.0+build".parse().unwrap();
        hub.launch(&spec, "idle").await;
        let name = format!("{}selena-module-purged", hub.config.name_prefix);
        assert_eq!(tags(hub).await, [format!("{name}:1.0.0"), format!("{name}:1.1.0_build")]);
        hub.sandbox.prune_images(&spec.module, std::slice::from_ref(&spec.version)).await.unwrap();
        assert_eq!(tags(hub).await, [format!("{name}:1.1.0_build")]);
        hub.sandbox.purge(&spec.module).await.unwrap();
        assert_eq!(tags(hub).await, <[String; 0]>::default());
        assert!(hub.sandbox.list().await.unwrap().is_empty());
        let label = format!("selena.hub={}", hub.config.hub_id);
        let filters = HashMap::from([("label".to_owned(), vec![label])]);
        let volumes = hub.docker.list_volumes(Some(ListVolumesOptions { filters: Some(filters) })).await.unwrap();
        assert_eq!(volumes.volumes.unwrap_or_default(), []);
        hub.sandbox.purge(&spec.module).await.expect("purging what is gone is fine");
    })
    .await;
}
