import { MillraceError } from 'millrace'
import { expect } from 'vitest'

/** Words that say nothing of what was found or how to mend it. */
const emptyWords = /\b(unable|bad|illegal|unknown|failed to)\b/i

/**
 * The error of a call, which must be one that a person can act on: a code, what was found, what to do. A call that neither answers nor
 * throws within five seconds hangs.
 */
export async function refusal(call: () => unknown): Promise<MillraceError> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('the call hangs')), 5000)
  })
  const error: unknown = await Promise.race([
    Promise.resolve()
      .then(call)
      .then(
        () => undefined,
        (thrown: unknown) => thrown,
      ),
    late,
  ]).finally(() => clearTimeout(timer))
  if (!(error instanceof MillraceError)) throw new Error(`a MillraceError was expected, found ${String(error)}`)
  assertHelpful(error)
  return error
}

export function assertHelpful(error: MillraceError): void {
  expect(error.code).toMatch(/^[A-Z][A-Z_]+(\.[A-Z_]+)?$/)
  expect(error.detail ?? '', `${error.code} has a detail`).not.toBe('')
  expect(error.hint ?? '', `${error.code} has a hint`).not.toBe('')
  expect(`${error.summary} ${error.hint}`, error.code).not.toMatch(emptyWords)
  expect(error.message, `${error.code} carries no stack`).not.toMatch(/\n\s+at .*\n\s+at /)
}
