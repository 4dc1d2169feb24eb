import type { SeededRandom } from './seeded-random.js'
import {
  changeNames,
  loseNames,
  makeNamesDurable,
  type NameChange,
  type NameLossMode,
  type Node,
  nameLossModes,
  SimulatedDirectory,
} from './simulated-directory.js'
import { type PowerLossMode, powerLossModes, SimulatedFile } from './simulated-file.js'
import type { VirtualClock } from './virtual-clock.js'

/**
 * A disk in memory that forgets what nobody has synced. It keeps apart what processes see and what would survive a loss of power, of
 * bytes, of file lengths, and of names in directories. It can be slow, full, or fail, at the call that a test chooses; and all its chance
 * comes from one seed.
 *
 * What it takes for granted, as databases do: a sector that is written anew without being synced harms no byte that it held before and
 * that the write did not touch; a rename happens or does not; what a successful sync has covered stays.
 */
export interface SimulatedDiskOptions {
  readonly random: SeededRandom
  /** With a clock, a sync takes time; without one it ends in the same turn of the event loop. */
  readonly clock?: VirtualClock | undefined
  /** How long a sync takes, from and to; drawn for each. Default 0.1 to 5. */
  readonly syncMs?: readonly [low: number, high: number] | undefined
  /** Bytes of all files together; beyond it a write fails with ENOSPC, with a part of it written. */
  readonly capacity?: number | undefined
}

export type OperationKind =
  | 'open'
  | 'create'
  | 'read'
  | 'write'
  | 'truncate'
  | 'sync'
  | 'syncDirectory'
  | 'rename'
  | 'remove'
  | 'makeDirectory'

export interface DiskOperation {
  readonly kind: OperationKind
  readonly path: string
  /** Of a write. */
  readonly bytes: number
  /** Counts all operations of the disk, from 0. */
  readonly n: number
}

/** What a loss of power has made of the disk, for the report. */
export interface PowerLoss {
  readonly bytes: PowerLossMode | 'mixed'
  readonly names: NameLossMode
  readonly filesWithUnsyncedChanges: number
}

export class SimulatedDisk {
  readonly options: SimulatedDiskOptions
  capacity: number
  /** Called before each operation takes effect, of a sync when it would end. Where it throws, that is the operation's failure; a sync that fails has lost its bytes. */
  onOperation: ((operation: DiskOperation) => void) | undefined
  readonly #root = new SimulatedDirectory()
  /** How often the power has gone; who was there before is gone with it. */
  powerLosses = 0
  #operations = 0
  #order = 0

  constructor(options: SimulatedDiskOptions) {
    this.options = options
    this.capacity = options.capacity ?? Number.POSITIVE_INFINITY
  }

  get operations(): number {
    return this.#operations
  }

