import { MillraceError } from '../common/errors.js'

/** What a consumer is not in the state to do, and why its handlers are told to end. */

export function isRunning(detail: string): MillraceError {
  return new MillraceError('CONSUMER_RUNNING', 'the consumer is running already', { detail, hint: 'stop() it first' })
}

export function stopped(): MillraceError {
  return new MillraceError('CONSUMER_STOPPED', 'the consumer stops', {
    detail: 'stop() or disconnect() was called',
    hint: 'end soon; what is not finished is handed out again',
  })
}

export function notSubscribed(): MillraceError {
  return new MillraceError('NOT_SUBSCRIBED', 'the consumer reads no topic', {
    detail: 'subscribe() was not called',
    hint: "await consumer.subscribe({ topics: ['user-clicks'] })",
  })
}

export function notInGroup(groupId: string | undefined): MillraceError {
  return new MillraceError('UNKNOWN_MEMBER_ID', 'this consumer is not a member of a group', {
    detail: groupId === undefined ? 'it has no groupId' : `it is not running in group ${groupId}`,
    hint: "mill.consumer({ groupId: 'audit' }), subscribe, run, then commit",
  })
}
