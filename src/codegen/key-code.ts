import type { FunctionSource } from '../common/function-source.js'
import type { Grouping } from '../plan/physical-plan.js'
import {
  bytesEqual,
  type GroupLayout,
  type GroupPlaces,
  HEAD_HASH,
  HEAD_KEY_HASH,
  HEAD_NULLS,
  KEY_LENGTH,
  KEY_WORD_BYTES,
  KEY_WORDS,
} from '../state/group-table.js'
import { combineHash, hashBigint, hashDouble, hashInteger, NULL_HASH } from '../state/hash.js'
import type { CodeValue } from './expression-compiler.js'
import { bytesOf, isFloating, numberOf } from './group-values.js'
import { declareKeyWords, keyLocals } from './key-words.js'

/** The locals by which code knows the columns of a table and the entry that it is at. */
export interface TableLocals {
  readonly table: string
  readonly heads: string
  readonly cells: string
  readonly arena: string
  readonly arenaView: string
  readonly keyBoxed: (i: number) => string
  readonly boxed: (j: number) => string
  readonly entry: string
  /** Where the entry's ints and doubles begin. */
  readonly head: string
  readonly cell: string
}

/** Of the table that the code fills. */
export const ownLocals: TableLocals = {
  table: 'T',
  heads: 'heads',
  cells: 'cells',
  arena: 'arena',
  arenaView: 'arenaView',
  keyBoxed: (i) => `kb${i}`,
  boxed: (j) => `b${j}`,
  entry: 'e',
  head: 'q',
  cell: 'd',
}

/** Of a table `A` that it reads. */
export const otherLocals: TableLocals = {
  table: 'A',
  heads: 'aHeads',
  cells: 'aCells',
  arena: 'aArena',
  arenaView: 'aArenaView',
  keyBoxed: (i) => `akb${i}`,
  boxed: (j) => `ab${j}`,
  entry: 'ae',
  head: 'aq',
  cell: 'ad',
}

/** Code for the keys of a GroupTable: their hash, the entry that has them, a new entry with them, and a key as a value. */
export class KeyCode {
  constructor(
    private readonly source: FunctionSource,
    private readonly grouping: Grouping,
    private readonly layout: GroupLayout,
    private readonly places: GroupPlaces,
    private readonly partial: boolean,
  ) {}

  /** The first words of keys of bytes into locals, and their hashes. Before hash() and find…(). */
  words(keys: readonly CodeValue[]): void {
    keys.forEach((key, i) => {
      if (this.layout.keys[i] === 'bytes') declareKeyWords(this.source, i, bytesOf(key))
    })
  }

  /** Hash of the key into the local `h`. */
  hash(keys: readonly CodeValue[]): void {
    const combine = this.source.constant(combineHash)
    if (keys.length === 0) {
      this.source.line('const h = 0;')
      return
    }
    const parts = keys.map((key, i) => {
      const plain = this.#hashOf(key, i)
      return key.isNull === 'false' ? plain : `(${key.isNull} ? ${NULL_HASH} : ${plain})`
    })
    this.source.line(`const h = ${parts.reduce((all, part) => `${combine}(${all}, ${part})`)};`)
  }

