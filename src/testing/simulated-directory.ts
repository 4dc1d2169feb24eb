import type { SeededRandom } from './seeded-random.js'
import type { SimulatedFile } from './simulated-file.js'

/**
 * The names of a simulated disk. A file that is made, renamed or removed is so for every process at once, and on the disk only when its
 * directory has been synced: to sync the file itself is not enough, nor does it help that the directory's own name is durable.
 */
export type Node = SimulatedFile | SimulatedDirectory

export class SimulatedDirectory {
  readonly seen = new Map<string, Node>()
  readonly durable = new Map<string, Node>()
  pending: NameChange[] = []
}

/** One change, of one name or (a rename) of two; a disk makes all of it or nothing. */
export interface NameChange {
  readonly order: number
  readonly names: readonly {
    readonly directory: SimulatedDirectory
    readonly name: string
    readonly node: Node | undefined
  }[]
  isDurable: boolean
}

/**
 * Which name changes survive: a journal keeps all up to some moment, over all directories; the weakest disk that POSIX allows keeps any of
 * them.
 */
export const nameLossModes = ['nothing', 'all', 'journal', 'any'] as const
export type NameLossMode = (typeof nameLossModes)[number]

/** Makes a change that processes see at once. */
export function changeNames(change: NameChange): void {
  for (const { directory, name, node } of change.names) {
    if (node === undefined) directory.seen.delete(name)
    else directory.seen.set(name, node)
    if (!directory.pending.includes(change)) directory.pending.push(change)
  }
}

/** All changes before `order` of one directory are on the disk. */
export function makeNamesDurable(directory: SimulatedDirectory, order = Number.POSITIVE_INFINITY): void {
  const rest: NameChange[] = []
  for (const change of directory.pending) {
    if (change.order >= order) rest.push(change)
    else persist(change)
  }
  directory.pending = rest
}

/** Settles the pending changes of the whole tree: afterwards processes see what the disk has. */
export function loseNames(root: SimulatedDirectory, mode: NameLossMode, random: SeededRandom): void {
  const pending = new Set<NameChange>()
  const seen = new Set<SimulatedDirectory>()
  const visit = (directory: SimulatedDirectory): void => {
    if (seen.has(directory)) return
    seen.add(directory)
    for (const change of directory.pending) pending.add(change)
    for (const node of [...directory.seen.values(), ...directory.durable.values()]) {
      if (node instanceof SimulatedDirectory) visit(node)
    }
  }
  visit(root)
  const inOrder = [...pending].filter((change) => !change.isDurable).sort((a, b) => a.order - b.order)
  const kept = mode === 'all' ? inOrder.length : mode === 'journal' ? random.below(inOrder.length + 1) : 0
  inOrder.forEach((change, i) => {
    if (mode === 'any' ? random.chance(0.5) : i < kept) persist(change)
  })
  for (const directory of seen) {
    directory.pending = []
    directory.seen.clear()
    for (const [name, node] of directory.durable) directory.seen.set(name, node)
  }
}

function persist(change: NameChange): void {
  if (change.isDurable) return
  change.isDurable = true
  for (const { directory, name, node } of change.names) {
    if (node === undefined) directory.durable.delete(name)
    else directory.durable.set(name, node)
  }
}
