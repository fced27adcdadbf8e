//! What the sandbox tells unasked: the engine, the ends of runs, what is plugged in.

use selena_core::ports::{
    ContainerExit, DeviceNumber, DeviceRefusal, EngineState, ExitCause, HostDevice, HostDeviceKind, HostDevices, RunId,
};

use crate::message::{Cause, Device, DeviceRefused, Engine, Number, ToCore};

/// The two codes of a refusal; see [`DeviceRefusal::code`].
const NEVER: &str = "manifest_device";
const ONLY_ROOT: &str = "device_access";

pub(crate) fn engine_to_wire(state: &EngineState) -> ToCore {
    ToCore::Engine(match state {
        EngineState::Unknown => Engine::Unknown,
        EngineState::Up => Engine::Up,
        EngineState::Down(why) => Engine::Down(why.clone()),
    })
}

pub(crate) fn engine_from_wire(state: Engine) -> EngineState {
    match state {
        Engine::Unknown => EngineState::Unknown,
        Engine::Up => EngineState::Up,
        Engine::Down(why) => EngineState::Down(why),
    }
}

pub(crate) fn exit_to_wire(exit: ContainerExit) -> ToCore {
    let cause = match exit.cause {
        ExitCause::Code(code) => Cause::Code(code),
        ExitCause::OutOfMemory => Cause::OutOfMemory,
        ExitCause::Gone => Cause::Gone,
        ExitCause::EngineRestarted => Cause::EngineRestarted,
    };
    ToCore::Exit { run: exit.run.0, cause }
}

pub(crate) fn exit_from_wire(run: String, cause: Cause) -> ContainerExit {
    let cause = match cause {
        Cause::Code(code) => ExitCause::Code(code),
        Cause::OutOfMemory => ExitCause::OutOfMemory,
        Cause::Gone => ExitCause::Gone,
        Cause::EngineRestarted => ExitCause::EngineRestarted,
    };
    ContainerExit { run: RunId(run), cause }
}

pub(crate) fn numbers_to_wire(numbers: &[DeviceNumber]) -> Vec<Number> {
    numbers.iter().map(|number| Number { major: number.major, minor: number.minor }).collect()
}

pub(crate) fn numbers_from_wire(numbers: &[Number]) -> Vec<DeviceNumber> {
    numbers.iter().map(|number| DeviceNumber { major: number.major, minor: number.minor }).collect()
}

pub(crate) fn devices_to_wire(devices: &HostDevices) -> ToCore {
    let device = |(path, device): (&String, &HostDevice)| match &device.numbers {
        Ok(numbers) => Device { path: path.clone(), numbers: numbers_to_wire(numbers), refused: None },
        Err(refusal) => {
            let refused = DeviceRefused { never: refusal.code == NEVER, detail: refusal.detail.clone() };
            Device { path: path.clone(), numbers: Vec::new(), refused: Some(refused) }
        }
    };
    ToCore::Devices(devices.iter().map(device).collect())
}

/// A path that no manifest may name is left out.
pub(crate) fn devices_from_wire(devices: Vec<Device>) -> HostDevices {
    let device = |device: Device| {
        let kind = HostDeviceKind::of_path(&device.path)?;
        let numbers = match device.refused {
            None => Ok(numbers_from_wire(&device.numbers)),
            Some(DeviceRefused { never, detail }) => {
                Err(DeviceRefusal { code: if never { NEVER } else { ONLY_ROOT }, detail })
            }
        };
        Some((device.path, HostDevice { kind, numbers }))
    };
    devices.into_iter().filter_map(device).collect()
}
