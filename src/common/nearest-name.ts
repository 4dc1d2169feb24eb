import { editDistance } from './edit-distance.js'

/** The known name that a mistyped one most likely meant, upper and lower case aside; undefined where none is near. */
export function nearestName(given: string, known: readonly string[]): string | undefined {
  const wanted = given.toLowerCase()
  let nearest: string | undefined
  let least = Math.max(2, Math.ceil(given.length / 3)) + 1
  for (const name of known) {
    const d = editDistance(wanted, name.toLowerCase())
    if (d >= least) continue
    nearest = name
    least = d
  }
  return nearest
}
