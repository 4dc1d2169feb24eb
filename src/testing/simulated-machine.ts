import type { Env } from '../common/env.js'
import { SeededRandom } from './seeded-random.js'
import type { NameLossMode } from './simulated-directory.js'
import { type PowerLoss, SimulatedDisk, type SimulatedDiskOptions } from './simulated-disk.js'
import type { PowerLossMode } from './simulated-file.js'
import { SimulatedMount } from './simulated-mount.js'
import { VirtualClock } from './virtual-clock.js'

/**
 * A machine with a simulated disk and a virtual clock, on which processes start, are killed, and lose their power. Each process has an
 * `Env` of its own; when it is gone its timers fire no more and its files are out of its reach, as if it had never got further.
 * One seed, and everything that happens happens again.
 */
export interface SimulatedMachineOptions extends Omit<SimulatedDiskOptions, 'random' | 'clock'> {
  readonly seed: number
  /** Epoch milliseconds at which the machine is switched on. */
  readonly start?: number | undefined
}

export interface SimulatedProcess {
  readonly id: number
  readonly env: Env
  readonly isAlive: boolean
  /** SIGKILL: what it has written stays in the page cache, and nothing more comes. */
  kill(): void
}

export class SimulatedMachine {
  readonly random: SeededRandom
  readonly clock: VirtualClock
  readonly disk: SimulatedDisk
  /** Called at the crash points that the engine passes. */
  onStep: ((step: string) => void) | undefined
  readonly #processes = new Map<number, { readonly mount: SimulatedMount; readonly start: string }>()
  #boots = 1
  #nextId = 100

  constructor(options: SimulatedMachineOptions) {
    this.random = new SeededRandom(options.seed)
    this.clock = new VirtualClock(options.start)
    this.disk = new SimulatedDisk({ ...options, random: this.random.fork(), clock: this.clock })
  }

  /** `id`: of a process that is gone, to have it used again; by default a new one. */
  startProcess(id = this.#nextId++): SimulatedProcess {
    if (this.#processes.get(id)?.mount.isAttached === true) throw new Error(`process ${id} is running`)
    const mount = new SimulatedMount(this.disk)
    const { clock } = this
    const random = this.random.fork()
    this.#processes.set(id, { mount, start: `${clock.monotonic()}/${random.seed}` })
    const env: Env = {
      fs: mount,
      now: () => Math.floor(clock.now()),
      monotonic: () => clock.monotonic(),
      random: () => random.next(),
      randomBytes: (count) => random.bytes(count),
      timer: (ms, callback) =>
        clock.timer(ms, () => {
          if (mount.isAttached) callback()
        }),
      processes: {
        ownId: id,
        bootId: () => `boot-${this.#boots}`,
        startOf: (other) => {
          const found = this.#processes.get(other)
          return found?.mount.isAttached === true ? found.start : undefined
        },
      },
      passing: (step) => this.onStep?.(step),
    }
    return {
      id,
      env,
      get isAlive() {
        return mount.isAttached
      },
      kill: () => mount.detach(),
    }
  }

  /** Every process is gone at once, and of what was not synced the disk has what it has. */
  losePower(bytes?: PowerLossMode, names?: NameLossMode): PowerLoss {
    const loss = this.disk.losePower(bytes, names)
    this.#processes.clear()
    this.#boots += 1
    this.clock.clear()
    return loss
  }
}
