/**
 * Paths with `*`, `?`, `[a-z]`, `[^a]` and `{one,two}` in them, as Hadoop's globs have them: each name of a path by itself, so that no wildcard
 * reaches over a slash.
 */
export interface PathPattern {
  /** The part in front of the first wildcard: where the search begins. */
  readonly base: string
  /** A test for each name below it; empty where the path has no wildcard. */
  readonly names: readonly ((name: string) => boolean)[]
}

export function pathPattern(path: string): PathPattern {
  const names = path.split('/')
  const first = names.findIndex(isPattern)
  if (first === -1) return { base: path, names: [] }
  const base = names.slice(0, first).join('/')
  return { base: base === '' && path.startsWith('/') ? '/' : base, names: names.slice(first).map(nameTest) }
}

const isPattern = (name: string): boolean => /[*?[{]/.test(name)

export function nameTest(pattern: string): (name: string) => boolean {
  const expression = new RegExp(`^${alternatives(pattern)}$`, 's')
  return (name) => expression.test(name)
}

/** As a regular expression: every character that is not a wildcard stands for itself. */
function alternatives(pattern: string): string {
  let text = ''
  for (let at = 0; at < pattern.length; at++) {
    const c = pattern[at] as string
    const end = c === '[' ? pattern.indexOf(']', at + 1) : c === '{' ? pattern.indexOf('}', at + 1) : -1
    if (c === '*') text += '.*'
    else if (c === '?') text += '.'
    else if (end === -1) text += literal(c)
    else {
      const inside = pattern.slice(at + 1, end)
      if (c === '[') text += `[${inside.startsWith('^') || inside.startsWith('!') ? '^' : ''}${range(inside)}]`
      else text += `(?:${inside.split(',').map(alternatives).join('|')})`
      at = end
    }
  }
  return text
}

const range = (inside: string): string => inside.replace(/^[\^!]/, '').replace(/[\\\]^]/g, '\\$&')

const literal = (c: string): string => c.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
