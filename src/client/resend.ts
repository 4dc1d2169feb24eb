import { MillraceError } from '../common/errors.js'
import type { PartitionDescriptor } from '../log/partition-descriptor.js'
import { PartitionReader } from '../log/partition-reader.js'
import { BASE_SEQUENCE, PRODUCER_EPOCH, PRODUCER_ID, readInt64BE } from '../record/batch-header.js'
import type { Message } from '../record/key-scatter.js'
import type { HostLog } from './host-log.js'
import type { WrittenPart } from './joined-write.js'
import type { TopicSender } from './topic-sender.js'
import { type AppendedBatch, type AppendedRun, type UnfinishedSend, withUnfinished } from './unfinished-send.js'

/**
 * Goes on with a send that has failed. What is in the log by now is not sent again but waited for; what is not there, or not any more since the
 * engine was opened anew and the disk had not kept it, is to be sent. Within a partition the records stay in their order.
 *
 * A record batch is known again by what its header says, whether the engine is the same or was opened anew over the same files: producer
 * ids are given once, so the batch at that offset with that id, epoch and sequence is the one that was appended.
 */
export interface ResumedSend {
  /** What is in the log: resolves when it is acknowledged, rejects with an error that can be gone on with. */
  readonly found: Promise<readonly WrittenPart[]>
  readonly missing: readonly Message[]
}

export function resumeSend(log: HostLog, sender: TopicSender, send: UnfinishedSend, deliverBy: number): ResumedSend {
  const { messages, runs, topicId } = send.left
  if (topicId !== undefined && topicId !== sender.topic.id) throw madeAnew(send.topic)
  const found: AppendedRun[] = []
  const foundMessages: Message[] = []
  const missing: Message[] = []
  const isAppended = new Uint8Array(messages.length)
  for (const run of runs) {
    const { partition } = run.batch
    const own = [...run.indexes].map((index) => messages[index] as Message)
    for (const index of run.indexes) isAppended[index] = 1
    if (isInLog(log, sender.topic.partitions[partition] as PartitionDescriptor, run.batch)) {
      found.push({ ...run, indexes: run.indexes.map((_, i) => foundMessages.length + i) })
      foundMessages.push(...own)
    } else {
      // Where they were, although there may be more partitions by now.
      for (const message of own) missing.push({ ...message, partition })
    }
  }
  for (let i = 0; i < messages.length; i++) if (isAppended[i] === 0) missing.push(messages[i] as Message)
  const rest: UnfinishedSend = { ...send, left: { topicId: sender.topic.id, messages: foundMessages, runs: found } }
  return { found: acknowledged(sender, found, deliverBy, rest), missing }
}

/** Whether the batch is in the log, as it is now. What retention has taken since was there. */
function isInLog(log: HostLog, partition: PartitionDescriptor, batch: AppendedBatch): boolean {
  // Its header alone is looked at, so the reader needs no schema. Damage is passed over: a batch that nobody can read is not there.
  const reader = new PartitionReader({ partition, memory: log.memory, env: log.env, skipDamage: true })
  try {
    if (batch.baseOffset < reader.logStartOffset()) return true
    if (batch.baseOffset >= reader.logEndOffset()) return false
    reader.seek(batch.baseOffset)
    if (!reader.next(batch.baseOffset + 1)) return false
    const { dv } = reader.views
    const { position } = reader
    return (
      reader.baseOffset === batch.baseOffset &&
      readInt64BE(dv, position + PRODUCER_ID) === batch.producerId &&
      dv.getInt16(position + PRODUCER_EPOCH) === batch.producerEpoch &&
      dv.getInt32(position + BASE_SEQUENCE) === batch.baseSequence
    )
  } finally {
    reader.close()
  }
}

async function acknowledged(
  sender: TopicSender,
  runs: readonly AppendedRun[],
  deliverBy: number,
  rest: UnfinishedSend,
): Promise<WrittenPart[]> {
  const parts: WrittenPart[] = []
  const ends = new Map<number, number>()
  for (const { batch, offset, indexes } of runs) {
    const { partition } = batch
    const before = parts.find((part) => part.partition === partition && part.baseOffset + part.records === offset)
    if (before !== undefined) before.records += indexes.length
    else parts.push({ partition, baseOffset: offset, records: indexes.length })
    ends.set(partition, offset + indexes.length)
  }
  try {
    await Promise.all([...ends].map(([partition, end]) => sender.acknowledged(partition, end, deliverBy)))
  } catch (error) {
    throw withUnfinished(error, [rest])
  }
  return parts
}

function madeAnew(topic: string): MillraceError {
  return new MillraceError('TOPIC_DELETED', `topic ${topic} has been deleted`, {
    detail: 'there is another one of this name now; what was sent to the old one is gone with it',
    hint: 'send() the records to the new one',
  })
}
