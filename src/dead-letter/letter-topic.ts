import { MillraceError } from '../common/errors.js'
import { isCompacted } from '../log/compaction-policy.js'
import { BATCH_BYTES_MAX } from '../log/limits.js'
import type { TopicDescriptor } from '../log/partition-descriptor.js'
import { assertTopicName } from '../log/topic-name.js'
import type { TopicSpec } from '../log/topics.js'

/** The topic that has the dead letters of another one's records. */

const SUFFIX = '.dlq'
/** Room for the headers of a letter beside a record of the greatest size. */
const HEADER_ROOM = 1 << 20

export function letterTopicOf(topic: string): string {
  return `${topic}${SUFFIX}`
}

/** As it is made where it is not there: nothing in it is deleted by age, since letters bear the time of their record, which may be long ago. */
export function letterTopicSpec(topic: TopicDescriptor): TopicSpec {
  const name = letterTopicOf(topic.name)
  assertTopicName(name)
  return {
    name,
    partitions: topic.partitions.length,
    storage: topic.storage,
    config: {
      'retention.ms': '-1',
      'max.message.bytes': String(Math.min(BATCH_BYTES_MAX, Number(topic.config['max.message.bytes']) + HEADER_ROOM)),
    },
  }
}

/** Why dead letters cannot go to a topic, in words. `what`: the topic as the caller calls it. */
export function letterTopicFault(topic: TopicDescriptor): string | undefined {
  if (topic.schema !== undefined) return 'its values have a schema, and those of dead letters have none'
  if (isCompacted(topic.config)) return 'it is compacted, and dead letters may have no key'
  return undefined
}

/** Throws where dead letters of `of` cannot go there. */
export function checkLetterTopic(topic: TopicDescriptor, of: string): void {
  const fault = letterTopicFault(topic)
  if (fault === undefined) return
  throw new MillraceError('DEAD_LETTER_TOPIC_INVALID', `topic ${topic.name} cannot have the dead letters of ${of}`, {
    detail: fault,
    hint: `rename or delete it, so that it is made anew; or onError({ then: 'skip' })`,
  })
}
