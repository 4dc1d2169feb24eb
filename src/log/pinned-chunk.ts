import type { PartitionControl } from './partition-control.js'
import type { PartitionDescriptor } from './partition-descriptor.js'
import type { LogMemory } from './shared-memory.js'

/**
 * One reader's hold on one chunk. The control block has one pin for each thread, so the readers of one partition on one thread
 * share it: it is the lowest that any of them holds, and protects that chunk and all behind it.
 */
export class PinnedChunk {
  /** Sequence of the chunk held; 0 = none. */
  #held = 0
  readonly #control: PartitionControl
  readonly #slot: number
  readonly #shared: SharedPin

  constructor(control: PartitionControl, partition: PartitionDescriptor, memory: LogMemory) {
    this.#control = control
    this.#slot = memory.slot
    this.#shared = sharedPin(memory, partition.ordinal)
  }

  /** True where the chunk is still there, and then it stays until `unpin`. False leaves nothing pinned. */
  pin(sequence: number): boolean {
    if (this.#held === sequence) return true
    this.#hold(sequence)
    // Store, then load: who recycles does it the other way round, so one of the two sees the other.
    if (sequence >= this.#control.head() && sequence <= this.#control.tail()) return true
    this.unpin()
    return false
  }

  /** Pins the chunk that holds the offset, which must be below the log end offset; its sequence, or 0 where no chunk holds it any more. */
  pinAt(offset: number): number {
    const control = this.#control
    for (;;) {
      const head = control.head()
      if (head > control.tail()) return 0
      if (!this.pin(head)) continue
      if (control.chunkBaseOffset(head) > offset) {
        this.unpin()
        return 0
      }
      // All from head on stays as it is now, so the bases may be searched.
      let low = head
      let high = control.tail()
      while (low < high) {
        const middle = (low + high + 1) >>> 1
        if (control.chunkBaseOffset(middle) <= offset) low = middle
        else high = middle - 1
      }
      this.#hold(low)
      return low
    }
  }

  unpin(): void {
    if (this.#held !== 0) this.#hold(0)
  }

  watch(): void {
    this.#shared.watchers += 1
    this.#control.watch(this.#slot)
  }

  unwatch(): void {
    this.#shared.watchers -= 1
    if (this.#shared.watchers === 0) this.#control.unwatch(this.#slot)
  }

  #hold(sequence: number): void {
    const { holders } = this.#shared
    if (this.#held === 0) holders.push(this)
    this.#held = sequence
    if (sequence === 0) {
      const at = holders.indexOf(this)
      const last = holders.pop() as PinnedChunk
      if (last !== this) holders[at] = last
    }
    let lowest = 0
    for (let i = 0; i < holders.length; i++) {
      const held = (holders[i] as PinnedChunk).#held
      if (lowest === 0 || held < lowest) lowest = held
    }
    this.#control.pin(this.#slot, lowest)
  }
}

interface SharedPin {
  readonly holders: PinnedChunk[]
  watchers: number
}

/** By thread (its hold on the memory) and partition. */
const pins = new WeakMap<LogMemory, Map<number, SharedPin>>()

function sharedPin(memory: LogMemory, ordinal: number): SharedPin {
  let ofThread = pins.get(memory)
  if (ofThread === undefined) {
    ofThread = new Map()
    pins.set(memory, ofThread)
  }
  let pin = ofThread.get(ordinal)
  if (pin === undefined) {
    pin = { holders: [], watchers: 0 }
    ofThread.set(ordinal, pin)
  }
  return pin
}
