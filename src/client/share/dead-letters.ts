import { MillraceError } from '../../common/errors.js'
import { type LetterFacts, withLetterHeaders } from '../../dead-letter/letter-headers.js'
import { letterTopicFault } from '../../dead-letter/letter-topic.js'
import type { TopicDescriptor } from '../../log/partition-descriptor.js'
import type { HeaderPair } from '../../record/headers.js'
import type { Message } from '../../record/key-scatter.js'
import type { TopicPartition } from '../assignor.js'
import type { HostLog } from '../host-log.js'
import { DELIVERY_TIMEOUT_MS } from '../limits.js'
import type { Fetch } from '../partition-fetcher.js'
import type { ConsumerMessage } from '../record-decoder.js'
import { DLQ_TOPIC, type ShareGroupSettings } from './share-group-settings.js'
import type { DeadLetterRange } from './share-partition.js'

/** Of a topic: dead letters of groups may be written to it. */
const GROUP_ENABLE = 'errors.deadletterqueue.group.enable'
/** Kafka's default of errors.deadletterqueue.topic.name.prefix: who reads such a topic knows that others decide what is written to it. */
const PREFIX = 'dlq.'

/** Kafka's words for why. */
const causes: Readonly<Record<DeadLetterRange['cause'], string>> = {
  rejected: 'Offset rejected by client.',
  'delivery limit': 'Offset delivery count exceeded the threshold.',
}

type ReadAgain = (from: number, to: number) => Promise<Fetch>

/** Whether a record of the one topic may become a letter in the other: by one group, or on its way through several. */
export type LeadsTo = (from: string, to: string) => boolean

/** Topics that a share group reads, and where its dead letters go. */
export interface LetterRoute {
  readonly from: readonly string[]
  readonly to: string
}

export function leadsTo(routes: readonly LetterRoute[], from: string, to: string): boolean {
  const reached = new Set([from])
  for (const topic of reached) for (const route of routes) if (route.from.includes(topic)) reached.add(route.to)
  return reached.has(to)
}

/**
 * The dead letters of one share group, as KIP-1191 has them: a record for each that was rejected or has failed at its last delivery, in the partition of the
 * dead-letter topic with the number of its own modulo their count, with headers that say where it came from; its key, value and headers too where
 * `errors.deadletterqueue.copy.record.enable` says so.
 */
export class DeadLetters {
  readonly #group: string
  readonly #log: HostLog
  readonly #settings: () => ShareGroupSettings
  readonly #leadsTo: LeadsTo
  /** Topics of which it was said that their letters would come back. */
  readonly #warned = new Set<string>()

  constructor(group: string, log: HostLog, settings: () => ShareGroupSettings, leads: LeadsTo) {
    this.#group = group
    this.#log = log
    this.#settings = settings
    this.#leadsTo = leads
  }

