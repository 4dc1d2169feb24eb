import { availableParallelism, totalmem } from 'node:os'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type MillraceOptions, resolveOptions } from '../../src/api/open-options.js'

const errorOf = (options: unknown): { code?: string; detail?: string; hint?: string } => {
  try {
    resolveOptions(options as MillraceOptions)
  } catch (error) {
    return error as { code?: string }
  }
  return {}
}

describe('options of Millrace.open', () => {
  it('have defaults that suit the machine', () => {
    const options = resolveOptions({})
    expect(options).toMatchObject({ workers: availableParallelism(), fsync: 'group', ansi: true })
    expect(options.memoryBudget).toBeGreaterThan(16 * 1024 * 1024 - 1)
    expect(options.memoryBudget).toBeLessThanOrEqual(totalmem() / 4)
    expect('dir' in options).toBe(false)
    expect(resolveOptions({ dir: 'data' }).dir).toBe(resolve('data'))
  })

  it('a name that does not exist is answered with the nearest one', () => {
    expect(errorOf({ worker: 2 })).toMatchObject({ code: 'UNKNOWN_OPTION', hint: "did you mean 'workers'?" })
    expect(errorOf({ zzzzzzzzzz: 2 }).hint).toContain('exact name')
  })

  it.each([
    [{ dir: '' }, "found ''"],
    [{ dir: 7 }, 'found 7'],
    [{ workers: 0 }, 'found 0, expected a whole number from 1 to 29'],
    [{ workers: 1.5 }, 'found 1.5'],
    [{ fsync: 'groups' }, "found 'groups', expected one of never, interval, group, always"],
    [{ memoryBudget: 64 }, 'found 64, expected at least'],
    [{ ansi: 'yes' }, "found 'yes'"],
    [{ logger: {} }, 'found an object, expected an object with the methods'],
    [null, 'found null'],
  ])('%j is refused with what was found and expected', (options, detail) => {
    const error = errorOf(options)
    expect(error.code).toBe('INVALID_OPTION')
    expect(error.detail).toContain(detail)
  })
})