  /**
   * The entry of the group into the local `e`, -1 where there is none; `d` is where its cells begin. `h` is the key's hash, and where
   * windows are told apart in the table, `wh` the hash of `ws` (and of `wf`).
   */
  find(keys: readonly CodeValue[]): void {
    const source = this.source
    const { places } = this
    const inKey = this.#windowKeys()
    source.line(inKey > 0 ? 'const sh = h ^ wh;' : 'const sh = h;')
    if (this.layout.nullableKeys) {
      const bits = keys.map((key, i) => (key.isNull === 'false' ? '0' : `(${key.isNull} ? ${1 << i} : 0)`))
      source.line(`const nm = ${bits.join(' | ')};`)
    }
    const tests: string[] = []
    if (this.layout.nullableKeys) tests.push(`heads[q + ${HEAD_NULLS}] === nm`)
    keys.forEach((key, i) => tests.push(this.#equals(key, i)))
    if (inKey > 0) tests.push(`cells[d + ${places.window}] === ws`)
    if (inKey > 1) tests.push(`cells[d + ${places.window + 1}] === wf`)
    source.line('let at = sh & mask, e = -1, d = 0;')
    source.block('for (;;)', () => {
      source.line('const x = index[at];')
      source.line('if (x === 0) break;')
      source.line(`const q = (x - 1) * ${places.headInts};`)
      source.block(`if (heads[q + ${HEAD_HASH}] === sh)`, () => {
        source.line(`d = (x - 1) * ${places.cellDoubles};`)
        source.line(`if (${tests.length === 0 ? 'true' : tests.join(' && ')}) { e = x - 1; break; }`)
      })
      source.line('at = (at + 1) & mask;')
    })
  }

  /** The entry into `e`, made where it is new. `retake` writes what takes the table's columns anew. */
  findOrInsert(keys: readonly CodeValue[], retake: () => void): void {
    const source = this.source
    const { places } = this
    const numbers = this.layout.windowNumbers
    const session = this.partial && this.grouping.window?.kind === 'session'
    const [start, from, end] = [0, 1, 2].map((k) => `cells[d + ${places.window + k}]`)
    this.find(keys)
    if (session) {
      // A key leads to the session that was begun last; one that the row does not touch stays in the table as it is.
      source.line('let before = -1;')
      source.line(`if (e >= 0 && !(${from} <= we && wf <= ${end})) { before = at; e = -1; }`)
    }
    source.block('if (e < 0)', () => {
      source.line(session ? 'e = before < 0 ? T.insert(sh, h) : T.succeed(before, sh, h);' : 'e = T.insert(sh, h);')
      keys.forEach((key, i) => {
        if (this.layout.keys[i] !== 'bytes') return
        const bytes = bytesOf(key)
        source.line(`const p${i} = T.store(${bytes.u8}, ${bytes.start}, ${bytes.end});`)
      })
      retake()
      source.line(`d = e * ${places.cellDoubles};`)
      source.line(`const q = e * ${places.headInts};`)
      if (this.partial) {
        for (const [k, local] of ['ws', 'wf', 'we'].slice(0, numbers).entries())
          source.line(`cells[d + ${places.window + k}] = ${local};`)
      } else if (numbers === 3) {
        // No session yet.
        source.line(`${end} = -Infinity;`)
      }
      if (this.layout.nullableKeys) source.line(`heads[q + ${HEAD_NULLS}] = nm;`)
      keys.forEach((key, i) => this.#storeKey(key, i))
    })
    if (session) {
      source.block('else', () => {
        source.line(`if (ws < ${start}) ${start} = ws;`)
        source.line(`if (wf < ${from}) ${from} = wf;`)
        source.line(`if (we > ${end}) ${end} = we;`)
      })
    }
  }

  /** Key `i` of the entry at hand. */
  value(i: number, locals: TableLocals = ownLocals): CodeValue {
    const { heads, head, cells, cell, arena, arenaView, entry } = locals
    const value = this.grouping.keys[i]?.value as Grouping['keys'][number]['value']
    const { type } = value
    const isNull = value.nullable ? `((${heads}[${head} + ${HEAD_NULLS}] & ${1 << i}) !== 0)` : 'false'
    const part = this.layout.keys[i]
    if (part === 'bytes') {
      const start = `${heads}[${head} + ${this.places.keyBytes[i]}]`
      const end = `(${start} + ${heads}[${head} + ${(this.places.keyBytes[i] as number) + KEY_LENGTH}])`
      return { type, isNull, value: '', bytes: { u8: arena, dv: arenaView, start, end } }
    }
    if (part === 'boxed') return { type, isNull, value: `${locals.keyBoxed(i)}[${entry}]` }
    const number = `${cells}[${cell} + ${this.places.keyNumbers[i]}]`
    return { type, isNull, value: type.kind === 'boolean' ? `(${number} !== 0)` : number }
  }

  keyHash(locals: TableLocals = ownLocals): string {
    return `${locals.heads}[${locals.head} + ${HEAD_KEY_HASH}]`
  }

  /** By how many of its numbers a window is part of the key: not at all where it has a table of its own, or is a session. */
  #windowKeys(): number {
    return this.grouping.window?.kind === 'session' ? 0 : this.layout.windowNumbers
  }

  #storeKey(key: CodeValue, i: number): void {
    const { source, places } = this
    const part = this.layout.keys[i]
    if (part === 'number') source.line(`cells[d + ${places.keyNumbers[i]}] = ${numberOf(key)};`)
    if (part === 'boxed') source.line(`kb${i}[e] = ${key.value};`)
    if (part === 'bytes') {
      const at = places.keyBytes[i] as number
      const { length, words } = keyLocals(i)
      source.line(`heads[q + ${at}] = p${i}; heads[q + ${at + KEY_LENGTH}] = ${length};`)
      source.line(words.map((word, k) => `heads[q + ${at + KEY_WORDS + k}] = ${word};`).join(' '))
    }
  }

  #hashOf(key: CodeValue, i: number): string {
    const part = this.layout.keys[i]
    if (part === 'bytes') return keyLocals(i).hash
    if (part === 'boxed') return `${this.source.constant(hashBigint)}(${key.value})`
    const floating = isFloating(key.type)
    return `${this.source.constant(floating ? hashDouble : hashInteger)}(${numberOf(key)})`
  }

  #equals(key: CodeValue, i: number): string {
    const part = this.layout.keys[i]
    if (part === 'bytes') {
      const bytes = bytesOf(key)
      const equal = this.source.constant(bytesEqual)
      const at = this.places.keyBytes[i] as number
      const { length, words } = keyLocals(i)
      const same = [length, ...words].map((local, k) => `heads[q + ${at + KEY_LENGTH + k}] === ${local}`).join(' && ')
      const behind = `heads[q + ${at}] + ${KEY_WORD_BYTES}, ${bytes.dv}, ${bytes.start} + ${KEY_WORD_BYTES}`
      return `${same} && (${length} <= ${KEY_WORD_BYTES} || ${equal}(arenaView, ${behind}, ${length} - ${KEY_WORD_BYTES}))`
    }
    if (part === 'boxed') return `kb${i}[x - 1] === ${key.value}`
    const value = numberOf(key)
    const held = `cells[d + ${this.places.keyNumbers[i]}]`
    const nan = isFloating(key.type) ? ` || (${value} !== ${value} && ${held} !== ${held})` : ''
    return `(${held} === ${value}${nan})`
  }
}
