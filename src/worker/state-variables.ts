import { keptAs, keptValue } from '../operator/transform-with-state.js'
import type { DataType } from '../types/data-type.js'
import type { KeyedState, KeyState, StateItem } from './keyed-state.js'

/**
 * The states of a processor: a value, a list, a map. What is put in is copied and checked at once, and what is taken out is a copy: nothing of
 * the user's can change what is kept behind its back.
 */
export interface StateAccess {
  readonly state: KeyedState
  readonly atHand: { readonly key: KeyState; readonly processingMs: number }
  /** Something of the key is gone by itself then. */
  expires(key: KeyState, until: number): void
}

/** Values of one type, as they are kept. */
class ValueCodec {
  constructor(
    private readonly name: string,
    private readonly type: DataType,
  ) {}

  encode(value: unknown): Uint8Array {
    return keptValue(this.name, this.type, value)
  }

  decode(bytes: Uint8Array): unknown {
    return keptAs(this.type, bytes)
  }
}

class Variable {
  constructor(
    protected readonly access: StateAccess,
    protected readonly name: string,
    private readonly ttlMs: number,
  ) {}

  /** What has not outlived its time. */
  protected item(place: string): StateItem | undefined {
    const { key, processingMs } = this.access.atHand
    const item = key.get(this.name, place)
    return item === undefined || isOver(item, processingMs) ? undefined : item
  }

  protected places(): string[] {
    const { key, processingMs } = this.access.atHand
    const part = key.parts.get(this.name)
    return part === undefined ? [] : [...part].flatMap(([place, item]) => (isOver(item, processingMs) ? [] : [place]))
  }

  protected keep(place: string, bytes: Uint8Array): void {
    const { state, atHand } = this.access
    const { key, processingMs } = atHand
    const until = this.ttlMs === 0 ? 0 : processingMs + this.ttlMs
    state.set(key, this.name, place, { bytes, until })
    if (until > 0) this.access.expires(key, until)
  }

  protected drop(place: string): void {
    const { state, atHand } = this.access
    state.remove(atHand.key, this.name, place)
  }

  exists(): boolean {
    return this.places().length > 0
  }

  clear(): void {
    const { state, atHand } = this.access
    state.clear(atHand.key, this.name)
  }
}

export class ValueStateOf<T> extends Variable {
  readonly #codec: ValueCodec

  constructor(access: StateAccess, name: string, type: DataType, ttlMs: number) {
    super(access, name, ttlMs)
    this.#codec = new ValueCodec(name, type)
  }

  get(): T | null {
    const item = this.item('')
    return item === undefined ? null : (this.#codec.decode(item.bytes) as T)
  }

  update(value: T): void {
    this.keep('', this.#codec.encode(value))
  }
}

export class ListStateOf<T> extends Variable {
  readonly #codec: ValueCodec

  constructor(access: StateAccess, name: string, type: DataType, ttlMs: number) {
    super(access, name, ttlMs)
    this.#codec = new ValueCodec(name, type)
  }

  get(): T[] {
    const inOrder = this.places().sort((a, b) => Number(a) - Number(b))
    return inOrder.flatMap((place) => {
      const item = this.item(place)
      return item === undefined ? [] : [this.#codec.decode(item.bytes) as T]
    })
  }

  put(values: Iterable<T>): void {
    // Checked before anything goes.
    const encoded = Array.from(values, (value) => this.#codec.encode(value))
    this.clear()
    for (const bytes of encoded) this.#append(bytes)
  }

  appendValue(value: T): void {
    this.#append(this.#codec.encode(value))
  }

  appendList(values: Iterable<T>): void {
    for (const bytes of Array.from(values, (value) => this.#codec.encode(value))) this.#append(bytes)
  }

  #append(bytes: Uint8Array): void {
    const { key } = this.access.atHand
    let next = key.nextElement.get(this.name)
    if (next === undefined) {
      next = 0
      for (const place of key.parts.get(this.name)?.keys() ?? []) next = Math.max(next, Number(place) + 1)
    }
    key.nextElement.set(this.name, next + 1)
    this.keep(String(next), bytes)
  }
}

export class MapStateOf<K, V> extends Variable {
  readonly #keys: ValueCodec
  readonly #values: ValueCodec

  constructor(access: StateAccess, name: string, key: DataType, value: DataType, ttlMs: number) {
    super(access, name, ttlMs)
    this.#keys = new ValueCodec(`${name} key`, key)
    this.#values = new ValueCodec(name, value)
  }

  getValue(key: K): V | null {
    const item = this.item(this.#place(key))
    return item === undefined ? null : (this.#values.decode(item.bytes) as V)
  }

  containsKey(key: K): boolean {
    return this.item(this.#place(key)) !== undefined
  }

  updateValue(key: K, value: V): void {
    this.keep(this.#place(key), this.#values.encode(value))
  }

  removeKey(key: K): void {
    this.drop(this.#place(key))
  }

  keys(): K[] {
    return this.places().map((place) => this.#keyAt(place))
  }

  values(): V[] {
    return [...this.iterator()].map(([, value]) => value)
  }

  *iterator(): IterableIterator<[K, V]> {
    for (const place of this.places()) {
      const item = this.item(place)
      if (item !== undefined) yield [this.#keyAt(place), this.#values.decode(item.bytes) as V]
    }
  }

  #place(key: K): string {
    return Buffer.from(this.#keys.encode(key)).toString('latin1')
  }

  #keyAt(place: string): K {
    return this.#keys.decode(Buffer.from(place, 'latin1')) as K
  }
}

function isOver({ until }: StateItem, nowMs: number): boolean {
  return until !== 0 && until <= nowMs
}
