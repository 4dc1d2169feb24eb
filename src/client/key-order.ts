import type { ConsumerMessage } from './record-decoder.js'

/**
 * Runs a handler over the messages of one fetch, several at the same time: those of one key one after the other, in their order; those without
 * a key have no order among each other. What is done with is told as the length of the run from the first message on that is
 * finished without a gap, so that a commit never lies behind a message that is still in hand.
 */
export async function inKeyOrder(
  messages: readonly ConsumerMessage[],
  limit: number,
  options: {
    /** No further handler is begun once this says no. */
    readonly goesOn: () => boolean
    readonly handle: (index: number) => Promise<void> | void
    /** Messages [0, count) are done with. */
    readonly finished: (count: number) => void
  },
): Promise<void> {
  const { goesOn, handle, finished } = options
  const isDone = new Uint8Array(messages.length)
  /** Messages that wait for the one before them of their key, which runs. */
  const waiting = new Map<string, number[]>()
  let done = 0
  let failure: { readonly error: unknown } | undefined
  let next = 0

  const mayBegin = (): boolean => failure === undefined && goesOn()
  const keyOf = (index: number): string | undefined => messages[index]?.key?.toString('latin1')

  /** The message, then those of its key that have come to wait for it. */
  const runKey = async (first: number, key: string | undefined): Promise<void> => {
    for (let index: number | undefined = first; index !== undefined && mayBegin(); ) {
      try {
        await handle(index)
      } catch (error) {
        failure ??= { error }
        break
      }
      isDone[index] = 1
      if (index === done) {
        while (isDone[done] === 1) done += 1
        finished(done)
      }
      index = key === undefined ? undefined : waiting.get(key)?.shift()
    }
    if (key !== undefined) waiting.delete(key)
  }

  /** Takes the next message whose key nobody has; those of busy keys are left to who has them. */
  const lane = async (): Promise<void> => {
    while (next < messages.length && mayBegin()) {
      const index = next++
      const key = keyOf(index)
      const queue = key === undefined ? undefined : waiting.get(key)
      if (queue !== undefined) {
        queue.push(index)
        continue
      }
      if (key !== undefined) waiting.set(key, [])
      await runKey(index, key)
    }
  }

  await Promise.all(Array.from({ length: Math.min(limit, messages.length) }, lane))
  if (failure !== undefined) throw (failure as { readonly error: unknown }).error
}
