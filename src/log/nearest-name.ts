import { closest, distance } from 'fastest-levenshtein'

/** The known name that a mistyped one most likely meant; undefined where none is near. */
export function nearestName(given: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined
  const nearest = closest(given, known)
  return distance(given, nearest) <= Math.max(2, Math.ceil(given.length / 3)) ? nearest : undefined
}