  /**
   * True when they are written, or can never be: a record that cannot be a dead letter must not hold up its partition for ever, so it is archived, as in
   * Kafka, with a warning. False: it may be possible later.
   */
  async write(place: TopicPartition, letters: readonly DeadLetterRange[], readAgain: ReadAgain): Promise<boolean> {
    const { deadLetterTopic, copiesRecord } = this.#settings()
    if (deadLetterTopic === undefined) return true
    if (this.#leadsTo(deadLetterTopic, place.topic)) {
      this.#warnOfLoop(place.topic, deadLetterTopic)
      return true
    }
    try {
      const topic = checkDeadLetterTopic(this.#log, this.#group, deadLetterTopic)
      const partition = place.partition % topic.partitions.length
      const messages: Message[] = []
      for (const letter of letters) {
        const copies = copiesRecord ? await copiesOf(letter, readAgain) : new Map<number, ConsumerMessage>()
        for (let offset = letter.first; offset <= letter.last; offset++) {
          const copy = copies.get(offset)
          const headers = withLetterHeaders(pairsOf(copy?.headers), this.#facts(place, offset, letter))
          messages.push({ key: copy?.key ?? null, value: bytesOf(copy?.value), headers, partition })
        }
      }
      await this.#send(topic.name, messages)
      return true
    } catch (error) {
      if (this.#log.closedWith !== undefined) return false
      if (error instanceof MillraceError && error.retriable) return false
      const detail = `share group ${this.#group}: records ${letters.map(({ first, last }) => `${first}-${last}`).join(', ')} of ${place.topic}-${place.partition} are archived`
      process.emitWarning(`dead letters could not be written: ${String(error)}`, { type: 'MillraceWarning', detail })
      return true
    }
  }

  /** A letter of a letter of a letter would fill the disk, and nobody would ever be done with it. */
  #warnOfLoop(topic: string, deadLetterTopic: string): void {
    if (this.#warned.has(topic)) return
    this.#warned.add(topic)
    const through = topic === deadLetterTopic ? 'it is that topic' : `share groups lead from there back to ${topic}`
    process.emitWarning(
      `what share group ${this.#group} gives up of ${topic} leaves no dead letters in ${deadLetterTopic}: ${through}`,
      {
        type: 'MillraceWarning',
        detail:
          'a letter would come back as a record that fails again; such records are archived, and stay in their topic. Said once for a topic',
      },
    )
  }

  /** One that is too large with what was copied goes without its value. */
  async #send(topic: string, messages: readonly Message[]): Promise<void> {
    try {
      await this.#enqueue(topic, messages)
    } catch (error) {
      if (!isTooLarge(error)) throw error
      if (messages.length === 1) {
        const [message] = messages
        if (message?.value === null) throw error
        await this.#enqueue(topic, [{ ...message, key: null, value: null }])
      } else for (const message of messages) await this.#send(topic, [message])
    }
  }

  async #enqueue(topic: string, messages: readonly Message[]): Promise<void> {
    const sender = await this.#log.sender(topic)
    const deliverBy = this.#log.env.monotonic() + DELIVERY_TIMEOUT_MS
    await new Promise<void>((resolve, reject) => {
      sender.enqueue({ messages, waitForAck: true, deliverBy, written: () => resolve(), refused: reject })
    })
  }

  #facts({ topic, partition }: TopicPartition, offset: number, letter: DeadLetterRange): LetterFacts {
    return {
      topic,
      partition,
      offset,
      group: this.#group,
      'delivery.count': letter.deliveryCount,
      message: causes[letter.cause],
    }
  }
}

/** The topic, where dead letters of the group may be written to it. */
export function checkDeadLetterTopic(log: HostLog, group: string, name: string): TopicDescriptor {
  const refused = (detail: string, hint: string): MillraceError =>
    new MillraceError('GROUP_CONFIG_INVALID', `topic ${name} cannot have the dead letters of share group ${group}`, {
      detail,
      hint,
    })
  if (name.startsWith('__')) throw refused('it is a topic of the engine itself', `${DLQ_TOPIC} begins with '${PREFIX}'`)
  if (!name.startsWith(PREFIX)) {
    throw refused(`its name does not begin with '${PREFIX}'`, `create one that does, such as '${PREFIX}${name}'`)
  }
  const topic = log.listTopics().find((known) => known.name === name)
  const create = `mill.topics.create('${name}', { config: { '${GROUP_ENABLE}': 'true' } })`
  if (topic === undefined) throw refused('there is no such topic, and it is not made by itself', create)
  if (topic.config[GROUP_ENABLE] !== 'true') {
    throw refused(
      `its setting '${GROUP_ENABLE}' is not true`,
      `mill.topics.alter('${name}', { '${GROUP_ENABLE}': 'true' })`,
    )
  }
  const fault = letterTopicFault(topic)
  if (fault !== undefined) throw refused(fault, create)
  return topic
}

const isTooLarge = (error: unknown): boolean =>
  error instanceof MillraceError && (error.code === 'RECORD_TOO_LARGE' || error.code === 'BATCH_TOO_LARGE')

async function copiesOf({ first, last }: DeadLetterRange, readAgain: ReadAgain): Promise<Map<number, ConsumerMessage>> {
  const copies = new Map<number, ConsumerMessage>()
  try {
    for (let from = first; from <= last; ) {
      const { messages, nextOffset } = await readAgain(from, last + 1)
      for (const message of messages) copies.set(Number(message.offset), message)
      if (nextOffset <= from) break
      from = nextOffset
    }
  } catch {
    // Retention has taken it, or it is damaged: the headers say where it was.
  }
  return copies
}

/** The value of a typed topic has no bytes of its own. */
function bytesOf(value: unknown): Uint8Array | string | null {
  if (value === null || value === undefined || value instanceof Uint8Array) return value ?? null
  return JSON.stringify(value, (_, one: unknown) => (typeof one === 'bigint' ? String(one) : one))
}

function pairsOf(headers: ConsumerMessage['headers'] = {}): readonly HeaderPair[] {
  return Object.entries(headers).flatMap(([name, of]) =>
    (Array.isArray(of) ? of : [of]).map((value): HeaderPair => [name, value]),
  )
}
