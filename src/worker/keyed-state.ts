import { DECLARED, transformStateSchema } from '../operator/transform-with-state.js'
import { keyGroupOf, ownerOf } from '../state/hash.js'
import { type BlockRef, blockRowCount } from '../types/block.js'
import type { BlockBuilder } from '../types/block-builder.js'
import { compileRowsReader, type Row } from '../types/row-reader.js'

/** One thing that is kept: see operator/transform-with-state.ts. */
export interface StateItem {
  /** As it is written down; a list of rows that wait has them here when that is asked for. */
  readonly bytes: Uint8Array
  /** When it is gone by itself, epoch milliseconds; 0 where it is not. */
  readonly until: number
  /** Rows that wait, as they came. */
  readonly rows?: Row[]
}

/** Of one key. */
export class KeyState {
  /** By name of the state, by place in it. Places are in the order in which they were first set. */
  readonly parts = new Map<string, Map<string, StateItem>>()
  /** What the log does not have yet, or has and should not: `name\0place`. */
  readonly changed = new Set<string>()
  /** Of these, what the log has never had: where it goes again nothing is said of it. */
  readonly fresh = new Set<string>()
  /** By name of a list, the number of its next element. */
  readonly nextElement = new Map<string, number>()
  items = 0
  bytes = 0

  constructor(
    /** Different keys have different ones. */
    readonly id: string,
    readonly hash: number,
    /** As the user is given it. */
    readonly key: Row,
    readonly encoded: Uint8Array,
  ) {}

  get(name: string, place: string): StateItem | undefined {
    return this.parts.get(name)?.get(place)
  }
}

interface Undo {
  readonly key: KeyState
  readonly name: string
  readonly place: string
  readonly before: StateItem | undefined
}

/** Of an entry of a map, beside its bytes. */
const ITEM_BYTES = 96
const KEY_BYTES = 400

/**
 * The state of all keys of one task. A key without an item is forgotten. A call that fails can be taken back: then everything is as it was before it.
 */
export class KeyedState {
  readonly #keys = new Map<string, KeyState>()
  /** Keys whose items have changed since the last epoch, the forgotten among them. */
  readonly #dirty = new Set<KeyState>()
  /** Of the call under way, where it may be taken back. */
  #journal: Undo[] | undefined
  items = 0
  bytes = 0
  updated = 0
  removed = 0

  constructor(
    private readonly logged: boolean,
    private readonly encodeRows: (rows: readonly Row[]) => Uint8Array,
  ) {}

  get size(): number {
    return this.#keys.size
  }

  find(id: string): KeyState | undefined {
    return this.#keys.get(id)
  }

  add(key: KeyState): void {
    this.#keys.set(key.id, key)
  }

  all(): Iterable<KeyState> {
    return this.#keys.values()
  }

  /** Still the key that is meant by its id: not forgotten since. */
  isKnown(key: KeyState): boolean {
    return this.#keys.get(key.id) === key
  }

  set(key: KeyState, name: string, place: string, item: StateItem): void {
    let part = key.parts.get(name)
    if (part === undefined) {
      part = new Map()
      key.parts.set(name, part)
    }
    const before = part.get(place)
    this.#journal?.push({ key, name, place, before })
    part.set(place, item)
    this.#count(key, before, item)
    this.updated += 1
    if (!this.logged) return
    const at = `${name}\0${place}`
    if (before === undefined && !key.changed.has(at)) key.fresh.add(at)
    key.changed.add(at)
    this.#dirty.add(key)
  }

  remove(key: KeyState, name: string, place: string): void {
    const part = key.parts.get(name)
    const before = part?.get(place)
    if (part === undefined || before === undefined) return
    this.#journal?.push({ key, name, place, before })
    part.delete(place)
    this.#count(key, before, undefined)
    this.removed += 1
    if (!this.logged) return
    const at = `${name}\0${place}`
    if (key.fresh.delete(at)) key.changed.delete(at)
    else key.changed.add(at)
    this.#dirty.add(key)
  }

