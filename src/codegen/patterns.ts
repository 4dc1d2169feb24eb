import { MillraceError } from '../common/errors.js'

/**
 * LIKE and regular expressions. Patterns are nearly always literals, so the last ones are kept compiled.
 * The dialect of regular expressions is JavaScript's with Java's inline flags at the start; what Java
 * alone has (possessive quantifiers, \p{Alpha}) is refused as an invalid pattern.
 */
const CACHED_PATTERNS_MAX = 64

function cached<T>(compile: (pattern: string) => T): (pattern: string) => T {
  const known = new Map<string, T>()
  let lastPattern: string | undefined
  let last: T | undefined
  return (pattern) => {
    if (pattern === lastPattern && last !== undefined) return last
    let compiled = known.get(pattern)
    if (compiled === undefined) {
      compiled = compile(pattern)
      if (known.size >= CACHED_PATTERNS_MAX) known.clear()
      known.set(pattern, compiled)
    }
    lastPattern = pattern
    last = compiled
    return compiled
  }
}

/** The LIKE pattern with another escape character, as one with the backslash. */
const withBackslash = (pattern: string, escapeCharacter: string): string => {
  let result = ''
  for (let i = 0; i < pattern.length; i++) {
    const c = pattern[i] as string
    if (c === escapeCharacter) {
      i++
      const next = pattern[i]
      if (next !== '%' && next !== '_' && next !== escapeCharacter) throw misplacedEscape(pattern, i - 1, next)
      result += next === escapeCharacter ? (escapeCharacter === '\\' ? '\\\\' : escapeCharacter) : `\\${next}`
    } else result += c === '\\' ? '\\\\' : c
  }
  return result
}

function misplacedEscape(pattern: string, at: number, next: string | undefined): MillraceError {
  return new MillraceError(
    next === undefined ? 'INVALID_FORMAT.ESC_AT_THE_END' : 'INVALID_FORMAT.ESC_IN_THE_MIDDLE',
    'a LIKE pattern has an escape that escapes nothing',
    {
      detail: `at character ${at + 1} of ${JSON.stringify(pattern)}`,
      hint: 'the escape, a backslash by default, may stand before %, _ and itself',
    },
  )
}

const likeExpression = cached((pattern: string): RegExp => {
  let source = ''
  for (let i = 0; i < pattern.length; i++) {
    const c = pattern[i] as string
    if (c === '%') source += '.*'
    else if (c === '_') source += '.'
    else if (c === '\\') {
      i++
      const next = pattern[i]
      if (next !== '%' && next !== '_' && next !== '\\') {
        throw misplacedEscape(pattern, i - 1, next)
      }
      source += escapeRegExp(next)
    } else source += escapeRegExp(c)
  }
  return new RegExp(`^${source}$`, 'su')
})

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
}

export function like(text: string, pattern: string, escapeCharacter = '\\'): boolean {
  return likeExpression(escapeCharacter === '\\' ? pattern : withBackslash(pattern, escapeCharacter)).test(text)
}

/** Both in lower case, as Spark compares them. */
export function ilike(text: string, pattern: string, escapeCharacter = '\\'): boolean {
  return like(text.toLowerCase(), pattern.toLowerCase(), escapeCharacter)
}

const inlineFlags = /^\(\?([imsux]+)\)/

function compileRegExp(pattern: string, extraFlags: string): RegExp {
  const inline = inlineFlags.exec(pattern)
  const body = inline === null ? pattern : pattern.slice(inline[0].length)
  const flags = [...new Set((inline?.[1] ?? '').replace(/[ux]/g, ''))].join('') + extraFlags
  // In Unicode mode a needless escape (`\-`) is an error, where Java lets it pass.
  for (const mode of ['u', '']) {
    try {
      return new RegExp(body, flags + mode)
    } catch (error) {
      if (mode === '') {
        throw new MillraceError(
          'INVALID_PARAMETER_VALUE.PATTERN',
          `${JSON.stringify(pattern)} is not a regular expression`,
          {
            detail: error instanceof Error ? error.message : String(error),
            hint: 'possessive quantifiers and \\p{Alpha} classes of Java have no equal in JavaScript',
          },
        )
      }
    }
  }
  return /(?:)/
}

const searching = cached((pattern: string) => compileRegExp(pattern, ''))
const replacing = cached((pattern: string) => compileRegExp(pattern, 'g'))