  usedBytes(): number {
    let bytes = 0
    for (const { file } of this.#files()) bytes += file.size
    return bytes
  }

  /** All files that processes see. */
  paths(): string[] {
    return [...this.#files()].map(({ path }) => path).sort()
  }

  /** As processes see it. */
  file(path: string): SimulatedFile {
    const node = this.lookup(path)
    if (!(node instanceof SimulatedFile)) throw systemError('ENOENT', 'open', path)
    return node
  }

  /** Puts a file there as it is, durable at once: damage, or something from elsewhere. */
  plant(path: string, content: Uint8Array): void {
    this.makeDirectories(parentOf(path))
    const file = new SimulatedFile(content)
    this.name(path, file)
    let at: SimulatedDirectory = this.#root
    for (const name of partsOf(parentOf(path))) {
      makeNamesDurable(at)
      at = at.seen.get(name) as SimulatedDirectory
    }
    makeNamesDurable(at)
  }

  /** Everything that was seen is on the disk, as after a clean stop of the machine. */
  syncAll(): void {
    const visit = (directory: SimulatedDirectory): void => {
      makeNamesDurable(directory)
      for (const node of directory.seen.values()) {
        if (node instanceof SimulatedFile) node.makeDurable()
        else visit(node)
      }
    }
    visit(this.#root)
  }

  /** The power goes: every process is gone, and the disk has what it has. Without a mode one is drawn, for each file by itself. */
  losePower(bytes?: PowerLossMode, names?: NameLossMode): PowerLoss {
    const { random } = this.options
    this.powerLosses += 1
    const namesMode = names ?? random.pick(nameLossModes)
    loseNames(this.#root, namesMode, random)
    const drawn = bytes ?? (random.chance(0.3) ? ('mixed' as const) : random.pick(powerLossModes))
    let changed = 0
    const visit = (directory: SimulatedDirectory): void => {
      for (const [name, node] of directory.seen) {
        if (node instanceof SimulatedDirectory) {
          visit(node)
          continue
        }
        if (node.unsyncedChanges > 0) changed += 1
        const left = node.afterPowerLoss(drawn === 'mixed' ? random.pick(powerLossModes) : drawn, random)
        directory.seen.set(name, left)
        directory.durable.set(name, left)
      }
    }
    visit(this.#root)
    return { bytes: drawn, names: namesMode, filesWithUnsyncedChanges: changed }
  }

  // What follows is for mounts.

  operation(kind: OperationKind, path: string, bytes = 0): void {
    const n = this.#operations++
    this.onOperation?.({ kind, path, bytes, n })
  }

  lookup(path: string): Node | undefined {
    let at: Node = this.#root
    for (const name of partsOf(path)) {
      if (!(at instanceof SimulatedDirectory)) return undefined
      const next: Node | undefined = at.seen.get(name)
      if (next === undefined) return undefined
      at = next
    }
    return at
  }

  directory(path: string, call: string): SimulatedDirectory {
    const node = this.lookup(path)
    if (node === undefined) throw systemError('ENOENT', call, path)
    if (!(node instanceof SimulatedDirectory)) throw systemError('ENOTDIR', call, path)
    return node
  }

  /** True where something was made. */
  makeDirectories(path: string): boolean {
    let at = this.#root
    let made = false
    for (const name of partsOf(path)) {
      let next = at.seen.get(name)
      if (next === undefined) {
        next = new SimulatedDirectory()
        this.#change([{ directory: at, name, node: next }])
        made = true
      }
      if (!(next instanceof SimulatedDirectory)) throw systemError('ENOTDIR', 'mkdir', path)
      at = next
    }
    return made
  }

  /** Gives a node a name, or takes a name away. */
  name(path: string, node: Node | undefined): void {
    this.#change([{ directory: this.directory(parentOf(path), 'open'), name: nameOf(path), node }])
  }

  rename(from: string, to: string): void {
    const node = this.lookup(from)
    if (node === undefined) throw systemError('ENOENT', 'rename', from)
    const target = this.lookup(to)
    if (target instanceof SimulatedDirectory && target.seen.size > 0) throw systemError('ENOTEMPTY', 'rename', to)
    this.#change([
      { directory: this.directory(parentOf(from), 'rename'), name: nameOf(from), node: undefined },
      { directory: this.directory(parentOf(to), 'rename'), name: nameOf(to), node },
    ])
  }

  /** A point in the sequence of name changes. */
  nameMark(): number {
    return this.#order
  }

  /** The names of a directory that were changed before the mark are on the disk. */
  syncNames(directory: SimulatedDirectory, mark: number): void {
    makeNamesDurable(directory, mark)
  }

  #change(names: NameChange['names']): void {
    changeNames({ order: this.#order++, names, isDurable: false })
  }

  *#files(directory = this.#root, path = ''): Generator<{ readonly path: string; readonly file: SimulatedFile }> {
    for (const [name, node] of directory.seen) {
      if (node instanceof SimulatedDirectory) yield* this.#files(node, `${path}/${name}`)
      else yield { path: `${path}/${name}`, file: node }
    }
  }
}

const partsOf = (path: string): string[] => path.split('/').filter((part) => part !== '' && part !== '.')
export const parentOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')))
const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

/** An error as Node's file functions throw it. */
export function systemError(code: string, call: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${call} '${path}'`), { code, syscall: call, path })
}
