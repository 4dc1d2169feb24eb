import { parseDuration } from '../common/duration.js'
import { MillraceError } from '../common/errors.js'
import { ROWS, TIMERS } from '../operator/transform-with-state.js'
import type { TimeMode } from '../plan/stateful-processor.js'
import { type DataType, typeName } from '../types/data-type.js'
import { parseTypeOrFields } from '../types/ddl.js'
import { describe } from '../types/invalid-value.js'
import { SchemaType } from '../types/schema.js'
import type { KeyedState, KeyState } from './keyed-state.js'
import { ListStateOf, MapStateOf, type StateAccess, ValueStateOf } from './state-variables.js'

/**
 * What a processor has in its hands: its states, which it names in `init`, and its timers. Whatever is asked of a state or of a timer is asked for the key
 * of the call under way; outside of a call there is none.
 */

/** A type of state: `t.long`, `t.struct({ … })`, or its name: `'long'`, `'array<string>'`. */
export type StateType<T> = SchemaType<T, unknown> | string

export interface ValueState<T> {
  exists(): boolean
  /** Null where there is none. */
  get(): T | null
  update(value: T): void
  clear(): void
}

export interface ListState<T> {
  exists(): boolean
  get(): T[]
  put(values: Iterable<T>): void
  appendValue(value: T): void
  appendList(values: Iterable<T>): void
  clear(): void
}

export interface MapState<K, V> {
  exists(): boolean
  /** Null where the map does not have the key. */
  getValue(key: K): V | null
  containsKey(key: K): boolean
  updateValue(key: K, value: V): void
  removeKey(key: K): void
  keys(): K[]
  values(): V[]
  iterator(): IterableIterator<[K, V]>
  clear(): void
}

export interface Timers {
  /** Epoch milliseconds, later than the time at hand. A timer that is there already stays one. */
  registerTimer(expiresAtMs: number): void
  deleteTimer(expiresAtMs: number): void
  /** Earliest first. */
  listTimers(): number[]
  /** How far event time has come; 0 where there is none. Where rows come in the order of event time: the time of the rows at hand. */
  getCurrentWatermarkInMs(): number
  /** The same for the whole of a call. */
  getCurrentProcessingTimeInMs(): number
}

export interface StatefulProcessorHandle extends Timers {
  /** `ttl`: how long a value lives after it was set, `'1 hour'`; by processing time. */
  getValueState<T>(name: string, type: StateType<T>, ttl?: string | number): ValueState<T>
  getListState<T>(name: string, type: StateType<T>, ttl?: string | number): ListState<T>
  getMapState<K, V>(name: string, key: StateType<K>, value: StateType<V>, ttl?: string | number): MapState<K, V>
  /** In `init`: what an earlier version of the processor kept under this name goes. */
  deleteIfExists(name: string): void
}

interface Declared {
  readonly what: string
  readonly state: unknown
}

/** The call under way. */
export interface AtHand {
  readonly key: KeyState
  /** Timers are for what comes after it: of the rows, or of the timer that has expired. */
  readonly timeMs: number
  readonly processingMs: number
}

export class StateHandle implements StatefulProcessorHandle, StateAccess {
  readonly #declared = new Map<string, Declared>()
  readonly #dropped = new Set<string>()
  #isInit = true
  #at: AtHand | undefined

  constructor(
    readonly state: KeyedState,
    private readonly step: string,
    private readonly timeMode: TimeMode,
    private readonly onTimer: (key: KeyState, expiresAtMs: number) => void,
    private readonly onTtl: (key: KeyState, until: number) => void,
  ) {}

  initialized(): void {
    this.#isInit = false
  }

  begin(at: AtHand): void {
    this.#at = at
  }

  end(): void {
    this.#at = undefined
  }

  getValueState<T>(name: string, type: StateType<T>, ttl?: string | number): ValueState<T> {
    const of = typeOf(name, type)
    const ttlMs = this.#ttl(name, ttl)
    return this.#declare(name, `value ${typeName(of)}`, () => new ValueStateOf<T>(this, name, of, ttlMs))
  }

