import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'

/**
 * One doorbell per thread, in shared memory. A thread that finds nothing to do parks on its bell; whoever
 * publishes work for it rings. Workers park with `Atomics.wait`; threads with an event loop (host, engine)
 * `listen`, which is `Atomics.waitAsync` (it does not keep the process alive: something else must).
 *
 * No ring is lost: a thread reads the bell's sequence, then looks for work, and parks only if the
 * sequence is still the same. Ringing a thread that is awake costs one atomic add.
 *
 *   // a bell is three int32: sequence, parked (1 while its thread waits), mail (1 = look into the message
 *   // ports); bells are 64 bytes apart
 */
export const HOST_SLOT = 0
export const ENGINE_SLOT = 1
export const FIRST_WORKER_SLOT = 2
/** A set of threads is one int32 mask, bit = slot; so there are at most 29 workers. */
export const MAX_THREAD_SLOTS = 31

const BELL_INTS = 16

export class Doorbells {
  readonly buffer: SharedArrayBuffer
  readonly #ints: Int32Array

  constructor(buffer?: SharedArrayBuffer) {
    this.buffer = buffer ?? new SharedArrayBuffer(MAX_THREAD_SLOTS * BELL_INTS * 4)
    this.#ints = new Int32Array(this.buffer)
  }

  sequence(slot: number): number {
    return Atomics.load(this.#ints, slot * BELL_INTS)
  }

  ring(slot: number): void {
    const at = slot * BELL_INTS
    Atomics.add(this.#ints, at, 1)
    if (Atomics.load(this.#ints, at + 1) !== 0) Atomics.notify(this.#ints, at)
  }

  /** Rings, and tells that a message was posted: taking a message costs much more than this flag. */
  ringForMail(slot: number): void {
    Atomics.store(this.#ints, slot * BELL_INTS + 2, 1)
    this.ring(slot)
  }

  /** True once after `ringForMail`. */
  takeMail(slot: number): boolean {
    const at = slot * BELL_INTS + 2
    return Atomics.load(this.#ints, at) !== 0 && Atomics.exchange(this.#ints, at, 0) !== 0
  }

  /** Rings every thread whose bit is set. */
  ringAll(mask: number): void {
    let rest = mask
    while (rest !== 0) {
      const slot = 31 - Math.clz32(rest)
      this.ring(slot)
      rest &= ~(1 << slot)
    }
  }

  /** Blocks this thread until a ring after `seen`, at most `timeoutMs`. Never on a thread with an event loop to serve. */
  park(slot: number, seen: number, timeoutMs: number): void {
    const at = slot * BELL_INTS
    Atomics.store(this.#ints, at + 1, 1)
    Atomics.wait(this.#ints, at, seen, timeoutMs)
    Atomics.store(this.#ints, at + 1, 0)
  }

  /** The same without blocking: for a thread whose event loop has to turn meanwhile. */
  async wait(slot: number, seen: number, timeoutMs: number): Promise<void> {
    const at = slot * BELL_INTS
    Atomics.store(this.#ints, at + 1, 1)
    await Atomics.waitAsync(this.#ints, at, seen, timeoutMs).value
    Atomics.store(this.#ints, at + 1, 0)
  }

  /** Calls `onRing` after each burst of rings, in a turn of this thread's event loop of its own. */
  listen(slot: number, onRing: () => void): { close(): void } {
    const at = slot * BELL_INTS
    let open = true
    let seen = this.sequence(slot)
    const arm = (): void => {
      if (!open) return
      Atomics.store(this.#ints, at + 1, 1)
      const waiting = Atomics.waitAsync(this.#ints, at, seen)
      if (waiting.async) void waiting.value.then(wake)
      else setImmediate(wake)
    }
    const wake = (): void => {
      if (!open) return
      Atomics.store(this.#ints, at + 1, 0)
      seen = this.sequence(slot)
      onRing()
      arm()
    }
    arm()
    return {
      close: () => {
        open = false
        Atomics.notify(this.#ints, at)
      },
    }
  }
}

/**
 * Messages taken from a port one by one, while no event loop runs. In a thread that is being terminated Node takes the message out of the port and gives
 * `undefined` in its place (`MessagePort::ReceiveMessage` where JavaScript may not be called any more), a moment before the thread is interrupted: what would
 * be done with that could only be wrong, and be told to others, so nothing more is done. No message of ours is `undefined`.
 */
export function nextMessage<Message>(port: MessagePort): Message | undefined {
  const received = receiveMessageOnPort(port) as { readonly message: Message | undefined } | undefined
  if (received !== undefined && received.message === undefined) awaitTermination()
  return received?.message
}

/** For a few microseconds; in steps, so that the interruption is met between two. */
function awaitTermination(): never {
  const word = new Int32Array(new SharedArrayBuffer(4))
  for (;;) Atomics.wait(word, 0, 0, 1)
}