export function rlike(text: string, pattern: string): boolean {
  return searching(pattern).test(text)
}

/** The group of the first match; '' where nothing matches or the group took no part. */
export function regexpExtract(text: string, pattern: string, group = 1): string {
  const match = searching(pattern).exec(text)
  checkGroup(pattern, group)
  return match?.[group] ?? ''
}

function checkGroup(pattern: string, group: number): void {
  const groups = groupCount(pattern)
  if (group >= 0 && group <= groups) return
  throw new MillraceError('INVALID_PARAMETER_VALUE.REGEX_GROUP_INDEX', `the pattern has no group ${group}`, {
    detail: `${JSON.stringify(pattern)} has ${groups} groups`,
    hint: 'groups are counted from 1; 0 is the whole match',
  })
}

/** A pattern that also matches the empty text tells how many groups it has. */
const groupCount = cached((pattern: string): number => {
  const counting = compileRegExp(`${pattern}|`, '').exec('')
  return counting === null ? 0 : counting.length - 1
})

/** Java's replacement: $1, ${name}, and a backslash that takes the next character as it is. */
export function regexpReplace(text: string, pattern: string, replacement: string, position = 1): string {
  if (position > 1) {
    const skipped = [...text].slice(0, position - 1).join('')
    return skipped + regexpReplace(text.slice(skipped.length), pattern, replacement)
  }
  const expression = replacing(pattern)
  if (!/[$\\]/.test(replacement)) return text.replace(expression, () => replacement)
  return text.replace(expression, (...match: unknown[]) => expand(replacement, match, pattern))
}

function expand(replacement: string, match: readonly unknown[], pattern: string): string {
  const last = match[match.length - 1]
  const named = typeof last === 'object' && last !== null ? (last as Record<string, string | undefined>) : {}
  const groups = groupCount(pattern)
  return replacement.replace(/\\(.)|\$\{(\w+)\}|\$(\d)(\d?)|\$/gs, (found, escaped, name, digit, second) => {
    if (typeof escaped === 'string') return escaped
    if (typeof name === 'string') {
      if (!(name in named)) throw noGroup(name, pattern)
      return named[name] ?? ''
    }
    if (typeof digit !== 'string') throw noGroup(found, pattern)
    // A second digit belongs to the reference only if there are so many groups.
    const wide = Number(`${digit}${String(second)}`)
    if (second !== '' && wide <= groups) return String(match[wide] ?? '')
    if (Number(digit) > groups) throw noGroup(digit, pattern)
    return String(match[Number(digit)] ?? '') + String(second)
  })
}

function noGroup(name: string, pattern: string): MillraceError {
  return new MillraceError(
    'INVALID_PARAMETER_VALUE.REGEX_GROUP_INDEX',
    `the replacement names a group that is not there`,
    {
      detail: `${JSON.stringify(name)} in ${JSON.stringify(pattern)}`,
      hint: 'name a group of the pattern, or write \\$ for a dollar sign',
    },
  )
}

/**
 * The parts between the matches. `limit` above 0: at most so many parts; 0 and below: all of them, the empty ones at the
 * end as well (Spark's own rule; in Java 0 means without them). An empty match at the start parts nothing.
 */
export function split(text: string, pattern: string, limit = -1): string[] {
  const parts: string[] = []
  let from = 0
  for (const match of text.matchAll(replacing(pattern))) {
    if (limit > 0 && parts.length === limit - 1) break
    const end = match.index + match[0].length
    if (match[0] === '' && (end === 0 || end >= text.length)) continue
    parts.push(text.slice(from, match.index))
    from = end
  }
  parts.push(text.slice(from))
  return parts
}

/** The place of the first match, in characters from 1; 0 where there is none. */
export function regexpInstr(text: string, pattern: string): number {
  const match = searching(pattern).exec(text)
  return match === null ? 0 : [...text.slice(0, match.index)].length + 1
}

export function regexpSubstr(text: string, pattern: string): string | null {
  return searching(pattern).exec(text)?.[0] ?? null
}

/** The group of every match. */
export function regexpExtractAll(text: string, pattern: string, group = 1): string[] {
  checkGroup(pattern, group)
  return [...text.matchAll(replacing(pattern))].map((match) => match[group] ?? '')
}

export function regexpCount(text: string, pattern: string): number {
  return text.match(replacing(pattern))?.length ?? 0
}
