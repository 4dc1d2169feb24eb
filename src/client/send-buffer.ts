import type { Env } from '../common/env.js'
import { MillraceError } from '../common/errors.js'
import { copyOf, type PendingSend } from './joined-write.js'
import { estimatedBytes } from './producer-record.js'
import type { ProducerSettings } from './producer-settings.js'
import type { TopicSender } from './topic-sender.js'

interface Lingering {
  sends: PendingSend[]
  bytes: number
  cancel: () => void
}

interface Blocked {
  readonly bytes: number
  readonly enter: () => void
}

/**
 * What one producer holds back: sends that linger for others to share their batch, and sends that wait for room in `buffer.memory`. The
 * order of a producer's sends to a topic is kept by both. Without `linger.ms` and `buffer.memory` everything goes straight on.
 */
export class SendBuffer {
  readonly #env: Env
  readonly #settings: ProducerSettings
  readonly #lingering = new Map<TopicSender, Lingering>()
  readonly #blocked: Blocked[] = []
  /** Bytes on their way: handed over or lingering, not acknowledged. */
  #bytes = 0
  /** How many wait for everything to be on its way: nothing lingers meanwhile. */
  #hurried = 0

  constructor(env: Env, settings: ProducerSettings) {
    this.#env = env
    this.#settings = settings
  }

  /** More than fits has been taken: who can wait should. */
  get isFull(): boolean {
    return this.#settings.bufferBytes !== undefined && this.#bytes >= this.#settings.bufferBytes
  }

  /** Resolves when there is room, in the order of the calls; a send that is larger than the whole buffer goes alone. Undefined: there is. */
  room(send: Pick<PendingSend, 'messages'>): Promise<void> | undefined {
    const { bufferBytes, maxBlockMs } = this.#settings
    if (bufferBytes === undefined) return undefined
    const bytes = estimatedBytes(send.messages)
    if (this.#blocked.length === 0 && this.#fits(0, bytes, bufferBytes)) return undefined
    // What lingers would otherwise be waited for until its time is over.
    this.#flush()
    return new Promise((resolve, reject) => {
      const cancel = this.#env.timer(maxBlockMs, () => {
        this.#blocked.splice(this.#blocked.indexOf(blocked), 1)
        reject(bufferFull(bufferBytes, this.#bytes, bytes, maxBlockMs))
      })
      const blocked: Blocked = {
        bytes,
        enter: () => {
          cancel()
          resolve()
        },
      }
      this.#blocked.push(blocked)
    })
  }

  add(sender: TopicSender, send: PendingSend): void {
    const { lingerMs, bufferBytes } = this.#settings
    if (lingerMs === 0 && bufferBytes === undefined) {
      sender.enqueue(send)
      return
    }
    const bytes = estimatedBytes(send.messages)
    const counted = bufferBytes === undefined ? send : this.#counted(send, bytes)
    if (lingerMs === 0 || this.#hurried > 0) sender.enqueue(counted)
    else this.#linger(sender, counted, bytes)
  }

  /** Nothing lingers until the work is done. */
  async hurry<T>(work: () => Promise<T>): Promise<T> {
    this.#hurried += 1
    this.#flush()
    try {
      return await work()
    } finally {
      this.#hurried -= 1
    }
  }

  #flush(): void {
    for (const sender of [...this.#lingering.keys()]) this.#handOver(sender)
  }

  #linger(sender: TopicSender, send: PendingSend, bytes: number): void {
    const { lingerMs, batchBytes } = this.#settings
    let lingering = this.#lingering.get(sender)
    if (lingering === undefined) {
      const cancel = this.#env.timer(lingerMs, () => this.#handOver(sender))
      lingering = { sends: [], bytes: 0, cancel }
      this.#lingering.set(sender, lingering)
    }
    lingering.sends.push(send)
    lingering.bytes += bytes
    // Kafka counts by partition; so many bytes for every partition are at least a full batch for one of them.
    if (batchBytes !== undefined && lingering.bytes >= batchBytes * sender.appenders.length) this.#handOver(sender)
  }

  #handOver(sender: TopicSender): void {
    const lingering = this.#lingering.get(sender)
    if (lingering === undefined) return
    this.#lingering.delete(sender)
    lingering.cancel()
    for (const send of lingering.sends) sender.enqueue(send)
  }

  #counted(send: PendingSend, bytes: number): PendingSend {
    this.#bytes += bytes
    const copy = copyOf(send)
    copy.written = (parts) => {
      this.#leave(bytes)
      send.written(parts)
    }
    copy.refused = (error, left) => {
      this.#leave(bytes)
      send.refused(error, left)
    }
    return copy
  }

  #leave(bytes: number): void {
    this.#bytes -= bytes
    const { bufferBytes = Number.POSITIVE_INFINITY } = this.#settings
    let entered = 0
    for (let next = this.#blocked[0]; next !== undefined; next = this.#blocked[0]) {
      if (!this.#fits(entered, next.bytes, bufferBytes)) return
      this.#blocked.shift()
      entered += next.bytes
      next.enter()
    }
  }

  /** A send that is larger than the whole buffer goes when it is empty. */
  #fits(entering: number, bytes: number, bufferBytes: number): boolean {
    const taken = this.#bytes + entering
    return taken === 0 || taken + bytes <= bufferBytes
  }
}

function bufferFull(bufferBytes: number, used: number, wanted: number, waitedMs: number): MillraceError {
  return new MillraceError('BUFFER_FULL', 'there was no room in the buffer of the producer', {
    detail: `buffer.memory is ${bufferBytes} bytes, about ${used} are on their way, ${wanted} more were to be sent; waited ${waitedMs} ms (max.block.ms)`,
    hint: 'send again when earlier sends have resolved, or raise buffer.memory',
    retriable: true,
  })
}
