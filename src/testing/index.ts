/** What tests of programs on millrace may use: a machine that can be stopped, robbed of its power, and run again by its seed. */
export { SeededRandom } from './seeded-random.js'
export { type NameLossMode, nameLossModes } from './simulated-directory.js'
export {
  type DiskOperation,
  type OperationKind,
  type PowerLoss,
  SimulatedDisk,
  type SimulatedDiskOptions,
  systemError,
} from './simulated-disk.js'
export { type PowerLossMode, powerLossModes, SimulatedFile } from './simulated-file.js'
export { SimulatedMachine, type SimulatedMachineOptions, type SimulatedProcess } from './simulated-machine.js'
export { SimulatedMount } from './simulated-mount.js'
export { VirtualClock } from './virtual-clock.js'
