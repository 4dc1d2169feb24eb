import { MillraceError } from '../common/errors.js'

/**
 * Topics that the engine keeps for itself, by Kafka's names, so that Kafka's own tools recognise them. They are topics like any other on
 * disk; they are left out where topics are listed or matched, and nobody else creates or deletes them, or writes to them.
 */

/** Committed offsets of consumer groups; see client/offset-record.ts. */
export const OFFSETS_TOPIC = '__consumer_offsets'

/** What share groups have in flight, and their settings; see client/share/share-state-record.ts. */
export const SHARE_STATE_TOPIC = '__share_group_state'

const internal: ReadonlySet<string> = new Set([OFFSETS_TOPIC, '__transaction_state', SHARE_STATE_TOPIC])

/** Whether groups keep there which records of other topics they have done with. */
export function keepsGroupState(name: string): boolean {
  return name === OFFSETS_TOPIC || name === SHARE_STATE_TOPIC
}

export function isInternalTopic(name: string): boolean {
  return internal.has(name)
}

/** Throws where a user is about to write to such a topic, or to change what the engine relies on. */
export function refuseInternalTopic(name: string): void {
  if (!isInternalTopic(name)) return
  throw new MillraceError('TOPIC_NAME_INVALID', `${name} is a topic of the engine's own`, {
    detail: 'it is made when it is needed, kept, and written by the engine alone',
    hint: 'choose another name; offsets of a group are committed by its consumers, moved with mill.groups.resetOffsets, deleted with mill.groups.delete',
  })
}
