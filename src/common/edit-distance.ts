import { loadCommonJs } from './commonjs.js'

let distance: ((a: string, b: string) => number) | undefined

/** Levenshtein's distance in UTF-16 code units. */
export function editDistance(a: string, b: string): number {
  distance ??= (loadCommonJs('fastest-levenshtein') as typeof import('fastest-levenshtein')).distance
  return distance(a, b)
}