  clear(key: KeyState, name: string): void {
    for (const place of [...(key.parts.get(name)?.keys() ?? [])]) this.remove(key, name, place)
  }

  /** What is changed from now on may be taken back. */
  begin(): void {
    this.#journal = []
  }

  /** It stays. */
  end(): void {
    this.#journal = undefined
  }

  takeBack(): void {
    const journal = this.#journal ?? []
    this.#journal = undefined
    for (const { key, name, place, before } of journal.reverse()) {
      if (before === undefined) this.remove(key, name, place)
      else this.set(key, name, place, before)
    }
  }

  /** A key that has nothing is no longer known. */
  forgetEmpty(key: KeyState): void {
    if (key.items === 0) this.#keys.delete(key.id)
  }

  #count(key: KeyState, before: StateItem | undefined, after: StateItem | undefined): void {
    const items = (after === undefined ? 0 : 1) - (before === undefined ? 0 : 1)
    const bytes = (after?.bytes.length ?? 0) - (before?.bytes.length ?? 0)
    key.items += items
    this.items += items
    this.bytes += bytes
  }

  /** What changed since the last call, or everything for a snapshot. `declared`: names of states and what they are, undefined where one is gone. */
  writeLog(builder: BlockBuilder, everything: boolean, declared: ReadonlyMap<string, string | undefined>): void {
    const none = new Uint8Array(0)
    for (const [name, what] of declared) {
      builder.append([0, none, DECLARED, name, what === undefined ? null : new TextEncoder().encode(what), 0])
    }
    const write = (key: KeyState, name: string, place: string, item: StateItem | undefined): void => {
      const bytes = item?.rows === undefined ? item?.bytes : this.encodeRows(item.rows)
      builder.append([key.hash, key.encoded, name, place, bytes ?? null, item?.until ?? 0])
    }
    if (everything) {
      for (const key of this.#keys.values()) {
        for (const [name, part] of key.parts) for (const [place, item] of part) write(key, name, place, item)
      }
    } else {
      for (const key of this.#dirty) {
        for (const at of key.changed) {
          const cut = at.indexOf('\0')
          const [name, place] = [at.slice(0, cut), at.slice(cut + 1)]
          write(key, name, place, key.get(name, place))
        }
      }
    }
    this.#settle()
  }

  /** Items of a checkpoint: of every task's those that this one owns. Gives what the states were declared to be. */
  restore(
    blocks: readonly BlockRef[],
    task: number,
    tasks: number,
    keyOf: (hash: number, encoded: Uint8Array) => KeyState,
    rowsOf: (bytes: Uint8Array) => Row[] | undefined,
    rowsName: string,
  ): ReadonlyMap<string, string> {
    const declared = new Map<string, string>()
    const read = compileRowsReader(transformStateSchema)
    for (const { views, position } of blocks) {
      const rows: Row[] = []
      read(views, position, 0, blockRowCount(views, position), rows)
      for (const row of rows) {
        const { hash, key: encoded, name, place, value, until } = row as unknown as StateRow
        if (name === DECLARED) {
          if (value === null) declared.delete(place)
          else declared.set(place, new TextDecoder().decode(value))
          continue
        }
        if (ownerOf(keyGroupOf(hash), tasks) !== task) continue
        const key = keyOf(hash, encoded)
        if (value === null) this.remove(key, name, place)
        else if (name === rowsName) this.set(key, name, place, { bytes: value, until, rows: rowsOf(value) ?? [] })
        else this.set(key, name, place, { bytes: value, until })
        this.forgetEmpty(key)
      }
    }
    // They are written down already.
    this.#settle()
    this.updated = 0
    this.removed = 0
    return declared
  }

  #settle(): void {
    for (const key of this.#dirty) {
      key.changed.clear()
      key.fresh.clear()
    }
    this.#dirty.clear()
  }

  get byteSize(): number {
    return this.bytes + this.items * ITEM_BYTES + this.#keys.size * KEY_BYTES
  }
}

interface StateRow {
  readonly hash: number
  readonly key: Uint8Array
  readonly name: string
  readonly place: string
  readonly value: Uint8Array | null
  readonly until: number
}
