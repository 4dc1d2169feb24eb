import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeProducerSnapshot, encodeProducerSnapshot } from '../../src/log/producer-snapshot.js'
import { ProducerStates, SEQUENCE_MAX, type SequencedBatch } from '../../src/log/producer-state.js'

/** What the partition should know, kept in the plainest way: every batch that was taken, with sequences that never wrap. */
interface Model {
  readonly producers: Map<
    number,
    { epoch: number; next: number; batches: { first: number; n: number; base: number }[] }
  >
  offset: number
}

interface Real {
  states: ProducerStates
}

type Batch = Omit<SequencedBatch, 'baseOffset' | 'timestamp'>
type Answer = number | 'OUT_OF_ORDER_SEQUENCE' | 'PRODUCER_FENCED'
const TAKEN = -1
const RUNS = Number(process.env['MODEL_RUNS'] ?? 300)
/** Producers begin just below the greatest sequence, so that many of them pass it. */
const FIRST = SEQUENCE_MAX - 8

const wrapped = (sequence: number): number => sequence % (SEQUENCE_MAX + 1)

function answer(real: Real, batch: Batch, baseOffset: number): Answer {
  try {
    const known = real.states.check(batch)
    if (known < 0) real.states.appended({ ...batch, baseOffset, timestamp: baseOffset })
    return known
  } catch (error) {
    return (error as { code: Answer }).code
  }
}

class Send implements fc.Command<Model, Real> {
  constructor(
    readonly producerId: number,
    readonly kind: 'next' | 'again' | 'gap' | 'new epoch' | 'new epoch, late' | 'old epoch',
    readonly k: number,
  ) {}

  check(model: Readonly<Model>): boolean {
    const known = model.producers.get(this.producerId)
    if (this.kind === 'next') return true
    if (this.kind === 'old epoch') return known !== undefined && known.epoch > 0
    return known !== undefined && (this.kind !== 'again' || known.batches.length > this.k)
  }

  run(model: Model, real: Real): void {
    const known = model.producers.get(this.producerId) ?? { epoch: 0, next: FIRST, batches: [] }
    model.producers.set(this.producerId, known)
    const { epoch, first, n, expected } = this.#what(known)
    const batch: Batch = {
      producerId: this.producerId,
      producerEpoch: epoch,
      baseSequence: wrapped(first),
      offsetDelta: n - 1,
      isTransactional: false,
    }
    expect(answer(real, batch, model.offset), this.toString()).toBe(expected)
    if (expected !== TAKEN) return
    if (epoch !== known.epoch) known.batches.length = 0
    known.epoch = epoch
    known.batches.push({ first, n, base: model.offset })
    known.next = first + n
    model.offset += n
  }

  #what(known: { epoch: number; next: number; batches: { first: number; n: number; base: number }[] }): {
    epoch: number
    first: number
    n: number
    expected: Answer
  } {
    const { epoch, next, batches } = known
    const n = 1 + (this.k % 4)
    if (this.kind === 'next') return { epoch, first: next, n, expected: TAKEN }
    if (this.kind === 'gap') return { epoch, first: next + 1 + this.k, n, expected: 'OUT_OF_ORDER_SEQUENCE' }
    if (this.kind === 'new epoch') return { epoch: epoch + 1, first: 0, n, expected: TAKEN }
    if (this.kind === 'new epoch, late')
      return { epoch: epoch + 1, first: 1 + this.k, n, expected: 'OUT_OF_ORDER_SEQUENCE' }
    if (this.kind === 'old epoch') return { epoch: epoch - 1, first: next, n, expected: 'PRODUCER_FENCED' }
    const before = batches[batches.length - 1 - this.k] as (typeof batches)[number]
    return { epoch, first: before.first, n: before.n, expected: this.k < 5 ? before.base : 'OUT_OF_ORDER_SEQUENCE' }
  }

  toString(): string {
    return `${this.kind}(${this.producerId}, ${this.k})`
  }
}

/** The partition is opened again: of each producer the snapshot has the last batch. */
class Reopen implements fc.Command<Model, Real> {
  check(): boolean {
    return true
  }

  run(model: Model, real: Real): void {
    const bytes = encodeProducerSnapshot(real.states.toSnapshot())
    const restored = ProducerStates.fromSnapshot(decodeProducerSnapshot(bytes, 'snapshot'))
    // What kind of states it is stays as it was, broken or not.
    Object.setPrototypeOf(restored, Object.getPrototypeOf(real.states) as object)
    real.states = restored
    for (const known of model.producers.values()) known.batches.splice(0, known.batches.length - 1)
  }

  toString(): string {
    return 'reopen'
  }
}

const commands = fc.commands(
  [
    ...(['next', 'next', 'next', 'again', 'gap', 'new epoch', 'new epoch, late', 'old epoch'] as const).map((kind) =>
      fc.tuple(fc.nat(2), fc.nat(6)).map(([producerId, k]) => new Send(producerId, kind, k)),
    ),
    fc.constant(new Reopen()),
  ],
  { maxCommands: 60, size: 'max' },
)

const held = (make: () => ProducerStates): fc.IProperty<[Iterable<fc.Command<Model, Real>>]> =>
  fc.property(commands, (steps) => {
    fc.modelRun(() => ({ model: { producers: new Map(), offset: 0 }, real: { states: make() } }), steps)
  }) as fc.IProperty<[Iterable<fc.Command<Model, Real>>]>

describe('what a partition knows of its producers, against a model', () => {
  it('takes what follows, knows the last five again, refuses gaps and old epochs, through any reopening', () => {
    fc.assert(
      held(() => new ProducerStates()),
      { numRuns: RUNS },
    )
  })

  class TakesGaps extends ProducerStates {
    override check(batch: Batch): number {
      try {
        return super.check(batch)
      } catch (error) {
        if ((error as { code?: unknown }).code === 'OUT_OF_ORDER_SEQUENCE') return TAKEN
        throw error
      }
    }
  }
  class TakesTwice extends ProducerStates {
    override check(batch: Batch): number {
      const known = super.check(batch)
      return known >= 0 ? TAKEN : known
    }
  }
  class TakesZombies extends ProducerStates {
    override check(batch: Batch): number {
      const epoch = this.entry(batch.producerId)?.producerEpoch ?? batch.producerEpoch
      return super.check({ ...batch, producerEpoch: Math.max(epoch, batch.producerEpoch) })
    }
  }

  it.each([
    ['takes gaps', () => new TakesGaps()],
    ['takes a batch twice', () => new TakesTwice()],
    ['takes what an old epoch sends', () => new TakesZombies()],
  ])('finds a partition that %s', (_, make) => {
    expect(fc.check(held(make), { numRuns: 1000 }).failed).toBe(true)
  })
})