  getListState<T>(name: string, type: StateType<T>, ttl?: string | number): ListState<T> {
    const of = typeOf(name, type)
    const ttlMs = this.#ttl(name, ttl)
    return this.#declare(name, `list of ${typeName(of)}`, () => new ListStateOf<T>(this, name, of, ttlMs))
  }

  getMapState<K, V>(name: string, key: StateType<K>, value: StateType<V>, ttl?: string | number): MapState<K, V> {
    const [from, to] = [typeOf(name, key), typeOf(name, value)]
    const ttlMs = this.#ttl(name, ttl)
    const what = `map of ${typeName(from)} to ${typeName(to)}`
    return this.#declare(name, what, () => new MapStateOf<K, V>(this, name, from, to, ttlMs))
  }

  deleteIfExists(name: string): void {
    if (!this.#isInit) {
      throw new MillraceError('STATE_NOT_DECLARED', `${this.step} deletes the state ${name} outside of init`, {
        detail: 'which states there are is said once, before the first row',
        hint: `handle.deleteIfExists('${name}') in init(handle)`,
      })
    }
    this.#dropped.add(name)
  }

  registerTimer(expiresAtMs: number): void {
    const { key, timeMs } = this.#timed('registerTimer')
    checkTime(this.step, expiresAtMs)
    if (expiresAtMs <= timeMs) {
      throw new MillraceError('TIMER_IN_PAST', `${this.step} registers a timer that has expired already`, {
        detail: `it is for ${expiresAtMs}, and ${this.timeMode === 'event' ? 'event' : 'processing'} time is at ${timeMs}`,
        hint: 'register it for later than the rows, or the timer, at hand',
      })
    }
    const place = String(expiresAtMs)
    if (key.get(TIMERS, place) !== undefined) return
    this.state.set(key, TIMERS, place, { bytes: noBytes, until: 0 })
    this.onTimer(key, expiresAtMs)
  }

  deleteTimer(expiresAtMs: number): void {
    const { key } = this.#timed('deleteTimer')
    checkTime(this.step, expiresAtMs)
    this.state.remove(key, TIMERS, String(expiresAtMs))
  }

  listTimers(): number[] {
    const { key } = this.#timed('listTimers')
    return [...(key.parts.get(TIMERS)?.keys() ?? [])].map(Number).sort((a, b) => a - b)
  }

  getCurrentWatermarkInMs(): number {
    const { timeMs } = this.atHand
    return this.timeMode === 'event' && Number.isFinite(timeMs) ? timeMs : 0
  }

  getCurrentProcessingTimeInMs(): number {
    return this.atHand.processingMs
  }

  get atHand(): AtHand {
    if (this.#at !== undefined) return this.#at
    throw new MillraceError('STATE_WITHOUT_KEY', `${this.step} uses its state where there is no key`, {
      detail: this.#isInit ? 'found in init, before the first row' : 'found outside of a call',
      hint: 'use states and timers in handleInputRows, handleExpiredTimer and handleInitialState, and before these return',
    })
  }

  expires(key: KeyState, until: number): void {
    this.onTtl(key, until)
  }

  #timed(method: string): AtHand {
    if (this.timeMode === 'none') {
      throw new MillraceError('TIMER_NOT_ALLOWED', `${this.step} calls ${method}() without a time to go by`, {
        detail: "found timeMode 'none'",
        hint: "transformWithState(…, { timeMode: 'event' }), or 'processing'",
      })
    }
    if (this.#isInit) {
      throw new MillraceError('TIMER_NOT_ALLOWED', `${this.step} calls ${method}() in init`, {
        detail: 'a timer is of a key, and in init there is none',
        hint: 'register it in handleInputRows',
      })
    }
    return this.atHand
  }

