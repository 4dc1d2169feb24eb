import { crc32c } from './checksum.js'
import { MillraceError } from './errors.js'

/**
 * Small files that are replaced as a whole are JSON, for people to read, and carry a checksum, for what nobody sees:
 *
 *   {"sealed":1, …, "crc32c":"9f3a01c2"}     CRC-32C of all bytes before the comma in front of "crc32c"
 *
 * Files of earlier versions have neither of the two fields and are read as they are. One without the other is damage: so no single flipped
 * bit can make a file whose checksum would not hold look like one that never had any.
 */
const SEAL = 1
const BEGINNING = /^\{\s*"sealed":\s*\d/
const ENDING = /,[ \t\r\n]*"crc32c":[ \t]*"([0-9a-f]{8})"[ \t\r\n]*\}[ \t\r\n]*$/

export interface SealedJson {
  readonly value: Readonly<Record<string, unknown>>
  /** False for a file of an earlier version, which nothing vouches for. */
  readonly isSealed: boolean
}

/** The text of a file with these fields. */
export function sealJson(fields: object, indent = 0): string {
  const whole = JSON.stringify({ sealed: SEAL, ...fields }, null, indent)
  const body = whole.slice(0, -1).trimEnd()
  const bytes = Buffer.from(body, 'utf8')
  const gap = indent === 0 ? '' : `\n${' '.repeat(indent)}`
  return `${body},${gap}"crc32c":${indent === 0 ? '' : ' '}"${hex(crc32c(bytes))}"${indent === 0 ? '' : '\n'}}\n`
}

/** Throws FILE_CORRUPT where the checksum does not hold, or where it is no JSON object. */
export function unsealJson(path: string, content: Uint8Array): SealedJson {
  const text = Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString('utf8')
  const ending = ENDING.exec(text)
  const beginsSealed = BEGINNING.test(text)
  if ((ending !== null) !== beginsSealed) {
    throw corrupt(
      path,
      beginsSealed ? 'its checksum is missing' : 'it has a checksum, and does not begin as one that has',
    )
  }
  if (ending === null) return { value: objectOf(path, text), isSealed: false }
  const bodyBytes = content.length - ending[0].length
  const computed = hex(crc32c(content, 0, bodyBytes))
  if (computed !== ending[1]) throw corrupt(path, `stored crc ${ending[1]}, computed crc ${computed}`)
  const { sealed, ...value } = objectOf(path, `${text.slice(0, ending.index)}}`)
  if (sealed !== SEAL) throw corrupt(path, `its seal is ${JSON.stringify(sealed)}, expected ${SEAL}`)
  return { value, isSealed: true }
}

function objectOf(path: string, text: string): Record<string, unknown> {
  let found: unknown
  try {
    found = JSON.parse(text)
  } catch (error) {
    throw corrupt(path, error instanceof Error ? error.message : String(error))
  }
  if (typeof found !== 'object' || found === null || Array.isArray(found))
    throw corrupt(path, 'it holds no JSON object')
  return found as Record<string, unknown>
}

function corrupt(path: string, detail: string): MillraceError {
  return new MillraceError('FILE_CORRUPT', `${path} is corrupt`, { detail, hint: 'restore the file from a copy' })
}

const hex = (n: number): string => (n >>> 0).toString(16).padStart(8, '0')
