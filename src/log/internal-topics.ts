/**
 * Topics that the engine keeps for itself, by Kafka's names, so that Kafka's own tools recognise them. They are topics like any other on
 * disk; they are left out where topics are listed or matched, and nobody else creates or deletes them.
 */

/** Committed offsets of consumer groups; see client/offset-record.ts. */
export const OFFSETS_TOPIC = '__consumer_offsets'

const internal: ReadonlySet<string> = new Set([OFFSETS_TOPIC, '__transaction_state', '__share_group_state'])

export function isInternalTopic(name: string): boolean {
  return internal.has(name)
}