  #ttl(name: string, ttl: string | number | undefined): number {
    if (ttl === undefined) return 0
    const ttlMs = parseDuration(ttl, `the time to live of state ${name}`)
    if (this.timeMode !== 'processing') {
      throw new MillraceError('STATE_TTL_NOT_ALLOWED', `${this.step} gives the state ${name} a time to live`, {
        detail: `it goes by processing time, and the timeMode is '${this.timeMode}'`,
        hint:
          this.timeMode === 'event'
            ? "clear the state by a timer, or use timeMode 'processing'"
            : "transformWithState(…, { timeMode: 'processing' })",
      })
    }
    if (ttlMs > 0) return ttlMs
    throw new MillraceError('INVALID_DURATION', `the state ${name} cannot live for ${ttlMs} ms`, {
      detail: 'expected more than 0',
      hint: "'1 hour'",
    })
  }

  #declare<S>(name: string, what: string, make: () => S): S {
    const known = this.#declared.get(name)
    if (!this.#isInit) {
      if (known?.what === what) return known.state as S
      throw new MillraceError(
        'STATE_NOT_DECLARED',
        `${this.step} asks for the state ${name}, which it has not declared`,
        {
          detail: `declared in init: ${[...this.#declared].map(([n, d]) => `${n} (${d.what})`).join(', ') || 'none'}`,
          hint: 'ask for it in init(handle), and keep what that gives',
        },
      )
    }
    checkName(this.step, name)
    if (known !== undefined) {
      throw new MillraceError('STATE_DECLARED_TWICE', `${this.step} declares the state ${name} twice`, {
        detail: `as ${known.what} and as ${what}`,
        hint: 'give each state a name of its own',
      })
    }
    const state = make()
    this.#declared.set(name, { what, state })
    return state
  }

  /** What is to be written down of the states themselves. */
  get declared(): ReadonlyMap<string, string> {
    return new Map([...this.#declared].map(([name, { what }]) => [name, what]))
  }

  /** Compares the states with those of a checkpoint. Gives those that are to go. */
  compare(before: ReadonlyMap<string, string>): readonly string[] {
    const dropped: string[] = []
    for (const [name, was] of before) {
      const now = this.#declared.get(name)
      if (now?.what === was) continue
      if (this.#dropped.has(name)) {
        dropped.push(name)
        continue
      }
      throw new MillraceError(
        'STATE_SCHEMA_CHANGED',
        `the state ${name} of ${this.step} is not what the checkpoint holds`,
        {
          detail: `the checkpoint has a ${was}, the processor ${now === undefined ? 'does not declare it' : `a ${now.what}`}`,
          hint: `declare it as it was, or give it up: handle.deleteIfExists('${name}') in init(handle)`,
        },
      )
    }
    return dropped
  }
}

const noBytes = new Uint8Array(0)

function typeOf(name: string, type: unknown): DataType {
  if (type instanceof SchemaType) return type.type
  if (typeof type === 'string') return parseTypeOrFields(type)
  throw new MillraceError('SCHEMA_EXPECTED', `the state ${String(name)} needs a type`, {
    detail: `found ${describe(type)}`,
    hint: "t.long, t.struct({ … }), or 'long'",
  })
}

function checkName(step: string, name: unknown): void {
  const isText = typeof name === 'string' && name !== '' && !name.includes('\0')
  if (isText && !name.startsWith('__')) return
  throw new MillraceError('STATE_NAME_INVALID', `${step} cannot have a state of that name`, {
    detail: isText
      ? `found ${name}; names that start with two underscores (${TIMERS}, ${ROWS}) are the engine's own`
      : `found ${describe(name)}`,
    hint: "a name like 'total'",
  })
}

function checkTime(step: string, ms: unknown): void {
  if (Number.isSafeInteger(ms)) return
  throw new MillraceError('TIMER_INVALID', `${step} has a timer for no time`, {
    detail: `found ${describe(ms)}, expected epoch milliseconds as a whole number`,
    hint: 'timers.registerTimer(row.ts + 60_000); a Date has getTime()',
  })
}
