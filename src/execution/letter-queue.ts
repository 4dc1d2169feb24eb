import { checkLetterTopic, letterTopicOf, letterTopicSpec } from '../dead-letter/letter-topic.js'
import type { LogEngine } from '../log/log-engine.js'
import type { TopicDescriptor } from '../log/partition-descriptor.js'

/** The topic for the dead letters of `topic`, made by the first of them where nobody has made it before. Throws where they cannot go there. */
export function letterQueueOf(log: LogEngine, topic: string, made: (queue: TopicDescriptor) => void): TopicDescriptor {
  const known = log.find(letterTopicOf(topic))
  if (known !== undefined) {
    checkLetterTopic(known, `topic ${topic}`)
    return known
  }
  const queue = log.createTopic(letterTopicSpec(log.describe(topic)))
  made(queue)
  return queue
}
